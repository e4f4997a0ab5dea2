#!/bin/sh
# aihwkit 1.1.0 with torch 2.12.1: clipping to two standard deviations takes a tile whose weights are alike to nothing.
#
# WeightClipType.LAYER_GAUSSIAN clips a tile after each step to -sigma * std ... sigma * std of its weights, around 0 and
# not around their mean. That cuts outliers off a large matrix. The nine weights of a depthwise 3x3 kernel may all have
# one sign: their deviation is small, so the clip cuts all of them, what is left is more alike still, and after two steps
# in which nothing was learned they are gone. No warning is given. Remapping then divides by what is left.
#
# Seen: the largest weight before, after one and after two steps that change nothing themselves:
#   nine weights around 0: 0.900 0.900 0.900
#   nine weights around 0.8: 0.900 0.125 0.000
#
# Needs Python 3.10 or 3.11 (PYTHON=...), and 6 GB in a temporary folder. Exits with 0 as long as it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check aihwkit==1.1.0 torch==2.12.1 numpy==2.4.6
cat > "$folder/clip.py" <<'PYTHON'
import torch
from aihwkit.nn import AnalogLinear
from aihwkit.simulator.configs import TorchInferenceRPUConfig
from aihwkit.simulator.parameters.enums import WeightClipType

config = TorchInferenceRPUConfig()
config.clip.type, config.clip.sigma = WeightClipType.LAYER_GAUSSIAN, 2.0


def largest(weights):
    """Return the largest weight before, and after so many steps that change nothing themselves."""
    layer = AnalogLinear(9, 1, bias=False, rpu_config=config)
    tile = next(layer.analog_tiles())
    tile.set_weights(weights)
    seen = []
    for _ in range(3):
        seen.append(f"{float(tile.get_weights()[0].abs().max()):.3f}")
        tile.post_update_step()
    return " ".join(seen)


print("nine weights around 0:", largest(torch.tensor([[-0.9, -0.6, -0.3, -0.1, 0.0, 0.1, 0.3, 0.6, 0.9]])))
print("nine weights around 0.8:", largest(torch.tensor([[0.70, 0.74, 0.76, 0.78, 0.80, 0.82, 0.84, 0.86, 0.90]])))
PYTHON
seen=$("$folder/venv/bin/python" -W ignore "$folder/clip.py")
echo "$seen"
expected="nine weights around 0: 0.900 0.900 0.900
nine weights around 0.8: 0.900 0.125 0.000"
test "$seen" = "$expected"
