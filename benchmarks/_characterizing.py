"""The process of `benchmarks.characterize` that characterizes: one network for each line it is given.

It runs on the code of the commit that stands first on the path, so it imports nothing of `benchmarks`, and what of
`analognas` it uses has to be there in all commits that are compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

_PHASES = ("digital", "hardware-aware", "drift")


def characterized(genes: dict[str, Any], setup: dict[str, Any]) -> dict[str, Any]:
    """Return processor seconds of a characterization by part, seconds of its epochs, accuracies and peak memory."""
    from analognas.params import Params
    from analognas.training.protocol import characterize

    params, dataset = Params(), _images(setup)
    protocol = params.characterize.model_copy(
        update={name: setup[name] for name in ("epochs", "hwa_epochs", "repeats")}
    )
    architecture = _space(setup).architecture(genes)
    ended: dict[str, list[float]] = {}

    def progress(*told: Any) -> None:  # (done, total, phase); once it was (phase, fraction)
        ended.setdefault(next(word for word in told if isinstance(word, str)), []).append(time.process_time())

    begun = time.process_time()
    done = characterize(architecture, dataset, params.hardware, protocol, seed=setup["seed"], progress=progress)
    seconds, last, repeated = {"whole": time.process_time() - begun}, begun, {}
    for phase in _PHASES:
        marks = ended.get(phase, [last])
        seconds[phase], last = marks[-1] - last, marks[-1]
        repeated[phase] = (marks[-1] - marks[0]) / (len(marks) - 1) if len(marks) > 1 else None
    return {
        "seconds": seconds,
        "each": repeated,
        "accuracy": {name: done.row[name] for name in ("acc_digital", "acc_hwa", "acc_1d", "avm")},
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def plain_epoch(genes: dict[str, Any], setup: dict[str, Any]) -> float:
    """Return the processor seconds of a digital epoch of the same network as anybody would write it in PyTorch."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(1)
    x, y = _images(setup).tensors("train")
    network = _space(setup).architecture(genes).build().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)
    times = []
    batches = -(-len(x) // 64)
    for number in range(3 * batches):
        begun = time.process_time()
        index = torch.tensor_split(torch.arange(len(x)), batches)[number % batches]
        optimizer.zero_grad()
        loss = cross_entropy(network(x[index]), y[index])
        loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        times.append(time.process_time() - begun)
    return batches * statistics.median(times)


def _space(setup: dict[str, Any]) -> Any:
    from analognas.search_spaces import ConfigSpace

    return ConfigSpace("digits", input_shape=tuple(setup["shape"]), classes=10, max_params=setup["max_params"])


def _images(setup: dict[str, Any]) -> Any:
    """Return the digits, each pixel repeated or left out until the images have the shape that is asked for."""
    from analognas.datasets import load

    dataset, (channels, height, width) = load("digits"), setup["shape"]
    if (channels, height, width) == (1, 8, 8):
        return dataset
    rows, columns = (np.arange(size) * 8 // size for size in (height, width))

    def resized(part: Any) -> Any:
        return replace(part, x=np.ascontiguousarray(part.x[:, [0] * channels][:, :, rows][:, :, :, columns]))

    parts = {name: resized(getattr(dataset, name)) for name in ("train", "validation", "test")}
    mean, std = dataset.mean * channels, dataset.std * channels
    return replace(dataset, input_shape=(channels, height, width), mean=mean, std=std, **parts)


def main() -> None:
    """Answer each line of the input, a JSON object, with one."""
    out = os.fdopen(os.dup(1), "w")
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            asked = json.loads(line)
            work = plain_epoch if asked.get("plain") else characterized
            out.write(json.dumps(work(asked["genes"], asked["setup"])) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
