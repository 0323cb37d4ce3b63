"""Copies of trained models for inference: norms folded, dropout removed."""

import collections
import itertools

import keras
import numpy as np
from keras import layers

DTYPES = ("float32", "bfloat16", "float16")
_CONVOLUTIONS = (layers.Conv2D, layers.Conv3D)
_TRANSPOSED = (layers.Conv2DTranspose, layers.Conv3DTranspose)
_ONLY_IN_TRAINING = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.GaussianDropout,
    layers.GaussianNoise,
)


def inference_model(model, *, any_size=False, dtype=None):
    """Copy a model for inference.

    A batch normalization is folded into the convolution before it, unless
    another layer reads that convolution as well. Dropout and noise are
    removed, and a Normalization layer becomes a Rescaling. The output is the
    same up to rounding.

    Folding makes a SavedModel of the U-Net 3 % quicker (5 % with DCA) and 1 %
    smaller. ONNX Runtime and OpenVINO fold by themselves.

    Args:
        model: A functional `keras.Model` with one input and one output.
        any_size: Whether the copy takes images of any size even if `model`
            was built for one.
        dtype: Dtype of weights and computation, "float32", "bfloat16" or
            "float16"; the last layer stays in float32. `None` leaves every
            layer as it is.

    Returns:
        A `keras.Model` with weights of its own.

    Raises:
        ValueError: If `model` is another kind of model or can't take any
            size, or `dtype` is another dtype.
    """
    _check_arguments(model, dtype)
    norms = _foldable_norms(model)
    last = model.output._keras_history.operation

    def copy(layer):
        if _shifts_channels(layer):
            layer = _as_rescaling(layer)
        config = layer.get_config()
        if layer in norms:
            config["use_bias"] = True
        if dtype is not None:
            config["dtype"] = "float32" if layer is last else dtype
        return layer.__class__.from_config(config)

    gone = {norm.name for norm in norms.values()}
    gone |= {x.name for x in model.layers if isinstance(x, _ONLY_IN_TRAINING)}

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in gone else layer(*args, **kwargs)

    try:
        copied = keras.models.clone_model(
            model,
            _new_input(model, any_size),
            clone_function=copy,
            call_function=call,
        )
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{model.name} can't be copied for export"
            f"{' with `any_size`' * any_size}: {error}"
        ) from error
    for layer in copied.layers:
        if not layer.weights:
            continue
        original = model.get_layer(layer.name)
        weights = original.get_weights()
        if original in norms:
            weights = _fold(original, norms[original])
        layer.set_weights(weights)
    return copied


def _check_arguments(model, dtype):
    if (
        not isinstance(model, keras.Model)
        or not hasattr(model, "_nodes_by_depth")
        or len(model.inputs) != 1
        or len(model.outputs) != 1
        or len(model.input_shape) not in (4, 5)
    ):
        raise ValueError(
            "`model` must be a functional keras.Model from images to maps of "
            f"classes, as `dca_keras.zoo` builds them. Received: {model!r}"
        )
    if dtype not in (None, *DTYPES):
        raise ValueError(
            f"`dtype` must be None or one of {DTYPES}. Received: {dtype!r}"
        )


def _new_input(model, any_size):
    batch, *sides, channels = model.input_shape
    if any_size:
        sides = [None] * len(sides)
    return keras.Input(batch_shape=(batch, *sides, channels), name="images")


def _foldable_norms(model):
    """Return a dictionary from convolutions to norms that they can absorb.

    A layer that is called several times counts once: a shared convolution
    absorbs a norm that is shared in the same way.
    """
    readers, sources = (collections.defaultdict(set) for _ in range(2))
    nodes = model._nodes_by_depth.values()
    for node in itertools.chain.from_iterable(nodes):
        for tensor in node.input_tensors:
            source = tensor._keras_history.operation
            readers[source].add(node.operation)
            sources[node.operation].add(source)
    readers[model.output._keras_history.operation].add(None)
    return {
        layer: norm
        for layer in model.layers
        if isinstance(layer, _CONVOLUTIONS + _TRANSPOSED)
        and layer.activation is keras.activations.linear
        and len(readers[layer]) == 1
        and isinstance(
            norm := next(iter(readers[layer])), layers.BatchNormalization
        )
        and sources[norm] == {layer}
        and norm.axis in (-1, len(model.input_shape) - 1)
    }


def _shifts_channels(layer):
    return (
        isinstance(layer, layers.Normalization)
        and layer.axis in ((-1,), (len(layer.input.shape) - 1,))
        and not layer.invert
    )


def _as_rescaling(norm):
    """Return the Rescaling equal to a Normalization.

    ONNX files would have the statistics as inputs.
    """
    mean, variance = (
        np.float64(keras.ops.convert_to_numpy(values)).ravel()
        for values in (norm.mean, norm.variance)
    )
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return layers.Rescaling(
        scale.tolist(),
        (-mean * scale).tolist(),
        name=norm.name,
        dtype=norm.dtype_policy,
    )


def _fold(conv, norm):
    """Return the kernel and bias of a convolution with its norm in them."""
    kernel, *bias = (np.float64(weight) for weight in conv.get_weights())
    mean, variance = (
        np.float64(keras.ops.convert_to_numpy(weight))
        for weight in (norm.moving_mean, norm.moving_variance)
    )
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * keras.ops.convert_to_numpy(norm.gamma)
    shift = -mean * scale
    if norm.beta is not None:
        shift = shift + keras.ops.convert_to_numpy(norm.beta)
    if bias:
        shift = shift + bias[0] * scale
    # A transposed kernel is (sides…, out, in), the others (sides…, in, out).
    across = scale[:, None] if isinstance(conv, _TRANSPOSED) else scale
    return [kernel * across, shift]
