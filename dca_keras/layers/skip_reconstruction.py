import keras
from keras import ops

from dca_keras.layers.affine import affine
from dca_keras.layers.aligned_upsampling import AlignedUpsampling
from dca_keras.layers.cross_attention import EPSILON
from dca_keras.layers.initializers import torch_uniform, torch_uniform_bias
from dca_keras.layers.own_gradient import own_gradient, zero_after


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

    def call(self, tokens, skip, training=None):
        if self.token_activation:
            tokens = self.token_norm(tokens)
            tokens = ops.gelu(tokens, approximate=False)
        features = self._to_grid(self.conv(tokens), skip)
        if training and self.norm.trainable:
            if self.norm.synchronized:  # sums over replicas, there and back
                total = self.upsampling(features) + skip
                return ops.relu(self.norm(total, training=True))
            return self._train(features, skip)
        # At rest the norm is an affine, which may go before the upsampling.
        norm = self.norm
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        features = affine(features, scale, norm.beta - norm.moving_mean * scale)
        return ops.relu(affine(skip, scale) + self.upsampling(features))

    def _train(self, features, skip):
        """The same by the batch's statistics, of which it keeps an average.

        What is as large as the skip is made anew on the way back.
        """
        norm = self.norm
        total = ops.stop_gradient(self._sum(features, skip))
        mean, variance = ops.moments(total, _batch_and_sides(skip))
        for average, now in (
            (norm.moving_mean, mean),
            (norm.moving_variance, variance),
        ):
            average.assign(
                average * norm.momentum
                + ops.cast(now, average.dtype) * (1.0 - norm.momentum)
            )
        deviation = ops.sqrt(variance + norm.epsilon)

        # The statistics are arguments, whose own gradient is nothing, because
        # functions with a gradient of their own may not see others' tensors.
        @own_gradient
        def normalised(features, skip, mean, deviation, scale, bias):
            factor = scale / deviation
            total = self._sum(features, skip)
            outputs = ops.relu(affine(total, factor, bias - mean * factor))

            def gradient(upstream):
                of_features, of_skip, of_scale, of_bias = self._gradient(
                    features, skip, mean, deviation, scale, bias, upstream
                )
                nothing = ops.zeros_like(mean)
                return of_features, of_skip, nothing, nothing, of_scale, of_bias

            return ops.cast(outputs, skip.dtype), gradient

        scale, bias = (ops.cast(x, mean.dtype) for x in (norm.gamma, norm.beta))
        return normalised(features, skip, mean, deviation, scale, bias)

    def _gradient(self, features, skip, mean, deviation, scale, bias, upstream):
        """Of batch norm and ReLU, whose statistics follow the sum, too."""
        slopes = ops.cast(upstream, mean.dtype)
        mean = mean + ops.cast(zero_after(slopes), mean.dtype)
        centred = ops.cast(features, mean.dtype) - mean
        centred = self._sum(ops.cast(centred, features.dtype), skip)
        factor = scale / deviation
        slopes = ops.where(centred * factor > -bias, slopes, 0)
        axes = _batch_and_sides(skip)
        of_bias = ops.sum(slopes, axes)
        of_scale = ops.sum(slopes * centred, axes) / deviation
        count = ops.prod(ops.cast(ops.shape(skip)[:-1], mean.dtype))
        slopes = slopes - affine(
            centred, of_scale / (deviation * count), of_bias / count
        )
        slopes = ops.cast(slopes * factor, skip.dtype)
        return self.upsampling.transposed(slopes), slopes, of_scale, of_bias

    def _sum(self, features, skip):
        # In full precision, as moments overflow in half.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        return ops.cast(self.upsampling(features) + skip, dtype)

    def _to_grid(self, features, skip):
        """`(batch, tokens, channels)` to the token grid of the skip."""
        _, *sides, channels = ops.shape(skip)
        grid = (side // self.patch_size for side in sides)
        return ops.reshape(features, (-1, *grid, channels))

    def compute_output_shape(self, tokens_shape, skip_shape):
        return skip_shape

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "token_activation": self.token_activation,
        }


def _batch_and_sides(skip):
    return tuple(range(len(skip.shape) - 1))
