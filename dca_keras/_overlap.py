"""The arithmetic that the losses and the overlap metrics share."""

import keras
from keras import ops


def check_smooth(smooth):
    """Return `smooth`, or raise ValueError where it is negative."""
    if not smooth >= 0:
        raise ValueError(
            "`smooth` must be zero or positive, as it keeps a denominator "
            f"from vanishing. Received: {smooth}. As published: 1.0."
        )
    return smooth


def to_float(y_pred):
    """Return predictions in float32 or wider, or raise ValueError.

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
    return y_pred


def to_probabilities(y_pred, from_logits):
    """Return class probabilities in float32 or wider."""
    y_pred = to_float(y_pred)
    if not from_logits:
        return y_pred
    return ops.sigmoid(y_pred) if y_pred.shape[-1] == 1 else ops.softmax(y_pred)


def read_masks(y_true, y_pred, ignored=None):
    """Check masks against predictions.

    Args:
        y_true: Masks `(batch, *spatial, 1)`, `(batch, *spatial)` or one-hot.
        y_pred: Predictions `(batch, *spatial, channels)`.
        ignored: An index that is valid although it is no class.

    Returns:
        The masks, `(batch, *spatial, 1)` or one-hot, in the dtype of
        `y_pred`; and which of them hold values that are no class, `(batch,)`.

    Raises:
        ValueError: If the shapes don't match; in eager use also if a mask
            holds a value that is no class.
    """
    channels = y_pred.shape[-1]
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    one_hot = _check_same_grid(tuple(y_true.shape), tuple(y_pred.shape))
    if not one_hot:
        y_true = ops.reshape(y_true, (*ops.shape(y_pred)[:-1], 1))
    wrong = (y_true < 0) | (y_true != ops.floor(y_true))  # so is NaN
    if one_hot:
        count = ops.sum(ops.cast(y_true != 0, "int32"), -1, keepdims=True)
        wrong = wrong | (count != 1)
    elif channels > 1:
        wrong = wrong | (y_true >= channels)
    if ignored is not None and not one_hot:
        wrong = wrong & (y_true != ignored)
    wrong = ops.any(wrong, axis=tuple(range(1, len(y_pred.shape))))
    _refuse(wrong, y_true, channels)
    return y_true, wrong


def class_maps(masks, channels):
    """Return a map for each class, 1 where the class is and 0 elsewhere.

    For one class it is 1 where the mask is not 0. For several the masks hold
    class indices, or are one-hot already. The dtype is that of `masks`.
    """
    if channels == 1 or masks.shape[-1] == channels:
        return ops.cast(masks != 0, masks.dtype)
    classes = ops.arange(channels, dtype=masks.dtype)
    return ops.cast(ops.equal(masks, classes), masks.dtype)


def overlap_sums(target, wrong, y_pred, include_background):
    """Sum the intersection, the prediction and the target of every class.

    Args:
        target: Class maps, `(batch, *spatial, channels)`.
        wrong: Images whose sums are to be NaN, `(batch,)`.
        y_pred: Probabilities or class maps, `(batch, *spatial, channels)`.
        include_background: Whether class 0 of several is among the results.

    Returns:
        Three tensors `(batch, classes)`.
    """
    spatial = tuple(range(1, len(y_pred.shape) - 1))
    first = 0 if include_background or y_pred.shape[-1] == 1 else 1

    def total(maps):
        return ops.sum(maps, axis=spatial)[:, first:]  # (batch, classes)

    targets = ops.where(wrong[:, None], float("nan"), total(target))
    return total(y_pred * target), total(y_pred), targets


def pool(sums):
    """Add each of the sums over the batch and repeat it for every image."""
    return tuple(
        ops.broadcast_to(ops.sum(part, axis=0, keepdims=True), ops.shape(part))
        for part in sums
    )


def dice(intersection, predicted, target, smooth):
    """Return the Dice coefficient, the mean over the classes (last axis)."""
    return _mean_ratio(2 * intersection + smooth, predicted + target + smooth)


def iou(intersection, predicted, target, smooth):
    """Return intersection over union, the mean over the classes."""
    union = predicted + target - intersection
    return _mean_ratio(intersection + smooth, union + smooth)


def _mean_ratio(numerator, denominator):
    # A class that neither mask holds scores 1. Replacing the denominator as
    # well as the ratio keeps NaN out of the gradient.
    empty = denominator < keras.config.epsilon()
    ratio = numerator / ops.where(empty, 1.0, denominator)
    return ops.mean(ops.where(empty, 1.0, ratio), axis=-1)


def _check_same_grid(y_true, y_pred):
    """Return whether `y_true` is one-hot, both given by their shapes."""
    mask = (*y_true, 1) if len(y_true) == len(y_pred) - 1 else y_true
    one_hot = len(mask) == len(y_pred) and mask[-1] == y_pred[-1] > 1
    grid = (*y_pred[:-1], y_pred[-1] if one_hot else 1)
    if len(mask) != len(grid) or any(
        None not in sides and sides[0] != sides[1]
        for sides in zip(mask, grid, strict=True)
    ):
        raise ValueError(
            "`y_true` must hold class indices on the grid of `y_pred`, with "
            "or without a last axis of size 1, or be one-hot. Received: "
            f"{y_true} for `y_pred` {y_pred}. Expected: {(*grid[:-1], 1)}, "
            f"{grid[:-1]} or {y_pred}."
        )
    return one_hot


def _refuse(wrong, masks, channels):
    try:
        if not bool(ops.any(wrong)):
            return
    except (TypeError, RuntimeError):
        return  # in a graph, where tensors have no values yet
    values = ops.convert_to_numpy(masks)
    seen = sorted({float(value) for value in values.ravel()})
    shown = ", ".join(f"{value:g}" for value in seen[:10])
    rule = f"class indices from 0 to {channels - 1}"
    if channels == 1:
        rule = "0, and any other whole number for the foreground,"
    elif masks.shape[-1] == channels:
        rule = "one channel set at every pixel"
    raise ValueError(
        f"`y_true` must hold {rule} for `y_pred` of {channels} channels. "
        f"Received: values {shown}{', …' if len(seen) > 10 else ''}. Fractions "
        "come from interpolation: resize masks by nearest neighbour. "
        "`dca_keras.data.check_batch` checks a batch more closely."
    )
