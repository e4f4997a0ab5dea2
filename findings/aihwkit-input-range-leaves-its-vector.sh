#!/bin/sh
# aihwkit 1.1.0 (torch 2.12.1): an input range that follows the data leaves the memory that it lies in, so an optimizer
# of one flat vector learns every parameter of the layer but this one, and nothing says so.
#
# torch's `vector_to_parameters` makes parameters views of a vector: what changes the vector changes them (flat
# optimizers, second-order methods and evolution strategies work so). In its first batches a tile with
# `pre_post.input_range.enable` gives the range new memory in each forward in training (`input_range.data = ...`). From
# then on the vector has a range that no tile reads. Without `init_from_data`, and in evaluation, it stays where it is.
#
# Seen (after a forward in training, whether weight and range still lie in the vector, by init_from_data; then what the
# tile reads when the vector's range is set to 9):
#   0 True True 9.0
#   3 True False 1.0
#
# Needs Python 3.10 or 3.11 (PYTHON=...), and 6 GB in a temporary folder. Exits with 0 as long as it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check aihwkit==1.1.0 torch==2.12.1 numpy==2.4.6
cat > "$folder/vector.py" <<'PYTHON'
import torch
from aihwkit.nn import AnalogLinear
from aihwkit.simulator.configs import TorchInferenceRPUConfig
from torch.nn.utils import vector_to_parameters

for batches in (0, 3):
    torch.manual_seed(0)
    config = TorchInferenceRPUConfig()
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.learn_input_range = True
    config.pre_post.input_range.init_from_data = batches
    config.pre_post.input_range.init_std_alpha = 1.0
    layer = AnalogLinear(4, 2, bias=False, rpu_config=config).train()
    (tile,) = layer.analog_tiles()
    parameters = [tile.tile.weight, tile.input_range]
    vector = torch.cat([parameter.detach().flatten() for parameter in parameters])
    vector_to_parameters(vector, parameters)
    layer(torch.tensor([[1.0, -1.0, 1.0, -1.0]]))
    first = vector.data_ptr()
    own = [first, first + 4 * tile.tile.weight.numel()]
    lies = [parameter.data_ptr() == place for parameter, place in zip(parameters, own)]
    vector[-1] = 9.0
    print(batches, *lies, round(tile.input_range.item(), 0))
PYTHON
"$folder/venv/bin/python" "$folder/vector.py" | tee "$folder/seen"
printf '%s\n' "0 True True 9.0" "3 True False 1.0" | cmp - "$folder/seen"
