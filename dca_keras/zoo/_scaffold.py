"""What every builder begins and ends with, and the seam for attention."""

import contextlib
import dataclasses
import math

import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig, is_positive_int
from dca_keras.layers import DualCrossAttention

# Indented as it will stand in the builders' docstrings.
COMMON_ARGUMENTS = """\
input_shape: `(height, width, channels)`, or `(depth, height, width,
            channels)` for the 3-D model. Sides may be `None` and need not be
            equal; known ones are multiples of what the poolings divide by.
        num_classes: 1 for one foreground class, otherwise the number of
            classes with the background.
        dca: `True` for the paper's Dual Cross-Attention on the skips,
            `False` for the plain baseline, or a `DCAConfig`.
        activation: Of the head. "auto" is sigmoid for one class and softmax
            for more; `None` returns logits.
        name: The model's name.
        dtype: A dtype policy such as "mixed_float16". The head computes in
            float32 under the mixed ones."""


def documented(builder):
    """Writes the arguments that all builders share into the docstring."""
    if builder.__doc__:  # none under python -OO
        builder.__doc__ = builder.__doc__.replace(
            "{common_arguments}", COMMON_ARGUMENTS
        )
    return builder


@contextlib.contextmanager
def dtype_scope(dtype):
    """Layers made inside get the dtype policy `dtype`; None changes nothing."""
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_arguments(input_shape, num_classes, dca, *, stride, num_skips):
    """Raises `ValueError` for arguments that no model can be built from.

    `stride` is what the architecture divides sides by, `num_skips` how many
    skips it hands to Dual Cross-Attention.
    """
    if not is_positive_int(num_classes):
        raise ValueError(
            "`num_classes` must be a positive integer. Received: "
            f"{num_classes!r}. Use 1 for one foreground class."
        )
    config = dca_config(dca)
    if config is not None:
        stride = math.lcm(stride, patch_sizes(config, num_skips)[0])
    if (
        not isinstance(input_shape, (tuple, list))
        or len(input_shape) not in (3, 4)
        or not is_positive_int(input_shape[-1])
        or not all(s is None or is_positive_int(s) for s in input_shape[:-1])
    ):
        raise ValueError(
            "`input_shape` must be (height, width, channels) or (depth, "
            "height, width, channels), positive integers; sides may be None. "
            f"Received: {input_shape!r}."
        )
    *sides, channels = input_shape
    if any(side is not None and side % stride for side in sides):
        nearest = tuple(
            side and max(stride, round(side / stride) * stride)
            for side in sides
        )
        raise ValueError(
            f"`input_shape` sides must be multiples of {stride}. Received: "
            f"{tuple(input_shape)}. Nearest: {(*nearest, channels)}."
        )


def check_filters(filters, least, most=None, argument="filters"):
    """`filters` as a tuple, if they are that many positive widths."""
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
    """A builder's `dca` argument as a `DCAConfig`, or None without DCA."""
    if isinstance(dca, DCAConfig):
        return dca
    if isinstance(dca, bool):
        return DCAConfig() if dca else None
    raise ValueError(
        f"`dca` must be True, False or a DCAConfig. Received: {dca!r}."
    )


def patch_sizes(config, num_skips):
    """One pooling window a skip, each half of the one before."""
    deepest = 2 ** (num_skips - 1)
    patch = config.patch_size or deepest
    if patch % deepest:
        raise ValueError(
            f"`patch_size` must be a multiple of {deepest}, so that the "
            f"deepest of {num_skips} skips has whole patches. Received: "
            f"{patch}."
        )
    return tuple(patch // 2**i for i in range(num_skips))


def cross_attend(skips, dca, name="dca", recompute=False):
    """The skips, from the finest on, through DCA, or untouched without it."""
    config = dca_config(dca)
    if config is None:
        return skips
    options = dataclasses.asdict(config)
    del options["patch_size"]
    return DualCrossAttention(
        patch_sizes(config, len(skips)),
        recompute=recompute,
        name=name,
        **options,
    )(skips)


def model_name(architecture, name, dca):
    """The given name, or the architecture's with "_dca" where it attends."""
    return name or (architecture if dca is False else f"{architecture}_dca")


def head(x, num_classes, activation, name="head"):
    """1x1 convolution to the classes and the activation, in float32."""
    if activation == "auto":
        activation = "sigmoid" if num_classes == 1 else "softmax"
    dtype = keras.config.dtype_policy().variable_dtype
    return blocks.conv(
        x, num_classes, 1, name, activation=activation, dtype=dtype
    )
