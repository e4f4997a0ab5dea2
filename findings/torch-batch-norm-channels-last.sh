#!/bin/sh
# torch 2.12.1, CPU: in channels-last a training pass of batch-norm costs by the pixel, not by the value.
#
# Channels-last is the layout that is recommended for convolutions on processors, and of networks with a few dozen channels
# on small images a batch-norm in it takes several times as long as in the other layout: 7 channels take as long as 30. For
# 64 images of 7 x 8 x 8 the forward pass was 5 to 7 times, the backward pass 8 to 27 times as slow, with SSE, AVX2 and
# AVX-512 alike (ATEN_CPU_CAPABILITY); with 64 channels they are about equal. It decides which layout is faster for small
# networks (TinyML, analog chips): a training step of one of 5,000 parameters and 14 convolutions has 14 of these.
#
# Seen on an Intel Xeon (Sapphire Rapids), one thread, microseconds, channels-last and contiguous:
#   7 channels: forward 310, 44; backward 430, 16
#   30 channels: forward 334, 174; backward 495, 98
#   64 channels (of 4 x 4): forward 40, 112; backward 60, 63
#
# Needs Python 3.10 to 3.14 (PYTHON=...), and 5 GB in a temporary folder. Exits with 0 as long as forward and backward of 7
# channels take more than twice as long in channels-last.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.12.1 numpy
cat > "$folder/norm.py" <<'PYTHON'
import sys
import time

import torch

torch.set_num_threads(1)


def least(pass_):
    """Return the least of 200 times, microseconds."""
    times = []
    for _ in range(200):
        start = time.perf_counter()
        pass_()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


def times(channels, size, layout):
    """Return the times of forward and backward."""
    norm = torch.nn.BatchNorm2d(channels)
    x = torch.randn(64, channels, size, size).contiguous(memory_format=layout)
    gradient = torch.randn_like(x)
    statistics = norm.running_mean, norm.running_var

    def forward():
        return torch.native_batch_norm(x, norm.weight, norm.bias, *statistics, True, 0.1, 1e-5)

    _, mean, deviation = forward()

    def backward():
        return torch.ops.aten.native_batch_norm_backward(
            gradient, x, norm.weight, *statistics, mean, deviation, True, 1e-5, [True] * 3
        )

    with torch.no_grad():
        return least(forward), least(backward)


print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())
ratios = {}
for channels, size in ((7, 8), (30, 8), (64, 4)):
    last, contiguous = (times(channels, size, layout) for layout in (torch.channels_last, torch.contiguous_format))
    ratios[channels] = [a / b for a, b in zip(last, contiguous)]
    print(f"{channels} channels: forward {last[0]:.0f}, {contiguous[0]:.0f}; backward {last[1]:.0f}, {contiguous[1]:.0f}")
sys.exit(0 if min(ratios[7]) > 2 else 1)
PYTHON
"$folder/venv/bin/python" "$folder/norm.py"
