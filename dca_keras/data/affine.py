"""Affine maps of images and volumes: drawn at random, and applied once."""

import dataclasses
import itertools
import math

import numpy as np
from scipy import ndimage

# From this ratio of spacings on, slices are turned in their plane alone.
ANISOTROPY = 3.0
SQUARE = 0.01  # by how much the sides of a square pixel may differ


@dataclasses.dataclass(frozen=True)
class RandomAffine:
    """Flips, quarter turns, rotations and scalings with a chance of each.

    `make_dataset(..., sampling="crop", augment=RandomAffine(...))` resamples
    each crop once, directly from its image: where the image goes on beyond
    the crop, what turns in is the image, not black.

    Args:
        flips: Chance of a flip along each axis, the same for all or one an
            axis. Volumes have the patient's axes, so that flips make another
            anatomy: left organs become right ones. On the hippocampus flips
            along all axes cost 0.05 of the Dice coefficient.
        turns: Chance of a turn by 90, 180 or 270 degrees in the plane of
            the last two axes; without effect unless pixels and crops are
            square there.
        rotation: Chance of a rotation; about all three axes in 3-D, in the
            plane alone if slices are three times as far apart as pixels.
        max_angle: Largest angle of a rotation, in degrees.
        scaling: Chance of a scaling, the same along all axes.
        max_scale: Largest factor of a scaling; its inverse is the smallest.
    """

    flips: float | tuple[float, ...] = 0.0
    turns: float = 0.0
    rotation: float = 0.2
    max_angle: float = 15.0
    scaling: float = 0.2
    max_scale: float = 1.25

    def draw(
        self,
        rng: np.random.Generator,
        size: tuple[int, ...],
        spacing: tuple[float, ...] | None = None,
    ) -> np.ndarray:
        """Draw a matrix from a crop's offsets to its image's, in pixels.

        Args:
            rng: A `numpy.random.Generator`. The number of its draws does not
                depend on what they are.
            size: Sides of the crop.
            spacing: Millimetres from pixel to pixel, one a side; None where
                pixels are square.
        """
        rank = len(size)
        spacing = np.ones(rank) if spacing is None else np.asarray(spacing)
        chances, angles = rng.random(rank + 3), rng.uniform(-1, 1, 3)
        quarters, factor = rng.integers(1, 4), rng.uniform(-1, 1)
        matrix = np.diag(np.where(chances[:rank] < self.flips, -1.0, 1.0))
        if chances[rank] < self.turns and _is_square(size, spacing):
            matrix = matrix @ _quarter_turn(rank, quarters)
        if chances[rank + 1] < self.rotation:
            angles = np.radians(self.max_angle) * angles
            turn = _rotation(angles, spacing)  # in millimetres
            matrix = matrix @ (turn * spacing / spacing[:, None])
        if chances[rank + 2] < self.scaling:
            matrix = matrix / self.max_scale**factor
        return matrix


# The paper's own, as `dca_keras.data.augment` does it on resized images.
IMAGES = RandomAffine(0.2, rotation=0.2, max_angle=60.0, scaling=0.0)
VOLUMES = RandomAffine()


def sample_window(array, matrix, centre, size, *, order):
    """Resample a window of an image or a volume; beyond its edge is 0.

    Args:
        array: (…sides, channels).
        matrix: From offsets in the window to offsets in the array. Flips,
            quarter turns and the identity are exact.
        centre: Where the window's centre is in the array, in pixels.
        size: Sides of the window.
        order: 1 interpolates linearly, 0 takes the nearest.

    Returns:
        An array (…size, channels) of the same dtype.
    """
    if np.isin(matrix, (-1.0, 0.0, 1.0)).all():
        return _cut_turned(array, matrix, centre, size)
    offset = np.asarray(centre) - matrix @ ((np.asarray(size) - 1) / 2)
    channels = [
        ndimage.affine_transform(
            array[..., channel],
            matrix,
            offset,
            output_shape=tuple(size),
            order=order,
            mode="grid-constant",
        )
        for channel in range(array.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def _cut_turned(array, matrix, centre, size):
    """Cut a window and turn it as a matrix of -1, 0 and 1 says."""
    axes = np.abs(matrix).argmax(axis=1)  # of the window, one an array's axis
    sides = np.asarray(size)[axes]
    starts = np.floor(centre - (sides - 1) / 2 + 0.5).astype(int)
    window = cut(array, starts, sides)
    flipped = np.flatnonzero(matrix.sum(axis=1) < 0)
    order = [*np.argsort(axes), len(axes)]
    return np.ascontiguousarray(np.flip(window, flipped).transpose(order))


def cut(array, starts, sides):
    """Return a window of (…sides, channels); beyond the array's edge is 0."""
    window = np.zeros((*sides, array.shape[-1]), array.dtype)
    inner, outer = [], []
    for start, side, whole in zip(starts, sides, array.shape[:-1], strict=True):
        low, high = max(start, 0), max(min(start + side, whole), 0)
        outer.append(slice(low, high))
        inner.append(slice(low - start, max(high - start, low - start)))
    window[tuple(inner)] = array[tuple(outer)]
    return window


def _is_square(size, spacing):
    alike = math.isclose(*spacing[-2:], rel_tol=SQUARE)
    return alike and size[-1] == size[-2]


def _quarter_turn(rank, quarters):
    turn = np.eye(rank)
    turn[-2:, -2:] = np.linalg.matrix_power([[0, -1], [1, 0]], quarters)
    return turn


def _rotation(angles, spacing):
    """Return the rotation about each axis in turn, in 2-D about the one."""
    rank = len(spacing)
    planes = list(itertools.combinations(range(rank), 2))
    if spacing.max() >= ANISOTROPY * spacing.min():
        planes = [(rank - 2, rank - 1)]
    matrix = np.eye(rank)
    for angle, plane in zip(angles, planes[::-1], strict=False):
        turn = np.eye(rank)
        cos, sin = math.cos(angle), math.sin(angle)
        turn[np.ix_(plane, plane)] = [[cos, -sin], [sin, cos]]
        matrix = matrix @ turn
    return matrix
