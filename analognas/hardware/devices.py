"""Programming and drift of all devices of a network at once.

aihwkit goes from tile to tile, and for small layers the time is spent on the way: here the weights of all tiles
lie in one vector, and aihwkit's noise model is applied to that. Its device physics works conductance by
conductance, so only what belongs to a tile (scale of the conductances, drift compensation) is kept per tile.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from analognas.hardware import converters as conv
from analognas.hardware.analog import require_clean, tiles
from analognas.hardware.layers import tile_converters, uncovered_tile

# As aihwkit's converter and compensation: the smallest divisors.
_LEAST_WEIGHT, _LEAST_READOUT = 1e-7, 1e-4


class Devices:
    """The devices of a converted network with clean weights.

    ``program`` programs them anew, ``drift`` lets the same devices age; the network then computes with their
    weights. aihwkit's own methods may follow: its tiles know the state. ``load_clean_state`` ends it.

    Configurations whose noise model, conductances or compensation are not aihwkit's standard ones
    (``PCMLikeNoiseModel``, single pairs, ``GlobalDriftCompensation``, ``PerColumnDriftCompensation`` or none) go
    through aihwkit's own methods.

    Args:
        model: from ``analognas.hardware.convert``.

    Raises:
        HardwareError: if it is programmed already.
    """

    def __init__(self, model: nn.Module) -> None:
        from aihwkit.inference.compensation.drift import PerColumnDriftCompensation

        require_clean(model, "program the devices of")
        self.model = model
        self.tiles = [tile for _, tile in tiles(model)]
        self.together = self._are_standard()
        if not self.together:
            return
        config = self.tiles[0].rpu_config
        self.noise_model, self.converters = config.noise_model, tile_converters(config.forward)
        self.compensated = config.drift_compensation is not None
        self.by_column = type(config.drift_compensation) is PerColumnDriftCompensation
        weights = [tile.tile.weight.detach() for tile in self.tiles]
        self.shapes = [weight.shape for weight in weights]
        self.sizes = [weight.numel() for weight in weights]
        self.clean = torch.cat([weight.reshape(-1) for weight in weights])
        self.of_tile, lengths = _numbered(self.sizes, self.clean.device)
        # The weights that a compensation reads together: those of a tile, or of one of its columns (they lie in a row).
        self.groups, self.read_together = [1] * len(weights), self.of_tile
        if self.by_column:
            self.groups = [columns for columns, _ in self.shapes]
            inputs = [rows for columns, rows in self.shapes for _ in range(columns)]
            self.read_together, lengths = _numbered(inputs, self.clean.device)
        self.lengths = lengths.to(self.clean.dtype)

    @torch.no_grad()
    def program(self) -> None:
        """Program the clean weights: programming noise and drift exponents are drawn anew."""
        if not self.together:
            with _quiet():
                self.model.program_analog_weights()  # type: ignore[operator]
            return
        target, scale = self._conductances(self.clean)
        programmed = self.noise_model.apply_programming_noise_to_conductance(target)
        self.exponents = self.noise_model.generate_drift_coefficients(target)
        self.weights = self._weights(programmed, scale)
        # What every drift starts from: the scale is that of the programmed weights.
        self.programmed, self.scale = self._conductances(self.weights)
        if self.compensated:
            self.baseline = self._read_out(self.weights)
        # A copy: what aihwkit 1.2 sets later it writes into the tile's own memory.
        self._tell(self.weights.clone())
        exponents = [list(pair) for pair in zip(*(self._split(half) for half in self.exponents), strict=True)]
        baselines = self._of_tiles(self.baseline) if self.compensated else []
        for index, (tile, clean, weight, nu) in enumerate(
            zip(self.tiles, self._split(self.clean), self._split(self.weights), exponents, strict=True)
        ):
            tile.reference_combined_weights, tile.programmed_weights, tile.drift_noise_parameters = clean, weight, nu
            if self.compensated:
                tile.drift_baseline = baselines[index]
                tile.drift_readout_tensor = None

    @torch.no_grad()
    def drift(self, seconds: float) -> None:
        """Let the programmed devices age until ``seconds`` after their programming.

        Raises:
            aihwkit.exceptions.AihwkitException: if the noise model knows no such time.
        """
        if not self.together:
            with _quiet():
                self.model.drift_analog_weights(seconds)  # type: ignore[operator]
            return
        aged = self.noise_model.apply_drift_noise_to_conductance(self.programmed, self.exponents, seconds)
        weights = self._weights(aged, self.scale)
        self._tell(weights)
        if self.compensated:
            alphas = self._of_tiles(self.baseline / self._read_out(weights))
            for tile, alpha in zip(self.tiles, alphas, strict=True):
                tile.__dict__.pop("alpha", None)
                tile.alpha = alpha

    def _are_standard(self) -> bool:
        from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
        from aihwkit.inference.compensation.drift import PerColumnDriftCompensation
        from aihwkit.inference.converter.conductance import SinglePairConductanceConverter

        first = self.tiles[0].rpu_config
        noise_model, compensation = first.noise_model, first.drift_compensation
        if type(noise_model) is not PCMLikeNoiseModel:
            return False
        if type(noise_model.g_converter) is not SinglePairConductanceConverter:
            return False
        known = (GlobalDriftCompensation, PerColumnDriftCompensation)
        if compensation is not None and type(compensation) not in known:
            return False
        return all(
            uncovered_tile(tile) is None
            and tile.rpu_config.forward == first.forward
            and type(tile.rpu_config.noise_model) is PCMLikeNoiseModel
            and vars(tile.rpu_config.noise_model).keys() == vars(noise_model).keys()
            and str(tile.rpu_config.noise_model) == str(noise_model)
            and type(tile.rpu_config.drift_compensation) is type(compensation)
            for tile in self.tiles
        )

    def _conductances(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the conductances (2, all weights) of positive and negative devices, and each weight's scale."""
        converter = self.noise_model.g_converter
        largest = torch.zeros(len(self.tiles), dtype=weights.dtype, device=weights.device)
        largest.scatter_reduce_(0, self.of_tile, weights.abs(), "amax")
        scale = ((converter.g_max - converter.g_min) / largest.clamp(min=_LEAST_WEIGHT))[self.of_tile]
        scaled = weights * scale
        pair = torch.stack([scaled, -scaled]).clamp_(0.0, converter.g_max).add_(converter.g_min)
        return pair, scale

    def _weights(self, conductances: Tensor, scale: Tensor) -> Tensor:
        minimum = self.noise_model.g_converter.g_min
        difference: Tensor = (conductances[0] - minimum) - (conductances[1] - minimum)
        return difference / scale

    def _read_out(self, weights: Tensor) -> Tensor:
        """Return what the compensations read: the mean absolute output over all one-hot inputs.

        It is one number for each tile, or for each of its columns where they are compensated one by one. With one
        input at a time the output is that input times one weight, so no product is needed.
        """
        unit_input = conv.to_input(torch.ones(1, dtype=weights.dtype, device=weights.device), None, self.converters)
        read = weights * unit_input
        conv.to_output(read, self.converters, (1.0, 1.0), gradients=False)
        sums = torch.zeros_like(self.lengths)
        sums.index_add_(0, self.read_together, read.abs_())
        return (sums / self.lengths).clamp_(min=_LEAST_READOUT)

    def _of_tiles(self, values: Tensor) -> list[Tensor]:
        """Return what ``_read_out`` returned for each tile: a number, or one for each column, as aihwkit has it."""
        return [part if self.by_column else part[0] for part in torch.split(values, self.groups)]

    def _split(self, weights: Tensor) -> list[Tensor]:
        return [part.view(shape) for part, shape in zip(torch.split(weights, self.sizes), self.shapes, strict=True)]

    def _tell(self, weights: Tensor) -> None:
        for tile, weight in zip(self.tiles, self._split(weights), strict=True):
            tile.tile.weight.data = weight


def _numbered(sizes: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the number of its group for each member of groups of these sizes, and the sizes."""
    lengths = torch.tensor(sizes, device=device)
    return torch.repeat_interleave(torch.arange(len(sizes), device=device), lengths), lengths


@contextmanager
def _quiet() -> Iterator[None]:
    """Say nothing of two habits of aihwkit 1.1's noise models that the torch and numpy it goes with still take.

    HERMES indexes with a list, CMO ReRAM gives tensors to numpy.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using a non-tuple sequence", UserWarning)
        warnings.filterwarnings("ignore", "__array_wrap__ must accept", DeprecationWarning)
        yield
