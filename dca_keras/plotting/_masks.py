"""Pictures of predicted masks."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import colors
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dca_keras._drawing import CLASS_COLOURS, outline, to_rgb
from dca_keras._files import replace_file

# Okabe and Ito's colours, distinct with any kind of colour vision.
_ERROR_COLOURS = {
    "true positive": "#e6e6e6",
    "false positive": "#d55e00",
    "false negative": "#56b4e9",
    "wrong class": "#f0e442",
}
# Bright on stained tissue and on grey scans.
OUTLINE_COLOURS = {
    "truth": CLASS_COLOURS[0],
    "prediction": "#ffb000",
    "both": "#ffffff",
}
_OUTLINED_SIDE = 384  # pixels, about
# Which images to show of all, sorted from best to worst; where two lines mean
# the same image, the first one names it.
_POSITIONS = {
    "best": 0.0,
    "worst": 1.0,
    "median": 0.5,
    "upper quartile": 0.25,
    "lower quartile": 0.75,
    "worst tenth": 0.9,
}


class Case(NamedTuple):
    """One row of the picture.

    Args:
        label: Text beside the row, such as the image's name and score.
        image: `(height, width, channels)`, floats in [0, 1].
        truth: `(height, width)`, class indices; {0, 1} for one class.
        prediction: As `truth`.
    """

    label: str
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def pick_cases(scores: Sequence[float]) -> list[tuple[str, int]]:
    """Choose the images that show how good and how bad a model is.

    Args:
        scores: One score an image, higher is better.

    Returns:
        A list of `(label, index)` from best to worst: at most six, fewer if
        there are fewer images. No index occurs twice.
    """
    order = np.argsort(-np.asarray(scores), kind="stable").tolist()
    picked = {}
    for label, position in _POSITIONS.items():
        picked.setdefault(order[round(position * (len(order) - 1))], label)
    return [(picked[index], index) for index in order if index in picked]


def find_structure(*masks) -> tuple[int, int, int]:
    """Find the three planes that show most of the largest structure.

    Args:
        *masks: `(depth, height, width)`, class indices. The first one that
            holds any counts.

    Returns:
        `(slice, row, column)`: along each axis, the place at which the
        largest connected structure has the most voxels; the middle of the
        volume if all masks are empty.
    """
    from scipy import ndimage

    for mask in masks:
        labels, count = ndimage.label(mask > 0)
        if count:
            sizes = sum(
                np.bincount(part.ravel(), minlength=count + 1)
                for part in labels
            )
            structure = labels == 1 + np.argmax(sizes[1:])
            sides = ((1, 2), (0, 2), (0, 1))
            return tuple(int(structure.sum(axis).argmax()) for axis in sides)
    return tuple(side // 2 for side in masks[0].shape)


def cut_planes(
    volume: np.ndarray,
    place: tuple[int, int, int],
    spacing: tuple[float, ...] | None = None,
) -> np.ndarray:
    """Cut three planes through a voxel, and lay them side by side.

    The axial plane is at the top left, with the coronal one below it and the
    sagittal one to the right of that, head up. Pixels are repeated so that
    all are square, and small volumes are enlarged.

    Args:
        volume: `(depth, height, width, ...)`, from feet to head, front to
            back and right to left.
        place: `(slice, row, column)` of the voxel.
        spacing: Millimetres from voxel to voxel, three numbers; None for
            equal ones.

    Returns:
        `(height, width, ...)`, with 0 where no plane is.
    """
    spacing = (1, 1, 1) if spacing is None else spacing
    shape = volume.shape[:3]
    times = np.divide(spacing, min(spacing))
    longest = max(np.multiply(shape, times))
    times *= max(1, round(_OUTLINED_SIDE / 2 / longest))
    down, back, left = (
        np.minimum(np.arange(round(side * n)) / n, side - 1).astype(int)
        for side, n in zip(shape, times, strict=True)
    )
    z, y, x = place
    axial = volume[z][np.ix_(back, left)]
    coronal = volume[:, y][np.ix_(down[::-1], left)]
    sagittal = volume[:, :, x][np.ix_(down[::-1], back)]
    empty = np.zeros((len(back), len(back), *volume.shape[3:]), volume.dtype)
    rows = [axial, empty], [coronal, sagittal]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def save_predictions(
    path: str | Path,
    cases: Sequence[Case],
    title: str = "",
    class_names: Sequence[str] = (),
) -> None:
    """Draw image, truth, prediction and errors of every case as a PNG file.

    Args:
        path: The file to write.
        cases: A list of `Case`, from top to bottom.
        title: The line above the picture.
        class_names: What the legend calls the classes 1, 2, …; a class
            without a name is "class 1" and so on.
    """
    figure = Figure(figsize=(7.2, 1.72 * len(cases) + 0.8), dpi=120)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
    axes = figure.subplots(len(cases), 4, squeeze=False)
    classes = int(max(np.max([c.truth, c.prediction]) for c in cases))
    mask_colours = CLASS_COLOURS if classes > 1 else ["#ffffff"]
    for row, case in zip(axes, cases, strict=True):
        errors = _error_map(case.truth, case.prediction)
        row[0].imshow(to_rgb(case.image))
        row[1].imshow(_paint(case.truth, mask_colours))
        row[2].imshow(_paint(case.prediction, mask_colours))
        row[3].imshow(_paint(errors, list(_ERROR_COLOURS.values())))
        row[0].set_ylabel(case.label, fontsize=8)
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    headings = ("image", "truth", "prediction", "errors")
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading, fontsize=9)
    figure.legend(
        handles=_legend(classes, class_names),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=8,
    )
    figure.suptitle(title, fontsize=10)
    with replace_file(path) as temporary:
        figure.savefig(temporary)


def draw_overlay(
    image: np.ndarray, mask: np.ndarray, opacity: float = 0.35
) -> np.ndarray:
    """Tint what a mask covers in an image, and draw its outline.

    Args:
        image: `(height, width, channels)`, floats in [0, 1].
        mask: `(height, width)`, class indices; {0, 1} for one class.
        opacity: The tint's opacity, between 0 and 1.

    Returns:
        `(height, width, 3)`, uint8.
    """
    image = to_rgb(image)
    picture = np.rint(255 * image).astype("uint8")
    covered = mask > 0
    tint = np.where(outline(mask)[covered], 1.0, opacity)[:, None]
    colours = _paint(mask[covered], CLASS_COLOURS)
    blend = image[covered] * (1 - tint) + colours * tint
    picture[covered] = np.rint(255 * blend)
    return picture


def draw_outlines(
    image: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> np.ndarray:
    """Draw the outlines of the true and the predicted mask in an image.

    The image is enlarged by a whole number, so that lines are thin compared
    with what they enclose.

    Args:
        image: `(height, width, channels)`, floats in [0, 1].
        truth: `(height, width)`, class indices; {0, 1} for one class.
        prediction: As `truth`.

    Returns:
        `(height, width, 3)`, uint8, a few hundred pixels wide or more. The
        colours are those of `OUTLINE_COLOURS`.
    """
    times = max(1, round(_OUTLINED_SIDE / max(truth.shape)))
    picture, truth, prediction = (
        part.repeat(times, axis=0).repeat(times, axis=1)
        for part in (to_rgb(image), truth, prediction)
    )
    there, found = _thick_outline(truth), _thick_outline(prediction)
    for where, colour in zip(
        (there, found, there & found), OUTLINE_COLOURS.values(), strict=True
    ):
        picture[where] = colors.to_rgb(colour)
    return np.rint(255 * picture).astype("uint8")


def _thick_outline(mask):
    line = outline(mask)
    return line | outline(np.where(line, 0, mask))


def _legend(classes, class_names):
    if classes <= 1:
        entries = list(_ERROR_COLOURS.items())[:3]
    else:
        colours = itertools.cycle(CLASS_COLOURS)
        names = [f"class {index + 1}" for index in range(classes)]
        names[: len(class_names)] = class_names[:classes]
        entries = [*_ERROR_COLOURS.items(), *zip(names, colours, strict=False)]
    return [
        Patch(facecolor=colour, edgecolor="0.6", label=name)
        for name, colour in entries
    ]


def _paint(indices, colours):
    """Colour class indices: 0 is black, and colours repeat."""
    table = np.array([colors.to_rgb(colour) for colour in colours], "float32")
    painted = table[(indices - 1) % len(table)]
    return np.where(indices[..., None] > 0, painted, 0.0)


def _error_map(truth, prediction):
    """Where `_ERROR_COLOURS` apply, counted from 1."""
    found, there = prediction > 0, truth > 0
    return np.select(
        [found & there & (prediction == truth), found & ~there, there & ~found],
        [1, 2, 3],
        default=np.where(found & there, 4, 0),
    )
