"""Trains a tiny model for a few steps and keeps what came of it.

Run as `python -m tests.training.replica_worker STRATEGY OUTPUT`, with the
pooled loss and with each image's own. In double precision, since single
precision amplifies rounding over a few steps of Adam.
"""

import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf

from dca_keras.losses import DiceLoss
from dca_keras.metrics import DiceScore, IoU
from dca_keras.training import strategies
from dca_keras.training._replicas import fit_replicas
from dca_keras.zoo import unet

# Whole batches, one that does not divide, one smaller than two replicas.
SIZES = (4, 4, 3, 1)
EPOCHS = 2


def batches():
    rng = np.random.default_rng(0)
    for size in SIZES:
        images = rng.random((size, 32, 32, 3), dtype="float32")
        yield images, (images[..., :1] > 0.6).astype("int32")


def make_data():
    image = tf.TensorSpec((None, 32, 32, 3), "float32")
    mask = tf.TensorSpec((None, 32, 32, 1), "int32")
    return tf.data.Dataset.from_generator(
        batches, output_signature=(image, mask)
    )


class Remember(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        names = ("loss", "dice", "iou", "val_loss", "val_dice", "val_iou")
        self.logs.append([logs[name] for name in names])


def train(strategy, per_image):
    """The weights and the scores after `EPOCHS`."""
    keras.utils.set_random_seed(0)
    metrics = [DiceScore(per_image=True), IoU(per_image=True)]
    scope = strategy.scope() if strategy else contextlib.nullcontext()
    with scope:
        model = unet((32, 32, 3), filters=(4, 4, 8))
        model.compile(
            keras.optimizers.Adam(1e-3),
            DiceLoss(per_image=per_image),
            metrics=metrics,
        )
        model.optimizer.build(model.trainable_variables)
    strategies.synchronize_batch_norm(model)
    remember = Remember()
    words = {
        "validation_data": make_data(),
        "epochs": EPOCHS,
        "initial_epoch": 0,
        "steps_per_epoch": len(SIZES),
        "callbacks": [remember],
    }
    data = make_data().repeat(EPOCHS)
    if strategy is None:
        model.fit(data, verbose=0, shuffle=False, **words)
    else:
        fit_replicas(strategy, model, data, metrics=metrics, **words)
    return [*(v.numpy() for v in model.variables), np.array(remember.logs)]


def main(name, output):
    strategy = None
    if name != "single":
        devices = ["CPU:0", "CPU:1"] if name == "mirrored" else None
        strategy = strategies.open_strategy(name, devices)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    pooled, per_image = train(strategy, False), train(strategy, True)
    np.savez(output, *pooled, *per_image)


if __name__ == "__main__":
    main(*sys.argv[1:])
