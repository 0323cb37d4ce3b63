"""Weights to start from: what fits is loaded, all else is an error."""

import io
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from dca_keras.weights import load_weights
from dca_keras.zoo import create_model, list_models, unet

SIZES = {"input_shape": (32, 32, 3), "filters": (4, 8, 16)}


def with_random_weights(model, seed):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1, weight.shape))
    return model


def arrays_of(model):
    return {weight.path: np.array(weight.numpy()) for weight in model.weights}


@pytest.fixture(scope="module")
def plain():
    return with_random_weights(unet(**SIZES, dca=False), seed=1)


@pytest.fixture(scope="module")
def attentive():
    return with_random_weights(unet(**SIZES, dca=True), seed=2)


@pytest.fixture(scope="module")
def files(plain, attentive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    plain.save(folder / "plain.keras")
    plain.save_weights(folder / "plain.weights.h5")
    attentive.save(folder / "attentive.keras")
    return folder


@pytest.mark.parametrize("name", ["plain.keras", "plain.weights.h5"])
def test_all_weights_come_back(plain, files, name):
    model = unet(**SIZES, dca=False, weights=files / name)
    found = arrays_of(model)
    for path, array in arrays_of(plain).items():
        np.testing.assert_array_equal(found[path], array)


def test_a_folder_of_a_run_is_its_model(plain, files, tmp_path):
    shutil.copy(files / "plain.keras", tmp_path / "model.keras")
    model = unet(**SIZES, dca=False)
    loaded = load_weights(model, tmp_path)
    assert loaded.path == tmp_path / "model.keras"
    np.testing.assert_array_equal(
        model.predict_on_batch(np.ones((1, 32, 32, 3))),
        plain.predict_on_batch(np.ones((1, 32, 32, 3))),
    )


def test_a_plain_model_starts_one_with_dca(plain, files):
    model = unet(**SIZES, dca=True)
    initial = arrays_of(model)
    loaded = load_weights(model, files / "plain.keras")
    assert loaded.new == ("dca",) and loaded.unused == ()
    expected = {**initial, **arrays_of(plain)}
    for path, array in arrays_of(model).items():
        np.testing.assert_array_equal(array, expected[path])
    assert "new: dca" in str(loaded)


def test_a_model_with_dca_starts_a_plain_one(attentive, files):
    model = unet(**SIZES, dca=False)
    loaded = load_weights(model, files / "attentive.keras")
    assert loaded.new == () and loaded.unused == ("dca",)
    expected = arrays_of(attentive)
    for path, array in arrays_of(model).items():
        np.testing.assert_array_equal(array, expected[path])


def test_a_head_for_other_classes_starts_anew(attentive, files):
    model = unet(**SIZES, num_classes=3)
    initial = arrays_of(model)
    loaded = load_weights(model, files / "attentive.keras")
    assert loaded.new == ("head",)
    expected = arrays_of(attentive)
    for path, array in arrays_of(model).items():
        source = initial if path.startswith("head/") else expected
        np.testing.assert_array_equal(array, source[path])


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_every_architecture_goes_both_ways(name, tmp_path):
    forms = {
        dca: create_model(name, (32, 32, 3), dca=dca) for dca in (False, True)
    }
    for dca, model in forms.items():
        model.save_weights(tmp_path / "form.weights.h5")
        other = forms[not dca]
        loaded = load_weights(other, tmp_path / "form.weights.h5")
        source = arrays_of(model)
        for path, array in arrays_of(other).items():
            if path.partition("/")[0] in loaded.layers:
                np.testing.assert_array_equal(array, source[path])
        left = set(loaded.new) | set(loaded.unused)
        assert any("dca" in layer for layer in left)
        assert len(left) <= 6  # the modules, and a layer or two


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": (32, 32, 1)}, r"encoder_1_1_conv/0 has the shape"),
        ({"filters": (4, 8, 16, 32)}, r"bottom_1_conv/0 has the shape"),
    ],
)
def test_what_does_not_fit_is_listed(files, changes, message):
    model = unet(**{**SIZES, **changes}, dca=False)
    before = arrays_of(model)
    with pytest.raises(ValueError, match=f"no weight was changed.*{message}"):
        try:
            load_weights(model, files / "plain.keras")
        except ValueError as error:
            raise ValueError(str(error).replace("\n", " ")) from error
    for path, array in arrays_of(model).items():
        np.testing.assert_array_equal(array, before[path])


# === Files that nobody should trust ===


def test_code_in_a_file_is_never_looked_at(plain, files, tmp_path):
    """The configuration may say anything: only numbers are read."""
    path = tmp_path / "hostile.keras"
    with (
        zipfile.ZipFile(files / "plain.keras") as source,
        zipfile.ZipFile(path, "w") as target,
    ):
        target.writestr("config.json", '{"class_name": "__lambda__"}')
        weights = source.read("model.weights.h5")
        target.writestr("model.weights.h5", weights)
        target.writestr("../../outside.txt", "x")
    model = unet(**SIZES, dca=False, weights=path)
    np.testing.assert_array_equal(
        model.get_weights()[0], plain.get_weights()[0]
    )
    assert not (tmp_path.parent.parent / "outside.txt").exists()


def damaged_files(folder, good):
    """Yield files that can't be used, and what the error says."""
    whole = good.read_bytes()
    path = folder / "cut.weights.h5"
    path.write_bytes(whole[: len(whole) // 2])
    yield path, "can't be read"
    path = folder / "cut.keras"
    path.write_bytes(b"PK\x03\x04" + whole[:1000])
    yield path, "can't be read"
    path = folder / "empty.weights.h5"
    path.write_bytes(b"")
    yield path, "can't be read"
    path = folder / "zip.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    yield path, "can't be read"
    path = folder / "pickle.pt"
    path.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    yield path, "Could not read"
    for name, link in {
        "external": h5py.ExternalLink("secret.h5", "/secret"),
        "soft": h5py.SoftLink("/layers"),
    }.items():
        path = folder / f"{name}.weights.h5"
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            file["layers/link"] = link
        yield path, "is a link"
    path = folder / "round.weights.h5"  # and round, two ways at each turn
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        for name in ("again", "twice"):
            file[f"layers/conv2d/{name}"] = file["layers"]
    yield path, "by several names"
    path = folder / "elsewhere.weights.h5"
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        group = file.create_group("layers/more/vars")
        group.create_dataset("0", (4,), "f4", external=[("secret.bin", 0, 16)])
    yield path, "in another file"
    path = folder / "text.weights.h5"
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file["layers/more/vars/0"] = "text"
    yield path, "not numbers"


def test_a_damaged_or_hostile_file_is_an_error(files, tmp_path):
    model = unet(**SIZES, dca=False)
    before = arrays_of(model)
    good = files / "plain.weights.h5"
    for path, message in damaged_files(tmp_path, good):
        with pytest.raises(ValueError, match=message) as caught:
            load_weights(model, path)
        assert str(path) in str(caught.value), path
    for path, array in arrays_of(model).items():
        np.testing.assert_array_equal(array, before[path])
    assert not os.path.exists("pwned")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.keras", "There is no nowhere.keras"),
        (".", "holds no weights"),
        ("setup.py", "`weights` must be"),
        ("hf://nobody", "USER/NAME"),
    ],
)
def test_a_source_that_is_none(source, message):
    with pytest.raises(ValueError, match=message):
        load_weights(keras.Sequential([keras.Input((2,))]), source)


def test_a_member_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    from dca_keras.weights import _arrays

    monkeypatch.setattr(_arrays, "LARGEST", 10)
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", io.BytesIO(b"0" * 100).read())
    with pytest.raises(ValueError, match="100 bytes"):
        load_weights(unet(**SIZES), path)
