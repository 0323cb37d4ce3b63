import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model


@register_model
def r2_unet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (32, 64, 128, 256, 512),
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build R2U-Net, with or without Dual Cross-Attention.

    A U-Net of recurrent residual blocks: each convolution is applied three
    times with the same weights.

    Args:
        {common_arguments}
        filters: Widths from the finest stage to the bottom, at least three;
            n of them divide sides by 2^(n-1).

    Returns:
        A functional `keras.Model` from images `(batch, *sides, channels)` in
        [0, 1] to `(batch, *sides, num_classes)`.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        - [R2U-Net](https://arxiv.org/abs/1802.06955)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    *widths, bottom = scaffold.check_filters(filters, least=3)
    depth = len(widths)
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=2**depth, num_skips=depth
    )
    with scaffold.dtype_scope(dtype):
        # === Encoder ===
        inputs = x = keras.Input(input_shape)
        skips = []
        for stage, width in enumerate(widths, 1):
            raw, x = _recurrent_block(x, width, f"encoder_{stage}")
            skips.append(x if dca is False else raw)
            x = blocks.max_pool(x, f"encoder_{stage}_pool")

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca)

        # === Bottom and decoder ===
        _, x = _recurrent_block(x, bottom, "bottom")
        for stage in range(depth, 0, -1):
            block, width = f"decoder_{stage}", widths[stage - 1]
            x = blocks.upsample(x, f"{block}_up")
            x = blocks.conv_norm_relu(x, width, f"{block}_up")
            x = blocks.concatenate([x, skips[stage - 1]], f"{block}_concat")
            _, x = _recurrent_block(x, width, block)

        outputs = scaffold.head(x, num_classes, activation)
    return keras.Model(
        inputs, outputs, name=scaffold.model_name("r2_unet", name, dca)
    )


def _recurrent_block(x, width, name):
    """Return the block's raw output, and the same after norm and ReLU."""
    x = shortcut = blocks.conv(x, width, 1, f"{name}_in_conv")
    x = blocks.norm_relu(x, f"{name}_in")
    x = _recurrent_conv(x, width, f"{name}_1", activated=True)
    x = _recurrent_conv(x, width, f"{name}_2", activated=False)
    raw = blocks.add([shortcut, x], f"{name}_add")
    return raw, blocks.norm_relu(raw, f"{name}_out")


def _recurrent_conv(x, width, name, activated, times=2):
    """Compute y = f(x), then y = f(x + y) `times` times, with the same f.

    f is a 3x3 convolution, with batch norm and ReLU if `activated`. The
    shared batch norm counts every call in its running averages, as published.
    """
    f = [blocks.conv_layer(x, width, 3, f"{name}_conv")]
    if activated:
        f.append(blocks.norm_layer(f"{name}_norm"))
        f.append(keras.layers.ReLU(name=f"{name}_relu"))

    def apply(z):
        for layer in f:
            z = layer(z)
        return z

    y = apply(x)
    for i in range(1, times + 1):
        y = apply(blocks.add([x, y], f"{name}_add_{i}"))
    return y
