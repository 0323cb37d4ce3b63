"""What hostile and odd files become: an error that names them, or a mask."""

import re

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from dca_keras.cli import app
from dca_keras.data.guards import check_size
from dca_keras.prediction import load_run, predict, predict_files, to_mask
from tests.pictures import GREY, RGB, SAVE, SCAN, save_nifti
from tests.tiny_run import tiny_recipe, write_images, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data_dir = write_images(folder / "data")
    return write_run(folder / "run", tiny_recipe(data_dir, num_classes=3))


HOSTILE = {
    # content, or what writes it; what the command says of it
    "gone.png": (None, "can't be read: no such file"),
    "empty.png": (b"", "the file is empty"),
    "text.png": (b"not an image", "cannot identify image file"),
    "text.tif": (b"not an image", "not a TIFF file"),
    "text.nii.gz": (b"not an image", "can't be read as an image"),
    "text.dcm": (b"not an image", "can't be read as an image"),
    "text.txt": (b"not an image", "cannot identify image file"),
    "truncated.png": (SAVE["rgb.png"], "truncated"),
    "truncated.jpg": (SAVE["upper.JPG"], "truncated"),
    "truncated.tif": (SAVE["stack.tif"], "can't be read as an image"),
    "truncated.nii": (SAVE["flat.nii"], "can't be read as an image"),
    "truncated.nii.gz": (SAVE["volume.nii.gz"], "can't be read as an image"),
    "truncated.dcm": (SAVE["frame.dcm"], "can't be read as an image"),
    "huge.png": (
        lambda p: Image.new("1", (20_000, 20_000)).save(p),
        r"400000000 pixels|20000x20000 pixels are more than",
    ),
    "large.png": (
        lambda p: Image.new("1", (10_000, 10_000)).save(p),
        "10000x10000 pixels are more than 89478485",
    ),
    "nan.tif": (
        lambda p: tifffile.imwrite(p, np.full((9, 9), np.nan, "float32")),
        "without NaN",
    ),
    "range.tif": (
        lambda p: tifffile.imwrite(p, np.full((9, 9), 2, "float32")),
        "values from 2 to 2",
    ),
    "channels.tif": (
        lambda p: tifffile.imwrite(
            p, np.zeros((9, 9, 5), "uint8"), planarconfig="contig"
        ),
        "it has 5 channels, not 1 or 3",
    ),
    "nan.nii": (
        lambda p: save_nifti(p, np.full((5, 5, 5), np.nan, "float32")),
        "without NaN",
    ),
    "times.nii": (
        lambda p: save_nifti(p, np.zeros((5, 5, 5, 2), "uint8")),
        "2 channels, not 1 or 3",
    ),
}
HALVES = [name for name in HOSTILE if name.startswith("truncated")]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_command_names_what_it_cannot_predict(run, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    for name, (content, _) in HOSTILE.items():
        if callable(content):
            content(bad / name)
        elif content is not None:
            (bad / name).write_bytes(content)
    for name in HALVES:
        whole = (bad / name).read_bytes()
        (bad / name).write_bytes(whole[: len(whole) // 2])
    good = tmp_path / "a.png"
    Image.fromarray(RGB).save(good)
    files = [bad / "gone.png", bad / "text.txt", good, bad]
    words = ["predict", run, *files, "--output", tmp_path / "found"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 1
    found = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert found == ["a_mask.png", "a_overlay.png"]
    lines = result.stderr.splitlines()
    assert len(lines) == len(HOSTILE)
    for name, (_, reason) in HOSTILE.items():
        (line,) = [line for line in lines if str(bad / name) + " " in line]
        assert re.search(reason, line), line


ODD = {
    # image; what is predicted instead
    "alpha.png": (np.dstack([RGB, GREY]), RGB / 255),
    "grey_alpha.png": (np.dstack([GREY, GREY]), np.dstack([GREY] * 3) / 255),
    "16_bits.png": (
        GREY * np.uint16(257),
        np.dstack([GREY] * 3) / 255,
    ),
    "pixel.png": (RGB[:1, :1], RGB[:1, :1] / 255),
    "row.png": (RGB[:1], RGB[:1] / 255),
}


def test_odd_images_have_a_defined_answer(run, tmp_path):
    (tmp_path / "odd").mkdir()
    for name, (pixels, _) in ODD.items():
        Image.fromarray(pixels).save(tmp_path / "odd" / name)
    result = predict_files(run, [tmp_path / "odd"], tmp_path / "found")
    assert result.broken == []
    model = load_run(run)[0]
    for name, (_, image) in ODD.items():
        mask = Image.open(tmp_path / "found" / name.replace(".", "_mask."))
        expected = to_mask(predict(model, image.astype("float32")))
        np.testing.assert_array_equal(np.asarray(mask), expected)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_limit_of_pixels_can_be_moved(run, tmp_path):
    save_nifti(tmp_path / "a.nii", SCAN)
    Image.fromarray(GREY).save(tmp_path / "b.png")
    files = [tmp_path / "b.png", tmp_path / "a.nii"]
    less = predict_files(run, files, tmp_path / "found", max_pixels=1000)
    assert "40x27 pixels are more than 1000" in less.broken[0]
    assert "3 voxels are more than 1000" in less.broken[1]
    enough = predict_files(run, files, tmp_path / "found", max_pixels=3240)
    assert len(enough.written) == 2
    check_size(9000, 9000)
    with pytest.raises(ValueError, match="10000x9000 pixels are more than"):
        check_size(10_000, 9000)
