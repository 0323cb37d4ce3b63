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
        size: Factor by which every side grows, or a tuple with a factor for
            each axis.

    Input shape:
        `(batch, height, width, channels)` or
        `(batch, depth, height, width, channels)`

    Output shape:
        The same with every side times its `size`.
    """

    def __init__(self, size: int | tuple[int, ...] = 2, **kwargs) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        outputs = inputs
        for axis, size in self._axes(inputs):
            weights = self._weights(ops.shape(inputs)[axis], size)
            outputs = _along(axis, weights, outputs)
        return outputs

    def input_gradient(self, upstream: keras.KerasTensor) -> keras.KerasTensor:
        """Compute the gradient of the input from that of the output.

        Args:
            upstream: Gradient of the output, of its shape.

        Returns:
            Gradient of the input, of its shape.
        """
        for axis, size in reversed(self._axes(upstream)):
            side = ops.shape(upstream)[axis] // size
            weights = ops.transpose(self._weights(side, size))
            upstream = _along(axis, weights, upstream)
        return upstream

    def _axes(self, x):
        """Return the axes along which something is to be done."""
        sizes = along_axes(self.size, len(x.shape) - 2)
        return [(axis, n) for axis, n in enumerate(sizes, 1) if n > 1]

    def _weights(self, side, size):
        """Return `(side * size, side)` weights, whose rows sum to one."""
        # Known sides give a constant, which no graph has to compute.
        of = np if isinstance(side, int) else ops
        coarse = of.arange(side, dtype="float32")
        fine = of.arange(side * size, dtype="float32")
        places = fine * coarse[-1] / fine[-1]
        distance = of.abs(of.expand_dims(places, 1) - coarse)
        return ops.cast(of.maximum(1 - distance, 0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sizes = along_axes(self.size, len(sides))
        sides = (
            side and side * size
            for side, size in zip(sides, sizes, strict=True)
        )
        return (batch, *sides, channels)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def along_axes(size, dimensions):
    """Return a size for each axis, of one for all or one for each."""
    if isinstance(size, (list, tuple)):
        return tuple(size)
    return (size,) * dimensions


def _along(axis, weights, inputs):
    """Multiply an axis of the inputs by a matrix, `(new side, side)`."""
    shape = ops.shape(inputs)
    lines = ops.reshape(inputs, (-1, shape[axis], math.prod(shape[axis + 1 :])))
    lines = ops.matmul(weights, lines)
    sides = (*shape[1:axis], ops.shape(weights)[0], *shape[axis + 1 :])
    return ops.reshape(lines, (-1, *sides))
