"""The arithmetic that the Dice loss and the overlap metrics share."""

import keras
from keras import ops


def check_smooth(smooth):
    """Returns `smooth`, or raises ValueError where it is negative."""
    if not smooth >= 0:
        raise ValueError(
            "`smooth` must be zero or positive, as it keeps a denominator "
            f"from vanishing. Received: {smooth}. As published: 1.0."
        )
    return smooth


def to_probabilities(y_pred, from_logits):
    """Returns class probabilities in float32 or wider.

    Half precision overflows when a whole image is summed (float16 ends at
    65504) and can't count (bfloat16 ends at 256).
    """
    y_pred = ops.convert_to_tensor(y_pred)
    dtype = keras.backend.result_type(y_pred.dtype, "float32")
    y_pred = ops.cast(y_pred, dtype)
    shape = tuple(y_pred.shape)
    if len(shape) < 3 or shape[-1] is None:
        raise ValueError(
            "`y_pred` must have the shape (batch, *spatial, channels) with at "
            "least one spatial axis and a known number of channels. "
            f"Received: {shape}. For one class keep a last axis of size 1."
        )
    if not from_logits:
        return y_pred
    return ops.sigmoid(y_pred) if shape[-1] == 1 else ops.softmax(y_pred)


def class_maps(indices, channels):
    """Returns one map a class: the mask itself for one class, else one-hot.

    `indices` is (batch, *spatial, 1), the result (batch, *spatial, channels)
    of the same dtype. An index outside of the classes is in none of the maps.
    """
    if channels == 1:
        return indices
    classes = ops.arange(channels, dtype=indices.dtype)
    return ops.cast(ops.equal(indices, classes), indices.dtype)


def overlap_sums(y_true, y_pred, *, per_image, include_background):
    """Sums the intersection, the prediction and the target of every class.

    Args:
        y_true: class indices, (batch, *spatial, 1) or (batch, *spatial).
        y_pred: probabilities or class maps, (batch, *spatial, channels).
        per_image: whether an image is summed alone or with all its batch.
        include_background: whether class 0 of several is among the results.

    Returns:
        Three tensors (batch, classes); pooled sums are repeated.
    """
    channels = y_pred.shape[-1]
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    _check_same_grid(tuple(y_true.shape), tuple(y_pred.shape))
    y_true = ops.reshape(y_true, (*ops.shape(y_pred)[:-1], 1))
    target = class_maps(y_true, channels)  # (batch, *spatial, channels)
    spatial = tuple(range(1, len(y_pred.shape) - 1))

    def total(maps):
        sums = ops.sum(maps, axis=spatial)  # (batch, channels)
        if not per_image:
            pooled = ops.sum(sums, axis=0, keepdims=True)
            sums = ops.broadcast_to(pooled, ops.shape(sums))
        return sums if include_background or channels == 1 else sums[:, 1:]

    return total(y_pred * target), total(y_pred), total(target)


def dice(intersection, predicted, target, smooth):
    """Returns the Dice coefficient averaged over the classes, (batch,)."""
    return _mean_ratio(2 * intersection + smooth, predicted + target + smooth)


def iou(intersection, predicted, target, smooth):
    """Returns intersection over union averaged over the classes, (batch,)."""
    union = predicted + target - intersection
    return _mean_ratio(intersection + smooth, union + smooth)


def _mean_ratio(numerator, denominator):
    # Nothing there and nothing found is a score of 1. Choosing the
    # denominator as well as the ratio keeps NaN out of the gradient.
    empty = denominator < keras.config.epsilon()
    ratio = numerator / ops.where(empty, 1.0, denominator)
    return ops.mean(ops.where(empty, 1.0, ratio), axis=-1)


def _check_same_grid(y_true, y_pred):
    mask = (*y_true, 1) if len(y_true) == len(y_pred) - 1 else y_true
    grid = (*y_pred[:-1], 1)
    if len(mask) != len(grid) or any(
        None not in sides and sides[0] != sides[1]
        for sides in zip(mask, grid, strict=True)
    ):
        raise ValueError(
            "`y_true` must hold class indices on the grid of `y_pred`, with "
            f"or without a last axis of size 1. Received: {y_true} for "
            f"`y_pred` {y_pred}. Expected: {grid} or {grid[:-1]}; one-hot "
            "masks become indices by `argmax` over their last axis."
        )
