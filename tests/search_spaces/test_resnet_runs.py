import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import Architecture, ConfigSpace, Genes
from analognas.search_spaces.structure import Run, runs_of

SPACE = ConfigSpace("CIFAR-10")


def layers(runs):
    """Return how many layers there are by shape, and how many vectors go one after the other."""
    counted: dict[tuple[int, int, int], int] = {}
    for run in runs:
        shape = (run.rows, run.columns, run.vectors)
        counted[shape] = counted.get(shape, 0) + run.copies
    return counted, sum(run.levels * run.vectors for run in runs)


@pytest.mark.parametrize("dataset", ["CIFAR-10", "digits", "KWS", "VWW"])
def test_the_layers_are_those_of_the_structure(dataset: str):
    for architecture in ConfigSpace(dataset).sample(40, seed=1):
        assert layers(architecture.runs) == layers(runs_of(architecture.structure))


def test_one_by_hand():
    genes = {
        "out_channel0": 8,
        "kernel_size0": 3,
        "M": 1,
        "R1": 3,
        "B1": 2,
        "convblock1": "bottleneck",
        "widenfact1": 2,
    }
    assert list(SPACE.architecture(genes).runs) == [
        Run(27, 8, 1024, 1, 1),
        Run(8, 4, 1024, 2, 1),
        Run(36, 4, 1024, 6, 3),
        Run(4, 16, 1024, 6, 3),
        Run(16, 4, 1024, 4, 2),
        Run(8, 16, 1024, 1, 0),
        Run(16, 10, 1, 1, 1),
    ]


def test_genes_that_build_no_network_are_named():
    architecture = SPACE.smallest()
    genes = {name: value for name, value in architecture.genes.items() if name != "B1"}
    with pytest.raises(SpaceError, match="Gene 'B1' is missing"):
        _ = Architecture(architecture.space, Genes(genes), 0).runs
