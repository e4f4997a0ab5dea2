import subprocess
import sys

import torch

from analognas import seeds


def test_seeds_depend_on_the_base_and_every_label():
    values = {
        seeds.derive_seed(0),
        seeds.derive_seed(1),
        seeds.derive_seed(0, "a"),
        seeds.derive_seed(0, "a", 1),
    }
    assert len(values) == 4
    assert all(0 <= value < 2**63 for value in values)
    assert seeds.derive_seed(0, "a", "b") != seeds.derive_seed(0, "ab")


def test_seeds_are_the_same_in_every_process():
    code = "from analognas.seeds import derive_seed; print(derive_seed(7, 'x', 3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == seeds.derive_seed(7, "x", 3)


def test_generators_repeat_themselves():
    assert seeds.numpy_generator(0, "a").random() == seeds.numpy_generator(0, "a").random()
    draws = []
    for _ in range(2):
        seeds.seed_torch(0, "a")
        draws.append(torch.rand(3))
    assert torch.equal(*draws)
    seeds.seed_torch(0, "b")
    assert not torch.equal(torch.rand(3), draws[0])


def test_seeds_are_torchs_own():
    torch.manual_seed(seeds.derive_seed(5, "a"))
    expected = torch.rand(3)
    seeds.seed_torch(5, "a")
    assert torch.equal(torch.rand(3), expected)
