import math

import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.layers import PositionEmbedding, StandardizedConv2D
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model

NUM_SKIPS = 3
FINEST = 2  # the first skip has half the image's sides


@register_model
def trans_unet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    width: int = 64,
    units: tuple[int, ...] = (3, 4, 9),
    hidden: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp: int = 3072,
    decoder_filters: tuple[int, ...] = (512, 256, 128, 64, 16),
    dropout: float = 0.1,
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build TransUNet, with or without Dual Cross-Attention.

    A ResNet-50 up to a sixteenth of the sides, a Vision Transformer on its
    pixels, and a convolutional decoder: the authors' R50-ViT-B_16, of
    105,275,921 parameters. The three skips are the ResNet's features at a
    half, a quarter and an eighth of the sides; at full resolution there is
    none. It starts from random values, not from ImageNet's.

    The position embedding has a grid of 14x14, that of 224x224 pixels, and is
    interpolated for other sizes. Images only: no 3-D form.

    Args:
        {common_arguments}
        width: Width of the ResNet's first convolution. Its three stages have
            4, 8 and 16 times as many channels.
        units: Number of bottleneck units of each of the three stages.
        hidden: Width of the transformer.
        depth: Number of the transformer's blocks.
        heads: Number of heads of its attentions; divides `hidden`.
        mlp: Width of its perceptrons' hidden layers.
        decoder_filters: Widths from the transformer's end to the finest
            stage: five.
        dropout: Rate at which values are dropped in the transformer.

    Returns:
        A functional `keras.Model` from images `(batch, height, width,
        channels)` in [0, 1] to `(batch, height, width, num_classes)`.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        - [TransUNet](https://arxiv.org/abs/2102.04306), and
          [its authors' code](https://github.com/Beckschen/TransUNet)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    scaffold.check_filters(units, 3, most=3, argument="units")
    first, *widths = scaffold.check_filters(
        decoder_filters, 5, most=5, argument="decoder_filters"
    )
    scaffold.check_arguments(
        input_shape,
        num_classes,
        dca,
        stride=16,
        num_skips=NUM_SKIPS,
        finest=FINEST,
        ranks=(2,),
    )
    with scaffold.dtype_scope(dtype):
        # === Encoder ===
        inputs = keras.Input(input_shape)
        skips, x = _resnet(inputs, width, units)

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca, finest=FINEST)

        # === Transformer ===
        x = blocks.conv(x, hidden, 1, "tokens_conv")
        x = PositionEmbedding(name="position_embedding")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="tokens_drop")(x)
        for i in range(1, depth + 1):
            block = f"transformer_{i}"
            x = blocks.transformer_block(x, heads, mlp, block, dropout=dropout)
        x = blocks.layer_norm(x, "transformer_norm")

        # === Decoder ===
        x = blocks.conv_norm_relu(x, first, "bottom", use_bias=False)
        for stage, filters in zip(range(4, 0, -1), widths, strict=True):
            block = f"decoder_{stage}"
            x = blocks.upsample(x, f"{block}_up")
            if stage > 1:
                skip = skips[stage - 2]
                x = blocks.concatenate([x, skip], f"{block}_concat")
            x = blocks.two_convs(x, filters, block, use_bias=False)

        outputs = scaffold.head(x, num_classes, activation, kernel_size=3)
    name = scaffold.model_name("trans_unet", name, dca)
    return keras.Model(inputs, outputs, name=name)


def _resnet(x, width, units):
    """Return the features at 1/2, 1/4 and 1/8 of the sides, and at 1/16."""
    x = _conv_norm(x, width, 7, "stem", strides=2)
    x = blocks.relu(x, "stem_relu")
    features = [x]
    x = keras.layers.MaxPooling2D(
        3, 2, "same", **blocks.CHANNELS_LAST, name="stem_pool"
    )(x)
    for stage, count in enumerate(units, 1):
        inner = width * 2 ** (stage - 1)
        for unit in range(1, count + 1):
            strides = 2 if stage > 1 and unit == 1 else 1
            x = _bottleneck(x, inner, f"encoder_{stage}_{unit}", strides)
        features.append(x)
    return features[:-1], features[-1]


def _bottleneck(x, width, name, strides):
    """Add a 1x1, a 3x3 and a 1x1 convolution to the input or its 1x1 one."""
    wide, shortcut = 4 * width, x
    if strides > 1 or x.shape[-1] != wide:
        shortcut = _conv_norm(
            x, wide, 1, f"{name}_shortcut", strides, groups=wide
        )
    x = _conv_norm(x, width, 1, f"{name}_1")
    x = blocks.relu(x, f"{name}_1_relu")
    x = _conv_norm(x, width, 3, f"{name}_2", strides)
    x = blocks.relu(x, f"{name}_2_relu")
    x = _conv_norm(x, wide, 1, f"{name}_3")
    x = blocks.add([shortcut, x], f"{name}_add")
    return blocks.relu(x, f"{name}_relu")


def _conv_norm(x, width, kernel_size, name, strides=1, groups=None):
    """Apply a standardised convolution and group norm."""
    x = blocks.conv(
        x,
        width,
        kernel_size,
        f"{name}_conv",
        kind=StandardizedConv2D,
        strides=strides,
        use_bias=False,
    )
    return keras.layers.GroupNormalization(
        groups or math.gcd(32, width), epsilon=1e-6, name=f"{name}_norm"
    )(x)
