import collections
import dataclasses
import hashlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from dca_keras.data import make_dataset, read_dataset

SAMPLES = read_dataset("synthetic", image_side=32, train=10).train
SIZE = (32, 48)
ON_TENSORFLOW = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="of TensorFlow's own",
)


def epochs(dataset, count=2):
    """The bytes of every image and mask, one list an epoch."""
    return [
        [
            tensor.tobytes()
            for batch in dataset.as_numpy_iterator()
            for tensors in batch
            for tensor in tensors
        ]
        for _ in range(count)
    ]


def counting(samples, counts):
    def counted(sample):
        def load():
            counts[sample.name] += 1
            return sample.load()

        return dataclasses.replace(sample, load=load)

    return [counted(sample) for sample in samples]


def test_batches():
    dataset = make_dataset(SAMPLES, SIZE, 4)
    assert dataset.element_spec == (
        tf.TensorSpec((None, 32, 48, 3), "float32"),
        tf.TensorSpec((None, 32, 48, 1), "int32"),
    )
    assert dataset.cardinality() == 3
    images, masks = zip(*dataset.as_numpy_iterator(), strict=True)
    assert [len(batch) for batch in images] == [4, 4, 2]
    assert np.max(images[0]) <= 1 and set(np.unique(masks[0])) == {0, 1}
    first = make_dataset(SAMPLES, (32, 32), 1).as_numpy_iterator().next()
    for tensor, expected in zip(first, SAMPLES[0].load(), strict=True):
        np.testing.assert_array_equal(tensor[0], expected)


def test_drop_remainder():
    dataset = make_dataset(SAMPLES, SIZE, 4, drop_remainder=True)
    assert dataset.cardinality() == 2
    assert dataset.element_spec[0].shape == (4, 32, 48, 3)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("augment", [False, True])
def test_equal_arguments_make_equal_batches(shuffle, augment):
    arguments = {"shuffle": shuffle, "augment": augment, "seed": 3}
    one = epochs(make_dataset(SAMPLES, SIZE, 4, **arguments), 3)
    two = epochs(make_dataset(SAMPLES, SIZE, 4, **arguments), 3)
    assert one == two
    assert (one[0] != one[1]) == (shuffle or augment)
    arguments["seed"] = 4
    other = epochs(make_dataset(SAMPLES, SIZE, 4, **arguments), 1)
    assert (one[0] != other[0]) == (shuffle or augment)


def test_shuffling_keeps_every_sample():
    plain = epochs(make_dataset(SAMPLES, SIZE, 4), 1)[0]
    for shuffled in epochs(make_dataset(SAMPLES, SIZE, 4, shuffle=True)):
        assert sorted(shuffled) == sorted(plain)


def test_every_epoch_is_augmented_differently():
    dataset = make_dataset(SAMPLES, SIZE, 4, augment=True)
    assert len(set(map(tuple, epochs(dataset, 4)))) == 4


def fit(dataset, seen, **arguments):
    """Fit and note the images of every batch."""

    class Noting(keras.Model):
        def train_step(self, data):
            seen.append(data[0].numpy().tobytes())
            return super().train_step(data)

    inputs = keras.Input((*SIZE, 3))
    outputs = keras.layers.Conv2D(1, 1, activation="sigmoid")(inputs)
    model = Noting(inputs, outputs)
    model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    model.fit(dataset, epochs=3, verbose=0, shuffle=False, **arguments)


@ON_TENSORFLOW
def test_fit_sees_new_and_repeatable_epochs():
    def make(samples=SAMPLES, **arguments):
        return make_dataset(
            samples, SIZE, 4, shuffle=True, augment=True, **arguments
        )

    counts, one, two = collections.Counter(), [], []
    fit(make(counting(SAMPLES, counts)), one)
    fit(make(), two)
    assert one == two
    assert len(set(one)) == len(one) == 9
    assert max(counts.values()) <= 3
    whole, rest = [], []
    fit(make(epochs=range(3)), whole, steps_per_epoch=3)
    assert len(set(whole)) == len(whole) == 9
    fit(make(epochs=range(1, 3)), rest, steps_per_epoch=3, initial_epoch=1)
    assert rest == whole[3:]


def test_loads_every_sample_once():
    counts = collections.Counter()
    dataset = make_dataset(counting(SAMPLES, counts), SIZE, 4, shuffle=True)
    counts.clear()
    epochs(dataset, 3)
    assert set(counts.values()) == {1} and len(counts) == len(SAMPLES)


def test_a_broken_file_is_named():
    def load():
        raise ValueError("torn.png can't be read as an image.")

    torn = dataclasses.replace(SAMPLES[0], load=load)
    dataset = make_dataset([SAMPLES[1], torn], SIZE, 2)
    with pytest.raises(Exception, match=r"torn\.png can't be read"):
        epochs(dataset, 1)


def batches(dataset):
    return [
        b"".join(tensor.tobytes() for tensor in batch)
        for batch in dataset.as_numpy_iterator()
    ]


@keras.saving.register_keras_serializable("tests")
class Darken(keras.layers.Layer):
    """Draws nothing."""

    def call(self, inputs):
        return {**inputs, "images": inputs["images"] / 2}


def noisy(inputs, seed):
    noise = tf.random.stateless_normal(tf.shape(inputs["images"]), seed)
    return {**inputs, "images": inputs["images"] + noise}


AUGMENTATIONS = {
    "none": lambda: False,
    "paper": lambda: True,
    "callable": lambda: noisy,
    "keras": lambda: keras.layers.Pipeline(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(0.2),
        ]
    ),
}


@ON_TENSORFLOW
@pytest.mark.parametrize("cache", ["memory", "none", "disk"])
@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_a_run_can_be_resumed_anywhere(tmp_path, augment, cache):
    def make(**changes):
        arguments = {
            "augment": AUGMENTATIONS[augment](),
            "cache": {"memory": True, "none": False, "disk": tmp_path}[cache],
            "seed": 3,
            "shuffle": True,
        }
        return make_dataset(SAMPLES, SIZE, 4, **(arguments | changes))

    whole = make(epochs=range(4))
    assert whole.cardinality() == 12
    expected = batches(whole)
    assert len(set(expected)) == 12
    by_pass = make()
    assert [b for _ in range(4) for b in batches(by_pass)] == expected
    keras.utils.set_random_seed(77)
    calls = {"num_parallel_calls": 7}
    assert batches(make(epochs=range(4), **calls)) == expected
    again = make(epochs=range(2, 4), first_step=1, num_parallel_calls=1)
    assert again.cardinality() == 5
    assert batches(again) == expected[7:]
    assert batches(make(epochs=range(4), seed=4)) != expected


def test_another_process_makes_the_same_batches():
    code = (
        "import hashlib; from dca_keras.data import *;"
        "s = read_dataset('synthetic', image_side=32, train=10).train;"
        "d = make_dataset(s, (32, 48), 4, shuffle=True, augment=True);"
        "print(hashlib.sha256(b''.join(t.tobytes() for _ in range(2)"
        " for b in d.as_numpy_iterator() for t in b)).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    dataset = make_dataset(SAMPLES, SIZE, 4, shuffle=True, augment=True)
    here = b"".join(batches(dataset) + batches(dataset))
    assert there == hashlib.sha256(here).hexdigest() + "\n"


def test_caches_give_the_same_samples(tmp_path):
    memory, none, disk = (
        batches(make_dataset(SAMPLES, SIZE, 4, cache=cache))
        for cache in (True, False, tmp_path)
    )
    assert memory == none == disk


def check_layer(layer, repeatable=True):
    """Image and mask are transformed alike, and every sample differently."""

    def as_own_image(sample):
        _, mask = sample.load()
        return dataclasses.replace(
            sample, load=lambda: (mask.astype("float32"), mask)
        )

    samples = [as_own_image(sample) for sample in SAMPLES]
    dataset = make_dataset(samples, (32, 32), 10, augment=layer)
    plain = next(make_dataset(samples, (32, 32), 10).as_numpy_iterator())[1]
    images, masks = next(dataset.as_numpy_iterator())
    assert masks.dtype == "int32" and set(np.unique(masks)) == {0, 1}
    assert np.mean((images > 0.5) == (masks > 0)) > 0.98
    moved = [np.any(a != b) for a, b in zip(masks, plain, strict=True)]
    assert sum(moved) >= 2
    assert len(set(map(tuple, epochs(dataset, 3)))) == 3
    arguments = {"augment": layer, "shuffle": True}
    whole = make_dataset(samples, (32, 32), 4, epochs=range(3), **arguments)
    rest = make_dataset(
        samples, (32, 32), 4, epochs=range(1, 3), first_step=2, **arguments
    )
    whole, rest = batches(whole), batches(rest)
    assert len(set(whole)) == 9 and len(rest) == 4
    if repeatable:
        assert rest == whole[5:]


@ON_TENSORFLOW
@pytest.mark.parametrize("name", ["RandomFlip", "RandomZoom", "RandomShear"])
def test_keras_layers_augment(name):
    arguments = {
        "RandomZoom": (0.3,),
        "RandomShear": (0.4,),
    }
    layer = getattr(keras.layers, name)
    check_layer(layer(*arguments.get(name, ())))


@ON_TENSORFLOW
@pytest.mark.parametrize(
    ("name", "repeatable"),
    [("Flip", True), ("Translation", True), ("Shear", False)],
)
def test_keras_cv_layers_augment(name, repeatable):
    layers = pytest.importorskip("keras_cv").layers
    layer = {
        "Flip": lambda: layers.RandomFlip("horizontal_and_vertical"),
        "Translation": lambda: layers.RandomTranslation(0.3, 0.3),
        "Shear": lambda: layers.RandomShear(0.4, 0.4),
    }[name]
    check_layer(layer(), repeatable)


@ON_TENSORFLOW
def test_layers_without_a_generator_differ_in_every_epoch():
    layers = pytest.importorskip("keras_cv").layers
    layer = layers.RandomBrightness((-0.2, 0.2), value_range=(0, 1))
    dataset = make_dataset(SAMPLES, SIZE, 10, augment=layer)
    assert len(set(map(tuple, epochs(dataset, 3)))) == 3


@ON_TENSORFLOW
def test_a_layer_that_draws_nothing_augments():
    dataset = make_dataset(SAMPLES, SIZE, 10, augment=Darken())
    plain = make_dataset(SAMPLES, SIZE, 10)
    dark, bright = (next(d.as_numpy_iterator())[0] for d in (dataset, plain))
    np.testing.assert_array_equal(dark, bright / 2)


def test_any_callable_augments():
    bright = next(make_dataset(SAMPLES, SIZE, 10).as_numpy_iterator())[0]
    swapped = make_dataset(
        SAMPLES,
        SIZE,
        10,
        augment=lambda pair: {**pair, "images": 1 - pair["images"]},
    )
    inverse = next(swapped.as_numpy_iterator())[0]
    np.testing.assert_array_equal(inverse, 1 - bright)


@pytest.mark.parametrize("cache", [True, False, "disk"])
def test_workers_share_every_epoch(tmp_path, cache):
    """What `tf.distribute` does to a data set on two workers."""
    from tensorflow.python.data.experimental.ops import distribute

    cache = tmp_path if cache == "disk" else cache
    dataset = make_dataset(
        SAMPLES, SIZE, 2, shuffle=True, cache=cache, epochs=range(2)
    )
    whole = batches(dataset)
    shares = [
        batches(distribute._AutoShardDataset(dataset, 2, worker))
        for worker in range(2)
    ]
    assert [whole[0::2], whole[1::2]] == shares


WRONG_ARGUMENTS = [
    ({"samples": ()}, "`samples` is empty"),
    ({"image_size": (0, 32)}, r"`image_size` must .* Received: \(0, 32\)"),
    ({"image_size": 32}, "`image_size` must be a positive"),
    ({"image_size": (32, 32, 3)}, "`image_size` must be a positive"),
    ({"batch_size": 0}, "`batch_size` must be 1 or more. Received: 0"),
    ({"first_step": 1}, "`first_step` needs `epochs`"),
    ({"first_step": 5, "epochs": range(3)}, "from 0 to 4, .* Received: 5"),
    ({"epochs": range(3, 3)}, "`epochs` is empty"),
    ({"batch_size": 11, "drop_remainder": True}, "leaves no batch: 10 samp"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_ARGUMENTS)
def test_names_wrong_arguments(arguments, message):
    given = {"samples": SAMPLES, "image_size": SIZE, "batch_size": 2}
    with pytest.raises(ValueError, match=message):
        make_dataset(**(given | arguments))
