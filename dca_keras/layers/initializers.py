"""The published models' initial values, which are PyTorch's defaults."""

import math

import keras


def torch_uniform():
    """Return the initializer of kernels, uniform in ±1/√fan_in."""
    return keras.initializers.VarianceScaling(
        scale=1 / 3, mode="fan_in", distribution="uniform"
    )


def torch_uniform_bias(fan_in):
    """Return the initializer of biases, uniform in ±1/√fan_in.

    The fan-in is that of their layer's kernel. An affine is a depthwise 1x1
    convolution, whose fan-in is one: its scale and its bias are both uniform
    in ±1.
    """
    bound = 1 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound)
