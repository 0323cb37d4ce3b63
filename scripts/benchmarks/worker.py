"""The program that takes a variant's steps, over the line protocol."""

import json
import math
import sys
import time

import keras
import numpy as np

from benchmarks.race import keep_protocol
from benchmarks.variant import NARROW, Variant
from dca_keras import insert_dca, zoo
from dca_keras.config import DCAConfig
from dca_keras.losses import DiceLoss


def build(variant):
    """The variant's model, compiled if it is to be trained."""
    keras.utils.set_random_seed(0)
    sizes = {"patch_size": 4} if variant.volume else {}
    dca = variant.dca and DCAConfig(blocks=variant.blocks, **sizes)
    model = zoo.create_model(
        variant.model,
        variant.input_shape,
        dca=dca if variant.inserted == "no" else False,
        dtype=variant.dtype,
        **({"filters": NARROW} if variant.volume else {}),
    )
    if variant.inserted != "no":
        model = insert_dca(model, config=dca, start=variant.inserted)
    if variant.training:
        model.compile(keras.optimizers.Adam(1e-4), DiceLoss())
        model.optimizer.build(model.trainable_variables)
    return model


def make_step(model, variant):
    """A function of nothing that takes one step and waits for its end."""
    shape = (variant.batch, *variant.input_shape)
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    masks = (images.mean(-1, keepdims=True) > 0.5).astype("float32")
    if variant.training:
        return lambda: float(model.train_on_batch(images, masks))
    return lambda: np.asarray(model.predict_on_batch(images))


def count_flops(model):
    """Floating-point operations of one image, as TensorFlow's profiler counts.

    A multiply-add is two. `None` on other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    image = tf.TensorSpec((1, *model.input_shape[1:]))
    graph = tf.function(model).get_concrete_function(image).graph
    options["output"] = "none"
    return profiler.profile(graph, options=options).total_float_ops


def main(text):
    variant = Variant(**json.loads(text))
    start = time.perf_counter()
    model = build(variant)
    built = time.perf_counter()
    step = make_step(model, variant)
    step()
    facts = {
        "parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "seconds_to_build": built - start,
        "seconds_of_first_step": time.perf_counter() - built,
    }
    if not variant.training:
        facts["flops"] = count_flops(model)
    step()
    clock = time.process_time if variant.cpu else time.perf_counter
    keep_protocol(step, facts, clock)


if __name__ == "__main__":
    main(sys.argv[1])
