import importlib
import subprocess
import sys

import numpy as np
import pytest

from dca_keras import data
from dca_keras.data import registry

CELLS = """
import numpy as np
from dca_keras.data import Sample, Splits, register_dataset


@register_dataset("cells", class_names=("cell",), published_batch=7)
def read_cells(*, seed=0, count=4, window=None):
    def load():
        rng = np.random.default_rng(seed)
        image = rng.random((20, 24, 3), "float32")
        return image, (image[..., :1] > 0.5).astype("int32")

    splits = (
        tuple(
            Sample(f"{split}-{number}", f"{split}-{number}", load)
            for number in range(count)
        )
        for split in ("train", "val", "test")
    )
    return Splits(*splits, intensity_window=window)
"""


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """A user's file that registers a data set, imported."""
    monkeypatch.setattr(
        registry._READERS, "_parts", dict(registry._READERS._parts)
    )
    monkeypatch.setattr(registry, "_FACTS", dict(registry._FACTS))
    (tmp_path / "users_cells.py").write_text(CELLS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("users_cells")
    del sys.modules["users_cells"]


def test_reads_and_batches_a_users_data_set(cells):
    assert "cells" in data.list_datasets()
    splits = data.read_dataset("cells", seed=5, channels=3, count=6)
    assert [sample.name for sample in splits.test][-1] == "test-5"
    assert splits.class_names == ("cell",)
    assert splits.intensity_window is None and splits.published_batch == 7
    dataset = data.make_dataset(splits.train, (16, 16), 4, shuffle=True)
    images, masks = next(dataset.as_numpy_iterator())
    assert images.shape == (4, 16, 16, 3) and masks.shape == (4, 16, 16, 1)
    expected = np.random.default_rng(5).random((20, 24, 3), "float32")
    np.testing.assert_array_equal(splits.val[0].load()[0], expected)


def test_facts_of_what_was_read_come_first(cells):
    splits = data.read_dataset("cells", window=(-100, 100))
    assert splits.intensity_window == (-100, 100)
    paper = data.read_dataset("cells", window=(-100, 100), protocol="paper")
    assert paper.intensity_window == (-100, 100)
    assert paper.class_names == ("cell",) and paper.val == paper.test
    assert data.dataset_facts("cells")["intensity_window"] is None
    assert set(data.dataset_facts("unheard of").values()) == {None}


def test_refuses_what_a_users_data_set_does_not_take(cells, tmp_path):
    with pytest.raises(ValueError, match="'cells' is read from no folder"):
        data.read_dataset("cells", tmp_path)
    with pytest.raises(ValueError, match=r"no \['sides'\]. It .* 'window'\]"):
        data.read_dataset("cells", sides=3)


def test_refuses_a_name_that_is_taken(cells):
    for name, place in (("cells", "users_cells"), ("glas", "dca_keras")):
        with pytest.raises(ValueError, match=f"{name}' already, in {place}"):
            data.register_dataset(name)(lambda: None)
    assert data.dataset_facts("glas")["published_batch"] == 20


def test_refuses_a_reader_that_returns_no_splits(cells):
    data.register_dataset("list")(lambda: [1, 2])
    with pytest.raises(ValueError, match="'list' must return .*Splits.*list"):
        data.read_dataset("list")


def test_a_reader_may_know_its_folder(cells):
    @data.register_dataset("lab")
    def read_lab(data_dir="/data/lab"):
        return data.Splits((data.Sample(data_dir, "", None),), (), ())

    assert data.read_dataset("lab").train[0].name == "/data/lab"
    assert data.read_dataset("lab", "here").train[0].name == "here"


def test_refuses_two_samples_of_one_name(cells):
    @data.register_dataset("twins")
    def read_twins():
        sample = data.Sample("a", "a", None)
        return data.Splits((sample,), (sample,), ())

    with pytest.raises(ValueError, match="'twins' must .*Received twice: a"):
        data.read_dataset("twins")


WRONG_CALLS = [
    ({"name": "imagenet"}, "`name` must be one of .*synthetic.*'imagenet'"),
    ({"name": "image_folder"}, "'image_folder' needs `data_dir`"),
    ({"data_dir": "x"}, "'synthetic' is read from no folder.*Received: 'x'"),
    ({"channels": 4}, "`channels` must be 1 or 3 for the .*Received: 4"),
    ({"channels": 0}, "`channels` must be 1 or more. Received: 0"),
    ({"fold": "0/5"}, r"'synthetic' takes no \['fold'\]"),
    ({"volumes": True}, r"'synthetic' takes no \['volumes'\]"),
    ({"num_classes": 0}, "`num_classes` must be 1 or more. Received: 0"),
    ({"protocol": "best"}, "`protocol` must be one of .*Received: 'best'"),
    ({"image_sid": 3}, r"takes no \['image_sid'\]. It takes .*'image_side'"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_CALLS)
def test_names_wrong_calls(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.read_dataset(**({"name": "synthetic"} | arguments))


def test_importing_needs_no_tensorflow():
    code = (
        "import sys; from dca_keras import data; "
        "data.read_dataset('synthetic', train=1).train[0].load(); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hands_out_what_it_lists():
    for name in data.__all__:
        assert getattr(data, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'read_mri'"):
        _ = data.read_mri
