import dataclasses

import numpy as np
import pytest

from dca_keras.data import RandomIntensity, make_dataset, read_dataset

IMAGE = np.linspace(0.1, 0.9, 4 * 5 * 6, dtype="float32").reshape(4, 5, 6, 1)
OFF = {"brightness": 0.0, "contrast": 0.0, "gamma": 0.0, "noise": 0.0}


def change(number=0, **chances):
    changes = RandomIntensity(**(OFF | chances))
    return changes.apply(IMAGE, np.random.default_rng(number))


def test_each_can_be_off():
    assert change() is IMAGE


def test_brightness_multiplies():
    for number in range(9):
        changed = change(number, brightness=1.0, max_brightness=1.1)
        factor = changed / IMAGE
        np.testing.assert_allclose(factor, factor[0, 0, 0, 0], rtol=1e-6)
        assert 1 / 1.1 <= factor.mean() <= 1.1 and factor.mean() != 1


def test_contrast_keeps_the_mean():
    changed = change(contrast=1.0, max_contrast=1.1)
    assert changed.mean() == pytest.approx(IMAGE.mean(), abs=1e-6)
    assert changed.std() != pytest.approx(IMAGE.std(), rel=1e-3)


def test_gamma_keeps_black_and_white():
    ends = np.array([0, 0.5, 1], "float32")
    changes = RandomIntensity(**(OFF | {"gamma": 1.0}))
    changed = changes.apply(ends, np.random.default_rng(0))
    assert list(changed[[0, 2]]) == [0, 1] and changed[1] != 0.5


def test_noise_is_as_strong_as_said():
    spreads = [
        (change(number, noise=1.0, max_noise=0.04) - IMAGE).std()
        for number in range(30)
    ]
    assert 0.03 < max(spreads) < 0.05


def test_stays_in_range_and_float32():
    strong = RandomIntensity(1, 3, 1, 3, 1, 3, 1, 0.5)
    for number in range(9):
        changed = strong.apply(IMAGE, np.random.default_rng(number))
        assert changed.dtype == "float32"
        assert changed.min() >= 0 and changed.max() <= 1


def test_resized_images_too_and_their_masks_stay():
    samples = read_dataset("synthetic", image_side=32, train=4).train
    plain, changed = (
        next(
            make_dataset(
                samples, (32, 32), 4, augment_intensity=on
            ).as_numpy_iterator()
        )
        for on in (False, dataclasses.replace(RandomIntensity(), noise=1.0))
    )
    np.testing.assert_array_equal(plain[1], changed[1])
    assert all(
        np.any(a != b) for a, b in zip(plain[0], changed[0], strict=True)
    )
