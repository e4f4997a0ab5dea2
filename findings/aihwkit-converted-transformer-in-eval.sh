#!/bin/sh
# aihwkit 1.1.0 with torch 2.12.1: a converted TransformerEncoderLayer trains, and fails as soon as it is evaluated.
#
# convert_to_analog takes torch's layer and puts its two linear layers on tiles. In training it works. In evaluation torch
# takes a fast path for such layers, which reads `linear1.weight` by itself instead of calling the layer; on tiles that is
# None. The message names neither: 'NoneType' object has no attribute 'device'. What helps is
# torch.backends.mha.set_fastpath_enabled(False).
#
# Seen:
#   training: (2, 5, 16)
#   evaluation: AttributeError
#   evaluation without the fast path: (2, 5, 16)
#
# Needs Python 3.10 or 3.11 (PYTHON=...), and 6 GB in a temporary folder. Exits with 0 as long as it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check aihwkit==1.1.0 torch==2.12.1 numpy==2.4.6
cat > "$folder/layer.py" <<'PYTHON'
import torch
from aihwkit.nn.conversion import convert_to_analog
from aihwkit.simulator.configs import TorchInferenceRPUConfig

torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
network = convert_to_analog(layer, TorchInferenceRPUConfig())
x = torch.randn(2, 5, 16)


def said():
    """Return what a forward pass without gradients gives: a shape, or the kind of error."""
    try:
        with torch.no_grad():
            return str(tuple(network(x).shape))
    except Exception as error:
        return type(error).__name__


print("training:", said())
network.eval()
print("evaluation:", said())
torch.backends.mha.set_fastpath_enabled(False)
print("evaluation without the fast path:", said())
PYTHON
seen=$("$folder/venv/bin/python" -W ignore "$folder/layer.py")
echo "$seen"
expected="training: (2, 5, 16)
evaluation: AttributeError
evaluation without the fast path: (2, 5, 16)"
test "$seen" = "$expected"
