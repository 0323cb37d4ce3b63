import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model

# A block of size U has int(ALPHA * U * share) channels in each of its three
# convolutions.
ALPHA = 1.67
SHARES = (0.167, 0.333, 0.5)


@register_model
def multi_res_unet(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (32, 64, 128, 256, 512),
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build MultiResUNet, with or without Dual Cross-Attention.

    A U-Net of multi-resolution blocks whose skips pass residual paths.

    Args:
        {common_arguments}
        filters: Sizes U of the blocks from the finest stage to the bottom, at
            least three; n of them divide sides by 2^(n-1). A block has about
            1.67 U channels.

    Returns:
        A functional `keras.Model` from images `(batch, *sides, channels)` in
        [0, 1] to `(batch, *sides, num_classes)`.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        - [MultiResUNet](https://arxiv.org/abs/1902.04049)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    *sizes, bottom = scaffold.check_filters(filters, least=3)
    depth = len(sizes)
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=2**depth, num_skips=depth
    )
    with scaffold.dtype_scope(dtype):
        # === Encoder ===
        inputs = x = keras.Input(input_shape)
        skips = []
        for stage, size in enumerate(sizes, 1):
            x = _multi_res_block(x, size, f"encoder_{stage}")
            steps = depth + 1 - stage
            skips.append(
                _residual_path(
                    x, size, steps, f"path_{stage}", attends=dca is not False
                )
            )
            x = blocks.max_pool(x, f"encoder_{stage}_pool")

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca)

        # === Bottom and decoder ===
        x = _multi_res_block(x, bottom, "bottom")
        for stage in range(depth, 0, -1):
            block, size = f"decoder_{stage}", sizes[stage - 1]
            x = blocks.conv_transpose(x, size, f"{block}_up_conv")
            x = blocks.norm_relu(x, f"{block}_up")
            x = blocks.concatenate([x, skips[stage - 1]], f"{block}_concat")
            x = _multi_res_block(x, size, block)

        outputs = scaffold.head(x, num_classes, activation)
    return keras.Model(
        inputs, outputs, name=scaffold.model_name("multi_res_unet", name, dca)
    )


def _multi_res_block(x, size, name):
    """Concatenate three convolutions in a row, and add a 1x1 shortcut."""
    widths = [max(1, int(ALPHA * size * share)) for share in SHARES]
    shortcut = blocks.conv_norm(x, sum(widths), 1, f"{name}_shortcut")
    outputs = []
    for i, width in enumerate(widths, 1):
        x = blocks.conv_norm_relu(x, width, f"{name}_{i}")
        outputs.append(x)
    x = blocks.concatenate(outputs, f"{name}_branches")
    x = blocks.norm(x, f"{name}_branches_norm")
    x = blocks.add([x, shortcut], f"{name}_add")
    return blocks.relu(x, f"{name}_relu")


def _residual_path(x, width, steps, name, attends):
    """Compute ReLU(BN(conv3(x) + conv1(x))), `steps` times.

    Dual Cross-Attention takes the last sum as it is: then the last step has
    neither norm nor ReLU.
    """
    for step in range(1, steps + 1):
        features = blocks.conv(x, width, 3, f"{name}_{step}_conv")
        shortcut = blocks.conv(x, width, 1, f"{name}_{step}_shortcut_conv")
        x = blocks.add([features, shortcut], f"{name}_{step}_add")
        if step < steps or not attends:
            x = blocks.norm_relu(x, f"{name}_{step}")
    return x
