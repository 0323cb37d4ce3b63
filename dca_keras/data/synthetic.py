"""Synthetic images of tissue, for trials and tests without a download.

They look like sections stained with haematoxylin and eosin: purple nuclei
and glands in pink stroma. Debris, red cells and dark patches have the
nuclei's colours, so that no threshold separates them; outline and texture do.
"""

import functools
import math

import numpy as np
from scipy import ndimage

from dca_keras.data.decoding import LUMA
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import Sample, Splits

# Optical density that a unit of each stain adds to red, green and blue.
HAEMATOXYLIN = np.array([0.60, 0.72, 0.36])
EOSIN = np.array([0.14, 0.82, 0.50])


@register_dataset("synthetic")
def read_synthetic(
    *,
    channels=3,
    num_classes=1,
    seed=0,
    image_side=96,
    train=160,
    val=32,
    test=32,
):
    """Generate a data set of tissue.

    Args:
        channels: 1 or 3.
        num_classes: 1 or 2 for nuclei, 3 for nuclei and glands.
        seed: Seed of the whole set, in which all images differ.
        image_side: Height and width in pixels.
        train: Number of images to train with.
        val: Number of images to validate with.
        test: Number of images to test with.

    Returns:
        The `Splits`; images are generated when they are loaded.

    Raises:
        ValueError: If a number is out of range.
    """
    if num_classes not in (1, 2, 3):
        raise ValueError(
            "`num_classes` must be 1, 2 or 3 for the synthetic set. "
            f"Received: {num_classes!r}"
        )
    if channels not in (1, 3):
        raise ValueError(
            "`channels` must be 1 or 3 for the synthetic set. Received: "
            f"{channels!r}"
        )
    sizes = {"train": train, "val": val, "test": test}
    lowest = {"seed": (seed, 0), "image_side": (image_side, 32)}
    lowest |= {split: (size, 1) for split, size in sizes.items()}
    for name, (value, least) in lowest.items():
        if value < least:
            raise ValueError(
                f"`{name}` must be {least} or more. Received: {value!r}"
            )
    draw = functools.partial(
        draw_tissue,
        side=image_side,
        channels=channels,
        num_classes=num_classes,
    )
    splits = {}
    for number, (split, size) in enumerate(sizes.items()):
        names = [f"{split}-{index:04}" for index in range(size)]
        splits[split] = tuple(
            Sample(name, name, functools.partial(draw, (seed, number, index)))
            for index, name in enumerate(names)
        )
    names = ("nucleus", "gland")[: max(1, num_classes - 1)]
    return Splits(**splits, class_names=names)


def draw_tissue(seed, side, *, channels=3, num_classes=1):
    """Draw an image and its mask.

    Args:
        seed: Non-negative integers; equal ones give equal images.
        side: Height and width in pixels, which do not change the size of
            cells.
        channels: 3, or 1 for the luma.
        num_classes: 1 or 2 for nuclei, 3 for nuclei and glands.

    Returns:
        The image, float32 (side, side, channels) in [0, 1], and the mask,
        int32 (side, side, 1).
    """
    drawing = _Drawing(np.random.default_rng(seed), side)
    drawing.add_glands()
    drawing.add_distractors()
    drawing.add_nuclei()
    image = drawing.photograph()
    if channels == 1:
        image = image @ LUMA[:, None]
    labels = drawing.labels
    if num_classes < 3:
        labels = np.where(labels == 1, 1, 0)
    return image.astype("float32"), labels[..., None].astype("int32")


class _Drawing:
    """The amount of each stain, and the class, at every pixel."""

    def __init__(self, rng, side):
        self.rng = rng
        self.side = side
        self.area = (side / 96) ** 2
        self.labels = np.zeros((side, side), "int32")
        self.centres = []
        self.boldness = rng.uniform(0.7, 1.1)
        self.chromatin = self._noise(0.9)
        patches = self._noise(9) + 0.6 * self._noise(3) + 0.5 * self._noise(1)
        self.purple = 0.25 + 0.13 * np.clip(patches, -1, 3)
        fibres = self._fibres()
        self.pink = 0.35 + 0.10 * self._noise(12) + 0.10 * fibres
        np.clip(self.pink, 0.05, None, out=self.pink)

    def add_glands(self):
        """Add rings of cells around a pale lumen."""
        for _ in range(self.rng.poisson(0.9 * self.area)):
            radius = self.rng.uniform(13, 23)
            centre = self.rng.uniform(0, self.side, 2)
            if self._is_crowded(centre, radius + 24):
                continue
            self.centres.append(centre)
            window, depth = self._blob(centre, (radius, radius), 0.0, 0.06)
            wall = _ramp(depth, 2)
            lumen = _ramp(depth - self.rng.uniform(7, 9), 2)
            self.pink[window] += 0.15 * wall
            self.purple[window] += 0.10 * wall
            self.pink[window] *= 1 - 0.9 * lumen
            self.purple[window] *= 1 - 0.9 * lumen
            self.labels[window][depth > 0] = 2
            self._line_with_nuclei(centre, radius - 4)

    def _line_with_nuclei(self, centre, radius):
        count = int(2 * np.pi * radius / self.rng.uniform(6, 8))
        for turn in range(count):
            angle = 2 * np.pi * (turn + self.rng.uniform(-0.2, 0.2)) / count
            outward = np.array([np.sin(angle), np.cos(angle)])
            shift = radius + self.rng.uniform(-1, 1)
            self._nucleus(centre + shift * outward, (3.6, 2.5), angle)

    def add_distractors(self):
        """Add debris, smudges and red cells: dark, but no nuclei."""
        rng = self.rng
        for _ in range(rng.poisson(9 * self.area)):
            centre = rng.uniform(0, self.side, 2)
            radii = rng.uniform(2, 6.5, 2)
            window, depth = self._blob(centre, radii, rng.uniform(0, 3), 0.25)
            cover = _ramp(depth, rng.uniform(4, 7))
            self.purple[window] += rng.uniform(0.4, 1.1) * cover
        for _ in range(rng.poisson(7 * self.area)):
            centre = rng.uniform(0, self.side, 2)
            window, depth = self._blob(centre, (3.0, 2.7), 0.0, 0.04)
            self.pink[window] += rng.uniform(0.3, 0.8) * _ramp(depth, 1.5)

    def add_nuclei(self):
        """Add round and spindle-shaped nuclei across the stroma."""
        for _ in range(int(self.rng.uniform(18, 45) * self.area)):
            centre = self.rng.uniform(0, self.side, 2)
            row, column = centre.astype(int)
            if self.labels[row, column] or self._is_crowded(centre, 7):
                continue
            self.centres.append(centre)
            length = self.rng.uniform(3.2, 6)
            width = length * self.rng.uniform(0.45, 0.95)
            self._nucleus(centre, (length, width), self.rng.uniform(0, np.pi))

    def _nucleus(self, centre, radii, angle):
        window, depth = self._blob(centre, radii, angle, 0.08)
        cover = _ramp(depth, self.rng.uniform(1, 2.2))
        level = self.boldness * self.rng.uniform(0.6, 1.2)
        rim = np.exp(-((depth - 1) ** 2))
        clumps = 0.85 + 0.25 * self.chromatin[window] + 0.35 * rim
        purple, pink = self.purple[window], self.pink[window]
        purple += cover * (level * np.clip(clumps, 0.2, None) - purple)
        pink -= 0.5 * cover * pink
        self.labels[window][depth > 0] = 1

    def photograph(self):
        """Return the stains as RGB, (side, side, 3) in [0, 1]."""
        rng = self.rng
        jitter = rng.normal(1, 0.08, (2, 3))
        density = (
            self.purple[..., None] * HAEMATOXYLIN * jitter[0]
            + self.pink[..., None] * EOSIN * jitter[1]
        )
        image = np.exp(-rng.uniform(0.8, 1.25) * density)
        ramp = np.linspace(-0.5, 0.5, self.side)
        slope = rng.uniform(-0.2, 0.2, 2)
        light = slope[0] * ramp[:, None] + slope[1] * ramp
        image *= (rng.uniform(0.8, 1.0) + light)[..., None]
        image += rng.normal(0, 0.015, image.shape)
        return np.clip(image, 0, 1)

    def _noise(self, sigma):
        """Return smooth noise of mean 0 and standard deviation 1."""
        noise = self.rng.standard_normal((self.side, self.side))
        noise = ndimage.gaussian_filter(noise, sigma, mode="wrap")
        return (noise - noise.mean()) / noise.std()

    def _fibres(self):
        """Return wavy streaks of mean 0 and standard deviation 1."""
        noise = self.rng.standard_normal((self.side, self.side))
        streaks = ndimage.gaussian_filter(noise, (0.9, 9), mode="wrap")
        y, x = np.mgrid[: self.side, : self.side]
        angle = self.rng.uniform(0, np.pi)
        across = y * np.cos(angle) - x * np.sin(angle) + 4 * self._noise(9)
        along = y * np.sin(angle) + x * np.cos(angle)
        return ndimage.map_coordinates(
            streaks / streaks.std(), (across, along), order=1, mode="wrap"
        )

    def _blob(self, centre, radii, angle, roughness):
        """Outline a wavy ellipse.

        Returns:
            The slices of the image around it, and each of their pixels'
            depth inside the outline, in pixels.
        """
        reach = 1.4 * max(radii) + 4
        low = np.clip(centre - reach, 0, self.side).astype(int)
        high = np.clip(centre + reach + 1, 0, self.side).astype(int)
        window = tuple(map(slice, low, high))
        y, x = np.ogrid[window]
        y, x = y - centre[0], x - centre[1]
        cos, sin = np.cos(angle), np.sin(angle)
        u, v = (x * cos + y * sin) / radii[0], (y * cos - x * sin) / radii[1]
        turn = np.arctan2(v, u)
        outline = 1.0
        for waves in (2, 3, 4):
            phase = self.rng.uniform(0, 2 * np.pi)
            swing = 2 * roughness / waves
            outline = outline + swing * np.sin(waves * turn + phase)
        depth = (outline - np.hypot(u, v)) * np.sqrt(radii[0] * radii[1])
        return window, depth

    def _is_crowded(self, centre, distance):
        return any(
            math.dist(centre, other) < distance for other in self.centres
        )


def _ramp(depth, width):
    """Return 0 outside an outline, 1 inside, with an edge of `width`."""
    return np.clip(depth / width + 0.5, 0, 1)
