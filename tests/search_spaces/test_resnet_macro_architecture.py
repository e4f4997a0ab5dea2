"""The built network is what the structure says: measured by forward hooks over random architectures."""

import pytest
import torch
from torch import nn

from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.resnet_macro_architecture import ResidualBlock

SPACES = {
    "cifar10": ConfigSpace("CIFAR-10", max_params=60_000),
    "digits": ConfigSpace("digits", max_params=60_000),
    "cifar100": ConfigSpace("CIFAR-100", max_params=60_000),
    "fashion": ConfigSpace("Fashion-MNIST", max_params=40_000),
    "kws": ConfigSpace("KWS", max_params=40_000),
    "log-mel": ConfigSpace(input_shape=(1, 40, 101), classes=35, max_params=40_000),
    "vww": ConfigSpace("VWW", max_params=10_000),
    "odd": ConfigSpace(input_shape=(2, 7, 13), classes=3, max_params=40_000),
}
ANALOG = (nn.Conv2d, nn.Linear)


def architectures():
    for space in SPACES.values():
        yield from space.sample(8, seed=5)


ARCHITECTURES = list(architectures())


def test_the_sample_has_what_is_to_be_tested():
    genes = [architecture.genes for architecture in ARCHITECTURES]
    assert {value for g in genes for name, value in g.items() if name.startswith("convblock")} == {
        "basic",
        "bottleneck",
    }
    assert {g["M"] for g in genes} == {1, 2, 3, 4, 5}
    assert any(g["B1"] > 1 and g["R1"] > 1 for g in genes)
    assert any(a.structure.skips for a in ARCHITECTURES)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.space.name}-{a.id}")
def test_structure_and_count_are_those_of_the_built_network(architecture):
    network = architecture.build().eval()
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert trainable == architecture.params == architecture.structure.params

    measured = {}

    def hook(name):
        def record(module, inputs, output):
            height, width = output.shape[2:] if output.ndim == 4 else (1, 1)
            measured[name] = (tuple(module.weight.shape), height, width, module.weight.numel() * height * width)

        return record

    layers = {name: module for name, module in network.named_modules() if isinstance(module, ANALOG)}
    for name, module in layers.items():
        module.register_forward_hook(hook(name))
    channels, height, width = architecture.space.input_shape
    with torch.no_grad():
        output = network(torch.zeros(2, channels, height, width))
    assert output.shape == (2, architecture.space.classes)

    structure = architecture.structure
    assert [layer.name for layer in structure.layers] == list(measured) == list(layers)
    assert structure.macs == sum(macs for *_, macs in measured.values())
    for layer in structure.layers:
        module = layers[layer.name]
        shape, out_height, out_width, macs = measured[layer.name]
        assert (layer.out_height, layer.out_width, layer.macs) == (out_height, out_width, macs)
        assert layer.rows * layer.columns == module.weight.numel() == layer.weights
        assert (layer.out_channels, layer.in_channels) == shape[:2]
        assert layer.bias == (module.bias is not None) == (layer.kind == "linear")
        if layer.kind == "conv":
            assert (layer.kernel_size, layer.stride) == (module.kernel_size[0], module.stride[0])
            assert module.groups == 1


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.space.name}-{a.id}")
def test_paths_are_those_of_the_built_network(architecture):
    network = architecture.build()
    longest = shortest = 1  # the stem
    depths = {"stem.conv": 1}
    skips = 0
    for name, block in network.named_modules():
        if isinstance(block, ResidualBlock):
            lengths = []
            for path, module in (("shortcut", block.shortcut), *block.branches.named_children()):
                prefix = path if path == "shortcut" else f"branches.{path}"
                convs = [n for n, child in module.named_modules() if isinstance(child, nn.Conv2d)]
                depths |= {f"{name}.{prefix}.{n}": longest + i for i, n in enumerate(convs, start=1)}
                lengths.append(len(convs))
            skips += isinstance(block.shortcut, nn.Identity)
            longest, shortest = longest + max(lengths), shortest + min(lengths)
    depths["head.linear"] = longest + 1
    structure = architecture.structure
    assert (structure.longest_path, structure.shortest_path) == (longest + 1, shortest + 1)
    assert structure.skips == skips
    assert {layer.name: layer.depth for layer in structure.layers} == depths


@pytest.mark.parametrize("block_type", ["basic", "bottleneck"])
def test_a_block_is_relu_of_the_shortcut_plus_all_its_branches(block_type):
    space = ConfigSpace("digits", ranges={"R": 1, "B": 2, "convblock": block_type, "M": 1, "widenfact": 1})
    block = space.smallest().build().main_blocks[0][0].eval()
    kernels = [m.kernel_size[0] for m in block.branches[0].modules() if isinstance(m, nn.Conv2d)]
    assert kernels == {"basic": [3, 3], "bottleneck": [1, 3, 1]}[block_type]
    for branch in block.branches:
        kinds = [type(module).__name__ for module in branch]
        assert kinds == ["Conv2d", "BatchNorm2d", *["ReLU", "Conv2d", "BatchNorm2d"] * (len(kernels) - 1)]
    x = torch.randn(3, 4, 8, 8)
    with torch.no_grad():
        first, second = (branch(x) for branch in block.branches)
        torch.testing.assert_close(block(x), torch.relu(x + first + second))
    assert not torch.equal(first, second)


def test_the_seed_decides_the_weights():
    architecture = ARCHITECTURES[0]
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(architecture.build().state_dict()["stem.conv.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_convolutions_start_as_he_et_al_say():
    torch.manual_seed(0)
    genes = {**ConfigSpace("CIFAR-10").smallest().genes, "out_channel0": 128, "convblock1": "basic"}
    weight = ConfigSpace("CIFAR-10").architecture(genes).build().main_blocks[0][0].branches[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert weight.mean().item() == pytest.approx(0, abs=0.001)


def test_gradients_reach_every_parameter():
    architecture = SPACES["digits"].sample(1, seed=1)[0]
    network = architecture.build()
    nn.functional.cross_entropy(network(torch.randn(8, 1, 8, 8)), torch.arange(8)).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
