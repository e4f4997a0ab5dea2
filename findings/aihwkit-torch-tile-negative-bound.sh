#!/bin/sh
# aihwkit 1.1.0 (torch 2.12.1): `forward.bm_test_negative_bound=False` does nothing on torch tiles, and nothing says so.
#
# With bound management ITERATIVE a tile halves its input and multiplies again until its output is within the converter's
# bound. `bm_test_negative_bound=False` asks to look at the upper bound alone. Compiled tiles (InferenceRPUConfig) do so:
# a sum of -32 at a bound of 1 stays clipped at -1. Torch tiles (TorchInferenceRPUConfig), which take the same
# configuration without a word and refuse other settings that they do not simulate, iterate all the same: -32.
#
# Seen (tile, with the negative bound tested, without):
#   TorchInferenceRPUConfig -32.0 -32.0
#   InferenceRPUConfig -32.0 -1.0
#
# Needs Python 3.10 or 3.11 (PYTHON=...), and 6 GB in a temporary folder. Exits with 0 as long as it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check aihwkit==1.1.0 torch==2.12.1 numpy==2.4.6
cat > "$folder/bound.py" <<'PYTHON'
import torch
from aihwkit.nn import AnalogLinear
from aihwkit.simulator.configs import InferenceRPUConfig, TorchInferenceRPUConfig
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType


def output(kind, tested):
    """Return the output of a tile of equal negative weights, whose sum is -32."""
    config = kind()
    io = config.forward
    io.inp_res = io.out_res = -1  # nothing is quantised
    io.w_noise = io.out_noise = 0.0
    io.out_bound = 1.0
    io.noise_management = NoiseManagementType.ABS_MAX
    io.bound_management = BoundManagementType.ITERATIVE
    io.bm_test_negative_bound = tested
    layer = AnalogLinear(64, 1, bias=False, rpu_config=config)
    layer.set_weights(torch.full((1, 64), -0.5))
    layer.eval()
    return round(layer(torch.ones(1, 64)).item(), 3)


for kind in (TorchInferenceRPUConfig, InferenceRPUConfig):
    print(kind.__name__, output(kind, True), output(kind, False))
PYTHON
"$folder/venv/bin/python" "$folder/bound.py" | tee "$folder/seen"
printf '%s\n' "TorchInferenceRPUConfig -32.0 -32.0" "InferenceRPUConfig -32.0 -1.0" | cmp - "$folder/seen"
