import keras
import numpy as np
import pytest
from keras import ops

from dca_keras.data import check_batch


def batch(classes=2, shape=(2, 8, 6)):
    rng = np.random.default_rng(0)
    images = rng.random((*shape, 3), dtype="float32")
    return images, rng.integers(0, classes, (*shape, 1))


def tiny_model():
    inputs = keras.Input((8, 6, 3))
    return keras.Model(inputs, keras.layers.Conv2D(4, 1)(inputs))


def test_says_what_it_saw():
    images, masks = batch()
    images[0, 0, 0, 0], images[0, 0, 0, 1] = 0, 1
    masks[:] = 0
    masks[0] = 255
    assert check_batch(images, masks, num_classes=1) == {
        "images": (2, 8, 6, 3),
        "image_dtype": "float32",
        "intensities": (0.0, 1.0),
        "masks": (2, 8, 6, 1),
        "mask_dtype": "int64",
        "classes": {0: 0.5, 255: 0.5},
    }


@pytest.mark.parametrize("shape", [(2, 8, 6), (2, 4, 8, 6)])
def test_takes_masks_in_every_layout(shape):
    images, masks = batch(3, shape)
    seen = check_batch(images, masks, num_classes=3)["classes"]
    one_hot = np.eye(3)[masks[..., 0]]
    for other in (masks[..., 0], masks.astype("uint8"), one_hot, one_hot * 255):
        assert check_batch(images, other, num_classes=3)["classes"] == seen
    assert check_batch(images, masks > 0, num_classes=1)["classes"].keys() == {
        0,
        1,
    }


def test_takes_tensors_and_datasets():
    images, masks = batch(4)
    expected = check_batch(images, masks)
    tensors = ops.convert_to_tensor(images), ops.convert_to_tensor(masks)
    for given in (tensors, [tensors], iter([(images, masks)])):
        assert check_batch(given) == expected
    half = ops.cast(tensors[0], "bfloat16")
    assert check_batch(half, masks)["image_dtype"] == "float32"
    assert check_batch(images, masks, model=tiny_model()) == expected


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x * 255, r"from .* to 25.*`images.astype\('float32'\) / 2"),
        (lambda x: (x * 255).astype("uint8"), "Received: uint8 .* / 255"),
        (lambda x: (x * 4000).astype("int16"), r"int16 .*\(images - low\)"),
        (lambda x: x - 0.5, r"from -0\.\d+ to 0\.\d+\. Rescale"),
        (lambda x: np.where(x > 0.9, np.nan, x), r"finite. Received: \d+ val"),
        (lambda x: np.moveaxis(x, -1, 1), r"last. .*\(2, 3, 8, 6\).*moveaxis"),
        (lambda x: np.moveaxis(x[..., :1], -1, 1), r"Received: .*\(2, 1, 8, 6"),
        (lambda x: x[0], r"Received: \(8, 6, 3\).*`images\[None\]`"),
        (lambda x: x[..., 0], r"Received: \(2, 8, 6\).*`images\[..., None\]`"),
        (lambda x: x[:0], r"Received: \(0, 8, 6, 3\)"),
    ],
)
def test_bad_images(change, message):
    images, masks = batch()
    with pytest.raises(ValueError, match=f"(?s)`images`.*{message}"):
        check_batch(change(images), masks)


@pytest.mark.parametrize(
    "classes, change, message",
    [
        (1, lambda m: m + np.arange(6)[:, None], "values 0, 1, 2, .*threshold"),
        (1, lambda m: m + 1, "must hold 0 and one other.*values 1, 2"),
        (3, lambda m: m * 255, "indices below 3.*Received: values 0, 255"),
        (None, lambda m: m - 1, "not be negative. Received: values -1, 0"),
        (1, lambda m: m * 0.5, "whole numbers.*values 0.5.*nearest"),
        (1, lambda m: np.where(m, np.nan, 0), "whole numbers.*values nan"),
        (3, lambda m: np.eye(2)[m[..., 0]], r"3 channels.*\(2, 8, 6, 2\)"),
        (2, lambda m: np.eye(2)[m[..., 0]] * [0, 1], "one channel set"),
        (1, lambda m: np.repeat(m, 3, -1), "3 channels|1 channels"),
        (None, lambda m: np.repeat(m, 3, -1), "picture in colour"),
        (1, lambda m: m[:, :4], r"grid, \(2, 8, 6, 1\). .*\(2, 4, 6, 1\)"),
        (1, lambda m: m[:1], r"Received: shape \(1, 8, 6, 1\)"),
    ],
)
def test_bad_masks(classes, change, message):
    images, masks = batch()
    with pytest.raises(ValueError, match=f"(?s)masks.*{message}"):
        check_batch(images, change(masks), num_classes=classes)


def test_the_model_must_fit():
    images, masks = batch(5)
    with pytest.raises(ValueError, match="below 4.*Received: .* 4"):
        check_batch(images, masks, model=tiny_model())
    with pytest.raises(ValueError, match=r"input, \(None, 8, 6, 3\). .*, 1\)"):
        check_batch(images[..., :1], masks, model=tiny_model())


@pytest.mark.parametrize("given", [np.zeros((2, 8, 6, 3)), [], [[1]]])
def test_masks_are_needed(given):
    with pytest.raises(ValueError, match="with `masks` beside it, or a datas"):
        check_batch(given)
