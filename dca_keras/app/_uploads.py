"""What a page takes, and which files make one image."""

import shutil
from pathlib import Path
from typing import NamedTuple

from dca_keras.data.formats import EXTENSIONS, split_name
from dca_keras.prediction import name_outputs

DICOM = ".dcm"


class Limits(NamedTuple):
    """What a page takes at most.

    Args:
        megabytes: Of all files of an image.
        pixels: Of an image, or of all slices of a volume.
    """

    megabytes: int
    pixels: int


def check_files(files, limits):
    """Raise `ValueError` for files that no model could read.

    Args:
        files: Paths of what was dropped.
        limits: The `Limits`.
    """
    for file in files:
        if split_name(file)[1] not in EXTENSIONS:
            raise ValueError(
                f"{file.name} is not an image that can be read here. These "
                f"files can be read: {', '.join(EXTENSIONS)}."
            )
    size = sum(file.stat().st_size for file in files)
    if size > limits.megabytes * 10**6:
        raise ValueError(
            f"{files[0].name} has {size / 1e6:.1f} MB, more than the "
            f"{limits.megabytes} MB that this page takes. Use `dca-keras "
            "predict`, or start the page with a higher `--max-megabytes`."
        )


def keep_files(files, folder):
    """Move files that were uploaded to a folder, and return their paths."""
    names = [file.name for file in files]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Two files are called {name}. Rename one.")
    return [Path(shutil.move(file, folder / file.name)) for file in files]


def group_files(member, files, output):
    """Find which files are the image, as a model reads it.

    Several files are the channels of a volume, as nnU-Net names them, or the
    slices of a DICOM series.

    Args:
        member: The model, a `prediction.Member`.
        files: Their paths.
        output: The folder of its predictions.

    Returns:
        The image's paths, a tuple, and what the paths of its predictions
        begin with.

    Raises:
        ValueError: If they are several images.
    """
    channels = None
    if member.preprocessing is not None:
        channels = member.reading["channels"]
        kinds = {split_name(file)[1] for file in files}
        if len(files) > 1 and kinds == {DICOM}:
            files = [files[0].parent]
    images = name_outputs(files, output, channels)
    if len(images) > 1:
        raise ValueError(
            f"The {len(files)} files are {len(images)} images for this model. "
            "Drop one image at a time."
        )
    return next(iter(images.items()))
