import time

import numpy as np
import pytest

from dca_keras.data import read_dataset, synthetic

SPLITS = read_dataset("synthetic", num_classes=3)
PAIRS = [sample.load() for sample in SPLITS.test]
IMAGES = np.stack([image for image, _ in PAIRS])
NUCLEI = np.stack([mask[..., 0] for _, mask in PAIRS]) == 1


def test_draws_images_and_masks():
    assert (len(SPLITS.train), len(SPLITS.val), len(SPLITS.test)) == (
        160,
        32,
        32,
    )
    for image, mask in PAIRS:
        assert image.shape == (96, 96, 3) and image.dtype == "float32"
        assert mask.shape == (96, 96, 1) and mask.dtype == "int32"
        assert image.min() >= 0 and image.max() <= 1
        assert set(np.unique(mask)) <= {0, 1, 2}
    assert any(2 in mask for _, mask in PAIRS)
    assert 0.05 < NUCLEI.mean() < 0.3


def test_a_seed_draws_the_same_pictures():
    again = read_dataset("synthetic", num_classes=3)
    for sample, pair in zip(again.test, PAIRS, strict=True):
        for first, second in zip(sample.load(), pair, strict=True):
            np.testing.assert_array_equal(first, second)


def splits_of(splits):
    return splits.train, splits.val, splits.test


def test_no_two_pictures_are_alike():
    own = {"train": 20, "val": 20, "test": 20, "image_side": 32}
    samples = [
        sample
        for seed in (0, 1)
        for split in splits_of(read_dataset("synthetic", seed=seed, **own))
        for sample in split
    ]
    drawn = [sample.load() for sample in samples]
    assert len({image.tobytes() for image, _ in drawn}) == 120
    assert len({mask.tobytes() for _, mask in drawn}) == 120


@pytest.mark.parametrize("num_classes", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_fewer_classes_and_channels(channels, num_classes):
    splits = read_dataset(
        "synthetic", channels=channels, num_classes=num_classes
    )
    image, mask = splits.test[0].load()
    assert image.shape == (96, 96, channels)
    np.testing.assert_array_equal(mask[..., 0], NUCLEI[0])


def test_image_side():
    splits = read_dataset("synthetic", image_side=160)
    assert splits.val[0].load()[0].shape == (160, 160, 3)


WRONG_ARGUMENTS = [
    ({"num_classes": 4}, "`num_classes` must be 1, 2 or 3"),
    ({"image_side": 31}, "`image_side` must be 32 or more. Received: 31"),
    ({"train": 0}, "`train` must be 1 or more. Received: 0"),
    ({"test": -1}, "`test` must be 1 or more. Received: -1"),
    ({"seed": -1}, "`seed` must be 0 or more. Received: -1"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_ARGUMENTS)
def test_names_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        read_dataset("synthetic", **arguments)


def test_drawing_is_fast():
    start = time.process_time()
    for sample in SPLITS.val:
        sample.load()
    assert (time.process_time() - start) / len(SPLITS.val) < 0.05


def dice(first, second):
    return 2 * np.sum(first & second) / (first.sum() + second.sum())


def better_side(values, nuclei, threshold):
    above = values > threshold
    return max(dice(above, nuclei), dice(~above, nuclei))


def otsu(values):
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    means = sums / below, (sums[-1] - sums) / np.maximum(above, 1)
    return centres[np.argmax(below * above * (means[0] - means[1]) ** 2)]


def views():
    """Red, green, blue, luma, hue of a kind, and haematoxylin unmixed."""
    red, green, blue = np.moveaxis(IMAGES, -1, 0)
    yield from (red, green, blue, 0.3 * red + 0.59 * green + 0.11 * blue)
    yield red / (red + green + blue)
    stains = np.linalg.pinv([synthetic.HAEMATOXYLIN, synthetic.EOSIN])
    yield (-np.log(np.maximum(IMAGES, 1 / 255)) @ stains)[..., 0]


def test_no_threshold_finds_the_nuclei():
    """Dice at best: 0.55 for Otsu's, 0.57 for one that all images share."""
    for view in views():
        own = [
            better_side(values, nuclei, otsu(values))
            for values, nuclei in zip(view, NUCLEI, strict=True)
        ]
        assert np.mean(own) < 0.62
        for threshold in np.quantile(view, np.linspace(0.02, 0.98, 49)):
            assert better_side(view, NUCLEI, threshold) < 0.62
