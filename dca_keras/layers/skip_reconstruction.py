import operator

import keras
from keras import ops

from dca_keras.layers import _fast
from dca_keras.layers.aligned_upsampling import AlignedUpsampling, along_axes
from dca_keras.layers.cross_attention import EPSILON
from dca_keras.layers.initializers import torch_uniform, torch_uniform_bias


@keras.saving.register_keras_serializable(package="dca_keras")
class SkipReconstruction(keras.layers.Layer):
    """Bring a skip's tokens back to its size and add them to it.

    1x1 convolution, aligned linear upsampling, the skip as a residual, batch
    norm, ReLU. The paper upsamples before it convolves; both are linear and
    the upsampling's weights sum to one, so the order used here is the same
    function for 1/patch_size² of the work.

    Args:
        patch_size: Side of one token's square, in pixels of the skip, or a
            tuple with a side for each axis.
        token_activation: Whether tokens first pass LayerNorm and GELU, as in
            the paper's figure 2.
        fast: Whether to compute the same function with less time and memory.
            With `False` what is above runs as it is written in `call`.
        start: "paper", or "identity" for our own variant, which is not in
            the paper: the skip plus a gate times what the above changes of
            it. The gate is one value a channel, zero at first: the layer
            starts as the identity. With a gate of one it is the paper's.

    Call arguments:
        tokens: Tensor, the skip's tokens after the attentions.
        skip: Tensor, the encoder's feature map.
        training: Whether batch norm uses the batch's own statistics.

    Input shape:
        Two arguments, the tokens `(batch, tokens, channels)` and the skip
        `(batch, height, width, channels)` or
        `(batch, depth, height, width, channels)`.

    Output shape:
        The skip's.

    Reference:
        [Dual Cross-Attention, section 3.3](https://arxiv.org/abs/2303.17696)
    """

    def __init__(
        self,
        patch_size: int | tuple[int, ...],
        token_activation: bool = False,
        fast: bool = True,
        start: str = "paper",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.token_activation = token_activation
        self.fast = fast
        self.start = start

    def build(self, tokens_shape, skip_shape):
        self.token_norm = None
        if self.token_activation:
            self.token_norm = keras.layers.LayerNormalization(
                epsilon=EPSILON, name="token_norm", dtype=self.dtype_policy
            )
            self.token_norm.build(tokens_shape)
        self.conv = keras.layers.Dense(
            skip_shape[-1],
            kernel_initializer=torch_uniform(),
            bias_initializer=torch_uniform_bias(tokens_shape[-1]),
            name="conv",
            dtype=self.dtype_policy,
        )
        self.conv.build(tokens_shape)
        self.upsampling = AlignedUpsampling(
            self.patch_size, name="upsampling", dtype=self.dtype_policy
        )
        self.upsampling.build(skip_shape)
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, name="norm", dtype=self.dtype_policy
        )
        self.norm.build(skip_shape)
        self.gate = None
        if self.start == "identity":
            self.gate = self.add_weight(
                shape=skip_shape[-1:], initializer="zeros", name="gate"
            )

    def call(self, tokens, skip, training=None):
        if self.token_activation:
            tokens = ops.gelu(self.token_norm(tokens), approximate=False)
        features = self._to_grid(self.conv(tokens), skip)
        outputs = self._add(features, skip, training)
        if self.gate is None:
            return outputs
        return skip + ops.cast(self.gate, skip.dtype) * (outputs - skip)

    def _add(self, features, skip, training):
        # Statistics that replicas share have a gradient across them.
        if self.fast and not (training and self.norm.synchronized):
            return _fast.reconstruct(self, features, skip, training)
        features = self.upsampling(features)
        return ops.relu(self.norm(features + skip, training=training))

    def _to_grid(self, tokens, skip):
        """Arrange `(batch, tokens, channels)` as the skip's token grid."""
        _, *sides, channels = ops.shape(skip)
        sizes = along_axes(self.patch_size, len(sides))
        grid = map(operator.floordiv, sides, sizes)
        return ops.reshape(tokens, (-1, *grid, channels))

    def compute_output_shape(self, tokens_shape, skip_shape):
        return skip_shape

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "token_activation": self.token_activation,
            "fast": self.fast,
            "start": self.start,
        }
