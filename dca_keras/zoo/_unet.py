import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model


@register_model
def unet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (32, 64, 128, 256, 512),
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build U-Net, with or without Dual Cross-Attention.

    Args:
        {common_arguments}
        filters: Widths from the finest stage to the bottom, at least three;
            n of them divide sides by 2^(n-1).

    Returns:
        A functional `keras.Model` from images `(batch, *sides, channels)` in
        [0, 1] to `(batch, *sides, num_classes)`.

    Raises:
        ValueError: If an argument is not as described.

    Example:

    >>> model = unet(input_shape=(96, 160, 3), num_classes=1)

    Reference:
        - [U-Net](https://arxiv.org/abs/1505.04597)
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
            block = f"encoder_{stage}"
            x = blocks.conv_norm_relu(x, width, f"{block}_1")
            x = blocks.conv(x, width, 3, f"{block}_2_conv")
            skips.append(x)
            x = blocks.norm_relu(x, f"{block}_2")
            x = blocks.max_pool(x, f"{block}_pool")

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca)

        # === Bottom and decoder ===
        x = blocks.two_convs(x, bottom, "bottom")
        for stage in range(depth, 0, -1):
            block, width = f"decoder_{stage}", widths[stage - 1]
            x = blocks.upsample(x, f"{block}_up")
            x = blocks.conv_norm_relu(x, width, f"{block}_up")
            x = blocks.concatenate([x, skips[stage - 1]], f"{block}_concat")
            x = blocks.two_convs(x, width, block)

        outputs = scaffold.head(x, num_classes, activation)
    return keras.Model(
        inputs, outputs, name=scaffold.model_name("unet", name, dca)
    )
