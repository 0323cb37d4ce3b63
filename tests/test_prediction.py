import keras
import numpy as np
import pytest
from PIL import Image

from dca_keras.data import read_image
from dca_keras.prediction import load_run, predict, predict_files, to_mask
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture
def run(tmp_path, data_dir):
    return write_run(tmp_path / "run", tiny_recipe(data_dir))


@pytest.mark.parametrize("size", [(16, 16), (33, 70), (1, 5)])
@pytest.mark.parametrize("classes", [1, 3])
def test_predicts_at_the_size_of_the_image(size, classes):
    inputs = keras.Input((16, 16, classes))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    image = np.random.default_rng(0).random((*size, classes), "float32")
    probabilities = predict(model, image)
    assert probabilities.shape == image.shape
    assert probabilities.dtype == "float32"
    if size == (16, 16):
        np.testing.assert_array_equal(probabilities, image)
    flat = predict(model, np.full_like(image, 0.25))
    np.testing.assert_allclose(flat, 0.25, rtol=1e-6)


def test_a_model_for_any_size_gets_the_image_as_it_is():
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    image = np.random.default_rng(0).random((33, 70, 1), "float32")
    np.testing.assert_array_equal(predict(model, image), image)


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 1), (1, 16, 16, 3)])
def test_says_what_an_image_must_be(shape):
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    with pytest.raises(ValueError, match=r"must be \(height, width, 3\)"):
        predict(model, np.zeros(shape, "float32"))


def test_decides_on_classes():
    one = np.array([[0.5], [0.51], [0.2]])
    assert to_mask(one).tolist() == [0, 1, 0]
    three = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    assert to_mask(three).tolist() == [0, 2]


@pytest.mark.parametrize("classes", [1, 3])
def test_writes_masks_and_overlays(tmp_path, data_dir, classes):
    run = write_run(
        tmp_path / "run", tiny_recipe(data_dir, num_classes=classes)
    )
    images = data_dir / "test" / "images"
    files = [images / "0.png", images / "2.png"]
    done = []
    written, broken = predict_files(run, files, on_done=lambda: done.append(1))
    assert broken == []
    assert len(done) == 2
    folder = run / "predictions"
    assert written == [folder / "0_mask.png", folder / "2_mask.png"]
    model = load_run(run)[0]
    for file, mask_path in zip(files, written, strict=True):
        image = read_image(file)
        expected = to_mask(predict(model, image))
        mask = np.asarray(Image.open(mask_path))
        np.testing.assert_array_equal(
            mask, 255 * expected if classes == 1 else expected
        )
        overlay = Image.open(folder / f"{file.stem}_overlay.png")
        assert overlay.size == (image.shape[1], image.shape[0])
        assert overlay.mode == "RGB"


def test_a_broken_file_does_not_stop_the_others(run, data_dir, tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("not an image")
    files = [tmp_path / "gone.png", text, data_dir / "val/images/1.png"]
    output = tmp_path / "masks"
    written, broken = predict_files(run, files, output)
    assert written == [output / "1_mask.png"]
    assert sorted(path.name for path in output.iterdir()) == [
        "1_mask.png",
        "1_overlay.png",
    ]
    assert len(broken) == 2
    assert "gone.png" in broken[0]
    assert "notes.png" in broken[1]


def test_overwrites_nothing_of_the_users(run, data_dir):
    before = read_all(data_dir)
    first = data_dir / "test/images/1.png"
    with pytest.raises(ValueError, match="More than one file is called 1;"):
        predict_files(run, [first, data_dir / "val/images/1.png"])
    with pytest.raises(ValueError, match="must not be the folder of an im"):
        predict_files(run, [first], first.parent)
    assert read_all(data_dir) == before
    assert not (run / "predictions").exists()
