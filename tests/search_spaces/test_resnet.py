import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.family import family


def test_count_by_hand(two_blocks):
    stem = 3 * 25 * 8 + 16
    block1 = 2 * 2 * (2 * 9 * 8 * 8 + 2 * 16)
    inner = 4
    branch = 8 * inner + 9 * inner * inner + inner * 16 + 2 * (inner + inner + 16)
    block2 = 3 * branch + 8 * 16 + 2 * 16
    head = 16 * 10 + 10
    count = family("resnet").count_params(two_blocks, (3, 32, 32), 10)
    assert count == stem + block1 + block2 + head


def test_paths_by_hand(two_blocks):
    structure = ConfigSpace("CIFAR-10").architecture(two_blocks).structure
    assert structure.longest_path == 1 + 2 + 2 + 3 + 1
    assert structure.shortest_path == 1 + 0 + 0 + 1 + 1
    assert structure.skips == 2
    assert structure.widths == (8, 16)
    assert len(structure.layers) == 1 + 2 * 2 * 2 + 3 * 3 + 1 + 1
    assert structure.layers[-1].depth == structure.longest_path
    assert structure.layers[0].depth == 1


def test_published_ranges():
    genes = {gene.name: gene for gene in family("resnet").hyperparameters("published")}
    assert len(genes) == 3 + 5 * 4
    ranges = {name: (genes[name].at(0.0), genes[name].at(1.0)) for name in ("out_channel0", "M", "R5", "B1")}
    assert ranges == {"out_channel0": (8, 128), "M": (1, 5), "R5": (1, 16), "B1": (1, 12)}
    assert genes["kernel_size0"].choices == (3, 5, 7)
    assert genes["convblock3"].choices == ("basic", "bottleneck")
    assert genes["widenfact2"].describe() == "1..4"
    assert genes["widenfact2"].active_if == ("M", 2)


def test_digits_ranges_are_inside_the_published_ones():
    space, published = ConfigSpace("digits"), ConfigSpace("CIFAR-10")
    wide = {gene.name: gene for gene in published.hyperparameters}
    for gene in space.hyperparameters:
        if gene.name != "out_channel0":
            assert set(gene.values) <= set(wide[gene.name].values)


def test_the_kinds_of_mutation_share_out_all_genes(two_blocks):
    builder = family("resnet")
    genes = {**two_blocks, "something_else": 1}
    kinds = {kind: set(builder.mutation_genes(kind, genes)) for kind in builder.mutations}
    assert kinds["width"] == {"out_channel0", "widenfact1", "widenfact2", "B1", "B2"}
    assert kinds["depth"] == {"M", "R1", "R2", "convblock1", "convblock2"}
    assert kinds["other"] == {"kernel_size0", "something_else"}
    with pytest.raises(SpaceError, match="'sideways' is unknown"):
        builder.mutation_genes("sideways", genes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"M": 3}, "'R3' is missing|'convblock3'|convblock3 = None"),
        ({"kernel_size0": 4}, "kernel_size0 = 4 is even"),
        ({"R1": 0}, "R1 = 0 builds no network"),
        ({"convblock1": "dense"}, "'dense' is no block type"),
    ],
)
def test_genes_that_build_no_network(change, message, two_blocks):
    for use in (family("resnet").count_params, family("resnet").structure, family("resnet").build):
        with pytest.raises(SpaceError, match=message):
            use({**two_blocks, **change}, (3, 32, 32), 10)


def test_an_unknown_preset():
    with pytest.raises(SpaceError, match="'tiny' is unknown"):
        family("resnet").hyperparameters("tiny")
