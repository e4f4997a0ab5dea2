from pathlib import Path

import pytest

from benchmarks._earlier import code_of

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no work tree of git")
def test_the_package_of_a_commit_lies_in_a_folder_for_a_while() -> None:
    with code_of("HEAD") as folder:
        assert (folder / "analognas" / "__init__.py").is_file()
        assert not (folder / "benchmarks").exists()
    assert not folder.exists()


def test_a_commit_that_git_does_not_know_is_said() -> None:
    with pytest.raises(SystemExit, match="git knows no code of 'no-such-commit'"), code_of("no-such-commit"):
        pass
