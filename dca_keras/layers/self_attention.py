import math

import keras
from keras import ops

from dca_keras.layers._windows import Windows, relative_offsets
from dca_keras.layers.cross_attention import check_heads
from dca_keras.layers.initializers import torch_uniform, torch_uniform_bias

MASKED = -3e4  # float16 holds it


@keras.saving.register_keras_serializable(package="dca_keras")
class SelfAttention(keras.layers.Layer):
    """Let the pixels of a feature map attend to one another.

    With `window`, as in the Swin Transformer, a pixel attends to those of its
    own square window, and scores have a learned bias for each offset between
    two pixels. `shifted` moves the windows by half their side, so that two
    layers in a row carry information from window to window. Sides need not be
    multiples of the window: windows at the border are smaller. A side that
    fits into one window is not shifted.

    Symbols of the Swin Transformer: M is `window`, B the bias.

    Args:
        heads: Number of heads; divides the channels.
        window: Side of a window in pixels; `None` is the whole map, without
            a bias.
        shifted: Whether the windows are moved by half their side.

    Input shape:
        `(batch, height, width, channels)`, sides known or `None`.

    Output shape:
        The same.

    Raises:
        ValueError: At build, if the heads do not divide the channels.

    Reference:
        - [Vision Transformer](https://arxiv.org/abs/2010.11929)
        - [Swin Transformer, section 3.2](https://arxiv.org/abs/2103.14030)
    """

    def __init__(
        self,
        heads: int,
        window: int | None = None,
        shifted: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.window = window
        self.shifted = shifted

    def build(self, input_shape):
        channels = input_shape[-1]
        check_heads([channels], self.heads)
        # Query, key and value, side by side.
        self.joint = self._dense(3 * channels, channels, "query_key_value")
        self.projection = self._dense(channels, channels, "projection")
        for layer in (self.joint, self.projection):
            layer.build(input_shape)
        self.position_bias = None
        if self.window is not None:
            self.position_bias = self.add_weight(
                name="position_bias",
                shape=(self.heads, (2 * self.window - 1) ** 2),
                initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            )

    def call(self, inputs):
        joint = self.joint(inputs)  # (batch, height, width, 3 channels)
        sides = ops.shape(inputs)[1:-1]
        channels = inputs.shape[-1]
        if self.window is None:
            whole = (-1, 1, math.prod(sides), 3 * channels)
            outputs = self._attend(ops.reshape(joint, whole))
            outputs = ops.reshape(outputs, (-1, *sides, channels))
        else:
            windows = Windows(self.window, sides, self.shifted)
            outputs = self._attend(windows.split(joint), windows.inside())
            outputs = windows.merge(outputs)
        return self.projection(outputs)

    def _attend(self, joint, inside=None):
        _, windows, tokens, channels = ops.shape(joint)
        size = channels // 3 // self.heads
        joint = ops.reshape(joint, (-1, windows, tokens, 3, self.heads, size))
        query, key, value = ops.unstack(
            ops.transpose(joint, (3, 0, 1, 4, 2, 5)), 3
        )  # each (batch, windows, heads, tokens, size)
        scores = ops.matmul(query * size**-0.5, ops.swapaxes(key, -1, -2))
        if self.position_bias is not None:
            scores += self._position_scores()
        if inside is not None:
            inside = ops.swapaxes(inside, 2, 3)  # (1, windows, 1, tokens)
            inside = ops.expand_dims(inside, 2)
            scores = ops.where(inside, scores, ops.cast(MASKED, scores.dtype))
        scores = ops.softmax(scores)  # (batch, windows, heads, tokens, tokens)
        outputs = ops.swapaxes(ops.matmul(scores, value), 2, 3)
        return ops.reshape(outputs, (-1, windows, tokens, self.heads * size))

    def _position_scores(self):
        """Return what is added to every window's scores."""
        tokens = self.window**2
        scores = ops.take(self.position_bias, relative_offsets(self.window), 1)
        scores = ops.reshape(scores, (self.heads, tokens, tokens))
        return ops.cast(scores, self.compute_dtype)

    def _dense(self, units, fan_in, name):
        return keras.layers.Dense(
            units,
            kernel_initializer=torch_uniform(),
            bias_initializer=torch_uniform_bias(fan_in),
            name=name,
            dtype=self.dtype_policy,
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "window": self.window,
            "shifted": self.shifted,
        }
