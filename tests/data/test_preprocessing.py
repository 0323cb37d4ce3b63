import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dca_keras.data import (
    Fingerprint,
    Preprocessing,
    Sample,
    Splits,
    measure,
    read_dataset,
)

RNG = np.random.default_rng(0)
HIPPOCAMPUS = (
    Path(__file__).resolve().parents[3] / "shared/data/Task04_Hippocampus"
)


def volume(*shape):
    return (RNG.normal(size=shape) * 300).astype("float32")


def test_nothing_to_do_keeps_every_bit():
    values = volume(4, 5, 6, 2)
    assert np.shares_memory(Preprocessing().image(values, (1, 1, 1)), values)
    same = Preprocessing(spacing=(2.5, 0.7, 0.7))
    np.testing.assert_array_equal(same.image(values, (2.5, 0.7, 0.7)), values)
    np.testing.assert_array_equal(same.undo(values, (4, 5, 6)), values)
    mask = (values[..., :1] > 0).astype("int32")
    np.testing.assert_array_equal(same.mask(mask, (2.5, 0.7, 0.7)), mask)
    slabs = same.undo_slabs([values[:3], values[3:]], 4, (4, 5, 6))
    np.testing.assert_array_equal(np.concatenate(list(slabs)), values)


def test_ct_has_one_range_and_others_each_their_own():
    values = np.stack([volume(9, 10, 11), 5 * volume(9, 10, 11)], axis=-1)
    ready = Preprocessing(intensities=((-125, 275), None)).image(values)
    ct, mr = np.clip((values[..., 0] + 125) / 400, 0, 1), values[..., 1]
    np.testing.assert_allclose(ready[..., 0], ct, atol=1e-6)
    low, high = np.percentile(mr, (0.5, 99.5))
    mr = np.clip((mr - low) / (high - low), 0, 1)
    np.testing.assert_allclose(ready[..., 1], mr, atol=1e-6)
    assert ready.dtype == "float32"


@pytest.mark.parametrize("limits", [None, (-125, 275), (7, 7)])
@pytest.mark.parametrize("filled", [0, 40, np.nan])
def test_flat_volumes_become_flat_ones(limits, filled):
    values = np.full((3, 4, 5, 1), filled, "float32")
    ready = Preprocessing(intensities=(limits,)).image(values)
    assert np.isfinite(ready).all() and np.unique(ready).size == 1


def test_what_is_not_finite_is_the_lowest_value():
    values = volume(5, 6, 7, 1)
    expected = values.copy()
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2] = np.nan, np.inf, -np.inf
    rest = np.isfinite(values)
    expected[~rest] = values[rest].min()
    own = Preprocessing(intensities=(None,))
    np.testing.assert_array_equal(own.image(values), own.image(expected))


def test_every_type_of_values_is_taken():
    values = RNG.integers(-1000, 1000, (3, 4, 5, 1))
    ready = Preprocessing((2, 2, 2), ((-500, 500),))
    expected = ready.image(values.astype("float32"), (1, 1, 1))
    assert expected.shape == (2, 2, 2, 1)
    for dtype in ("int16", "int32", "float64"):
        found = ready.image(values.astype(dtype), (1, 1, 1))
        np.testing.assert_array_equal(found, expected)
    kept = values.astype("int16")
    ready.image(kept)
    np.testing.assert_array_equal(kept, values)  # It is not written to.


def test_thick_slices_stay_thick():
    heart = Preprocessing(spacing=(10, 1.5, 1.5))
    assert heart.image(volume(9, 30, 40, 1), (10, 1.5, 1.5)).shape == (
        *(9, 30, 40, 1),
    )
    assert heart.shape((9, 30, 40), (5, 3, 0.75)) == (4, 60, 20)
    assert heart.shape((9, 30, 40), None) == (9, 30, 40)


def test_samples_know_what_they_were():
    image, mask = volume(4, 6, 8, 1), np.ones((4, 6, 8, 1), "int32")
    raw = Sample("a", "case", lambda: (image, mask), (), (2.0, 1.0, 1.0))
    ready = Preprocessing((1.0, 2.0, 1.0), ((0, 1),)).sample(raw)
    assert ready.source is raw and ready.name == "a" and ready.case == "case"
    assert ready.spacing == (1.0, 2.0, 1.0)
    assert [array.shape[:3] for array in ready.load()] == [(8, 3, 8)] * 2
    nowhere = Sample("b", "b", lambda: (image, mask))
    assert Preprocessing((1.0, 2.0, 1.0)).sample(nowhere).spacing is None
    splits = Preprocessing().splits(Splits((raw,), (raw,), (nowhere,)))
    assert splits.train[0].source is raw and splits.test[0].source is nowhere


REFUSED = {
    "spacing": (lambda: Preprocessing((1, 0, 1)), "`spacing` must be positive"),
    "infinite": (lambda: Preprocessing((1, np.inf, 1)), "`spacing` must be"),
    "range": (
        lambda: Preprocessing(intensities=((2, 1),)),
        r"`intensities` must be \(low, high\).*\(2, 1\)",
    ),
    "channels": (
        lambda: Preprocessing(intensities=(None,)).image(volume(2, 2, 2, 3)),
        "has 3 channels; `intensities` are for 1",
    ),
    "sides": (
        lambda: Preprocessing((1, 1)).image(volume(2, 2, 2, 1), (1, 1, 1)),
        "a number a side, here 3",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    function, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        function()


def ball(side=24):
    place = np.indices((side,) * 3) - (side - 1) / 2
    return (np.linalg.norm(place, axis=0) < side / 3)[..., None].astype("int32")


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_there_and_back_through_another_spacing():
    """What is lost; a mask's is all that limits a perfect prediction."""
    mask = ball()
    least = {0.6: 0.999, 0.8: 0.99, 1.25: 0.94, 2.0: 0.91}
    for spacing, bound in least.items():
        there = Preprocessing((spacing,) * 3)
        small = there.mask(mask, (1, 1, 1))
        back = there.undo(np.eye(2)[small[..., 0]], mask.shape[:3])
        found = back.argmax(axis=-1)
        np.testing.assert_allclose(back.sum(axis=-1), 1, atol=1e-5)
        assert dice(found == 1, mask[..., 0] == 1) > bound


def make_splits(count=12, modalities=("CT",), shape=(6, 8, 10)):
    def sample(number):
        rng = np.random.default_rng(number)
        image = rng.normal(size=(*shape, len(modalities))) * 100
        mask = rng.integers(0, 3, (*shape, 1)) * (rng.random((*shape, 1)) < 0.5)
        pair = image.astype("float32"), mask.astype("int32")
        spacing = (2.0 + number % 3, 1.0, 1.0)
        return Sample(f"{number:02}", str(number), lambda: pair, (), spacing)

    train = tuple(map(sample, range(count)))
    return Splits(train, (), (), modalities=modalities)


def test_a_fingerprint_of_volumes():
    splits = make_splits(modalities=("CT", "MRI"))
    found = measure(splits)
    pairs = [sample.load() for sample in splits.train]
    masks = np.stack([mask for _, mask in pairs])
    foreground = np.concatenate([i[m[..., 0] > 0] for i, m in pairs])
    assert found == Fingerprint(
        rank=3,
        cases=12,
        measured=12,
        channels=2,
        num_classes=3,
        class_names=None,
        modalities=("CT", "MRI"),
        # Spacings of 2, 3 and 4 mm come to 3 mm.
        shapes=((4, 8, 10), (6, 8, 10), (8, 8, 10)),
        spacing=(3.0, 1.0, 1.0),
        intensities=(
            tuple(np.percentile(foreground[:, 0], (0.5, 99.5)).tolist()),
            None,
        ),
        class_shares=found.class_shares,
    )
    shares = np.bincount(masks.ravel()) / masks.size
    np.testing.assert_allclose(found.class_shares, shares)
    ready = Preprocessing.of(found)
    assert ready == Preprocessing(found.spacing, found.intensities)
    assert Preprocessing.of(found, (1, 1, 1)).spacing == (1, 1, 1)
    for thing, kind in ((found, Fingerprint), (ready, Preprocessing)):
        text = json.dumps(thing.to_dict(), allow_nan=False)
        assert kind.from_dict(json.loads(text)) == thing


def test_a_fingerprint_at_another_spacing():
    splits = make_splits()
    found = measure(splits)
    finer = found.at((1, 2, 0.5))
    assert finer.spacing == (1, 2, 0.5)
    assert finer.shapes == ((12, 4, 20), (18, 4, 20), (24, 4, 20))
    assert finer.intensities == found.intensities
    assert found.at(None) is found
    with pytest.raises(ValueError, match="`spacing` must be 3 numbers"):
        found.at((1, 1))


def test_a_fingerprint_of_images():
    splits = read_dataset("synthetic")
    splits = dataclasses.replace(splits, train=splits.train[:5])
    found = measure(splits)
    assert found.rank == 2 and found.channels == 3
    assert found.cases == found.measured == 5
    assert found.spacing is found.intensities is None
    assert sum(found.class_shares) == pytest.approx(1)
    assert Preprocessing.of(found) == Preprocessing()


def test_many_cases_are_sampled_in_any_order():
    splits = make_splits(count=250)
    found = measure(splits)
    assert (found.cases, found.measured) == (250, 100)
    assert measure(Splits(splits.train[::-1], (), (), modalities=("CT",))) == (
        found
    )


def test_large_volumes_are_measured_in_fewer_cases(monkeypatch):
    monkeypatch.setattr("dca_keras.data.fingerprint.VOXELS", 10 * 480)
    assert measure(make_splits(count=50)).measured == 10
    assert measure(make_splits(count=50, shape=(60, 8, 10))).measured == 8


def test_nothing_drawn_has_no_range():
    splits = make_splits(count=3)
    blank = tuple(
        Sample(s.name, s.case, lambda s=s: (s.load()[0], 0 * s.load()[1]))
        for s in splits.train
    )
    found = measure(Splits(blank, (), (), modalities=("CT",), num_classes=3))
    assert found.intensities == (None,)
    assert found.class_shares == (1, 0, 0) and found.spacing is None


@pytest.mark.skipif(
    not HIPPOCAMPUS.is_dir(), reason="no ../shared/data/Task04_Hippocampus"
)
def test_real_volumes_there_and_back():
    splits = read_dataset("nnunet", HIPPOCAMPUS)
    found = measure(splits)
    assert found.spacing == (1, 1, 1) and found.num_classes == 3
    assert found.class_names == ("Anterior", "Posterior")
    assert found.shapes[1] == (35, 50, 35) and found.measured == 100
    same = Preprocessing.of(found)
    finer = Preprocessing.of(found, spacing=(0.8, 0.8, 0.8))
    scores = []
    for sample in splits.test[:5]:
        image, mask = sample.load()
        np.testing.assert_array_equal(same.sample(sample).load()[1], mask)
        small = finer.mask(mask, sample.spacing)[..., 0]
        back = finer.undo(np.eye(3)[small], mask.shape[:3]).argmax(axis=-1)
        scores += [dice(back == k, mask[..., 0] == k) for k in (1, 2)]
    assert np.mean(scores) > 0.99  # 0.993 over the whole test split
