import keras
import numpy as np
import pytest

from dca_keras.prediction import predict, to_mask

RNG = np.random.default_rng(0)


def identity(*shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.mark.parametrize("size", [(16, 16), (33, 70), (1, 5), (1, 1)])
@pytest.mark.parametrize("depth", [(), (1,), (3,)])
@pytest.mark.parametrize("classes", [1, 3])
def test_predicts_at_the_size_of_the_image(size, depth, classes):
    model = identity(16, 16, classes)
    image = RNG.random((*depth, *size, classes), "float32")
    probabilities = predict(model, image)
    assert probabilities.shape == image.shape
    assert probabilities.dtype == "float32"
    if size == (16, 16):
        np.testing.assert_array_equal(probabilities, image)
    flat = predict(model, np.full_like(image, 0.25))
    np.testing.assert_allclose(flat, 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"window": 16}, {"test_time_augmentation": True}]
)
@pytest.mark.parametrize("size", [(33, 70), (1, 5), (1, 1)])
def test_keeps_the_scale(size, options):
    image = RNG.random((*size, 1), "float32")
    found = predict(identity(None, None, 1), image, **options)
    np.testing.assert_allclose(found, image, atol=1e-6)


@pytest.mark.parametrize("sides", [(None,) * 3, (8, 16, 16)])
@pytest.mark.parametrize("size", [(20, 33, 17), (3, 40, 1), (8, 16, 16)])
def test_predicts_volumes_at_their_size(sides, size):
    volume = RNG.random((*size, 1), "float32")
    found = predict(identity(*sides, 1), volume)
    np.testing.assert_allclose(found, volume, atol=1e-6)


FLAT = np.zeros((16, 16, 3), "float32")
WRONG_IMAGES = {
    # the model's sides, image, message
    "no channels": ((16, 16), FLAT[..., 0], r"must be \(height, width, 3\)"),
    "one channel": ((16, 16), FLAT[..., :1], r"Received: \(16, 16, 1\)"),
    "alpha": ((16, 16), np.zeros((16, 16, 4)), r"Received: \(16, 16, 4\)"),
    "five axes": ((16, 16), FLAT[None, None], r"Received: \(1, 1, 16, 16, 3\)"),
    "number": ((16, 16), 0.5, r"Received: \(\)"),
    "empty batch": ((16, 16), np.zeros((0, 16, 16, 3)), "at least one pixel"),
    "no rows": ((16, 16), np.zeros((0, 16, 3)), "at least one pixel"),
    "no volume": ((8, 8, 8), FLAT, r"must be \(depth, height, width, 3\)"),
    "nan": ((16, 16), np.where(FLAT == 0, np.nan, 0), "no NaN"),
    "one nan": (
        (16, 16),
        np.where(np.eye(16)[..., None] * [0, 0, 1] > 0, np.nan, 0),
        "no NaN",
    ),
    "infinity": ((16, 16), FLAT + np.inf, r"values in \[0, 1\]"),
    "bytes": ((16, 16), np.full((9, 9, 3), 255, "uint8"), "uint8 from 255"),
    "above": ((16, 16), FLAT + 1.01, "from 1.01 to 1.01"),
    "below": ((None, None), FLAT - 0.01, "from -0.01 to -0.01"),
    "complex": ((16, 16), FLAT + 0j, "numbers. Received: complex64"),
    "words": ((16, 16), np.full((9, 9, 3), "a"), "numbers. Received: <U1"),
}


@pytest.mark.parametrize("name", WRONG_IMAGES)
def test_says_what_an_image_must_be(name):
    sides, image, message = WRONG_IMAGES[name]
    with pytest.raises(ValueError, match=message):
        predict(identity(*sides, 3), image)


@pytest.mark.parametrize(
    "image", [np.eye(16, dtype=bool), np.eye(16, dtype="uint8"), np.eye(16)]
)
def test_takes_any_numbers_within_the_range(image):
    image = np.stack([image] * 3, axis=-1)
    np.testing.assert_array_equal(predict(identity(16, 16, 3), image), image)


def test_takes_what_rounding_leaves():
    image = np.full((16, 16, 3), 1 + 1e-6, "float32")
    np.testing.assert_array_equal(predict(identity(16, 16, 3), image), image)


def test_broken_weights_give_no_answer():
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="returns NaN or infinity"):
        predict(model, FLAT)


def test_decides_on_classes():
    one = np.array([[0.5], [0.51], [0.2]])
    assert to_mask(one).tolist() == [0, 1, 0]
    three = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    assert to_mask(three).tolist() == [0, 2]
