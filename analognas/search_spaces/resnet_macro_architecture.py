"""The network of the ResNet-like family as torch modules. ``resnet`` says what it looks like and why.

To change the macro-architecture, derive a family of your own (``family.Family``) that builds your modules.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from analognas.search_spaces.resnet_plan import ConvPlan, Plan, ResidualPlan


def _conv(plan: ConvPlan) -> nn.Conv2d:
    return nn.Conv2d(
        plan.in_channels,
        plan.out_channels,
        plan.kernel_size,
        stride=plan.stride,
        padding=plan.kernel_size // 2,
        bias=False,
    )


def _branch(plans: tuple[ConvPlan, ...]) -> nn.Sequential:
    """Return the convolutions, each with its batch-norm, and a ReLU between two of them."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for number, plan in enumerate(plans, start=1):
        if number > 1:
            modules[f"relu{number - 1}"] = nn.ReLU()
        modules[f"conv{number}"] = _conv(plan)
        modules[f"norm{number}"] = nn.BatchNorm2d(plan.out_channels)
    return nn.Sequential(modules)


class ResidualBlock(nn.Module):
    """ReLU(shortcut(x) + sum of the branches of x); x is (N, C, H, W)."""

    def __init__(self, plan: ResidualPlan) -> None:
        super().__init__()
        self.shortcut: nn.Module
        if plan.shortcut is None:
            self.shortcut = nn.Identity()
        else:
            norm = nn.BatchNorm2d(plan.shortcut.out_channels)
            self.shortcut = nn.Sequential(OrderedDict(conv=_conv(plan.shortcut), norm=norm))
        self.branches = nn.ModuleList(_branch(plan.branch) for _ in range(plan.branches))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C', H', W')."""
        out: Tensor = self.shortcut(x)
        for branch in self.branches:
            out = out + branch(x)
        activated: Tensor = self.relu(out)
        return activated


class ResNetMacroArchitecture(nn.Module):
    """The whole network: input (N, C, H, W), output logits (N, classes).

    Convolutions start as He et al. (arXiv 1502.01852) say, batch-norms as the identity, the linear layer as
    torch does.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(plan.stem.out_channels)
        self.stem = nn.Sequential(OrderedDict(conv=_conv(plan.stem), norm=norm, relu=nn.ReLU()))
        self.main_blocks = nn.Sequential(
            *(nn.Sequential(*(ResidualBlock(block) for block in main_block)) for main_block in plan.main_blocks)
        )
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(plan.features, plan.classes),
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        logits: Tensor = self.head(self.main_blocks(self.stem(x)))
        return logits
