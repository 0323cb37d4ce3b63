import numpy as np
import pytest
import tensorflow as tf

from dca_keras.data import augment, augmentation, read_dataset

SAMPLE = read_dataset("synthetic", image_side=64, num_classes=3).train[0]
IMAGE, MASK = SAMPLE.load()


def transform(image, mask, seed):
    image, mask = augment(tf.constant(image), tf.constant(mask), (7, seed))
    return image.numpy(), mask.numpy()


def only(monkeypatch, name):
    """Let the named transform always happen and the others never."""
    order = ("rotation", "horizontal", "vertical")
    chances = np.array([float(one == name) for one in order])
    monkeypatch.setattr(augmentation, "PROBABILITY", chances)


@pytest.mark.parametrize(("name", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_flips_are_exact(monkeypatch, name, axis):
    only(monkeypatch, name)
    image, mask = transform(IMAGE[:, :50], MASK[:, :50], seed=1)
    np.testing.assert_array_equal(image, np.flip(IMAGE[:, :50], axis))
    np.testing.assert_array_equal(mask, np.flip(MASK[:, :50], axis))


def test_most_pictures_keep_still():
    still = sum(
        np.array_equal(transform(IMAGE, MASK, seed)[0], IMAGE)
        for seed in range(200)
    )
    assert 0.4 < still / 200 < 0.62  # 0.8 ** 3


def test_image_and_mask_move_alike():
    for seed in range(40):
        mask = (MASK > 0).astype("int32")
        image, transformed = transform(mask.astype("float32"), mask, seed)
        assert transformed.dtype == "int32" and image.dtype == "float32"
        assert set(np.unique(transformed)) <= {0, 1}
        assert np.mean((image > 0.5) == (transformed > 0)) > 0.995


def test_masks_keep_their_classes(monkeypatch):
    only(monkeypatch, "rotation")
    for seed in range(10):
        assert set(np.unique(transform(IMAGE, MASK, seed)[1])) <= {0, 1, 2}


def test_rotates_about_the_centre_by_up_to_60_degrees(monkeypatch):
    only(monkeypatch, "rotation")
    ray = np.zeros((65, 65, 1), "float32")
    ray[32, 32:] = 1
    angles = []
    for seed in range(60):
        transformed, _ = transform(ray, ray.astype("int32"), seed)
        assert transformed[32, 32] > 0.99
        rows, columns, _ = np.nonzero(transformed > 0.5)
        angles.append(
            np.degrees(np.arctan2(rows.mean() - 32, columns.mean() - 32))
        )
    assert -61 < min(angles) < -45 and 45 < max(angles) < 61
    assert abs(np.mean(angles)) < 15


def test_equal_seeds_give_equal_transforms():
    transformed = [transform(IMAGE, MASK, seed)[0].tobytes() for seed in (5, 5)]
    assert transformed[0] == transformed[1]
    assert len({transform(IMAGE, MASK, n)[0].tobytes() for n in range(40)}) > 6


def test_keeps_static_shapes():
    signature = (
        tf.TensorSpec((48, 64, 3)),
        tf.TensorSpec((48, 64, 1), "int32"),
        tf.TensorSpec((2,), "int64"),
    )
    transformed = tf.function(augment).get_concrete_function(*signature)
    assert [shape.as_list() for shape in transformed.output_shapes] == [
        [48, 64, 3],
        [48, 64, 1],
    ]
