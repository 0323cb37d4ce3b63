import keras

from dca_keras import blocks
from dca_keras.config import DCAConfig
from dca_keras.zoo import scaffold
from dca_keras.zoo._models import register_model


@register_model
def unet_plus_plus(
    input_shape: tuple[int | None, ...] = (224, 224, 3),
    num_classes: int = 1,
    *,
    dca: bool | DCAConfig = True,
    activation: str | None = "auto",
    filters: tuple[int, ...] = (32, 64, 128, 256, 512),
    deep_supervision: bool = False,
    name: str | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build U-Net++, with or without Dual Cross-Attention.

    A triangle of nodes X^{i,j}: i counts the poolings, j the steps away from
    the encoder. A node reads all those before it in its row, and the one
    below, upsampled. The skips are the encoder's outputs X^{i,0} but for the
    bottom; with DCA, all nodes with j > 0 read what DCA makes of them, and the
    encoder goes on from what they were.

    The paper states 9.04 million parameters, for nodes without batch norm
    and transposed convolutions between them. This is the form in which
    U-Net++ has been used more, 4uiiurz1's: batch norm and linear upsampling,
    9.16 million.

    Args:
        {common_arguments}
        filters: Widths from the finest row to the bottom, at least three; n
            of them divide sides by 2^(n-1).
        deep_supervision: Whether each node of the finest row has a head and
            the output is the mean of all heads, the paper's accurate mode.

    Returns:
        A functional `keras.Model` from images `(batch, *sides, channels)` in
        [0, 1] to `(batch, *sides, num_classes)`.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        - [U-Net++](https://arxiv.org/abs/1807.10165), and
          [its longer form](https://arxiv.org/abs/1912.05074)
        - [4uiiurz1's NestedUNet](
          https://github.com/4uiiurz1/pytorch-nested-unet)
        - [Dual Cross-Attention](https://arxiv.org/abs/2303.17696)
    """
    filters = scaffold.check_filters(filters, least=3)
    depth = len(filters) - 1
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=2**depth, num_skips=depth
    )
    with scaffold.dtype_scope(dtype):
        # === Encoder ===
        inputs = x = keras.Input(input_shape)
        skips = []
        for row, width in enumerate(filters):
            x = blocks.two_convs(x, width, f"node_{row}_0")
            if row < depth:
                skips.append(x)
                x = blocks.max_pool(x, f"node_{row}_0_pool")

        # === Skips ===
        skips = scaffold.cross_attend(skips, dca)

        # === Nested decoders ===
        rows = [[skip] for skip in (*skips, x)]
        for column in range(1, depth + 1):
            for row in range(depth + 1 - column):
                node = f"node_{row}_{column}"
                below = blocks.upsample(rows[row + 1][-1], f"{node}_up")
                x = blocks.concatenate([*rows[row], below], f"{node}_concat")
                rows[row].append(blocks.two_convs(x, filters[row], node))

        finest = rows[0][1:]
        if deep_supervision:
            outputs = _mean_of_heads(finest, num_classes, activation)
        else:
            outputs = scaffold.head(finest[-1], num_classes, activation)
    name = scaffold.model_name("unet_plus_plus", name, dca)
    return keras.Model(inputs, outputs, name=name)


def _mean_of_heads(nodes, num_classes, activation):
    heads = [
        scaffold.head(x, num_classes, activation, f"head_{column}")
        for column, x in enumerate(nodes, 1)
    ]
    dtype = heads[0].dtype
    return keras.layers.Average(name="head", dtype=dtype)(heads)
