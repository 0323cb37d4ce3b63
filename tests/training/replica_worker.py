"""Trains tiny models for a few steps and keeps what came of it.

Run as `python -m tests.training.replica_worker STRATEGY OUTPUT CASE…`. In
double precision, since single precision amplifies rounding over a few steps
of Adam.
"""

import contextlib
import functools
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from dca_keras import losses
from dca_keras.data import Sample, make_dataset
from dca_keras.data.pipeline import open_crops
from dca_keras.metrics import DiceScore, IoU
from dca_keras.training import strategies
from dca_keras.training._replicas import fit_replicas
from dca_keras.training._validation import ValidateInWindows, make_predictor
from dca_keras.zoo import unet

# Whole batches, one that does not divide, one smaller than two replicas.
SIZES = (4, 4, 3, 1)
if keras.backend.backend() == "jax":
    SIZES = SIZES[:3]  # `make_even` is for a last batch
EPOCHS = 2


def own_pooled(y_true, y_pred):
    """A loss of somebody's own: one number for all, and no mean over images."""
    return 1 - ops.sqrt(ops.sum(y_true * y_pred) / ops.sum(y_true + y_pred))


def own_by_pixel(y_true, y_pred):
    return ops.square(y_true - y_pred)


def named(name, **config):
    return {"class_name": name, "config": config}


def adam():
    return keras.optimizers.Adam(1e-3)


def adamw():
    """Weight decay, clipping by the norm of all gradients, and a schedule."""
    rate = keras.optimizers.schedules.CosineDecay(0.05, 8)
    return keras.optimizers.AdamW(rate, weight_decay=0.1, global_clipnorm=0.01)


# Side of the images, channels of the model, loss, optimizer.
CASES = {
    "pooled": (32, 1, "DiceLoss", adam),
    "per_image": (32, 1, named("DiceLoss", per_image=True), adam),
    "compound": (8, 3, "DiceCrossEntropy", adam),
    "unsmoothed": (8, 3, named("DiceCrossEntropy", smooth=0.0), adam),
    "binary": (8, 1, "BinaryCrossentropy", adam),
    "sum": (8, 1, named("BinaryCrossentropy", reduction="sum"), adam),
    "pooled_sum": (8, 1, named("DiceLoss", reduction="sum"), adam),
    "tversky": (8, 3, named("Tversky", alpha=0.3, beta=0.7), adam),
    "by_class": (8, 3, named("Tversky", axis=[0, 1, 2]), adam),
    "ignored": (
        8,
        3,
        named("SparseCategoricalCrossentropy", ignore_class=2),
        adam,
    ),
    "own_pooled": (8, 1, own_pooled, adam),
    "own_by_pixel": (8, 1, own_by_pixel, adam),
    "adamw": (8, 1, "DiceLoss", adamw),
    "volumes": ((8, 8, 8), 3, "DiceCrossEntropy", adam),
    "clipnorm": (
        8,
        1,
        "BinaryCrossentropy",
        lambda: keras.optimizers.SGD(0.5, clipnorm=0.01),
    ),
    "clipvalue": (
        8,
        1,
        "BinaryCrossentropy",
        lambda: keras.optimizers.SGD(0.5, momentum=0.9, clipvalue=0.01),
    ),
}


def make_data(side, channels):
    def batches():
        rng = np.random.default_rng(0)
        for size in SIZES:
            images = rng.random((size, side, side, 3), dtype="float32")
            masks = np.digitize(images[..., :1], [0.6, 0.8][: channels or 1])
            yield images, masks.clip(max=max(channels - 1, 1)).astype("int32")

    image = tf.TensorSpec((None, side, side, 3), "float32")
    mask = tf.TensorSpec((None, side, side, 1), "int32")
    return tf.data.Dataset.from_generator(
        batches, output_signature=(image, mask)
    )


def make_volumes():
    """As many as `SIZES` have images, some larger than a window."""

    def load(number):
        rng = np.random.default_rng(number)
        image = rng.random((8, 9, 10 + number, 3), dtype="float32")
        mask = np.digitize(image[..., :1], [0.6, 0.8])
        return image, mask.astype("int32")

    return [
        Sample(str(number), "", functools.partial(load, number))
        for number in range(5)
    ]


def make_model(side, channels):
    if side == 32:
        return unet((32, 32, 3), filters=(4, 4, 8))
    sides = side if np.ndim(side) else (side, side)
    conv_layer = getattr(keras.layers, f"Conv{len(sides)}D")
    inputs = keras.Input((*sides, 3))
    conv = conv_layer(  # no bias: after it the norm takes the mean
        4, 3, padding="same", use_bias=False, kernel_regularizer="l2"
    )
    x = keras.layers.BatchNormalization()(conv(inputs))
    activation = "sigmoid" if channels == 1 else "softmax"
    x = conv_layer(channels, 1, activation=activation)(ops.relu(x))
    return keras.Model(inputs, x)


def make_metrics(channels):
    metrics = [DiceScore(per_image=True), IoU(per_image=True)]
    metrics += [DiceScore(name="dice_pooled", smooth=0.0)]
    if channels == 1:
        accuracy = keras.metrics.BinaryAccuracy()
        return [*metrics, accuracy, keras.metrics.BinaryIoU()]
    return [*metrics, keras.metrics.SparseCategoricalAccuracy()]


class Remember(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append([float(logs[name]) for name in sorted(logs)])


def train(strategy, case):
    """The weights and the scores after `EPOCHS`."""
    side, channels, loss, make_optimizer = CASES[case]
    keras.utils.set_random_seed(0)
    scope = strategy.scope if strategy else contextlib.nullcontext
    with scope():
        metrics = make_metrics(channels)
        model = make_model(side, channels)
        model.compile(make_optimizer(), losses.get(loss), metrics=metrics)
        model.optimizer.build(model.trainable_variables)
    strategies.synchronize_batch_norm(model)
    callbacks = [Remember()]
    if np.ndim(side):
        crops = {"image_size": side, "num_classes": channels}
        volumes, val_data = make_volumes(), None
        train_data = make_dataset(
            volumes,
            batch_size=2,
            sampling="crop",
            augment=True,
            epochs=range(EPOCHS),
            **crops,
        )
        steps = 3  # the last one of one volume
        predictor = make_predictor(model, strategy)
        seen = open_crops(volumes[:3], **crops)
        callbacks.insert(0, ValidateInWindows(predictor, seen, model.loss))
    else:
        val_data, steps = make_data(side, channels), len(SIZES)
        train_data = val_data.repeat(EPOCHS)
    fit, words = model.fit, {"verbose": 0, "shuffle": False}
    if isinstance(strategy, keras.distribution.DataParallel):
        train_data = strategies.make_even(train_data, 2, None)
        if val_data is not None:
            val_data = strategies.make_even(val_data, 2, sum(SIZES))
    elif strategy is not None:
        fit = functools.partial(fit_replicas, strategy, model)
        words = {"metrics": metrics}
    with scope():
        fit(
            train_data,
            validation_data=val_data,
            epochs=EPOCHS,
            initial_epoch=0,
            steps_per_epoch=steps,
            callbacks=callbacks,
            **words,
        )
    weights = [ops.convert_to_numpy(v) for v in model.variables]
    return [*weights, np.array(callbacks[-1].logs)]


def main(name, output, *cases):
    strategy = None
    if name != "single":
        device = "cpu" if keras.backend.backend() == "jax" else "CPU"
        devices = [f"{device}:{i}" for i in range(2)]
        strategy = strategies.open_strategy(
            name, devices if name == "mirrored" else None
        )
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    arrays = {}
    for case in cases or CASES:
        for index, array in enumerate(train(strategy, case)):
            arrays[f"{case} {index:03}"] = array
    np.savez(output, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
