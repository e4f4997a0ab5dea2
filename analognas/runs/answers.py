"""How the winner of a finished run answered single test images, worked out again from the network that is kept of it.

A run keeps means over programmings. Its winner programs the devices that were measured, so asking it for the test
images gives the answers behind these means; they are remembered in the private folder, under the digest of the winner.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analognas.errors import AnalogNASError, MismatchError
from analognas.files import file_digest, read_sealed, write_sealed
from analognas.params import Params
from analognas.progress import Progress, silent
from analognas.stages.running import limit_threads
from analognas.training.by_image import by_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analognas.datasets import Dataset
    from analognas.runs.finding import Run
    from analognas.workspace import Paths

#: Where, below the private folder, they are remembered; nothing in it is precious.
FOLDER = "answers"
#: Percentage points by which a mean may be another one than was measured: processors round differently, and an image
#: that lies between two classes then changes sides. More than that is another network.
_APART = 0.5
_DIGITS = 32


@dataclass(frozen=True)
class Answers:
    """What two winners answered to the same test images.

    ``a`` and ``b`` hold by figure (``acc_1d``, ``acc_30d``, ``avm``) the mean over programmings for every image, in
    percent, or points for the AVM, (images,). They are None if ``problem`` says, in a sentence, why there are none.
    """

    a: dict[str, NDArray[np.float64]] | None = None
    b: dict[str, NDArray[np.float64]] | None = None
    problem: str | None = None


def of_both(paths: Paths, a: Run, b: Run, progress: Progress = silent) -> Answers:
    """Return what the winners of two runs answered to the same test images.

    Args:
        paths: the workspace: its data are looked at, and what its parameters name may be imported.
        a, b: the runs.
        progress: called as it gets on.
    """
    try:
        first = _of(paths, a, lambda done, total, text: progress(done, 2 * total, f"{a.name}: {text}"))
        second = _of(paths, b, lambda done, total, text: progress(total + done, 2 * total, f"{b.name}: {text}"))
    except AnalogNASError as error:
        return Answers(problem=str(error))
    shapes = {len(values["acc_1d"]) for values in (first, second)}
    if len(shapes) > 1:
        return Answers(problem="The two winners were tested on different images.")
    return Answers(first, second)


def _of(paths: Paths, run: Run, progress: Progress) -> dict[str, NDArray[np.float64]]:
    import numpy as np

    with tempfile.TemporaryDirectory(dir=paths.private()) as folder:
        place = Path(folder) / "winner"
        progress(0, 1, "looking for its winner")
        if not run.source.winner(place):
            raise MismatchError(
                f"The winner of {run.name} is not kept here: `analognas pull` brings what a remote of DVC has; of a "
                "run in MLflow name its id there."
            )
        memo = paths.private() / FOLDER / f"{file_digest(place)[:_DIGITS]}.json"
        try:
            known = read_sealed(memo, remedy="")
        except AnalogNASError:  # it was never worked out, or the file is damaged
            known = _worked_out(paths, run, place, progress)
            write_sealed(memo, known)
    progress(1, 1, "its answers are known")
    return by_image(np.array(known["right"]) / known["repeats"], known["times"])


def _worked_out(paths: Paths, run: Run, place: Path, progress: Progress) -> dict[str, object]:
    """Return how many programmings classified each image rightly, [times][images], with what they are of."""
    from analognas.hardware.silence import silent as unsaid
    from analognas.training import load_winner

    params = Params.load(paths.params)
    limit_threads(params)
    if (place / "winner.json").is_file() and not (place / "model.safetensors").is_file():
        raise MismatchError(f"The winner of {run.name} was looked up in a table: it never saw an image.")
    with unsaid():
        # What this workspace runs with is imported by each of its runs.
        winner = load_winner(place, [name for name in (params.space.name, params.hardware.rpu_config) if ":" in name])
        right = winner.answers(_data(paths, params, run), progress)
    apart = abs(100.0 * right.mean(axis=(0, 2)) - winner.accuracy.mean(axis=0)).max()
    if apart > _APART:
        raise MismatchError(
            f"The winner of {run.name} gives {apart:.1f} points other accuracies here than were measured: its single "
            "answers are not those of the run."
        )
    counts = right.sum(axis=0)
    return {"repeats": len(right), "times": list(winner.protocol.times), "right": counts.tolist()}


def _data(paths: Paths, params: Params, run: Run) -> Dataset:
    """Return the data of the workspace, which must be those of the run."""
    from analognas.stages.recorded import load_dataset

    dataset = load_dataset(params, paths)
    if (dataset.digest, dataset.split_digest) != (run.dataset.get("digest"), run.dataset.get("split_digest")):
        raise MismatchError(f"The data of {run.name} are not those of this workspace now ({dataset.name}).")
    return dataset
