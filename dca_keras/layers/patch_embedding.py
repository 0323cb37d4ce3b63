import math
import operator

import keras
from keras import ops

from dca_keras.layers.affine import Affine
from dca_keras.layers.aligned_upsampling import along_axes


@keras.saving.register_keras_serializable(package="dca_keras")
class PatchEmbedding(keras.layers.Layer):
    """Average-pool a feature map to one token a patch, then scale it.

    Paper's symbols: the P×P (P×P×P) grid is the map's sides over
    `patch_size`; the tokens T_i keep the map's C_i channels.

    Args:
        patch_size: Side of the pooling window in pixels of the map itself,
            or a tuple with a side for each axis.

    Input shape:
        `(batch, height, width, channels)` or
        `(batch, depth, height, width, channels)`; sides are multiples of
        `patch_size`, equal or not, known or `None`.

    Output shape:
        `(batch, tokens, channels)`, row by row.

    Reference:
        [Dual Cross-Attention, equation 1](https://arxiv.org/abs/2303.17696)
    """

    def __init__(self, patch_size: int | tuple[int, ...], **kwargs) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def build(self, input_shape):
        self.affine = Affine(name="affine", dtype=self.dtype_policy)
        self.affine.build(input_shape)

    def call(self, inputs):
        grid = inputs
        sizes = along_axes(self.patch_size, len(inputs.shape) - 2)
        if max(sizes) > 1:
            grid = ops.average_pool(
                inputs,
                sizes,
                sizes,
                "valid",
                data_format="channels_last",
            )
        shape = ops.shape(grid)
        tokens = ops.reshape(grid, (-1, math.prod(shape[1:-1]), shape[-1]))
        return self.affine(tokens)  # (batch, tokens, channels)

    def compute_output_shape(self, input_shape):
        sides = input_shape[1:-1]
        tokens = None
        if None not in sides:
            sizes = along_axes(self.patch_size, len(sides))
            tokens = math.prod(map(operator.floordiv, sides, sizes))
        return (input_shape[0], tokens, input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}
