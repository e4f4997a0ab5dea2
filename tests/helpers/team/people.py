"""Those who work in the month of a team: an account, a clone, and the commands that people type."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analognas.results import ResultStore
from analognas.workspace import Paths

if TYPE_CHECKING:
    from team.month import Month


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it wrote to standard output and standard error."""

    code: int
    text: str

    def __contains__(self, part: str) -> bool:
        return part in self.text


class Person:
    """Somebody with an account and a clone of her own."""

    def __init__(self, month: Month, name: str) -> None:
        self.month, self.name = month, name
        home = month.folder / name
        home.mkdir(exist_ok=True)
        self.paths = Paths(home / "team")
        (home / "gitconfig").write_text(
            f"[user]\n\tname = {name}\n\temail = {name}@example.org\n[init]\n\tdefaultBranch = main\n"
        )
        self.environment = {
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1", "TEAM_WHO": name,
            "LOGNAME": name, "MLFLOW_TRACKING_USERNAME": name, "ANALOGNAS_NOTIFY": f"{month.receiver.url}/{name}",
        }  # fmt: skip

    def git(self, *arguments: str, check: bool = True) -> str:
        """Call git in the clone, or where it will be, and return what it wrote."""
        return self._call(["git", *arguments], check)

    def dvc(self, *arguments: str) -> str:
        """Call DVC in the clone."""
        return self._call([sys.executable, "-m", "dvc", *arguments], check=True)

    def _call(self, command: list[str], check: bool) -> str:
        folder = self.paths.root if self.paths.root.exists() else self.paths.root.parent
        done = subprocess.run(
            command, cwd=folder, env=self.month.environment | self.environment, check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0 or not check, (self.name, command, done.stdout, done.stderr)
        return (done.stdout + done.stderr).strip()

    def __call__(self, *arguments: str, code: int | None = 0) -> Said:
        """Call ``analognas`` in the clone; ``code`` is how it has to end."""
        said = self.month.command(self, arguments)
        assert code is None or said.code == code, (self.name, arguments, said)
        assert "Traceback" not in said, (self.name, arguments, said)
        return said

    def clone(self) -> None:
        """Clone what the team shares."""
        self.git("clone", "--quiet", str(self.month.bare), "team")

    def commit(self, message: str) -> None:
        """Commit what the documentation says."""
        self.git("add", "params.yaml", "dvc.lock", "data")
        self.git("commit", "--quiet", "--message", message)

    def shares(self) -> None:
        """Push: the data first."""
        assert "Traceback" not in self("push")
        self.git("push", "--quiet")

    def changed(self) -> str:
        """Return what git has not kept."""
        return self.git("status", "--porcelain")

    def rounds(self) -> list[str]:
        """Return the names of all rounds, in their order."""
        return [path.stem for _, path in sorted(self.paths.round_files().items())]

    def stored(self) -> dict[str, str]:
        """Return the content of every result, by its file."""
        root = ResultStore.of(self.paths.root).root
        return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.glob("[0-9a-f]*/*.json"))}
