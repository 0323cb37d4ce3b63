import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from dca_keras.data.resampling import (
    grid_shape,
    resample_linear,
    resample_nearest,
    resample_slabs,
)

RNG = np.random.default_rng(0)
VOLUME = RNG.normal(size=(6, 7, 9, 2)).astype("float32")


def test_grids_of_one_extent():
    assert grid_shape((10, 100, 90), (10, 0.7, 0.7), (10, 1.4, 0.35)) == (
        *(10, 50, 180),
    )
    assert grid_shape((1, 4), (1, 1), (9, 9)) == (1, 1)


def test_the_same_grid_is_the_same_values():
    assert np.shares_memory(resample_linear(VOLUME, (6, 7, 9)), VOLUME)
    found = resample_linear(VOLUME, (6, 14, 9), slice(2, 4))
    whole = resample_linear(VOLUME, (6, 14, 9))
    np.testing.assert_array_equal(found, whole[2:4])
    mask = (VOLUME[..., :1] > 0).astype("int32")
    assert resample_nearest(mask, (6, 7, 9)) is mask
    assert resample_linear(VOLUME.astype("float16"), (6, 7, 9)).dtype == "f4"


@pytest.mark.parametrize("shape", [(6, 11, 18), (13, 5, 10), (3, 14, 7)])
def test_is_scipys_linear_interpolation(shape):
    zoom = np.divide(shape, VOLUME.shape[:-1])
    for channel in range(2):
        expected = ndimage.zoom(
            VOLUME[..., channel].astype("float64"),
            zoom,
            order=1,
            mode="nearest",
            grid_mode=True,
        )
        found = resample_linear(VOLUME, shape)[..., channel]
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(19, 31), (40, 9), (11, 64), (7, 5)])
def test_shrinking_strongly_is_pillows_antialiased_one(shape):
    image = RNG.random((40, 31, 1), "float32")
    resized = Image.fromarray(image[..., 0]).resize(
        shape[::-1], Image.Resampling.BILINEAR
    )
    found = resample_linear(image, shape)[..., 0]
    np.testing.assert_allclose(found, np.asarray(resized), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 1), (6, 6, 6), (31, 7, 50)])
def test_weights_sum_to_one(shape):
    flat = np.full((6, 7, 9, 1), 3.25, "float32")
    np.testing.assert_allclose(resample_linear(flat, shape), 3.25, rtol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(5, 9), (9, 5), (6, 3), (3, 7)])
def test_masks_take_the_voxel_of_the_centre(old, new):
    mask = np.arange(old)[:, None, None]
    expected = [
        int(Fraction(2 * index + 1, 2 * new) * old) for index in range(new)
    ]
    found = resample_nearest(mask, (new, 1))
    assert found[:, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("depth", "shape"),
    [(6, (6, 7, 9)), (6, (13, 5, 9)), (6, (3, 7, 4)), (6, (1, 7, 9))],
)
def test_slabs_are_the_whole_to_the_last_bit(depth, shape):
    whole = resample_linear(VOLUME, shape)
    for rows in (1, 2, 4, 6):
        slabs = (VOLUME[at : at + rows] for at in range(0, depth, rows))
        found = list(resample_slabs(slabs, depth, shape))
        np.testing.assert_array_equal(np.concatenate(found), whole)
    for start, stop in itertools.combinations(range(shape[0] + 1), 2):
        np.testing.assert_array_equal(
            resample_linear(VOLUME, shape, slice(start, stop)),
            whole[start:stop],
        )


def test_slabs_are_not_kept():
    depth, shape = 400, (600, 30, 30)
    slab = np.ones((4, 20, 20, 9), "float32")
    tracemalloc.start()
    rows = sum(
        len(part)
        for part in resample_slabs(
            (slab for _ in range(depth // 4)), depth, shape
        )
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 600
    assert peak < 0.1 * np.prod(shape) * 9 * 4
