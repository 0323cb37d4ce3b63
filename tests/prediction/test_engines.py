"""Prediction in other runtimes, and in shares."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dca_keras import Run
from dca_keras.cli import app
from dca_keras.data.formats import read_pixels
from dca_keras.export import RuntimeModel, engine
from dca_keras.prediction import predict, predict_files
from tests.tiny_run import tiny_recipe, write_images, write_run

NEEDED = {
    "openvino": ("openvino",),
    "onnx": ("tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
}
NAMES = [f"{name}.png" for name in "abcdefghij"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    images = write_images(folder / "images")
    return write_run(folder / "run", tiny_recipe(images))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    rng = np.random.default_rng(0)
    for name in NAMES:
        pixels = rng.integers(0, 255, (40, 56, 3), "uint8")
        Image.fromarray(pixels).save(folder / name)
    return folder


def masks(result):
    return [read_pixels(path).values for path in result.written]


def other_engine(run, identity="other"):
    """Keras behind the functions that an engine has."""
    model = run.load_model()
    shapes = model.input_shape, model.output_shape
    return RuntimeModel(
        model.name, model.predict_on_batch, *shapes, 4, identity
    )


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_an_engine_gives_the_same_masks(run, images, tmp_path):
    files = [images / name for name in NAMES[:2]]
    for options in ({"window": True},):
        expected = predict_files(run, files, tmp_path / "keras", **options)
        found = predict_files(
            run, files, tmp_path / "other", engine=other_engine, **options
        )
        assert found.plans == expected.plans
        np.testing.assert_equal(masks(found), masks(expected))


def test_another_engine_is_another_prediction(run, images, tmp_path):
    file, found = [images / "a.png"], tmp_path / "found"
    for choice in (
        None,
        other_engine,
        lambda run: other_engine(run, "calibrated again"),
    ):
        assert predict_files(run, file, found, engine=choice).written
        assert predict_files(run, file, found, engine=choice).done


def test_shares_are_all_images_once(run, images, tmp_path):
    seen, counts = [], []
    for number in (1, 2, 3):
        output = tmp_path / str(number)
        words = ["predict", run, images, "--output", output]
        done = call(*words, "--shard", f"{number}/3")
        assert done.exit_code == 0, done.output
        names = sorted(p.name for p in output.glob("*_mask.png"))
        counts.append(len(names))
        seen += names
    assert sorted(seen) == [f"{name[0]}_mask.png" for name in NAMES]
    assert max(counts) < len(NAMES)
    # They are chosen by name, wherever the folders are.
    copy = shutil.copytree(images, tmp_path / "copy")
    (copy / "a.png").unlink()
    again = predict_files(run, [copy], tmp_path / "again", shard=(2, 3))
    names = {path.name for path in again.written}
    before = {path.name for path in (tmp_path / "2").glob("*_mask.png")}
    assert names == before - {"a_mask.png"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "4/3"], "`--shard` must be a number and how many"),
        (["--shard", "0/3"], "Received: 0/3"),
        (["--shard", "half"], "must be integers with '/'"),
        (["--engine", "abacus"], "`--engine` must be one of ('keras'"),
    ],
)
def test_says_what_is_no_share_and_no_engine(run, images, words, message):
    done = call("predict", run, images, *words)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDED)
def test_every_engine_gives_kerass_masks(run, images, tmp_path, name):
    for module in NEEDED[name]:
        pytest.importorskip(module)
    data_dir = Run(run).recipe.data_dir
    copy = write_run(tmp_path / "run", tiny_recipe(data_dir, dca=True))
    found = tmp_path / "found"
    words = ["predict", copy, images, "--output", found, "--engine", name]
    done = call(*words, "--windows")
    assert done.exit_code == 0, done.output
    model = Run(copy).load_model()
    for file in sorted(images.iterdir()):
        image = read_pixels(file).values / 255
        sure = predict(model, image.astype("float32"), window=True)[..., 0]
        mask = read_pixels(found / f"{file.stem}_mask.png").values[..., 0]
        far = np.abs(sure - 0.5) > 1e-4
        np.testing.assert_array_equal(mask[far], sure[far] > 0.5)
    # The export is kept, and made again for another model.
    (card,) = (copy / "export").glob("*.json")
    before = card.stat().st_mtime_ns
    engine(name)(Run(copy))
    assert card.stat().st_mtime_ns == before
    tiny_recipe(data_dir, dca=True).build_model().save(copy / "model.keras")
    old = json.loads(card.read_text())["model_sha256"]
    other = engine(name)(Run(copy))
    assert json.loads(card.read_text())["model_sha256"] != old
    images = np.random.default_rng(1).random((2, 32, 32, 3), "float32")
    expected = Run(copy).load_model().predict_on_batch(images)
    np.testing.assert_allclose(
        other.predict_on_batch(images), expected, atol=1e-5
    )


def test_a_run_without_its_model(run, tmp_path):
    empty = shutil.copytree(run, tmp_path / "run")
    (empty / "model.keras").unlink()
    with pytest.raises(ValueError, match="model.keras is missing"):
        engine("openvino")(Run(empty))
