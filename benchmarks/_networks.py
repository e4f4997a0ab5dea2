"""Networks that nobody wrote for this library: torchvision's, and those of MLPerf Tiny by their description.

Each is a function of the shape of the images and the number of classes, as `analognas measure` takes it. The four of
MLPerf Tiny (Banbury et al., NeurIPS Datasets and Benchmarks 2021, arXiv 2106.07597) are written here from what their
paper and the papers that it names say of them; they have one input size each there, and take any here.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

Shape = tuple[int, int, int]


def resnet18(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's ResNet-18 as it is: 7x7 stem with stride 2, then max-pooling."""
    return _torchvision("resnet18", input_shape, classes)


def mobilenet_v2(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's MobileNetV2 of a quarter of the width: depthwise convolutions in inverted residuals."""
    return _torchvision("mobilenet_v2", input_shape, classes, width_mult=0.25)


def mobilenet_v3_small(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's small MobileNetV3 of half the width: also squeeze-and-excitation and hard swish."""
    return _torchvision("mobilenet_v3_small", input_shape, classes, width_mult=0.5)


def shufflenet_v2(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's ShuffleNetV2 of half the width: splits and shuffles channels, depthwise convolutions."""
    return _torchvision("shufflenet_v2_x0_5", input_shape, classes)


def mnasnet(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's MNASNet of half the width."""
    return _torchvision("mnasnet0_5", input_shape, classes)


def squeezenet(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's SqueezeNet 1.1: no batch-norm, no linear layer, branches of 1x1 and 3x3."""
    return _torchvision("squeezenet1_1", input_shape, classes)


def densenet(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's DenseNet with four small blocks: batch-norm before each convolution."""
    import torchvision.models

    return _channels(
        torchvision.models.DenseNet(12, (2, 4, 4, 2), num_init_features=24, num_classes=classes), input_shape
    )


def regnet(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's RegNetX of 400 MFLOPs: convolutions in groups of 16 channels."""
    return _torchvision("regnet_x_400mf", input_shape, classes)


def vision_transformer(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's VisionTransformer, small: two layers, attention stays digital."""
    import torchvision.models

    return _channels(
        torchvision.models.VisionTransformer(input_shape[1], 8, 2, 4, 64, 128, num_classes=classes), input_shape
    )


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(before, after, 3, stride)
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        self.way = nn.Identity() if stride == 1 and before == after else nn.Conv2d(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (self.second(self.first(x)) + self.way(x)).relu()
        return out


def resnet8(input_shape: Shape, classes: int) -> nn.Module:
    """MLPerf Tiny, image classification: a stem and three residual blocks of 16, 32 and 64 channels."""
    return nn.Sequential(
        _conv(input_shape[0], 16, 3, 1), _Block(16, 16, 1), _Block(16, 32, 2), _Block(32, 64, 2), *_head(64, classes)
    )


def ds_cnn(input_shape: Shape, classes: int) -> nn.Module:
    """MLPerf Tiny, keyword spotting: 64 channels, a stem of 10x4 and four depthwise separable blocks (1711.07128)."""
    layers = [nn.Conv2d(input_shape[0], 64, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for _ in range(4):
        layers += separable(64, 64, 1)
    return nn.Sequential(*layers, *_head(64, classes))


def mobilenet_v1(input_shape: Shape, classes: int) -> nn.Module:
    """MLPerf Tiny, visual wake words: MobileNetV1 (1704.04861) of a quarter of the width."""
    layers: list[nn.Module] = [*_conv(input_shape[0], 8, 3, 2)]
    before = 8
    for after, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]:
        layers += separable(before, after, stride)
        before = after
    return nn.Sequential(*layers, *_head(256, classes))


def autoencoder(input_shape: Shape, classes: int) -> nn.Module:
    """MLPerf Tiny, anomaly detection: the encoder of its autoencoder with a layer for classes behind it.

    The whole of it gives its input back and is judged by how well it does, so it is no classifier.
    """
    size = input_shape[0] * input_shape[1] * input_shape[2]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in zip((size, 128, 128, 128, 128), (128, 128, 128, 128, 8), strict=True):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(8, classes))


#: All of them, by name.
NETWORKS: dict[str, Any] = {
    make.__name__: make
    for make in (
        resnet8, ds_cnn, mobilenet_v1, autoencoder, resnet18, squeezenet, densenet, mobilenet_v2, mobilenet_v3_small,
        shufflenet_v2, mnasnet, regnet, vision_transformer,
    )
}  # fmt: skip


def _torchvision(name: str, input_shape: Shape, classes: int, **settings: Any) -> nn.Module:
    import torchvision.models

    return _channels(getattr(torchvision.models, name)(num_classes=classes, **settings), input_shape)


def _channels(network: nn.Module, input_shape: Shape) -> nn.Module:
    """Return a network of three channels for images of others."""
    name, first = next((name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    if first.in_channels != input_shape[0]:
        owner, _, last = name.rpartition(".")
        other = nn.Conv2d(
            input_shape[0], first.out_channels, first.kernel_size, first.stride, first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        )  # fmt: skip
        setattr(network.get_submodule(owner), last, other)
    return network


def _conv(before: int, after: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.ReLU())


def separable(before: int, after: int, stride: int) -> list[nn.Module]:
    """Return a depthwise separable block: a convolution of each channel by itself, then one of single pixels."""
    return [*_conv(before, before, 3, stride, before), *_conv(before, after, 1, 1)]


def _head(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
