import functools

import keras
import numpy as np

from dca_keras import blocks
from dca_keras.config import DCAConfig, is_positive_int
from dca_keras.layers import DepthToSpace, SpaceToDepth
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model

PATCH = 4  # side of the squares of pixels that the finest stage is made of


@register_model
def swin_unet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    width: int = 96,
    depths: tuple[int, ...] = (2, 2, 2, 2),
    heads: tuple[int, ...] = (3, 6, 12, 24),
    window: int = 7,
    drop_path: float = 0.1,
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build Swin-Unet, with or without Dual Cross-Attention.

    A U-Net of Swin Transformer blocks without a convolution between them: the
    paper's tiny one, of 27,168,133 parameters. The finest stage has a
    quarter of the image's sides. The skips are, as in the authors' code, what
    each stage but the coarsest begins with. It starts from random values, not
    from ImageNet's.

    Windows stay 7 pixels wide whatever the image's size: where they do not
    divide a stage's sides, those at the border are smaller. So one set of
    weights serves any size. Images only: no 3-D form.

    Args:
        {common_arguments}
        width: Width of the finest stage; each further one is twice as wide.
        depths: Number of blocks of each stage from the finest to the bottom,
            at least three stages; the decoder has as many. n of them divide
            sides by 2^(n+1).
        heads: Number of heads of each stage, as many as `depths`.
        window: Side of a window in pixels of its stage.
        drop_path: Rate at which the bottom's last block is left out in
            training; it rises linearly from 0 at the first.

    Returns:
        A functional `keras.Model` from images `(batch, height, width,
        channels)` in [0, 1] to `(batch, height, width, num_classes)`.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        - [Swin-Unet](https://arxiv.org/abs/2105.05537), and
          [its authors' code](https://github.com/HuCaoFighting/Swin-Unet)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    for argument, value in (("width", width), ("window", window)):
        if not is_positive_int(value):
            raise ValueError(
                f"`{argument}` must be a positive integer. Received: {value!r}."
            )
    stages = _plan_stages(depths, heads, window, drop_path)
    coarsest = len(stages) - 1
    scaffold.check_arguments(
        input_shape,
        num_classes,
        dca,
        stride=PATCH * 2**coarsest,
        num_skips=coarsest,
        finest=PATCH,
        ranks=(2,),
    )
    with scaffold.dtype_scope(dtype):
        # === Encoder and bottom ===
        inputs = keras.Input(input_shape)
        x = blocks.conv(inputs, width, PATCH, "patches_conv", strides=PATCH)
        x = blocks.layer_norm(x, "patches_norm")
        skips = []
        for i, stage in enumerate(stages):
            if i < coarsest:
                skips.append(x)
            x = stage(x, "bottom" if i == coarsest else f"encoder_{i + 1}")
            if i < coarsest:
                x = _merge(x, f"encoder_{i + 1}_merge")
        x = blocks.layer_norm(x, "bottom_norm")

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca, finest=PATCH)

        # === Decoder ===
        for i in range(coarsest - 1, -1, -1):
            block = f"decoder_{i + 1}"
            x = _expand(x, 2, skips[i].shape[-1], f"{block}_up")
            x = blocks.concatenate([x, skips[i]], f"{block}_concat")
            x = blocks.dense(x, skips[i].shape[-1], f"{block}_reduce")
            x = stages[i](x, block)
        x = blocks.layer_norm(x, "decoder_norm")
        x = _expand(x, PATCH, width, "top_up")

        outputs = scaffold.head(x, num_classes, activation)
    name = scaffold.model_name("swin_unet", name, dca)
    return keras.Model(inputs, outputs, name=name)


def _plan_stages(depths, heads, window, drop_path):
    """Return a function of a tensor and a name for each stage's blocks."""
    depths = scaffold.check_filters(depths, 3, argument="depths")
    count = len(depths)
    heads = scaffold.check_filters(heads, count, most=count, argument="heads")
    rates = np.linspace(0, drop_path, sum(depths)).tolist()
    return [
        functools.partial(
            _stage,
            heads=number,
            window=window,
            rates=[rates.pop(0) for _ in range(depth)],
        )
        for depth, number in zip(depths, heads, strict=True)
    ]


def _stage(x, name, heads, window, rates):
    """Apply blocks whose windows are shifted in every second one."""
    for i, rate in enumerate(rates):
        x = blocks.transformer_block(
            x,
            heads,
            4 * x.shape[-1],
            f"{name}_{i + 1}",
            drop_path=rate,
            window=window,
            shifted=i % 2 == 1,
        )
    return x


def _merge(x, name):
    """Halve the sides, double the channels."""
    x = SpaceToDepth(2, name=name)(x)
    x = blocks.layer_norm(x, f"{name}_norm")
    width = x.shape[-1] // 2
    return blocks.dense(x, width, f"{name}_reduce", use_bias=False)


def _expand(x, size, width, name):
    """Make the sides `size` times as large, with `width` channels."""
    x = blocks.dense(x, size**2 * width, f"{name}_widen", use_bias=False)
    x = DepthToSpace(size, name=name)(x)
    return blocks.layer_norm(x, f"{name}_norm")
