"""Fixtures of the dataset tests."""

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Keep the tests away from the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ANALOGNAS_DATA", str(folder))
    return folder
