import subprocess
import sys
from pathlib import Path

import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.family import family
from analognas.search_spaces.resnet import ResNet

# A perceptron with a discrete and a categorical gene and one that only exists with a hidden layer.
PERCEPTRON = """
from analognas.search_spaces import AnalogLayer, Family, Hyperparameter, Structure


class Perceptron(Family):
    name = "perceptron"
    mutations = ("depth", "width")

    def hyperparameters(self, preset):
        return (
            Hyperparameter("hidden_layers", "discrete", 0, 1),
            Hyperparameter("width", "discrete", 1, 3, active_if=("hidden_layers", 1)),
            Hyperparameter("activation", "categorical", choices=("relu", "tanh")),
        )

    def reads(self, name):
        return name in ("hidden_layers", "width", "activation")

    def mutation_genes(self, kind, genes):
        return tuple(name for name in genes if (name == "hidden_layers") == (kind == "depth"))

    def _sizes(self, genes, input_shape, classes):
        channels, height, width = input_shape
        hidden = [genes["width"]] if genes["hidden_layers"] else []
        return [channels * height * width, *hidden, classes]

    def count_params(self, genes, input_shape, classes):
        sizes = self._sizes(genes, input_shape, classes)
        return sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))

    def structure(self, genes, input_shape, classes):
        sizes = self._sizes(genes, input_shape, classes)
        layers = tuple(
            AnalogLayer(f"{i + 1}", "linear", a, b, 1, 1, 1, 1, True, i + 1)
            for i, (a, b) in enumerate(zip(sizes, sizes[1:]))
        )
        return Structure(layers, 0, len(layers), len(layers), 0, tuple(sizes[1:-1]))

    def build(self, genes, input_shape, classes):
        from torch import nn

        sizes = self._sizes(genes, input_shape, classes)
        return nn.Sequential(nn.Flatten(), *(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])))


class Nameless(Perceptron):
    name = None


class Unfinished(Family):
    name = "unfinished"
    mutations = ("all",)


def not_a_class():
    pass
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_perceptrons.py").write_text(PERCEPTRON)
    monkeypatch.syspath_prepend(tmp_path)
    family.cache_clear()
    yield "my_perceptrons"
    sys.modules.pop("my_perceptrons", None)
    family.cache_clear()


def test_the_library_family_by_name():
    assert isinstance(family("resnet"), ResNet)


def test_a_space_of_a_family_from_elsewhere(module):
    space = ConfigSpace("digits", family=f"{module}:Perceptron")
    space.validate()
    assert space.name == "perceptron-digits"
    assert space.size() == 2 * (1 + 3)
    architectures = space.sample(8, seed=0)
    assert len(set(architectures)) == 8
    assert ["width" in a.genes for a in architectures].count(True) == 6
    for architecture in architectures:
        built = architecture.build()
        assert sum(p.numel() for p in built.parameters()) == architecture.params == architecture.structure.params
    assert space.smallest().genes == {"hidden_layers": 1, "width": 1, "activation": "relu"}
    assert list(space.encode(architectures)) == ["hidden_layers", "width", "activation_relu", "activation_tanh"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("transformer", "unknown space 'transformer': did you mean '.*'. A family of your own is module:Class"),
        ("no.such.module:Thing", "cannot be imported"),
        ("analognas.errors:Thing", "cannot be imported"),
        ("analognas.errors:SpaceError", "is no Family: derive it"),
        ("MODULE:not_a_class", "is no Family: derive it"),
        ("MODULE:Nameless", "no name"),
        ("MODULE:Unfinished", "cannot be made .it raises TypeError"),
        (":", "names no module"),
    ],
)
def test_what_is_no_family_is_refused(module, name, message):
    with pytest.raises(SpaceError, match=message):
        ConfigSpace("digits", family=name.replace("MODULE", module))


def test_spaces_do_not_load_heavy_modules():
    code = (
        "import sys; from analognas.search_spaces import ConfigSpace; "
        "space = ConfigSpace('CIFAR-10'); space.architecture(space.smallest().genes).structure.macs; repr(space); "
        "print(sorted({'torch', 'pandas', 'scipy', 'mlflow', 'prefect', 'dvc', 'sklearn'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
