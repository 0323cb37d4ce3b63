"""The published models' initial values, which are PyTorch's defaults."""

import keras


def torch_uniform():
    """Kernels: uniform in ±1/√fan_in."""
    return keras.initializers.VarianceScaling(
        scale=1 / 3, mode="fan_in", distribution="uniform"
    )


def unit_uniform():
    """An affine's scale: the same with a fan-in of one, uniform in ±1."""
    return keras.initializers.RandomUniform(-1.0, 1.0)
