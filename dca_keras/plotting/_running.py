"""A model run once on one image, while some of its layers are watched."""

import contextlib

import keras
import numpy as np


def batch_of(model, image):
    """Return the image as a batch of one that the model takes.

    Raises:
        ValueError: If the model has several inputs, or the image is not what
            it takes.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1:
        raise ValueError(
            "`model` must be a functional model of one input, the image. "
            f"Received: {model!r} with inputs {inputs}."
        )
    shape = tuple(inputs[0].shape[1:])
    image = np.asarray(image, "float32")
    if image.ndim != len(shape) or any(
        side is not None and side != found
        for side, found in zip(shape, image.shape, strict=True)
    ):
        raise ValueError(
            f"`image` must have the shape that the model takes, {shape}. "
            f"Received: {image.shape}. Resize it, with "
            "`dca_keras.data.resize_image` for example, or cut a part out."
        )
    batch = keras.ops.convert_to_tensor(image[None])
    return keras.tree.pack_sequence_as(model.input, [batch])


def graph_layers(model):
    """Yield a model's layers, and those of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from graph_layers(layer)
        else:
            yield layer


@contextlib.contextmanager
def replaced_call(layer, make):
    """Let a layer's `call` be `make(call)` for a while."""
    layer.call = make(layer.call)
    try:
        yield
    finally:
        del layer.call
