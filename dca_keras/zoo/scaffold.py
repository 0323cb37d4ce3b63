"""What every builder begins and ends with, and the seam for attention.

An architecture of your own is built from these functions and from those of
`dca_keras.blocks`; see `dca_keras.zoo.register_model`.
"""

import contextlib
import dataclasses
import math

import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig, is_positive_int
from dca_keras.layers import DualCrossAttention


@contextlib.contextmanager
def dtype_scope(dtype):
    """Give layers made inside the dtype policy `dtype`; None changes nothing.

    Args:
        dtype: A builder's `dtype` argument.
    """
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_arguments(
    input_shape, num_classes, dca, *, stride, num_skips, finest=1, ranks=(2, 3)
):
    """Refuse arguments that no model can be built from.

    Args:
        input_shape: A builder's argument.
        num_classes: A builder's argument.
        dca: A builder's argument.
        stride: Number that the architecture's poolings divide sides by.
        num_skips: Number of skips that it hands to Dual Cross-Attention.
        finest: Pixels of the image, along a side, for one of the finest skip.
        ranks: Numbers of sides that the architecture is made for.

    Raises:
        ValueError: If one of them is not as builders describe it.
    """
    if not is_positive_int(num_classes):
        raise ValueError(
            "`num_classes` must be a positive integer. Received: "
            f"{num_classes!r}. Use 1 for one foreground class."
        )
    config = dca_config(dca)
    if config is not None:
        windows = patch_sizes(config, num_skips, finest)
        stride = math.lcm(stride, windows[0] * finest)
    if (
        not isinstance(input_shape, (tuple, list))
        or len(input_shape) not in (3, 4)
        or not is_positive_int(input_shape[-1])
        or not all(s is None or is_positive_int(s) for s in input_shape[:-1])
    ):
        raise ValueError(
            "`input_shape` must be (height, width, channels) or (depth, "
            "height, width, channels), positive integers; sides may be None. "
            f"Channels come last. Received: {input_shape!r}."
        )
    if len(input_shape) - 1 not in ranks:
        raise ValueError(
            "`input_shape` must be (height, width, channels): the "
            "architecture is for images, and has no 3-D form. Received: "
            f"{tuple(input_shape)}. For volumes take unet, attention_unet or "
            "unet_plus_plus, or predict slice by slice."
        )
    _check_sides(input_shape, stride)


def _check_sides(input_shape, stride):
    *sides, channels = input_shape
    if all(side is None or side % stride == 0 for side in sides):
        return
    if sides[0] in range(1, 5) and channels > 4:  # as PyTorch orders them
        raise ValueError(
            "`input_shape` must have its channels last. Received: "
            f"{tuple(input_shape)}. Did you mean "
            f"{(*sides[1:], channels, sides[0])}?"
        )
    nearest = (
        side and max(stride, round(side / stride) * stride) for side in sides
    )
    raise ValueError(
        f"`input_shape` sides must be multiples of {stride}. Received: "
        f"{tuple(input_shape)}. Nearest: {(*nearest, channels)}."
    )


def check_filters(filters, least, most=None, argument="filters"):
    """Return `filters` as a tuple, if they are that many positive widths.

    Args:
        filters: A builder's widths, from the finest stage to the bottom.
        least: Least number of widths.
        most: Largest number of widths; `None` is any.
        argument: Name of the builder's argument, for the error.

    Raises:
        ValueError: If they are not.
    """
    if (
        not isinstance(filters, (tuple, list))
        or not least <= len(filters) <= (most or len(filters))
        or not all(is_positive_int(width) for width in filters)
    ):
        count = f"{least}" if most == least else f"at least {least}"
        raise ValueError(
            f"`{argument}` must be {count} positive integers, from the finest "
            f"stage to the bottom. Received: {filters!r}."
        )
    return tuple(filters)


def dca_config(dca):
    """Return a builder's `dca` as a `DCAConfig`, or None without attention."""
    if isinstance(dca, DCAConfig):
        return dca
    if isinstance(dca, bool):
        return DCAConfig() if dca else None
    raise ValueError(
        f"`dca` must be True, False or a DCAConfig. Received: {dca!r}."
    )


def patch_sizes(config, num_skips, finest=1):
    """Return one pooling window a skip, each half of the one before.

    Args:
        config: A `DCAConfig`.
        num_skips: Number of skips.
        finest: Pixels of the image, along a side, for one of the finest skip.
    """
    deepest = finest * 2 ** (num_skips - 1)
    patch = config.patch_size or deepest
    if patch % deepest:
        raise ValueError(
            f"`patch_size` must be a multiple of {deepest}, so that the "
            f"deepest of {num_skips} skips has whole patches. Received: "
            f"{patch}."
        )
    return tuple(patch // (finest * 2**i) for i in range(num_skips))


def cross_attend(skips, dca, name="dca", recompute=False, finest=1):
    """Pass skips through Dual Cross-Attention, or untouched without it.

    Args:
        skips: List of tensors, from the finest on, each of half the sides of
            the one before.
        dca: A builder's argument.
        name: Name of the layer.
        recompute: Whether training trades time for memory: see
            `DualCrossAttention`.
        finest: Pixels of the image, along a side, for one of the finest skip.

    Returns:
        A list of tensors of the same shapes.
    """
    config = dca_config(dca)
    if config is None:
        return skips
    options = dataclasses.asdict(config)
    del options["patch_size"]
    return DualCrossAttention(
        patch_sizes(config, len(skips), finest),
        recompute=recompute,
        name=name,
        **options,
    )(skips)


def model_name(architecture, name, dca):
    """Return `name`, or the architecture's with "_dca" where it attends."""
    return name or (architecture if dca is False else f"{architecture}_dca")


def head(x, num_classes, activation, name="head", kernel_size=1):
    """Apply a convolution to the classes and the activation, in float32.

    Args:
        x: Tensor, the last features.
        num_classes: A builder's argument.
        activation: A builder's argument; "auto" is sigmoid for one class and
            softmax for more.
        name: Name of the layer.
        kernel_size: Side of the convolution's kernel.
    """
    if activation == "auto":
        activation = "sigmoid" if num_classes == 1 else "softmax"
    dtype = keras.config.dtype_policy().variable_dtype
    return blocks.conv(
        x, num_classes, kernel_size, name, activation=activation, dtype=dtype
    )
