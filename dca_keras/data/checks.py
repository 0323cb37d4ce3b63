"""Check a batch of images and masks before training on such batches."""

import typing
from collections.abc import Iterable

import numpy as np

if typing.TYPE_CHECKING:
    import keras

TOLERANCE = 1e-3  # by how far intensities may leave [0, 1]


def check_batch(
    images: np.ndarray | Iterable,
    masks: np.ndarray | None = None,
    num_classes: int | None = None,
    model: "keras.Model | None" = None,
) -> dict:
    """Check that a batch of images and masks is what training expects.

    Images are floats in [0, 1] with their channels last. Masks hold integers
    on the images' grid: 0 and one other value for one class, since any
    nonzero pixel is foreground; class indices, or one-hot, for several.

    Args:
        images: Array or tensor `(batch, *spatial, channels)`. Or a
            `tf.data.Dataset` (any iterable of batches), of which the first
            batch is checked; leave `masks` out then.
        masks: Array or tensor `(batch, *spatial, 1)`, `(batch, *spatial)`,
            or one-hot `(batch, *spatial, num_classes)`.
        num_classes: 1, or the number of classes with the background. `None`
            is the model's; without a model only whole, non-negative values
            are asked for.
        model: A Keras model that must take the images and whose output must
            lie on the masks' grid.

    Returns:
        A dictionary of shapes, dtypes, the range of the intensities, and the
        share of the pixels that each class has.

    Raises:
        ValueError: If something is wrong; it says what was seen and how to
            correct it.

    Example:

    >>> images = np.linspace(0, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3)
    >>> check_batch(images, images[..., :1] > 0.75)
    {'images': (2, 8, 8, 3), 'image_dtype': 'float64', 'intensities':
    (0.0, 1.0), 'masks': (2, 8, 8, 1), 'mask_dtype': 'bool', 'classes':
    {0: 0.75, 1: 0.25}}
    """
    if masks is None:
        images, masks = _first_batch(images)
    images, masks = _to_array(images), _to_array(masks)
    if model is not None:
        num_classes = num_classes or model.output_shape[-1]
    _check_shape_of_images(images, masks)
    if model is not None:
        _check_model(model, images.shape)
    _check_intensities(images)
    indices = _to_indices(masks, images.shape, num_classes)
    classes, pixels = np.unique(indices, return_counts=True)
    _check_classes(classes, num_classes)
    shares = (pixels / indices.size).round(4).tolist()
    return {
        "images": images.shape,
        "image_dtype": str(images.dtype),
        "intensities": (float(images.min()), float(images.max())),
        "masks": masks.shape,
        "mask_dtype": str(masks.dtype),
        "classes": dict(zip(classes.tolist(), shares, strict=True)),
    }


def _first_batch(batches):
    batch = next(iter(batches), None)
    if not isinstance(batch, list | tuple):
        batch = batches  # a pair rather than an iterable of pairs
    if not isinstance(batch, list | tuple) or len(batch) < 2:
        raise ValueError(
            "`images` must be an array with `masks` beside it, or a dataset "
            "of batches (images, masks) that is not empty. Received: "
            f"{type(batches).__name__} and no `masks`."
        )
    return batch[:2]


def _to_array(values):
    if hasattr(values, "detach"):  # a tensor of PyTorch's
        values = values.detach().cpu()
    array = np.asarray(values)
    # NumPy does not know bfloat16.
    return array.astype("float32") if array.dtype.kind == "V" else array


def _check_shape_of_images(images, masks):
    shape = images.shape
    if len(shape) not in (4, 5) or 0 in shape:
        raise ValueError(
            "`images` must be of shape (batch, height, width, channels), or "
            "(batch, depth, height, width, channels) for volumes. Received: "
            f"{shape}. A single image needs a batch axis, `images[None]`; "
            "grey images need an axis of channels, `images[..., None]`."
        )
    # The size of the axes, or the masks' grid, tells where the channels are.
    few = len(shape) == 4 and shape[1] <= 4 < shape[-1]
    if few or (shape[1] != shape[-1] and shape[2:] == masks.shape[1:][:2]):
        raise ValueError(
            "`images` must have their channels last. Received: shape "
            f"{shape}. Move the axis: `np.moveaxis(images, 1, -1)`."
        )


def _check_model(model, shape):
    expected = tuple(model.input_shape)
    if len(expected) != len(shape) or any(
        None not in sides and sides[0] != sides[1]
        for sides in zip(expected[1:], shape[1:], strict=True)
    ):
        raise ValueError(
            f"`images` must fit the model's input, {expected}. Received: "
            f"shape {shape}."
        )


def _check_intensities(images):
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        count = int((~np.isfinite(images)).sum())
        raise ValueError(
            "`images` must be finite. Received: "
            f"{count} values that are NaN or infinite."
        )
    if images.dtype.kind != "f" or high > 1 + TOLERANCE or low < -TOLERANCE:
        mend = "Rescale them, such as `(images - low) / (high - low)`."
        if low >= 0 and high <= 255:
            mend = "Divide them by 255: `images.astype('float32') / 255`."
        raise ValueError(
            "`images` must be floats in [0, 1]. Received: "
            f"{images.dtype} from {low:g} to {high:g}. {mend}"
        )


def _to_indices(masks, shape, num_classes):
    """Return the masks as class indices, 0 and 1 for one class."""
    grid = shape[:-1]
    one_hot = masks.shape[:-1] == grid and masks.shape[-1] > 1
    if not one_hot and masks.shape not in (grid, (*grid, 1)):
        raise ValueError(
            f"`masks` must lie on the images' grid, {(*grid, 1)}. Received: "
            f"shape {masks.shape}."
        )
    if not (np.isfinite(masks) & (masks == np.floor(masks))).all():
        raise ValueError(
            "`masks` must hold whole numbers. Received: "
            f"{masks.dtype} with {_list_values(masks[masks % 1 != 0])}. "
            "Resize masks by nearest neighbour, and don't rescale them."
        )
    if not one_hot:
        return masks.astype("int64")
    classes = masks.shape[-1]
    if num_classes not in (None, classes):
        raise ValueError(
            f"One-hot `masks` must have {num_classes} channels, one a class. "
            f"Received: shape {masks.shape}."
        )
    if ((masks != 0).sum(axis=-1) != 1).any():
        raise ValueError(
            "One-hot `masks` must have one channel set at every pixel. "
            "Received: pixels with none or with several; is the background's "
            "channel missing, or is it a picture in colour?"
        )
    return masks.argmax(axis=-1)


def _check_classes(classes, num_classes):
    seen = f"Received: {_list_values(classes)}."
    if classes[0] < 0:
        raise ValueError(f"`masks` must not be negative. {seen}")
    if num_classes == 1:
        if len(classes) > 2 or (len(classes) == 2 and classes[0] != 0):
            raise ValueError(
                "`masks` of one class must hold 0 and one other value. "
                f"{seen} For several classes pass `num_classes`; after a "
                "resizing that blends values threshold them."
            )
    elif num_classes is not None and classes[-1] >= num_classes:
        raise ValueError(
            f"`masks` must hold indices below {num_classes}, the number of "
            f"classes with the background. {seen}"
        )


def _list_values(values):
    values = np.unique(values)
    shown = ", ".join(f"{value:g}" for value in values[:10])
    return f"values {shown}{', …' if len(values) > 10 else ''}"
