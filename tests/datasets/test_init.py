import subprocess
import sys

import analognas.datasets


def test_everything_public_is_importable():
    for name in analognas.datasets.__all__:
        assert getattr(analognas.datasets, name) is not None


def test_importing_and_listing_load_nothing_heavy():
    code = (
        "import sys, analognas.datasets as d; [e.to_dict() for e in d.catalogue()]; "
        "print({'torch', 'sklearn', 'PIL', 'pandas', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
