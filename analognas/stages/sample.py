"""``sample``: spread architectures over the configuration space, and put those beside them that people take by hand.

Reads parameters; writes ``data/architectures.parquet``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analognas.files import write_parquet, write_sealed
from analognas.hardware.cost import tiles
from analognas.progress import Progress, silent
from analognas.search_spaces.baseline import known_networks
from analognas.seeds import derive_seed
from analognas.stages import inputs

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.stages.summaries import SampleSummary
    from analognas.workspace import Paths


def run(params: Params, paths: Paths, progress: Progress = silent) -> SampleSummary:
    """Sample ``sample.size`` distinct architectures within the parameter budget.

    With ``sample.known`` those of ``known_networks`` follow that are not among them.

    Raises:
        SpaceError: if the space holds fewer.
    """
    size = params.sample.size
    progress(0, size, "sampling architectures")
    space = inputs.space(params, paths)
    seed, how = derive_seed(params.base.seed, "sample"), params.sample
    architectures = space.sample(size, seed=seed, method=how.method, spread=how.spread)
    if how.known:
        drawn = {architecture.id for architecture in architectures}
        by_hand = known_networks(space.id, params.space.max_params).values()
        architectures += [architecture for architecture in by_hand if architecture.id not in drawn]
    tile_shape = params.hardware.tile_shape
    frame = pd.DataFrame(
        {
            "id": [architecture.id for architecture in architectures],
            "space": space.name,
            "genes": [architecture.genes.to_json() for architecture in architectures],
            "params": [architecture.params for architecture in architectures],
            "tiles": [tiles(architecture.structure, tile_shape) for architecture in architectures],
        }
    )
    write_parquet(paths.architectures, frame)
    summary: SampleSummary = {
        "architectures": len(frame),
        "params_min": int(frame["params"].min()),
        "params_median": float(frame["params"].median()),
        "params_max": int(frame["params"].max()),
    }
    write_sealed(paths.metrics("sample"), summary)
    progress(size, size, f"{len(frame)} architectures")
    return summary
