from __future__ import annotations

import numpy as np
import pytest

from analognas.training.by_image import by_class, by_image

#: Shares of programmings that know four images, after a second, a minute, a day and 30 days.
SHARES = np.array([[1, 1, 0.5, 0], [1, 0, 0, 0], [1, 0.5, 0.5, 0], [0.5, 0.5, 0.25, 0]])


def test_the_figures_of_images_are_of_their_times() -> None:
    images = by_image(SHARES, (1.0, 60.0, 86_400.0, 2_592_000.0))
    assert {name: values.tolist() for name, values in images.items()} == {
        "acc_1d": [100, 50, 50, 0], "acc_30d": [50, 50, 25, 0], "avm": [50, 50, 25, 0],
    }  # fmt: skip
    with pytest.raises(ValueError, match="not in tuple"):
        by_image(SHARES[:2], (1.0, 86_400.0))


def test_a_class_has_the_mean_of_its_images() -> None:
    images = by_image(SHARES, (1.0, 60.0, 86_400.0, 2_592_000.0))
    assert by_class(images, np.array(["b", "a", "b", "b"])).to_dict("records") == [
        {"class": "a", "images": 1, "acc_1d": 50.0, "acc_30d": 50.0},
        {"class": "b", "images": 3, "acc_1d": 50.0, "acc_30d": 25.0},
    ]
