"""Samples into batches, with tf.data."""

import functools
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from dca_keras.data import stages
from dca_keras.data.crops import Crops, load_grid
from dca_keras.data.decoding import resize_image, resize_mask
from dca_keras.data.prepared import prepare, prepared_grid, prepared_samples
from dca_keras.data.samples import Sample

SAMPLINGS = ("resize", "crop")
# What is loaded at a time, at most: images, and values of images and masks.
PART_IMAGES, PART_VALUES = 32, 2**24


def make_dataset(
    samples: Sequence[Sample],
    image_size: tuple[int, ...],
    batch_size: int,
    *,
    sampling: str = "resize",
    num_classes: int | None = None,
    shuffle: bool = False,
    augment: bool = False,
    augment_intensity: bool = False,
    crops: int = 1,
    seed: int = 0,
    drop_remainder: bool = False,
    cache: bool | str | Path = True,
    epochs: int | None = None,
    first_step: int = 0,
    num_parallel_calls: int = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """Return a `tf.data.Dataset` of batches of images and masks.

    Samples are loaded, resized or cropped, cached, shuffled, augmented and
    batched. Every epoch has an order, crops and augmentations of its own,
    which depend on `samples`, `seed` and the epoch's number alone, to the
    last bit: not on TensorFlow's global seed, on the parallel calls, nor on
    where a run was stopped and resumed.

    Args:
        samples: `Sample`s that all have the same number of channels.
        image_size: (height, width) that images and masks are resized to, or
            the sides of a crop; (depth, height, width) crops volumes.
        batch_size: Samples in a batch.
        sampling: "resize", or "crop" for random crops of `image_size` at the
            samples' own grid. A third of the crops is centred on foreground,
            on each class of the mask as often; they are moved into the image
            where they would reach beyond. A smaller image lies in the middle
            of zeros.
        num_classes: 1, or the number of classes with the background, which
            masks are held to when they are cropped. None takes them as they
            are.
        shuffle: Whether to shuffle the samples.
        augment: True augments images as the paper does, see `augment`, and
            volumes by small rotations and scalings (not by flips, which make
            another anatomy); a `RandomAffine` with chances of your own is
            for crops. A Keras layer or another callable is called with
            {"images": (height, width, channels), "segmentation_masks":
            (height, width, 1)} and returns the same. A callable that has an
            argument `seed` receives an integer tensor (2,); for a layer the
            seed sets its random generators (under Keras's TensorFlow
            backend; under the others the layer's own seed holds). Layers of
            keras-cv can be used too, but some of them draw without a
            generator: those augment differently each time, so that such a
            run can't be repeated to the last bit.
        augment_intensity: True changes brightness, contrast and gamma of
            some images and adds noise, after all else; a `RandomIntensity`
            does so with numbers of your own.
        crops: Crops of each sample in an epoch.
        seed: Seed of the order, the crops and the augmentations.
        drop_remainder: Whether to leave out a last batch that is smaller.
        cache: True keeps the samples in memory, resized or whole; False loads
            them in every epoch, a folder keeps them there, see `prepare`.
        epochs: A range: one pass goes through these epochs, so that
            `range(3, 200)` resumes a run at epoch 3. None: a pass is one
            epoch, and the next pass the next epoch, from 0.
        first_step: Batches to leave out of the first of `epochs`.
        num_parallel_calls: How many samples to process in parallel.

    Returns:
        A tf.data.Dataset of float32 images (batch, height, width, channels)
        in [0, 1] and int32 masks (batch, height, width, 1), of volumes with
        a depth before the height. Its length is known.

    Raises:
        ValueError: If there is no batch to make, or a size is not positive.
    """
    _check_arguments(samples, image_size, sampling, crops)
    size, count = tuple(image_size), len(samples) * crops
    _check_batches(count, batch_size, drop_remainder)
    steps = count / batch_size
    steps = int(steps if drop_remainder else np.ceil(steps))
    _check_start(epochs, first_step, steps)
    calls = num_parallel_calls
    if sampling == "crop":
        drawn = open_crops(samples, size, num_classes=num_classes, cache=cache)
        turn, augment = stages.split_affine(augment, len(size))
        in_order = _numbers(count)
        parts = [stages.crop_stage(drawn, turn, calls)]
    else:
        in_order = _store(samples, size, cache, calls)
        parts = []
    if augment is not False:
        parts.append(stages.augment_stage(augment, calls))
    if augment_intensity is not False:
        parts.append(stages.intensity_stage(augment_intensity, calls))
    first_epoch = 0 if epochs is None else epochs[0]

    def one_epoch(epoch):
        # Otherwise `shuffle` would depend on the global seed.
        tf.compat.v1.set_random_seed(1)
        seeds = tf.stack([tf.cast(seed, "int64"), epoch])
        is_first = tf.cast(epoch == first_epoch, "int64")
        numbered = in_order(seeds if shuffle else None).enumerate()
        numbered = numbered.skip(is_first * first_step * batch_size)
        for part in parts:
            numbered = part(numbered, seeds)
        pairs = numbered.map(lambda _, pair: pair)
        return pairs.batch(batch_size, drop_remainder=drop_remainder)

    passes = 1 if epochs is None else len(epochs)
    length = tf.data.experimental.assert_cardinality(
        passes * steps - first_step
    )
    options = tf.data.Options()
    # Workers share each batch, so that all are in the same epoch.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    dataset = _epoch_numbers(epochs).flat_map(one_epoch).apply(length)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def _epoch_numbers(epochs):
    if epochs is not None:
        return tf.data.Dataset.from_tensor_slices(np.int64(epochs))
    passes = itertools.count()
    return tf.data.Dataset.from_tensors(0).map(
        lambda _: tf.ensure_shape(
            tf.numpy_function(lambda: np.int64(next(passes)), [], "int64"), ()
        )
    )


def open_crops(samples, image_size, *, num_classes=None, cache=True):
    """Return the `Crops` of samples; arguments as in `make_dataset`."""
    if isinstance(cache, bool):
        loads = [functools.partial(load_grid, sample) for sample in samples]
    else:
        paths = prepare(samples, None, cache)
        loads = [functools.partial(prepared_grid, path) for path in paths]
    keep = cache is not False
    return Crops(samples, loads, image_size, num_classes, keep)


def _numbers(count):
    """A function that returns numbers in the order that seeds give."""
    numbers = tf.data.Dataset.range(count)
    return lambda seeds: _shuffle(numbers, seeds, count)


def _store(samples, size, cache, calls):
    """A function that returns the pairs in the order that seeds give.

    None for the seeds is the order of the samples.
    """
    if not isinstance(cache, bool):
        samples = prepared_samples(prepare(samples, size, cache))
    load = _loader(samples, size, calls)
    indices = tf.data.Dataset.range(len(samples))
    if cache is True:
        pairs = load(indices).cache()
        return lambda seeds: _shuffle(pairs, seeds, len(samples))
    return lambda seeds: load(_shuffle(indices, seeds, len(samples)))


def _shuffle(dataset, seeds, buffer):
    if seeds is None:
        return dataset
    seed = tf.random.stateless_uniform((), seeds, 0, 2**31 - 1, "int64")
    return dataset.shuffle(buffer, seed=seed, reshuffle_each_iteration=False)


def _loader(samples, size, calls):
    """A function that maps indices to the pairs of an image and a mask.

    Parts of many indices are loaded at a time, by threads of Python. Calls
    from tf.data, one for each image, would wait for the interpreter's lock.
    """
    channels = samples[0].load()[0].shape[-1]
    threads = os.cpu_count() if calls == tf.data.AUTOTUNE else calls
    values = np.prod(size) * (channels + 1)
    part = max(threads, min(PART_IMAGES, PART_VALUES // values))

    def load(index):
        image, mask = samples[index].load()
        return resize_image(image, size), resize_mask(mask, size)

    def load_part(indices):
        with ThreadPoolExecutor(threads) as pool:
            images, masks = zip(*pool.map(load, indices), strict=True)
        return np.stack(images), np.stack(masks)

    def load_tensors(indices):
        images, masks = tf.numpy_function(
            load_part, [indices], ["float32", "int32"]
        )
        return (
            tf.ensure_shape(images, (None, *size, channels)),
            tf.ensure_shape(masks, (None, *size, 1)),
        )

    return lambda indices: (
        indices.batch(part).map(load_tensors).prefetch(1).unbatch()
    )


def _check_start(epochs, first_step, steps):
    if epochs is None:
        if first_step:
            raise ValueError("`first_step` needs `epochs`, a range.")
    elif not len(epochs):
        raise ValueError(f"`epochs` is empty. Received: {epochs!r}")
    if not 0 <= first_step < steps:
        raise ValueError(
            f"`first_step` must be from 0 to {steps - 1}, the last batch of "
            f"an epoch. Received: {first_step}"
        )


def _check_arguments(samples, image_size, sampling, crops):
    if not samples:
        raise ValueError("`samples` is empty. Pass at least one sample.")
    if sampling not in SAMPLINGS:
        raise ValueError(
            f'`sampling` must be "resize" or "crop". Received: {sampling!r}'
        )
    sizes = np.ravel(image_size)
    ranks = (2,) if sampling == "resize" else (2, 3)
    if sizes.size not in ranks or not all(side >= 1 for side in sizes):
        raise ValueError(
            "`image_size` must be a positive (height, width), or (depth, "
            'height, width) with `sampling="crop"`. Received: '
            f"{image_size!r}"
        )
    if crops < 1 or (crops > 1 and sampling == "resize"):
        raise ValueError(
            '`crops` must be 1, or more with `sampling="crop"`. Received: '
            f"{crops}"
        )


def _check_batches(count, batch_size, drop_remainder):
    if batch_size < 1:
        raise ValueError(
            f"`batch_size` must be 1 or more. Received: {batch_size}"
        )
    if drop_remainder and count < batch_size:
        raise ValueError(
            f"`drop_remainder` leaves no batch: {count} samples are fewer "
            f"than `batch_size` {batch_size}. Lower `batch_size`."
        )
