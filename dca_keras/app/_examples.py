"""Images that a page offers."""

import uuid
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from dca_keras._drawing import to_rgb
from dca_keras.data import read_dataset, read_image, resize_image
from dca_keras.data.channels import group_channels
from dca_keras.data.formats import EXTENSIONS, split_name

MOST = 8
NIFTI = (".nii", ".nii.gz")
SIDE = 160  # Pixels of a thumbnail.
LARGEST_READ = 2**25  # Bytes of a file that is read for its thumbnail.


class Example(NamedTuple):
    """An image to pick.

    Args:
        name: What the page calls it.
        files: Its paths.
        thumbnail: The path of a small picture of it.
    """

    name: str
    files: tuple
    thumbnail: Path


def list_examples(images, folder):
    """Return the images in a folder as examples, `MOST` at most.

    Args:
        images: The folder they are in.
        folder: Where to put their thumbnails.

    Raises:
        ValueError: If it holds none.
    """
    images = Path(images)
    files = sorted(
        file
        for file in (images.iterdir() if images.is_dir() else ())
        if split_name(file)[1] in EXTENSIONS
    )
    if not files:
        raise ValueError(
            f"`examples` must be a folder that holds images. Received: {images}"
        )
    volumes = [file for file in files if split_name(file)[1] in NIFTI]
    cases = [
        (split_name(file)[0], (file,)) for file in files if file not in volumes
    ]
    cases += group_channels(volumes).items()
    return [_example(*case, folder) for case in cases[:MOST]]


def held_out_examples(run, folder):
    """Return images of a run's test split, as long as they are there."""
    try:
        samples = run.read_splits().test[:MOST]
    except (ValueError, OSError, ImportError):  # Its data are elsewhere now.
        return []
    count = run.recipe.channels if run.preprocessing else 1
    return [
        _example(sample.name, sample.files[:count], folder)
        for sample in samples
        if sample.files
        and all(split_name(f)[1] in EXTENSIONS for f in sample.files[:count])
    ]


def drawn_examples(folder):
    """Draw images into a folder: nuclei that glow, and tissue."""
    tissue = read_dataset("synthetic", seed=7, image_side=192).test[:2]
    images = [_draw_nuclei(seed) for seed in (0, 1)]
    images += [sample.load()[0] for sample in tissue]
    examples = []
    for number, image in enumerate(images, 1):
        path = folder / f"drawn_{number}.png"
        Image.fromarray(np.rint(255 * image).astype("uint8")).save(path)
        examples.append(_example(path.stem, (path,), folder))
    return examples


def _draw_nuclei(seed, side=256, count=30):
    """Draw nuclei as a fluorescence microscope shows them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    glow = np.zeros((side, side))
    for _ in range(count):
        row, column = rng.uniform(0, side, 2)
        angle, brightness = rng.uniform(0, np.pi), rng.uniform(0.3, 0.8)
        along = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        across = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
        long, short = rng.uniform(9, 13), rng.uniform(6, 9)
        inside = np.hypot(along / long, across / short)
        glow = np.maximum(glow, brightness / (1 + np.exp(9 * (inside - 1))))
    texture = ndimage.gaussian_filter(rng.uniform(size=glow.shape), 2)
    noise = rng.normal(0.03, 0.01, glow.shape)
    seen = np.clip(glow * (0.85 + 0.3 * texture) + noise, 0, 1)
    return np.repeat(seen[..., None], 3, axis=-1)


def _example(name, files, folder):
    path = folder / f"{uuid.uuid4().hex}.png"
    Image.fromarray(_thumbnail(files[0])).save(path)
    return Example(name, tuple(files), path)


def _thumbnail(file):
    """Return a small picture of a file's middle slice; grey if it has none."""
    try:
        if file.stat().st_size > LARGEST_READ:
            raise ValueError("reading it would take too long")
        image = read_image(file, None, stack=True)
    except (ValueError, OSError, ImportError):
        return np.full((SIDE, SIDE, 3), 127, "uint8")
    if image.ndim == 4:
        image = image[len(image) // 2]
    height, width = image.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = image[top : top + short, left : left + short]
    small = resize_image(to_rgb(square), (SIDE, SIDE))
    return np.rint(255 * small).astype("uint8")
