"""What a workspace is called on a Prefect server, which a team shares, and whose a deployment there is."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analognas.errors import InputError
from analognas.workspace import Paths

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

#: Of a digest of machine and folder: two of a thousand workspaces share one with a chance of one in ten thousand.
_DIGITS = 8


@dataclass(frozen=True)
class Place:
    """A workspace on a machine, and whose it is.

    Attributes:
        root: the workspace's folder.
        host: the machine's name.
        user: who works there.
    """

    root: str
    host: str
    user: str

    @classmethod
    def of(cls, paths: Paths) -> Place:
        """Return the place of a workspace on this machine, for who runs this process."""
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # in a container: no account has this number
            user = str(os.getuid())
        return cls(str(paths.root), socket.gethostname(), user)

    @property
    def name(self) -> str:
        """What its deployments are called: the folder, and what tells it from all others of that name."""
        folder = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(self.root).name).strip("-.")
        digest = hashlib.sha256(f"{self.host}\0{self.root}".encode()).hexdigest()
        return f"{folder or 'workspace'}-{digest[:_DIGITS]}"

    @property
    def owner(self) -> str:
        """Who and where."""
        return f"{self.user}@{self.host}"

    @property
    def tags(self) -> list[str]:
        """How its deployments and their runs are tagged."""
        return ["analognas", self.owner]


def existing(place: Place, flow: str) -> DeploymentResponse | None:
    """Return the deployment of a flow of a workspace that Prefect's server has, None if it has none.

    Raises:
        InputError: if it has one of that name that belongs to somebody else.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    name = f"{flow}/{place.name}"
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(name)
        except ObjectNotFound:
            return None
    if place.owner not in deployment.tags:
        others = " ".join(tag for tag in deployment.tags if "@" in tag) or "somebody else"
        raise InputError(
            f"The deployment {name} on Prefect's server belongs to {others}: let them stop it and delete it "
            f"(`prefect deployment delete '{name}'`), or work in a folder of your own."
        )
    return deployment


def identify() -> dict[str, str | list[str]]:
    """Return name and tags of the deployments of the workspace in the current folder: a step of ``prefect.yaml``.

    Raises:
        WorkspaceError: outside of a workspace.
        InputError: if a deployment of that name belongs to somebody else.
    """
    place = Place.of(Paths.find())
    for flow in ("pipeline", "retrain"):
        existing(place, flow)
    return {"name": place.name, "tags": place.tags}
