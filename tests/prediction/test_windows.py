"""Windows: where they lie, and that their seams don't show."""

import itertools
import math

import keras
import numpy as np
import pytest

from dca_keras import DCAConfig
from dca_keras.prediction import plan_prediction, predict, side_multiple
from dca_keras.prediction._windows import lay_windows, stream_windows
from dca_keras.zoo import create_model, unet

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("overlap", [0, 1, 2, 7, 20])
@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("side", [32, 33, 40, 63, 64, 200, 1001])
def test_windows_cover_a_side(side, multiple, overlap):
    window = 32
    starts, weights = lay_windows(side, window, overlap, multiple)
    total = np.zeros(side)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + window] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert weights.min() >= 0
    assert starts[0] == 0 and starts[-1] == side - window
    assert np.diff(starts).max(initial=0) <= window - overlap
    # Nothing counts where a window sees a border that the side has not.
    bare = (overlap + 1) // 2
    assert not weights[1:, :bare].any()
    assert not weights[:-1, window - bare :].any()


def blend_at_once(predict, image, window, overlap, multiple, batch_size):
    """All windows into one array, in the order and batches of the stream."""
    axes = [
        list(zip(*lay_windows(*axis), strict=True))
        for axis in zip(
            image.shape[:-1], window, overlap, multiple, strict=True
        )
    ]
    places = list(itertools.product(*axes))
    blended = 0
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        cuts = [
            tuple(
                slice(first, first + side)
                for (first, _), side in zip(place, window, strict=True)
            )
            for place in batch
        ]
        found = predict(np.stack([image[cut] for cut in cuts]))
        blended = blended + np.zeros((*image.shape[:-1], found.shape[-1]), "f")
        for place, cut, part in zip(batch, cuts, found, strict=True):
            weights = np.ix_(*(weight for _, weight in place))
            blended[cut] += part * math.prod(weights)[..., None]
    return blended


@pytest.mark.parametrize("size", [(8, 12, 9), (21, 12, 9), (40, 33, 20)])
@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_a_stream_says_the_same_to_the_last_bit(size, batch_size):
    image = RNG.random((*size, 2), "float32")
    windows = (8, 12, 9), (3, 2, 0), (4, 1, 3), batch_size
    arguments = lambda batch: np.exp(batch), image, *windows  # noqa: E731
    rows = list(stream_windows(*arguments))
    np.testing.assert_array_equal(rows, blend_at_once(*arguments))


def test_a_stream_holds_no_more_than_a_window_of_slices():
    started = []

    def predict(batch):
        started.append(int(batch[0, 0, 0, 0, 0]))
        return batch

    image = np.arange(40.0)[:, None, None, None] * np.ones((1, 8, 8, 1))
    rows = stream_windows(predict, image, (8, 8, 8), (2, 2, 2), (1, 1, 1), 1)
    for index, row in enumerate(rows):
        np.testing.assert_allclose(row, index, rtol=1e-6)
        # The windows that were needed, and none that begins below.
        assert max(started) <= index + 5
    assert len(started) == len(set(started)) == 8


def convolutions(sides, pool=1, rank=2):
    """Small and with random weights; see `RECEPTIVE` for what it looks at."""
    conv = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[rank]
    pooling = {2: keras.layers.MaxPooling2D, 3: keras.layers.MaxPooling3D}
    upsampling = {2: keras.layers.UpSampling2D, 3: keras.layers.UpSampling3D}
    options = {
        "padding": "same",
        "activation": "relu",
        "bias_initializer": "random_normal",
    }
    inputs = keras.Input((*sides, 3))
    x = skip = conv(4, 3, **options)(inputs)
    if pool > 1:
        x = pooling[rank](pool)(x)
    x = conv(4, 3, **options)(x)
    if pool > 1:
        x = keras.layers.Concatenate()([skip, upsampling[rank](pool)(x)])
    x = conv(4, 3, **options)(x)
    return keras.Model(inputs, conv(2, 1, activation="softmax")(x))


# Pixels across: 3 convolutions add 2 each; one on pooled pixels adds 2 of
# those, and pooling and upsampling what their grids can be off by.
RECEPTIVE = {1: 7, 2: 11, 4: 19}


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (45, 71), (33, 140), (9, 90)])
@pytest.mark.parametrize("pool", RECEPTIVE)
def test_seams_do_not_show(pool, size, flips):
    model = convolutions((None, None), pool)
    image = RNG.random((*size, 3), "float32")
    whole = predict(model, image, window=1000, test_time_augmentation=flips)
    windows = predict(
        model,
        image,
        window=40,
        overlap=RECEPTIVE[pool],
        test_time_augmentation=flips,
    )
    np.testing.assert_allclose(windows, whole, atol=1e-5)
    # The test would see a seam: without overlap there is one.
    tiles = predict(model, image, window=40, overlap=0)
    if max(size) > 40:
        assert np.abs(tiles - whole).max() > 1e-3


@pytest.mark.parametrize("pool", [1, 2])
def test_seams_do_not_show_in_volumes(pool):
    model = convolutions((None,) * 3, pool, rank=3)
    volume = RNG.random((21, 34, 47, 3), "float32")
    whole = predict(model, volume, window=64)
    overlap = RECEPTIVE[pool]
    windows = predict(
        model, volume, window=(20, 24, 28), overlap=overlap, batch_size=3
    )
    assert windows.shape == (21, 34, 47, 2)
    np.testing.assert_allclose(windows, whole, atol=1e-5)


@pytest.mark.parametrize("sides", [(8, 16), (8, 16, 16)])
def test_what_is_smaller_than_a_window_gets_zeros_around_it(sides):
    model = convolutions(sides, rank=len(sides))
    image = RNG.random((5, 9, 16)[: len(sides)] + (3,), "float32")
    ends = [(1, 2), (3, 4), (0, 0)][: len(sides)] + [(0, 0)]
    expected = model.predict_on_batch(np.pad(image, ends)[None])[0, 1:-2, 3:-4]
    found = predict(model, image, window=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_windows_of_a_model_for_one_size():
    free = convolutions((None, None))
    fixed = convolutions((32, 48))
    fixed.set_weights(free.get_weights())
    image = RNG.random((75, 101, 3), "float32")
    np.testing.assert_allclose(
        predict(fixed, image, window=True, overlap=7),
        predict(free, image, window=200),
        atol=1e-5,
    )


def test_no_answer_depends_on_the_batch():
    model = convolutions((None, None), 2)
    stack = RNG.random((5, 30, 41, 3), "float32")
    options = {"window": 16, "overlap": 5}
    together = predict(model, stack, **options)
    for batch_size in (1, 7, 1000):
        np.testing.assert_allclose(
            predict(model, stack, batch_size=batch_size, **options),
            together,
            atol=1e-6,
        )
    alone = np.stack([predict(model, image, **options) for image in stack])
    np.testing.assert_allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize("rank", [2, 3])
def test_flips_are_the_mean_of_mirror_images(rank):
    model = convolutions((8,) * rank, rank=rank)
    image = RNG.random((8,) * rank + (3,), "float32")
    mirrors = [()]
    for axis in range(rank):
        mirrors += [(*mirror, axis) for mirror in mirrors]
    assert len(mirrors) == 2**rank
    expected = np.mean(
        [np.flip(predict(model, np.flip(image, m)), m) for m in mirrors], axis=0
    )
    np.testing.assert_allclose(
        predict(model, image, test_time_augmentation=True), expected, atol=1e-6
    )


PLANS = {
    # sides of the model, of the image, options, words
    "size": ((32, 48), (32, 48), {}, "whole"),
    "other size": ((32, 48), (33, 48), {}, "resized to 32×48, as in training"),
    "stack": ((32, 48), (9, 33, 48), {}, "resized to 32×48, as in training"),
    "windows": (
        (32, 48),
        (99, 99),
        {"window": True},
        "in windows of 32×48 that overlap by 8×12",
    ),
    "small": (
        (32, 48),
        (20, 20),
        {"window": True},
        "whole, padded to 32×48",
    ),
    "any size": ((None, None), (510, 500), {}, "whole"),
    "large": (
        (None, None),
        (513, 2000),
        {},
        "in windows of 512×512 that overlap by 128×128",
    ),
    "long": (
        (None, None),
        (64, 9000),
        {"overlap": 20},
        "in windows of 64×512 that overlap by 20×20",
    ),
    "one side": (
        (32, None),
        (99, 70),
        {"window": (32, 16), "overlap": (8, 0)},
        "in windows of 32×16 that overlap by 8×0",
    ),
    "volume": (
        (None,) * 3,
        (90, 80, 70),
        {},
        "in windows of 64×64×64 that overlap by 16×16×16",
    ),
    "volume of a size": (
        (8, 16, 16),
        (90, 16, 16),
        {},
        "in windows of 8×16×16 that overlap by 2×4×4",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_says_the_plan(name):
    own, sides, options, words = PLANS[name]
    model = convolutions(own, rank=len(own))
    assert str(plan_prediction(model, sides, **options)) == words


def test_pads_to_what_the_poolings_divide():
    model = unet((None, None, 3), filters=(4, 4, 8, 8, 8))
    plan = plan_prediction(model, (33, 70))
    assert str(plan) == "whole, padded to 48×80"
    image = RNG.random((33, 70, 3), "float32")
    padded = np.pad(image, [(0, 15), (0, 10), (0, 0)], mode="reflect")
    np.testing.assert_allclose(
        predict(model, image),
        model.predict_on_batch(padded[None])[0, :33, :70],
        atol=1e-6,
    )


MULTIPLES = {
    # architecture, sides, its options, multiple
    "8": ("resunet_plus_plus", (None, None), {}, 8),
    "16": ("unet", (None, None), {"dca": False}, 16),
    "16 in 3-D": ("vnet", (None,) * 3, {}, 16),
    "32": ("unet", (64, 96, 32), {"filters": (4,) * 6}, 32),
    "64": ("unet", (None, None), {"filters": (4,) * 7}, 64),
    "patches of 32": ("unet", (64, 64), {"dca": DCAConfig(32)}, 32),
    "patches of 24": ("unet", (None, None), {"dca": DCAConfig(24)}, 48),
}


@pytest.mark.parametrize("name", MULTIPLES)
def test_asks_a_model_what_its_sides_are_multiples_of(name):
    architecture, sides, options, multiple = MULTIPLES[name]
    if architecture != "resunet_plus_plus":  # It has four stages.
        options = {"filters": (4,) * 5} | options
    model = create_model(architecture, (*sides, 1), **options)
    assert side_multiple(model) == multiple


@pytest.mark.parametrize("sides", [(32, 32), (None, None)])
def test_windows_of_a_model_with_six_filters(sides):
    model = unet((*sides, 3), filters=(4,) * 6, dca=False)
    plan = plan_prediction(model, (80, 100), window=32, overlap=4)
    assert plan.multiple == (32, 32)
    image = RNG.random((80, 100, 3), "float32")
    found = predict(model, image, window=32, overlap=0)
    assert found.shape == (80, 100, 1)
    # Windows at multiples of 32 see what the model sees there.
    tile = model.predict_on_batch(image[None, 32:64, 64:96])[0]
    np.testing.assert_allclose(found[32:48, 64:68], tile[:16, :4], atol=1e-5)


def test_a_model_that_takes_its_own_size_only():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(64)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Reshape((8, 8, 1))(x))
    assert plan_prediction(model, (20, 20), window=True).multiple == (1, 1)
    with pytest.raises(ValueError, match="one map of its input's size"):
        side_multiple(model)


def valid_convolution():
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))


WRONG_OPTIONS = {
    # sides of the model, options, message
    "other window": ((32, 32), {"window": 64}, "own size, 32×32"),
    "overlap alone": ((32, 32), {"overlap": 8}, "Add `window=True`"),
    "no window": ((None, None), {"window": 0}, "an integer from 1"),
    "fraction": ((None, None), {"window": 8.5}, "an integer from 1"),
    "three sides": ((None, None), {"window": (8, 8, 8)}, "or 2 of them"),
    "word": ((None, None), {"window": "all"}, "an integer from 1"),
    "negative": ((None, None), {"window": 8, "overlap": -1}, "from 0"),
    "no room": (
        (None, None),
        {"window": 32, "overlap": 22},
        "less than two thirds",
    ),
    "no room of its own": (
        (32, 32),
        {"window": True, "overlap": 32},
        "less than two thirds",
    ),
    "no multiple": ((None, None), {"window": 33}, "multiples of 2 .* 32"),
}


@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_says_which_windows_fit(name):
    own, options, message = WRONG_OPTIONS[name]
    with pytest.raises(ValueError, match=message):
        plan_prediction(convolutions(own, pool=2), (200, 200), **options)


def test_a_model_must_give_maps_of_the_size_of_its_input():
    with pytest.raises(ValueError, match="one map of its input's size"):
        plan_prediction(valid_convolution(), (200, 200))
