"""What happens to each sample on its way into a batch.

A stage is a function of a dataset of pairs (number in the epoch, what the
stage before made) and of the seeds of the epoch, `[seed, epoch]`; it returns
such a dataset. Seeds and number alone decide what is drawn.
"""

import inspect

import keras
import numpy as np
import tensorflow as tf

from dca_keras.data import affine, augmentation
from dca_keras.data.intensity import RandomIntensity

# Crops and intensities draw from streams of their own, so that switching
# one off does not change the other.
CROP, INTENSITY = range(2)


def crop_stage(crops, augment, calls):
    """Turn numbers of samples into crops of them.

    Args:
        crops: A `Crops`.
        augment: A `RandomAffine` that turns each crop, or None.
        calls: Parallel calls.
    """
    channels = crops.grid(0).image.shape[-1]

    def draw(seeds, number, index):
        index = index % len(crops.samples)
        return crops.draw(index, _generator(seeds, number, CROP), augment)

    def crop(seeds, number, index):
        image, mask = tf.numpy_function(
            draw, [seeds, number, index], ["float32", "int32"]
        )
        return (
            tf.ensure_shape(image, (*crops.size, channels)),
            tf.ensure_shape(mask, (*crops.size, 1)),
        )

    return _stage(crop, calls)


def split_affine(augment, rank):
    """Return what turns crops, and what is left to augment the turned ones."""
    if augment is True:
        return (affine.IMAGES if rank == 2 else affine.VOLUMES), False
    if isinstance(augment, affine.RandomAffine):
        return augment, False
    return None, augment


def augment_stage(augment, calls):
    """Augment pairs of an image and a mask, see `make_dataset`."""
    if augment is True:
        transform = augmentation.augment
    elif isinstance(augment, affine.RandomAffine):
        raise ValueError(
            '`augment` can be a RandomAffine with `sampling="crop"` alone.'
        )
    elif isinstance(augment, keras.Layer):
        transform = augmentation.with_layer(augment)
        calls = None  # One after another, as they share random generators.
    elif "seed" in inspect.signature(augment).parameters:
        transform = augmentation.with_callable(augment)
    else:
        transform = augmentation.with_callable(lambda pair, seed: augment(pair))
        calls = None
    fold_in = tf.random.experimental.stateless_fold_in
    return _stage(
        lambda seeds, number, pair: transform(*pair, fold_in(seeds, number)),
        calls,
    )


def intensity_stage(augment, calls):
    """Change intensities of images; True stands for `RandomIntensity()`."""
    augment = RandomIntensity() if augment is True else augment

    def change(seeds, number, image):
        return augment.apply(image, _generator(seeds, number, INTENSITY))

    def changed(seeds, number, pair):
        image, mask = pair
        new = tf.numpy_function(change, [seeds, number, image], "float32")
        return tf.ensure_shape(new, image.shape), mask

    return _stage(changed, calls)


def _stage(function, calls):
    return lambda numbered, seeds: numbered.map(
        lambda number, value: (number, function(seeds, number, value)),
        num_parallel_calls=calls,
    )


def _generator(seeds, number, stream):
    words = [int(word) % 2**64 for word in (*seeds, number, stream)]
    return np.random.Generator(np.random.PCG64(words))
