"""Random crops of samples at their own grid."""

import threading
from typing import NamedTuple

import numpy as np

from dca_keras.data.affine import sample_window

# Share of the crops that is centred on foreground.
FOREGROUND = 1 / 3
# Places of a class that are remembered of a sample, of which one is drawn.
PLACES = 1000


class Grid(NamedTuple):
    """A sample at its own grid, as crops are cut from it.

    Attributes:
        image: Float32 (…sides, channels).
        mask: Integers (…sides, 1).
        places: Some pixels of each class that the mask holds: integers
            (pixels, 2) of the class and the flat index, in the classes'
            order.
    """

    image: np.ndarray
    mask: np.ndarray
    places: np.ndarray


class Crops:
    """Draws crops of samples.

    Args:
        samples: The `Sample`s.
        loads: A function for each sample, which returns its `Grid`.
        size: Sides of a crop, two or three.
        num_classes: 1, or the number of classes with the background; None
            takes the masks as they are.
        keep: Whether to keep what was loaded.
    """

    def __init__(self, samples, loads, size, num_classes=None, keep=True):
        self.samples = samples
        self.loads = loads
        self.size = tuple(size)
        self.num_classes = num_classes
        self.keep = keep
        self._kept = {}
        self._locks = [threading.Lock() for _ in samples]

    def draw(self, index, rng, affine=None):
        """Draw a crop of a sample.

        Two of three crops lie anywhere in the image. The third is centred on
        a pixel of a class, every class of the mask being as likely, and
        moved into the image where it would reach beyond. Along a side that
        is shorter than the crop's the image lies in the middle of zeros.

        Args:
            index: Number of the sample.
            rng: A `numpy.random.Generator`.
            affine: A `RandomAffine` that turns the crop; None for none.

        Returns:
            The image, float32 (…size, channels), and the mask, int32
            (…size, 1).
        """
        grid = self.grid(index)
        centre = _draw_centre(rng, grid, self.size)
        matrix = np.eye(len(self.size))
        if affine is not None:
            spacing = self.samples[index].spacing
            matrix = affine.draw(rng, self.size, spacing)
        place = (matrix, centre, self.size)
        image = sample_window(grid.image, *place, order=1)
        mask = sample_window(grid.mask, *place, order=0)
        return image, mask.astype("int32", copy=False)

    def grid(self, index):
        """Load a sample, or return what was kept of it."""
        if not self.keep:
            return self._load(index)
        with self._locks[index]:
            if index not in self._kept:
                self._kept[index] = self._load(index)
            return self._kept[index]

    def _load(self, index):
        grid, name = self.loads[index](), self.samples[index].name
        if grid.image.ndim != len(self.size) + 1:
            raise ValueError(
                "`image_size` must have a side for each axis. Received: "
                f"{self.size} for {name} of shape {grid.image.shape}"
            )
        classes = grid.places[:, 0]
        if self.num_classes == 1:
            classes = np.minimum(classes, 1)
        elif self.num_classes and np.any(classes >= self.num_classes):
            raise ValueError(
                f"{name} has a mask that holds {classes.max()}, and "
                f"`num_classes` is {self.num_classes}. Pass the number of "
                "classes with the background, or correct the mask."
            )
        places = np.stack([classes, grid.places[:, 1]], axis=1)
        return grid._replace(places=places)


def load_grid(sample):
    """Load a sample as a `Grid`, its mask in as few bytes as it needs."""
    image, mask = sample.load()
    small = mask.astype(np.min_scalar_type(mask.max()))
    return Grid(image, small, find_places(small))


def find_places(mask):
    """Find pixels of every class of a mask, as `Grid.places` has them.

    Of more than `PLACES` in a class as many are drawn, always the same ones.
    """
    mask = np.asarray(mask).ravel()
    pixels = np.flatnonzero(mask)
    values = mask[pixels]
    places = [np.empty((0, 2), "int64")]
    for value in np.unique(values):
        some = _some(pixels[values == value])
        places.append(np.stack([np.full_like(some, value), some], axis=1))
    return np.concatenate(places)


def _some(pixels):
    if len(pixels) <= PLACES:
        return pixels
    rng = np.random.Generator(np.random.PCG64(len(pixels)))
    return pixels[rng.integers(0, len(pixels), PLACES)]


def start_window(pixel, sides, size):
    """Return where a window begins that a pixel is in the middle of.

    The window is moved into the image where it would reach beyond; along a
    side that is shorter than the window's, the image is in its middle.
    """
    room = np.subtract(sides, size)
    starts = np.clip(pixel - np.asarray(size) // 2, 0, np.maximum(room, 0))
    return np.where(room < 0, -(-room // 2), starts)


def _draw_centre(rng, grid, size):
    """Draw where a crop's centre is in its image."""
    sides = np.asarray(grid.mask.shape[:-1])
    room = np.maximum(sides - size, 0)
    pixel = rng.integers(0, room + 1) + np.asarray(size) // 2
    if rng.random() < FOREGROUND and len(grid.places):
        classes, pixels = grid.places.T
        of_class = pixels[classes == rng.choice(np.unique(classes))]
        pixel = np.unravel_index(rng.choice(of_class), sides)
    return start_window(pixel, sides, size) + (np.asarray(size) - 1) / 2
