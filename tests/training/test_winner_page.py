"""The examples of docs/winner.md, taken from the page and run in a finished workspace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analognas.datasets import load
from analognas.workspace import Paths

PAGE = (Path(__file__).parents[2] / "docs" / "winner.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_example_runs(finished_copy: Paths):
    (finished_copy.root / "pictures").mkdir()
    for number, image in enumerate(load("digits").test.x[:2]):
        levels = np.round(image[0] * (255 / 16)).astype(np.uint8)
        Image.fromarray(levels).save(finished_copy.root / "pictures" / f"{number:03}.png")
    scripts = Path(sys.executable).parent
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
        "PATH": os.pathsep.join([str(scripts), os.environ["PATH"]]),
    }
    has_onnx = find_spec("onnxscript") is not None and find_spec("onnxruntime") is not None
    assert [language for language, _ in BLOCKS] == ["bash", "python", "bash", "python", "python", "bash", "python"]
    said = {}
    for language, command in (("bash", ["bash", "-ec"]), ("python", [sys.executable, "-c"])):
        # In one process each: to load torch takes longer than any of them.
        code = "\n".join(text for kind, text in BLOCKS if kind == language and (has_onnx or "onnx" not in text))
        done = subprocess.run(
            [*command, code], cwd=finished_copy.root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        said[language] = done.stdout
    assert re.match(r"(pictures/00\d\.png: \d, .* programmings agree\n){2}", said["bash"])
    assert "class_name" in said["python"]


def test_the_page_names_every_file(finished: Paths):
    for path in finished.winner.iterdir():
        assert f"`{path.name}`" in PAGE
