import collections

import numpy as np
import pytest
import tensorflow as tf

from dca_keras.data import RandomAffine, Sample, make_dataset
from dca_keras.data.crops import Crops, find_places, load_grid


def sample_of(shape, name="own", channels=2, spacing=None):
    """Every intensity names its pixel; in the corners lie classes 1 and 2."""
    count = np.prod(shape) * channels
    image = np.linspace(0.1, 1, count, dtype="float32")
    image = image.reshape(*shape, channels)
    mask = np.zeros((*shape, 1), "int32")
    mask[(0,) * len(shape)] = 1
    mask[tuple(side - 1 for side in shape)] = 2
    return Sample(name, name, lambda: (image, mask), spacing=spacing)


SETS = {
    2: ([sample_of((18 + n, 25), str(n)) for n in range(5)], (16, 20)),
    3: ([sample_of((9, 8 + n, 12), str(n)) for n in range(5)], (8, 10, 8)),
}


def batches(rank=3, **arguments):
    samples, size = SETS[rank]
    every = {"sampling": "crop", "num_classes": 3, "shuffle": True, "seed": 3}
    dataset = make_dataset(samples, size, 2, **(every | arguments))
    return [
        b"".join(tensor.tobytes() for tensor in batch)
        for batch in dataset.as_numpy_iterator()
    ]


def draw(sample, size, number=0, affine=None, num_classes=None):
    crops = Crops([sample], [lambda: load_grid(sample)], size, num_classes)
    return crops.draw(0, np.random.default_rng(number), affine)


@pytest.mark.parametrize("cache", ["memory", "none", "disk"])
@pytest.mark.parametrize("rank", [2, 3])
def test_a_run_can_be_resumed_anywhere(tmp_path, rank, cache):
    arguments = {
        "cache": {"memory": True, "none": False, "disk": tmp_path}[cache],
        "augment": True,
        "augment_intensity": True,
        "crops": 2,
    }
    whole = batches(rank, epochs=range(3), num_parallel_calls=4, **arguments)
    assert len(set(whole)) == len(whole) == 15
    rest = {"epochs": range(1, 3), "first_step": 2, "num_parallel_calls": 1}
    tf.random.set_seed(7)
    assert batches(rank, **rest, **arguments) == whole[7:]
    if cache != "memory":
        arguments["cache"] = True
        assert batches(rank, epochs=range(3), **arguments) == whole


def test_volumes_have_a_depth():
    samples, size = SETS[3]
    dataset = make_dataset(samples, size, 2, sampling="crop")
    assert dataset.element_spec == (
        tf.TensorSpec((None, *size, 2), "float32"),
        tf.TensorSpec((None, *size, 1), "int32"),
    )
    assert dataset.cardinality() == 3


@pytest.mark.parametrize("size", [(8, 8), (6, 6, 6)])
def test_crops_are_cut_from_the_image(size):
    sample = sample_of((20, 12, 9)[: len(size)])
    image, mask = sample.load()
    places = set()
    for number in range(30):
        crop, of_mask = draw(sample, size, number)
        flat = np.argmin(np.abs(image[..., 0] - crop[(0,) * crop.ndim]))
        start = np.unravel_index(flat, image.shape[:-1])
        window = tuple(
            slice(first, first + side)
            for first, side in zip(start, size, strict=True)
        )
        np.testing.assert_array_equal(crop, image[window])
        np.testing.assert_array_equal(of_mask, mask[window])
        places.add(start)
    assert len(places) > 10


def test_a_smaller_image_lies_in_the_middle_of_zeros():
    sample = sample_of((5, 6, 4))
    image, mask = sample.load()
    crop, of_mask = draw(sample, (8, 8, 4))
    np.testing.assert_array_equal(crop[1:6, 1:7], image)
    np.testing.assert_array_equal(of_mask[1:6, 1:7], mask)
    crop[1:6, 1:7] = of_mask[1:6, 1:7] = 0
    assert not crop.any() and not of_mask.any()


def test_a_third_is_centred_on_a_class_drawn_evenly():
    """Class 2 has a hundred times as many pixels as class 1."""
    mask = np.zeros((90, 90, 1), "int32")
    mask[45, 45] = 1
    mask[70:80, 70:80] = 2
    image = np.zeros(mask.shape, "float32")
    sample = Sample("own", "own", lambda: (image, mask))
    crops = Crops([sample], [lambda: load_grid(sample)], (3, 3))
    found = collections.Counter(
        crops.draw(0, np.random.default_rng(number))[1][1, 1, 0]
        for number in range(900)
    )
    assert 120 < found[1] < 180 and 120 < found[2] < 200


def test_places_are_found_cheaply_and_always_the_same():
    mask = np.zeros((60, 60, 1), "int32")
    mask[:, :30], mask[5, 50] = 3, 1
    places = find_places(mask)
    np.testing.assert_array_equal(places, find_places(mask))
    classes, pixels = places.T
    np.testing.assert_array_equal(mask.ravel()[pixels], classes)
    assert len(places) == 1001 and list(classes[:2]) == [1, 3]
    assert find_places(mask * 0).shape == (0, 2)


def test_images_go_on_beyond_a_turned_crop():
    """Of a bright image no turned crop has a dark corner."""
    bright = np.ones((60, 60, 1), "float32")
    sample = Sample("own", "own", lambda: (bright, bright.astype("int32")))
    affine = RandomAffine(rotation=1.0, max_angle=45.0, scaling=1.0)
    crops = [draw(sample, (9, 9), number, affine) for number in range(40)]
    centred = [image for image, _ in crops if image.min() > 0.999]
    assert len(centred) > 25  # The others lie at the image's edge.


WRONG = [
    ({"sampling": "tiles"}, '`sampling` must be "resize" or "crop"'),
    ({"sampling": "resize"}, r"`image_size` must be .*\(depth, height, width"),
    ({"image_size": (8, 8)}, "a side for each axis. .*shape"),
    ({"crops": 0}, "`crops` must be 1"),
    ({"num_classes": 2}, "mask that holds 2, and `num_classes` is 2"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_names_wrong_arguments(arguments, message):
    samples, size = SETS[3]
    given = {"image_size": size, "batch_size": 2, "sampling": "crop"}
    with pytest.raises(ValueError, match=message):
        make_dataset(samples, **(given | arguments))
