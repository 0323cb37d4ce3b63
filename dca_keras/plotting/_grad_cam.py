"""Grad-CAM: which places of a coarse map raise a class's score."""

import contextlib

import keras
import numpy as np
from keras import ops
from scipy import ndimage

from dca_keras.plotting._running import batch_of, graph_layers, replaced_call


def grad_cam(
    model: keras.Model,
    image: np.ndarray,
    class_index: int | None = None,
    layer: str | keras.Layer | None = None,
) -> np.ndarray:
    """Compute where a layer's features speak for a class (Seg-Grad-CAM).

    The score is the mean of the class's logits over the pixels that the model
    gives to it, or over all where it gives it none. Each channel of the
    layer's output counts as much as the score rises with it.

    Args:
        model: A functional segmentation model of one input that returns
            probabilities; of several outputs, the largest map is explained.
        image: `(height, width, channels)` or `(depth, height, width,
            channels)`, as the model takes it.
        class_index: The class's number in the mask; `None` is the one that
            the model gives most pixels to, the background left out.
        layer: A layer, or its name; `None` is the last of those with the
            coarsest maps, which is the bottleneck of an encoder-decoder.

    Returns:
        Map of the image's sides, float32 in [0, 1]; all zero where no place
        speaks for the class.

    Raises:
        ValueError: If the image, class or layer does not fit the model.

    Reference:
        [Grad-CAM](https://arxiv.org/abs/1610.02391),
        [Seg-Grad-CAM](https://arxiv.org/abs/2002.11434)
    """
    batch = batch_of(model, image)
    sides = np.shape(image)[:-1]
    layers, probabilities = _trace(model, batch, sides)
    layer = _choose_layer(layers, layer)
    channel, region = _region(probabilities, class_index)
    features = layers[layer]

    def score(change):
        with replaced_call(layer, lambda call: _plus(call, change)):
            found = _main_output(model(batch, training=False), sides)
        found = ops.clip(found[..., channel], 1e-6, 1 - 1e-6)
        logits = ops.log(found) - ops.log(1 - found)
        return ops.sum(logits * region) / np.sum(region)

    slopes = ops.convert_to_numpy(_gradient(score, ops.zeros_like(features)))
    features = ops.convert_to_numpy(ops.cast(features, "float32"))[0]
    weights = slopes[0].reshape(-1, slopes.shape[-1]).mean(axis=0)
    heat = np.maximum(features @ weights, 0)
    zoom = np.divide(sides, heat.shape)
    heat = ndimage.zoom(heat, zoom, order=1, grid_mode=True, mode="nearest")
    return (heat / max(heat.max(), 1e-12)).astype("float32")


def _plus(call, change):
    def changed(*args, **kwargs):
        outputs = call(*args, **kwargs)
        if outputs.shape != change.shape:  # of a layer for several scales
            return outputs
        return outputs + ops.cast(change, outputs.dtype)

    return changed


def _trace(model, batch, sides):
    """Return the maps of all layers in the order of their calls."""
    maps = {}

    def watch(layer):
        def make(call):
            def watched(*args, **kwargs):
                outputs = call(*args, **kwargs)
                if len(getattr(outputs, "shape", ())) == len(sides) + 2:
                    maps.pop(layer, None)
                    maps[layer] = outputs
                return outputs

            return watched

        return make

    with contextlib.ExitStack() as stack:
        for layer in dict.fromkeys(graph_layers(model)):
            if not isinstance(layer, keras.layers.InputLayer):
                stack.enter_context(replaced_call(layer, watch(layer)))
        outputs = model(batch, training=False)
    return maps, _main_output(outputs, sides)


def _main_output(outputs, sides):
    for output in keras.tree.flatten(outputs):
        if tuple(output.shape[1:-1]) == tuple(sides):
            return ops.cast(output, "float32")
    raise ValueError(
        "`model` must have an output of the image's sides. Received outputs "
        f"of shapes {[tuple(y.shape) for y in keras.tree.flatten(outputs)]}."
    )


def _choose_layer(maps, layer):
    if layer is None:
        sizes = {x: int(np.prod(y.shape[1:-1])) for x, y in maps.items()}
        coarsest = min(size for size in sizes.values() if size > 1)
        return [x for x, size in sizes.items() if size == coarsest][-1]
    for x in maps:
        if layer in (x, x.name):
            return x
    raise ValueError(
        "`layer` must be a layer of the model whose output is a map, or its "
        f"name. Received: {layer!r}."
    )


def _region(probabilities, class_index):
    """Return the class's channel, and where it is predicted."""
    found = ops.convert_to_numpy(probabilities)
    single = found.shape[-1] == 1
    mask = found[..., 0] > 0.5 if single else found.argmax(axis=-1)
    classes = 2 if single else found.shape[-1]
    if class_index is None:
        counts = np.bincount(mask.ravel().astype(int), minlength=classes)
        class_index = 1 + int(counts[1:].argmax())
    elif not single <= class_index < classes:
        raise ValueError(
            f"`class_index` must be from {int(single)} to {classes - 1}. "
            f"Received: {class_index}."
        )
    region = mask == class_index
    region = region if region.any() else np.ones_like(region)
    return class_index - single, region.astype("float32")


def _gradient(function, x):
    """Return the gradient of a number with regard to `x`."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)
    if backend == "jax":
        import jax

        return jax.grad(function)(x)
    import torch

    x = x.detach().requires_grad_(True)
    return torch.autograd.grad(function(x), x)[0]
