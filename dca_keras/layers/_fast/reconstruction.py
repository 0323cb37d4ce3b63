"""The reconstruction of a skip, recomputed in the backward pass."""

import keras
from keras import ops

from dca_keras.layers._fast.custom_gradient import custom_gradient, zero_after
from dca_keras.layers._fast.folding import scale_and_shift


def reconstruct(layer, features, skip, training):
    """Compute what a `SkipReconstruction` computes from its token grid.

    Args:
        layer: The layer.
        features: The convolved tokens, `(batch, *grid, channels)`.
        skip: `(batch, *sides, channels)`.
        training: Whether the batch's own statistics normalise.
    """
    norm = layer.norm
    if training and norm.trainable:
        return _train(layer, features, skip)
    # At inference the norm is an affine, which may go before the upsampling.
    scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
    bias = norm.beta - norm.moving_mean * scale
    features = layer.upsampling(scale_and_shift(features, scale, bias))
    return ops.relu(scale_and_shift(skip, scale) + features)


def _train(layer, features, skip):
    """Normalise by the batch's statistics, and keep their average.

    What is as large as the skip is recomputed in the backward pass.
    """
    norm = layer.norm
    total = ops.stop_gradient(_sum(layer, features, skip))
    mean, variance = ops.moments(total, _all_but_channels(skip))
    for average, now in (
        (norm.moving_mean, mean),
        (norm.moving_variance, variance),
    ):
        average.assign(
            average * norm.momentum
            + ops.cast(now, average.dtype) * (1.0 - norm.momentum)
        )

    # The statistics are arguments, whose gradient is zero, because a function
    # with a custom gradient may see no tensors but its arguments.
    @custom_gradient
    def normalise(features, skip, mean, deviation, scale, bias):
        factor = scale / deviation
        outputs = _sum(layer, features, skip)
        outputs = scale_and_shift(outputs, factor, bias - mean * factor)

        def gradient(upstream):
            of_features, of_skip, of_scale, of_bias = _gradient(
                layer, features, skip, mean, deviation, scale, bias, upstream
            )
            zero = ops.zeros_like(mean)
            return of_features, of_skip, zero, zero, of_scale, of_bias

        return ops.cast(ops.relu(outputs), skip.dtype), gradient

    deviation = ops.sqrt(variance + norm.epsilon)
    scale, bias = (ops.cast(x, mean.dtype) for x in (norm.gamma, norm.beta))
    return normalise(features, skip, mean, deviation, scale, bias)


def _gradient(layer, features, skip, mean, deviation, scale, bias, upstream):
    """Compute the gradient of batch norm and ReLU, statistics included."""
    slopes = ops.cast(upstream, mean.dtype)
    mean = mean + ops.cast(zero_after(slopes), mean.dtype)
    centred = ops.cast(features, mean.dtype) - mean
    centred = _sum(layer, ops.cast(centred, features.dtype), skip)
    factor = scale / deviation
    slopes = ops.where(centred * factor > -bias, slopes, 0)
    axes = _all_but_channels(skip)
    of_bias = ops.sum(slopes, axes)
    of_scale = ops.sum(slopes * centred, axes) / deviation
    count = ops.prod(ops.cast(ops.shape(skip)[:-1], mean.dtype))
    slopes = slopes - scale_and_shift(
        centred, of_scale / (deviation * count), of_bias / count
    )
    slopes = ops.cast(slopes * factor, skip.dtype)
    of_features = layer.upsampling.input_gradient(slopes)
    return of_features, slopes, of_scale, of_bias


def _sum(layer, features, skip):
    # In full precision, as moments overflow in half.
    dtype = keras.backend.result_type(layer.compute_dtype, "float32")
    return ops.cast(layer.upsampling(features) + skip, dtype)


def _all_but_channels(skip):
    return tuple(range(len(skip.shape) - 1))
