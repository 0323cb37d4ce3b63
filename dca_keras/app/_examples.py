"""Images that a page offers."""

import uuid
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

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
    cases = {file.name: (file,) for file in files if file not in volumes}
    cases |= group_channels(volumes)
    return [_example(*case, folder) for case in list(cases.items())[:MOST]]


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
    """Draw tissue into a folder, for models of two-dimensional images."""
    examples = []
    for sample in read_dataset("synthetic", seed=7, image_side=192).test[:4]:
        image, _ = sample.load()
        path = folder / f"drawn_{len(examples) + 1}.png"
        Image.fromarray(np.rint(255 * image).astype("uint8")).save(path)
        examples.append(_example(path.stem, (path,), folder))
    return examples


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
