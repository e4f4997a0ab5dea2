"""The example of docs/spaces.md, taken from the page and run."""

import os
import re
import subprocess
import sys
from pathlib import Path

from analognas.params import Params
from analognas.search_spaces.family import KNOWN

PAGE = (Path(__file__).parents[2] / "docs" / "spaces.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_page_names_every_family():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) == set(KNOWN)


def test_the_example_conforms_and_runs_in_a_workspace(tmp_path):
    module, test = blocks("python")
    (tmp_path / "towers.py").write_text(module, encoding="utf-8")
    (tmp_path / "test_towers.py").write_text(test, encoding="utf-8")
    (tmp_path / "params.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (tmp_path / "test_sample.py").write_text(
        "from pathlib import Path\n"
        "from analognas.params import Params\n"
        "from analognas.stages.inputs import space_of\n"
        "def test_sample():\n"
        "    params = Params.load(Path('params.yaml'))\n"
        "    space = space_of(params, {'name': 'digits', 'input_shape': [1, 8, 8], 'classes': 10})\n"
        "    assert {one.genes['layers'] for one in space.sample(20)} == {1, 2, 3}\n",
        encoding="utf-8",
    )
    assert Params.load(tmp_path / "params.yaml").space.max_params == 5000
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"1\d passed", done.stdout)
