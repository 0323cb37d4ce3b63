import math

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="dca_keras")
class AlignedUpsampling(keras.layers.Layer):
    """Upsample linearly so that corner pixels stay where they are.

    What PyTorch calls `align_corners=True`, in two or three dimensions, with
    sides known or not; Keras's own upsampling has no such mode. Linear
    interpolation is separable, so each axis is one product with a small
    matrix whose rows hold at most two weights.

    Args:
        size: Factor by which every side grows.

    Input shape:
        `(batch, height, width, channels)` or
        `(batch, depth, height, width, channels)`

    Output shape:
        The same with every side times `size`.
    """

    def __init__(self, size=2, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        if self.size == 1:
            return inputs
        outputs = inputs
        for axis in range(1, len(inputs.shape) - 1):
            weights = self._weights(ops.shape(inputs)[axis])
            outputs = _along(axis, weights, outputs)
        return outputs

    def input_gradient(self, upstream):
        """Compute the gradient of the input from that of the output.

        Args:
            upstream: Gradient of the output, of its shape.

        Returns:
            Gradient of the input, of its shape.
        """
        if self.size == 1:
            return upstream
        for axis in reversed(range(1, len(upstream.shape) - 1)):
            weights = self._weights(ops.shape(upstream)[axis] // self.size)
            upstream = _along(axis, ops.transpose(weights), upstream)
        return upstream

    def _weights(self, side):
        """Return `(side * size, side)` weights, whose rows sum to one."""
        # Known sides give a constant, which no graph has to compute.
        of = np if isinstance(side, int) else ops
        coarse = of.arange(side, dtype="float32")
        fine = of.arange(side * self.size, dtype="float32")
        places = fine * coarse[-1] / fine[-1]
        distance = of.abs(of.expand_dims(places, 1) - coarse)
        return ops.cast(of.maximum(1 - distance, 0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = (side and side * self.size for side in sides)
        return (batch, *sides, channels)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def _along(axis, weights, inputs):
    """Multiply an axis of the inputs by a matrix, `(new side, side)`."""
    shape = ops.shape(inputs)
    lines = ops.reshape(inputs, (-1, shape[axis], math.prod(shape[axis + 1 :])))
    lines = ops.matmul(weights, lines)
    sides = (*shape[1:axis], ops.shape(weights)[0], *shape[axis + 1 :])
    return ops.reshape(lines, (-1, *sides))
