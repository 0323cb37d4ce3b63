import keras
from keras import ops

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="dca_keras")
class StandardizedConv2D(keras.layers.Conv2D):
    """Convolve with a kernel of mean zero and variance one.

    Each output channel's part of the kernel is standardised before it is
    used. Big Transfer's ResNets, on which Vision Transformers build, do so
    together with group norm.

    Arguments and shapes are those of `keras.layers.Conv2D`.

    Reference:
        [Weight Standardization](https://arxiv.org/abs/1903.10520)
    """

    def convolution_op(self, inputs, kernel):
        values = ops.cast(kernel, "float32")
        mean, variance = ops.moments(values, axes=(0, 1, 2), keepdims=True)
        values = (values - mean) / ops.sqrt(variance + EPSILON)
        return super().convolution_op(inputs, ops.cast(values, kernel.dtype))
