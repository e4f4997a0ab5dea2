import json
from dataclasses import replace

import numpy as np
import pytest

from analognas.errors import MismatchError
from analognas.evaluators.features import STRUCTURAL, FeatureSchema, GeneColumns, feature_label, structural_features
from analognas.hardware.cost import tiles, utilisation
from analognas.hardware.tile_shape import TileShape
from analognas.search_spaces import Architecture, ConfigSpace, Genes, SpaceId

GENES = {"out_channel0": 4, "kernel_size0": 5, "M": 1, "R1": 2, "B1": 2, "convblock1": "basic", "widenfact1": 2}


@pytest.fixture
def space():
    return ConfigSpace("digits")


@pytest.fixture
def architectures(space):
    return space.sample(20, seed=0)


def test_structural_features_are_what_their_names_say(space):
    # Stem 1 -> 4 (5x5); block 1: two branches 4 -> 8 -> 8 and a 1x1 shortcut; block 2: two branches 8 -> 8 -> 8.
    architecture = space.architecture(GENES)
    features = dict(zip(STRUCTURAL, structural_features(architecture.structure, 64), strict=True))
    assert features["log_params"] == pytest.approx(np.log(architecture.params))
    assert features["longest_path"] == 6
    assert features["shortest_path"] == 3  # stem, shortcut, head
    assert features["skips"] == 1
    assert features["layers"] == 11
    assert np.exp([features["log_width_first"], features["log_width_min"], features["log_width_max"]]) == pytest.approx(
        [8, 4, 8]
    )
    fan_in = [25, *[36, 72] * 2, 4, *[72, 72] * 2, 8]
    assert np.exp(features["log_fan_in_min"]) == pytest.approx(4)
    assert features["log_fan_in_mean"] == pytest.approx(np.log(fan_in).mean())
    columns_by_depth = [4, 8 + 8 + 8, 8 + 8, 8 + 8, 8 + 8, 10]
    rows_by_depth = [25, 4, 72, 72, 72, 8]
    assert np.exp(features["log_width_noise"]) == pytest.approx(sum(1 / n for n in columns_by_depth))
    assert np.exp(features["log_fan_in_noise"]) == pytest.approx(sum(1 / n for n in rows_by_depth))
    assert np.exp(features["log_tiles"]) == pytest.approx(tiles(architecture.structure, 64))
    assert features["utilisation"] == pytest.approx(utilisation(architecture.structure, 64))


def test_the_tile_size_is_that_of_the_hardware(architectures):
    small, large = (FeatureSchema.learn(architectures, size).transform(architectures) for size in (16, 256))
    assert (small[:, -2] > large[:, -2]).all()
    assert (small[:, :-2] == large[:, :-2]).all()


def test_tiles_may_have_other_rows_than_columns(architectures):
    schema = FeatureSchema.learn(architectures, (16, 0))
    described = schema.to_dict()
    assert described["tile_size"] == [16, 0]
    assert FeatureSchema.from_dict(json.loads(json.dumps(described))) == schema
    assert FeatureSchema.learn(architectures, 16).to_dict()["tile_size"] == 16
    wide, square = (one.transform(architectures) for one in (schema, FeatureSchema.learn(architectures, 16)))
    assert (wide[:, -2] < square[:, -2]).any()
    expected = [np.log(tiles(one.structure, TileShape(16, 0))) for one in architectures]
    assert wide[:, -2] == pytest.approx(expected)


def test_raw_genes_are_those_of_the_space_s_encoding(space, architectures):
    schema = FeatureSchema.learn(architectures, 256)
    encoded = space.encode(architectures)
    matrix = schema.transform(architectures)
    assert matrix.shape == (20, len(schema.names))
    for name, column in zip(schema.names, matrix.T, strict=True):
        if name not in STRUCTURAL:
            assert (column == encoded[name.replace("=", "_")].to_numpy()).all()


def test_names_are_ordered_as_the_family_orders_its_genes(architectures):
    names = FeatureSchema.learn(architectures, 256).names
    assert names[:5] == ("out_channel0", "kernel_size0", "M", "R1", "B1")
    assert names[5:7] == ("convblock1=basic", "convblock1=bottleneck")
    assert names[-len(STRUCTURAL) :] == STRUCTURAL
    # Whatever the order of the architectures.
    assert FeatureSchema.learn(architectures[::-1], 256).names == names


def test_structural_columns_are_the_last(architectures):
    schema = FeatureSchema.learn(architectures, 256)
    assert [schema.names[i] for i in schema.structural] == list(STRUCTURAL)


def test_a_schema_survives_json(architectures):
    schema = FeatureSchema.learn(architectures, 256)
    restored = FeatureSchema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert restored == schema
    assert (restored.transform(architectures) == schema.transform(architectures)).all()


def test_a_schema_of_other_features_is_refused(architectures):
    data = FeatureSchema.learn(architectures, 256).to_dict()
    with pytest.raises(MismatchError, match="fit it again"):
        FeatureSchema.from_dict(data | {"names": data["names"][1:]})


def test_several_spaces_are_refused(architectures):
    others = ConfigSpace("CIFAR-10").sample(1)
    with pytest.raises(MismatchError, match="several spaces"):
        FeatureSchema.learn([*architectures, *others], 256)
    with pytest.raises(MismatchError, match="'resnet-cifar10'"):
        FeatureSchema.learn(architectures, 256).transform(others)


def test_features_are_computed_once(architectures, monkeypatch):
    schema = FeatureSchema.learn(architectures, 256)
    first = schema.transform(architectures)
    monkeypatch.setattr(FeatureSchema, "_features", None)
    assert (schema.transform(architectures) == first).all()


def test_the_cache_is_bounded(architectures, monkeypatch):
    monkeypatch.setattr("analognas.evaluators.features._CACHE_SIZE", 7)
    schema = FeatureSchema.learn(architectures, 256)
    matrix = schema.transform(architectures)
    assert len(schema._cache) <= 7
    assert (schema.transform(architectures) == matrix).all()


def test_new_genes_and_choices_are_no_error(space):
    narrow = [architecture for architecture in space.sample(200, seed=1) if architecture.genes["M"] == 1]
    schema = FeatureSchema.learn(narrow, 256)
    assert "R2" not in schema.names
    deep = next(architecture for architecture in space.sample(200, seed=1) if architecture.genes["M"] == 3)
    assert np.isfinite(schema.transform([deep])).all()


def test_columns_of_genes():
    assert GeneColumns("R1").values(None) == (0.0,)
    assert GeneColumns("R1").values(3) == (3.0,)
    kinds = GeneColumns("kind", ("a", "b"))
    assert kinds.names == ("kind=a", "kind=b")
    assert kinds.values("b") == (0.0, 1.0)
    assert kinds.values(None) == kinds.values("new") == (0.0, 0.0)


def test_genes_that_the_family_does_not_list_are_read_from_their_values():
    space = SpaceId("elsewhere", "missing_module:Family", (1, 8, 8), 10)
    architectures = [Architecture(space, Genes({"b": 2, "a": kind}), 1) for kind in ("x", "y")]
    schema = FeatureSchema.learn(architectures, 256)
    assert schema.genes == (GeneColumns("a", ("x", "y")), GeneColumns("b"))


def test_a_space_of_the_same_name_and_another_input_shape_is_another_space():
    ours = ConfigSpace("mine", input_shape=(1, 12, 12), classes=10).sample(3, seed=0)
    other = replace(ours[0].space, input_shape=(3, 12, 12))
    theirs = [Architecture(other, architecture.genes, architecture.params) for architecture in ours]
    assert [architecture.id for architecture in ours] == [architecture.id for architecture in theirs]
    schema = FeatureSchema.learn(ours, 256)
    schema.transform(ours)  # which are kept by their ids
    with pytest.raises(MismatchError, match=r"3 x 12 x 12 inputs.*the evaluator is for .*1 x 12 x 12 inputs"):
        schema.transform(theirs)
    with pytest.raises(MismatchError, match="several spaces"):
        FeatureSchema.learn([*ours, *theirs], 256)
    stored = FeatureSchema.from_dict(schema.to_dict(), ours[0].space)
    with pytest.raises(MismatchError, match="3 x 12 x 12"):
        stored.transform(theirs)


@pytest.mark.parametrize("tile_size", [256, (64, 0), [17, 33]])
@pytest.mark.parametrize("dataset", ["digits", "CIFAR-10", "kws"])
def test_features_of_many_at_once_are_those_of_each(dataset, tile_size):
    space = ConfigSpace(dataset)
    coded = space.sample(200, seed=4)
    plain = [Architecture(one.space, Genes(dict(one.genes)), one.params) for one in coded]
    schema = FeatureSchema.learn(plain[:50], tile_size)
    assert (schema.transform(coded) == schema.transform(plain)).all()


def test_every_structural_feature_has_words_of_its_own():
    words = [feature_label(name) for name in STRUCTURAL]
    assert len(set(words)) == len(words)
    assert not any("_" in word for word in words)
    assert feature_label("convblock1") == "convblock1"
