"""Load the files of a case of a data set that says what they hold."""

import re

import numpy as np

from dca_keras.data.archive import check_sizes, shorten
from dca_keras.data.channels import check_grids, read_channels, read_grid
from dca_keras.data.decoding import read_image, read_labels
from dca_keras.data.volumes import naming, open_nifti

# Files that scale their values store whole numbers nearly so.
ROUNDING = 1e-3


def load_case(images, label, about):
    """Load the channels of a case and its label.

    Args:
        images: The paths of the channels, or of the file that holds all.
        label: The path of the mask.
        about: The data set's `Description`.

    Returns:
        The image and the mask, as a `Sample` gives them.

    Raises:
        ValueError: If a file can't be read, they don't lie on one grid, or
            hold something else than `about` says. It names the file.
    """
    read = _read_volumes if about.holds_volumes else _read_pictures
    image, mask = read(images, label, len(about.channels))
    if image.shape[-1] != len(about.channels):
        raise ValueError(
            f"{images[0]} has {image.shape[-1]} channels; {about.path} names "
            f"{len(about.channels)}. Correct one of them."
        )
    return image, to_classes(label, mask, about.labels)[..., None]


def _read_volumes(images, label, _):
    image = read_channels(images)
    with naming(label):
        file = open_nifti(label)
        if file.channels:
            raise ValueError(f"its shape is {file.image.shape}, not a mask's")
    check_grids(read_grid(images[0]), images[0], file.grid, label)
    with naming(label):
        return image, file.grid.as_stack(file.values())


def _read_pictures(images, label, channels):
    each = channels if len(images) == 1 else 1
    parts = [read_image(path, each) for path in images]
    mask = read_labels(label)
    for path, part in zip(images, parts, strict=True):
        check_sizes(part, mask, path, label)
    return np.concatenate(parts, axis=-1), mask[..., 0]


def find_case(name, pattern):
    """Return the case that a pattern finds in a name.

    Args:
        name: The name.
        pattern: A regular expression. Its first group is the case, or all
            that it matches.

    Raises:
        ValueError: If it is no regular expression, or finds nothing.
    """
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise ValueError(
            f"`case_pattern` is no regular expression: {error}. Received: "
            f"{pattern!r}"
        ) from error
    if match is None:
        raise ValueError(
            f"`case_pattern` {pattern!r} finds no case in {name!r}. Correct it."
        )
    return (match[1] if match.re.groups else None) or match[0]


def to_classes(path, values, labels):
    """Return a mask's values as consecutive class indices, int32.

    Args:
        path: Its file, for the error.
        values: Array of the file's values.
        labels: The values that are allowed, in the order of the classes.

    Raises:
        ValueError: If it holds other values. It names the file and them.
    """
    table = np.full(max(labels) + 1, -1, "int32")
    table[list(labels)] = range(len(labels))
    whole, wrong = values, False
    if values.dtype.kind not in "iub":
        whole = np.rint(np.nan_to_num(values, nan=-1))
        wrong = np.abs(values - whole) > ROUNDING
    beyond = (whole < 0) | (whole > max(labels))
    mask = table[np.where(beyond, 0, whole).astype("int32")]
    wrong = wrong | beyond | (mask < 0)
    if wrong.any():
        shown = [f"{value:g}" for value in np.unique(values[wrong])]
        raise ValueError(
            f"{path} holds the values {shorten(shown)}. The labels of the "
            f"data set are {', '.join(map(str, labels))}. Correct one of them."
        )
    return mask
