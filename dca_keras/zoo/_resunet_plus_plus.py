import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model

DILATIONS = (1, 6, 12, 18)


@register_model
def resunet_plus_plus(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (32, 64, 128, 256, 512),
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build ResUnet++, with or without Dual Cross-Attention.

    Pre-activation residual units with squeeze-and-excitation, an atrous
    pyramid (ASPP) at the bottom and before the head, and gates on the
    decoder's way up. It has three skips.

    Args:
        {common_arguments}
        filters: Widths of the skips' stages, of the last residual unit and of
            the pyramid at the bottom, at least four; n of them make n-2 skips
            and divide sides by 2^(n-2).

    Returns:
        A functional `keras.Model` from images `(batch, *sides, channels)` in
        [0, 1] to `(batch, *sides, num_classes)`.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        - [ResUnet++](https://arxiv.org/abs/1911.07067)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    *widths, bottom = scaffold.check_filters(filters, least=4)
    depth = len(widths) - 1
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=2**depth, num_skips=depth
    )
    with scaffold.dtype_scope(dtype):
        # === Encoder ===
        inputs = keras.Input(input_shape)
        x = _stem(inputs, widths[0])
        skips = []
        for stage, width in enumerate(widths[1:], 1):
            block = f"encoder_{stage}"
            skips.append(x)
            hidden = x.shape[-1] // (8 if stage == 1 else 16)
            x = blocks.squeeze_excite(x, hidden, block)
            x = _residual_unit(x, width, block, strides=2)

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca)

        # === Bottom and decoder ===
        x = _pyramid(x, bottom, "bottom", activated=False)
        for stage in range(depth, 0, -1):
            block = f"decoder_{stage}"
            x = _gate(skips[stage - 1], x, f"{block}_gate")
            x = blocks.upsample_nearest(x, f"{block}_up")
            x = blocks.concatenate([x, skips[stage - 1]], f"{block}_concat")
            x = _residual_unit(x, widths[stage], block, strides=1)

        x = _pyramid(x, widths[0], "top", activated=True)
        outputs = scaffold.head(x, num_classes, activation)
    name = scaffold.model_name("resunet_plus_plus", name, dca)
    return keras.Model(inputs, outputs, name=name)


def _stem(inputs, width):
    x = blocks.conv_norm_relu(inputs, width, "stem_1")
    x = blocks.conv(x, width, 3, "stem_2_conv")
    shortcut = blocks.conv(inputs, width, 3, "stem_shortcut_conv")
    return blocks.add([x, shortcut], "stem_add")


def _residual_unit(x, width, name, strides):
    """Apply norm, ReLU, 3x3 convolution twice, and add a 1x1 shortcut."""
    shortcut = blocks.conv(
        x, width, 1, f"{name}_shortcut_conv", strides=strides
    )
    x = blocks.norm_relu(x, f"{name}_1")
    x = blocks.conv(x, width, 3, f"{name}_1_conv", strides=strides)
    x = blocks.norm_relu(x, f"{name}_2")
    x = blocks.conv(x, width, 3, f"{name}_2_conv")
    return blocks.add([x, shortcut], f"{name}_add")


def _pyramid(x, width, name, activated):
    """Apply ASPP: dilated 3x3 convolutions, summed, then a 1x1 convolution.

    `activated` puts a ReLU after every batch norm. The published bridge has
    none, its output pyramid has all of them.
    """

    def conv(x, name, kernel_size, **options):
        x = blocks.conv_norm(x, width, kernel_size, name, **options)
        return blocks.relu(x, f"{name}_relu") if activated else x

    branches = [
        conv(x, f"{name}_branch_{i}", 3, dilation_rate=dilation)
        for i, dilation in enumerate(DILATIONS, 1)
    ]
    return conv(blocks.add(branches, f"{name}_add"), f"{name}_out", 1)


def _gate(skip, x, name):
    """Multiply x by one unbounded number a pixel, from the skip and x."""
    width = x.shape[-1]
    skip = blocks.norm_relu(skip, f"{name}_skip")
    skip = blocks.conv(skip, width, 3, f"{name}_skip_conv")
    skip = blocks.max_pool(skip, f"{name}_skip_pool")
    gate = blocks.norm_relu(x, f"{name}_x")
    gate = blocks.conv(gate, width, 3, f"{name}_x_conv")
    gate = blocks.add([skip, gate], f"{name}_add")
    gate = blocks.norm_relu(gate, f"{name}_out")
    gate = blocks.conv(gate, 1, 1, f"{name}_out_conv")
    return keras.layers.Multiply(name=f"{name}_multiply")([x, gate])
