import keras
from keras import ops

from dca_keras.layers.affine import affine
from dca_keras.layers.aligned_upsampling import AlignedUpsampling
from dca_keras.layers.cross_attention import EPSILON
from dca_keras.layers.initializers import torch_uniform


@keras.saving.register_keras_serializable(package="dca_keras")
class SkipReconstruction(keras.layers.Layer):
    """Brings a skip's tokens back to its size and adds them to it.

    1x1 convolution, aligned linear upsampling, the skip as a residual, batch
    norm, ReLU. The paper upsamples before it convolves; both are linear and
    the upsampling's weights sum to one, so the order used here is the same
    function for 1/patch_size² of the work.

    Args:
        patch_size: Side of one token's square, in pixels of the skip.
        token_activation: Whether tokens first pass LayerNorm and GELU, as in
            the paper's figure 2.

    Input shape:
        Two arguments, the tokens `(batch, tokens, channels)` and the skip
        `(batch, height, width, channels)` or
        `(batch, depth, height, width, channels)`.

    Output shape:
        The skip's.

    Reference:
        [Dual Cross-Attention, section 3.3](https://arxiv.org/abs/2303.17696)
    """

    def __init__(self, patch_size, token_activation=False, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.token_activation = token_activation

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
            name="conv",
            dtype=self.dtype_policy,
        )
        self.conv.build(tokens_shape)
        self.upsampling = AlignedUpsampling(
            self.patch_size, name="upsampling", dtype=self.dtype_policy
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, name="norm", dtype=self.dtype_policy
        )
        self.norm.build(skip_shape)

    def call(self, tokens, skip, training=None):
        if self.token_activation:
            tokens = self.token_norm(tokens)
            tokens = ops.gelu(tokens, approximate=False)
        features = self.conv(tokens)
        if training and self.norm.trainable:
            features = self._grow(features, skip) + skip
            return ops.relu(self.norm(features, training=True))
        # At rest the norm is an affine, which may go before the upsampling.
        norm = self.norm
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        features = affine(features, scale, norm.beta - norm.moving_mean * scale)
        return ops.relu(affine(skip, scale) + self._grow(features, skip))

    def _grow(self, features, skip):
        """`(batch, tokens, channels)` to the skip's shape."""
        _, *sides, channels = ops.shape(skip)
        grid = (side // self.patch_size for side in sides)
        return self.upsampling(ops.reshape(features, (-1, *grid, channels)))

    def compute_output_shape(self, tokens_shape, skip_shape):
        return skip_shape

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "token_activation": self.token_activation,
        }
