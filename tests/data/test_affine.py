import numpy as np
import pytest

from dca_keras.data.affine import RandomAffine, sample_window

RNG = np.random.default_rng(0)
VOLUME = RNG.random((7, 8, 8, 2), "float32")
ALL_OFF = {"rotation": 0.0, "scaling": 0.0}


def matrices(count=20, size=(6, 8, 8), spacing=None, **chances):
    affine = RandomAffine(**(ALL_OFF | chances))
    return [
        affine.draw(np.random.default_rng(number), size, spacing)
        for number in range(count)
    ]


def sample(matrix, size=None, order=1):
    size = VOLUME.shape[:-1] if size is None else size
    centre = (np.array(VOLUME.shape[:-1]) - 1) / 2
    return sample_window(VOLUME, matrix, centre, size, order=order)


@pytest.mark.parametrize("axis", range(3))
def test_flips_are_exact(axis):
    flips = tuple(float(axis == one) for one in range(3))
    (matrix,) = matrices(1, flips=flips)
    np.testing.assert_array_equal(sample(matrix), np.flip(VOLUME, axis))


def test_quarter_turns_are_exact_and_in_the_plane():
    turned = [
        np.rot90(VOLUME, quarters, axes=(1, 2)).tobytes()
        for quarters in (1, 2, 3)
    ]
    found = {sample(matrix).tobytes() for matrix in matrices(turns=1.0)}
    assert found == set(turned)


@pytest.mark.parametrize(
    ("size", "spacing"), [((8, 6, 8), None), ((8, 8, 8), (1, 1, 2))]
)
def test_only_squares_are_turned(size, spacing):
    for matrix in matrices(5, size, spacing, turns=1.0):
        np.testing.assert_array_equal(matrix, np.eye(3))


def test_rotations_keep_lengths_in_millimetres():
    spacing = np.array([2.0, 1.0, 1.0])
    for matrix in matrices(spacing=spacing, rotation=1.0):
        metric = matrix * spacing[:, None] / spacing
        np.testing.assert_allclose(metric @ metric.T, np.eye(3), atol=1e-12)
        assert np.abs(metric - np.eye(3)).max() > 0.01


def test_thick_slices_are_turned_in_their_plane():
    for matrix in matrices(spacing=(10.0, 1.25, 1.25), rotation=1.0):
        np.testing.assert_array_equal(matrix[0], [1, 0, 0])
        np.testing.assert_array_equal(matrix[:, 0], [1, 0, 0])
        assert abs(matrix[1, 2]) <= np.sin(np.radians(15))


def test_scalings_are_even():
    factors = [
        matrix[0, 0] for matrix in matrices(60, scaling=1.0, max_scale=1.5)
    ]
    assert 1 / 1.5 <= min(factors) < 0.75 and 1.3 < max(factors) <= 1.5


def test_a_ramp_is_interpolated_exactly():
    """Linear interpolation of what is linear has no error but rounding."""
    grid = np.stack(np.meshgrid(*[np.arange(21.0)] * 3, indexing="ij"), -1)
    weights = np.array([0.01, 0.02, 0.015])
    ramp = (grid @ weights)[..., None].astype("float32")
    (matrix,) = matrices(1, rotation=1.0, scaling=1.0)
    found = sample_window(ramp, matrix, np.full(3, 10.0), (5, 5, 5), order=1)
    offsets = (grid[:5, :5, :5] - 2) @ matrix.T + 10
    np.testing.assert_allclose(found[..., 0], offsets @ weights, atol=1e-6)


def test_masks_take_the_nearest():
    (matrix,) = matrices(1, rotation=1.0)
    found = sample(matrix, order=0)
    assert set(np.unique(found)) <= {0.0, *VOLUME.ravel()}
