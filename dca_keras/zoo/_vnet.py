import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model


@register_model
def vnet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (32, 64, 128, 256, 512),
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build V-Net, with or without Dual Cross-Attention.

    Residual stages of 5x5 convolutions with PReLU that stride down and up by
    2x2 convolutions. The paper uses it in 2-D.

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
        - [V-Net](https://arxiv.org/abs/1606.04797)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    filters = scaffold.check_filters(filters, least=3)
    depth = len(filters) - 1
    attends = dca is not False
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=2**depth, num_skips=depth
    )
    with scaffold.dtype_scope(dtype):
        # === Encoder and bottom ===
        inputs = keras.Input(input_shape)
        raw, x = _first_stage(inputs, filters[0], "encoder_1", attends)
        skips = [raw if attends else x]
        for stage, width in enumerate(filters[1:], 2):
            block = f"encoder_{stage}" if stage <= depth else "bottom"
            down = blocks.conv(x, width, 2, f"{block}_down_conv", strides=2)
            raw = _residual(down, down, width, _num_convs(stage), block)
            x = blocks.norm_prelu(raw, f"{block}_out")
            skips.append(raw if attends else x)

        # === Skips ===
        skips = scaffold.cross_attend(skips[:depth], dca)

        # === Decoder ===
        for stage in range(depth, 0, -1):
            block, width = f"decoder_{stage}", filters[stage - 1]
            up = blocks.conv_transpose(x, width, f"{block}_up_conv")
            x = blocks.norm_prelu(up, f"{block}_up")
            x = blocks.concatenate([skips[stage - 1], x], f"{block}_concat")
            x = _residual(x, up, width, _num_convs(stage), block)
            x = blocks.norm_prelu(x, f"{block}_out")

        outputs = scaffold.head(x, num_classes, activation)
    return keras.Model(
        inputs, outputs, name=scaffold.model_name("vnet", name, dca)
    )


def _num_convs(stage):
    """Return a stage's number of convolutions: 1, 2, then always 3."""
    return min(stage, 3)


def _first_stage(inputs, width, name, attends):
    """Return the stage's raw feature for attention, and its output.

    Only the raw feature has the 1x1 shortcut, so there is none without DCA.
    """
    features = blocks.conv(inputs, width, 5, f"{name}_1_conv")
    raw = features
    if attends:
        shortcut = blocks.conv(inputs, width, 1, f"{name}_shortcut_conv")
        raw = blocks.add([features, shortcut], f"{name}_add")
    return raw, blocks.norm_prelu(features, f"{name}_out")


def _residual(x, shortcut, width, num_convs, name):
    """Apply 5x5 convolutions, norm and PReLU between, and add `shortcut`."""
    for i in range(1, num_convs + 1):
        x = blocks.conv(x, width, 5, f"{name}_{i}_conv")
        if i < num_convs:
            x = blocks.norm_prelu(x, f"{name}_{i}")
    return blocks.add([x, shortcut], f"{name}_add")
