import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model


@register_model
def attention_unet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (64, 128, 256, 512, 1024),
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build Attention U-Net, with or without Dual Cross-Attention.

    A U-Net whose skips pass gates that the decoder opens: at each pixel one
    number between 0 and 1. As in LeeJunHyun's implementation, whose 34.88
    million parameters these are, a gate sees the skip and the decoder at the
    same resolution. With DCA, the gates see what DCA makes of the skips.

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
        - [Attention U-Net](https://arxiv.org/abs/1804.03999)
        - [LeeJunHyun's AttU_Net](
          https://github.com/LeeJunHyun/Image_Segmentation)
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
            x = blocks.two_convs(x, width, f"encoder_{stage}")
            skips.append(x)
            x = blocks.max_pool(x, f"encoder_{stage}_pool")

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca)

        # === Bottom and decoder ===
        x = blocks.two_convs(x, bottom, "bottom")
        for stage in range(depth, 0, -1):
            block, width = f"decoder_{stage}", widths[stage - 1]
            x = blocks.upsample_nearest(x, f"{block}_up")
            x = blocks.conv_norm_relu(x, width, f"{block}_up")
            skip = _gate(skips[stage - 1], x, f"{block}_gate")
            x = blocks.concatenate([skip, x], f"{block}_concat")
            x = blocks.two_convs(x, width, block)

        outputs = scaffold.head(x, num_classes, activation)
    name = scaffold.model_name("attention_unet", name, dca)
    return keras.Model(inputs, outputs, name=name)


def _gate(skip, x, name):
    """Multiply the skip by one number a pixel, from the skip and x."""
    width = max(1, x.shape[-1] // 2)
    gate = blocks.add(
        [
            blocks.conv_norm(x, width, 1, f"{name}_x"),
            blocks.conv_norm(skip, width, 1, f"{name}_skip"),
        ],
        f"{name}_add",
    )
    gate = blocks.relu(gate, f"{name}_relu")
    gate = blocks.conv_norm(gate, 1, 1, f"{name}_out")
    gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(gate)
    return keras.layers.Multiply(name=f"{name}_multiply")([skip, gate])
