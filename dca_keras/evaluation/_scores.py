"""The arithmetic of a segmentation's scores: overlaps and surface distances.

In NumPy and SciPy; NaN is a score that is not defined. `P` and `T` are the
pixels of a class in the predicted and in the true mask, `I` those in both.
"""

import warnings

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

SCORES = ("dice", "iou", "precision", "recall", "hd95", "assd")
DISTANCES = ("hd95", "assd")
MILLIMETRES = "mm"
PIXELS = "pixels of the original image"
PERCENTILE = 95
_BLOCK = 2**22  # pixels that are counted at a time


def count_pixels(truth, prediction, classes):
    """Count the pixels that overlap scores are computed from.

    Args:
        truth: Class indices of any shape; {0, 1} for one class.
        prediction: As `truth`.
        classes: 1, or the number of classes with the background.

    Returns:
        Integers (classes, 3): `I`, `P` and `T` of every class. One class is
        the foreground; several begin with the background.

    Raises:
        ValueError: If a mask holds an index that is none of the classes.
    """
    held = max(classes, 2)
    for name, mask in (("truth", truth), ("prediction", prediction)):
        if mask.size and not 0 <= mask.min() <= mask.max() < held:
            raise ValueError(
                f"`{name}` must hold class indices from 0 to {held - 1}. "
                f"Received: {mask.min()} to {mask.max()}. Use a model with as "
                "many classes as the masks."
            )
    pairs = np.zeros(held**2, "int64")
    truth, prediction = truth.ravel(), prediction.ravel()
    for start in range(0, truth.size, _BLOCK):  # A volume has many pixels.
        block = slice(start, start + _BLOCK)
        both = truth[block].astype("int64") * held + prediction[block]
        pairs += np.bincount(both, minlength=held**2)
    pairs = pairs.reshape(held, held)
    counts = np.stack([np.diag(pairs), pairs.sum(0), pairs.sum(1)], axis=-1)
    return counts if classes > 1 else counts[1:]


def overlap_scores(counts):
    """Compute Dice, IoU, precision and recall.

    They are `2 I / (P + T)`, `I / (P + T - I)`, `I / P` and `I / T`. Where
    both masks are empty all four are 1. Where one is empty Dice and IoU are
    0, and so is either precision or recall; the other is not defined.

    Args:
        counts: `(..., 3)`, see `count_pixels`.

    Returns:
        Floats (..., 4), in that order, from 0 to 1 or NaN.
    """
    both, predicted, true = np.moveaxis(np.asarray(counts, "float64"), -1, 0)
    scores = np.stack(
        [
            _ratio(2 * both, predicted + true),
            _ratio(both, predicted + true - both),
            _ratio(both, predicted),
            _ratio(both, true),
        ],
        axis=-1,
    )
    scores[predicted + true == 0] = 1
    return scores


def smoothed_scores(counts, smooth=1.0):
    """Compute Dice and IoU as `dca_keras.metrics` does, and as published.

    Args:
        counts: `(..., classes, 3)`, see `count_pixels`.
        smooth: Positive; added to numerator and denominator.

    Returns:
        Floats (..., 2): the means over all classes, including the background
        if there are several.
    """
    both, predicted, true = np.moveaxis(np.asarray(counts, "float64"), -1, 0)
    dice = (2 * both + smooth) / (predicted + true + smooth)
    iou = (both + smooth) / (predicted + true - both + smooth)
    return np.stack([dice.mean(-1), iou.mean(-1)], axis=-1)


def surface_distances(truth, prediction, spacing):
    """Compute the 95 % Hausdorff and the average symmetric surface distance.

    A mask's surface are its pixels with a neighbour outside of it (of 4, or
    of 6 in a volume), or at the edge of the image. For every surface pixel of
    either mask, the distance to the nearest one of the other is taken; the
    95th percentile of all, linearly interpolated, and their mean are
    returned. This is the definition of MedPy 0.5.2.

    Args:
        truth: Bools (height, width) or (depth, height, width).
        prediction: As `truth`.
        spacing: Distance between neighbours along every axis.

    Returns:
        Floats (2,), in the unit of `spacing`: 0 where both masks are empty,
        NaN where one of them is.
    """
    if not (truth.any() and prediction.any()):
        empty = not (truth.any() or prediction.any())
        return np.full(2, 0.0 if empty else np.nan)
    box = _bounding_box(truth | prediction)
    surfaces = [_surface(mask[box]) for mask in (truth, prediction)]
    first = [side.start for side in box]
    distances = np.concatenate(
        [
            _nearest(here, there, first, spacing)
            for here, there in (surfaces, surfaces[::-1])
        ]
    )
    return np.array([np.percentile(distances, PERCENTILE), distances.mean()])


def class_distances(truth, prediction, classes, spacing):
    """Compute `surface_distances` of every class, `(classes, 2)`."""
    return np.stack(
        [
            surface_distances(truth == index, prediction == index, spacing)
            for index in class_indices(classes)
        ]
    )


def score_classes(truth, prediction, counts, spacing):
    """Compute all of `SCORES` for every class of one image or volume.

    Args:
        truth: Class indices (height, width) or (depth, height, width).
        prediction: As `truth`.
        counts: What `count_pixels` returned for them.
        spacing: See `surface_distances`.

    Returns:
        Floats (classes, 6).
    """
    distances = class_distances(truth, prediction, len(counts), spacing)
    return np.concatenate([overlap_scores(counts), distances], axis=-1)


def class_indices(classes):
    """Return the indices of `classes` classes, in the order of all tables."""
    return [1] if classes == 1 else list(range(classes))


def mean_defined(values, axis):
    """Return the mean of what is defined over an axis, NaN if nothing is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        return np.nanmean(values, axis=axis)


def _ratio(part, whole):
    return np.divide(
        part, whole, out=np.full_like(whole, np.nan), where=whole > 0
    )


def _bounding_box(mask):
    """The slices that hold all of a mask: beyond is much, and nothing."""
    return ndimage.find_objects(mask.view("uint8"))[0]


def _surface(mask):
    """Where a mask's surface is."""
    surface = np.zeros_like(mask)
    box = _bounding_box(mask)
    surface[box] = mask[box] & ~ndimage.binary_erosion(mask[box])
    return surface


def _nearest(here, there, first, spacing):
    """The distance from every pixel of a surface to another surface."""
    points = np.argwhere(here)
    apart = ~there[here]  # The others are 0, and in a volume most are.
    distances = np.zeros(len(points))
    if apart.any():
        tree = KDTree((np.argwhere(there) + first) * spacing)
        points = (points[apart] + first) * spacing
        distances[apart] = tree.query(points, workers=-1)[0]
    return distances
