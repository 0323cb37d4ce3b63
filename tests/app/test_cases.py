"""What a page computes, without the page."""

import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from dca_keras.app._cases import Finding, Look
from dca_keras.app._models import Models
from dca_keras.app._uploads import Limits
from dca_keras.data import read_image
from dca_keras.prediction import predict, predict_files, to_mask
from dca_keras.run import Run
from tests.data.test_series import save_series
from tests.pictures import SAVE
from tests.tiny_run import tiny_recipe, write_run
from tests.volume_run import AFFINES, draw_structures, save_case

SHAPE = (11, 18, 13)


def found_by(case, name):
    case.segment(name)
    finding = case.findings[name]
    assert isinstance(finding, Finding), finding
    return finding


def test_the_mask_is_the_file_that_predict_writes(
    open_case, with_dca, tmp_path
):
    names = "rgb.png", "stack.tif", "slice.nii"
    files = [tmp_path / "in" / name for name in names]
    files[0].parent.mkdir()
    for file in files:
        SAVE[file.name](file)
    predicted = predict_files(with_dca, files, tmp_path / "out")
    for file, written in zip(files, predicted.written, strict=True):
        case = open_case(file)  # Its files are gone when it is.
        finding = found_by(case, "with_dca")
        assert finding.mask_file.name == written.name
        assert finding.mask_file.read_bytes() == written.read_bytes()
        assert finding.is_stack == (file.name == "stack.tif")


def test_probabilities_and_mask(open_case, with_dca, image):
    finding = found_by(open_case(image), "with_dca")
    wanted = predict(Run(with_dca).load_model(), read_image(image))
    assert finding.mask.shape == (1, 40, 48)
    assert 0 < finding.mask.mean() < 1
    np.testing.assert_array_equal(finding.mask[0], to_mask(wanted))
    np.testing.assert_allclose(
        finding.probabilities[0] / 255, wanted, atol=0.51 / 255
    )
    picture = np.asarray(Image.open(image))
    np.testing.assert_array_equal(finding.picture[0], picture)


def test_a_volume(open_case, of_volumes, tmp_path):
    mask = draw_structures(SHAPE)
    path = save_case(tmp_path / "in" / "brain", mask, AFFINES["flipped"])
    file = path.with_name("brain_0000.nii.gz")
    finding = found_by(open_case(file), "of_volumes")
    assert finding.mask_file.name == "brain_mask.nii.gz"
    assert sorted(finding.spacing) == pytest.approx([0.8, 1.2, 3])
    assert np.bincount(finding.mask.ravel()).tolist() == (
        np.bincount(mask.ravel()).tolist()
    )


def test_slices_of_a_series_are_dropped_together(open_case, tmp_path):
    values = (100 * draw_structures(SHAPE) - 50).astype("int16")
    save_series(tmp_path / "scan", values)
    files = sorted((tmp_path / "scan").iterdir())
    case = open_case(*files, uploaded=True)
    finding = found_by(case, "of_volumes")
    assert finding.mask.shape == SHAPE
    assert not any(file.exists() for file in files)
    folder = case.folder
    del case, finding
    assert not folder.exists()


def test_one_image_at_a_time(open_case, tmp_path):
    for name in ("rgb.png", "grey.bmp"):
        SAVE[name](tmp_path / name)
    case = open_case(tmp_path / "rgb.png", tmp_path / "grey.bmp")
    case.segment("with_dca")
    assert "2 files are 2 images" in case.findings["with_dca"]


BROKEN = {
    "empty.png": (b"", "empty.png can't be read .* the file is empty"),
    "text.png": (b"no image", "text.png can't be read"),
    "text.nii.gz": (b"no image", "text.nii.gz can't be read"),
    "text.dcm": (b"no image", "text.dcm can't be read"),
    "cut.tif": (SAVE["stack.tif"], "cut.tif can't be read"),
    "large.png": (
        lambda path: Image.new("1", (1100, 1000)).save(path),
        "1000x1100 pixels are more than 1000000",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_and_stops_nothing(
    open_case, image, tmp_path, name
):
    content, message = BROKEN[name]
    file = tmp_path / "in" / name
    file.parent.mkdir()
    if callable(content):
        content(file)
        if name.startswith("cut"):
            file.write_bytes(file.read_bytes()[:-2000])
    else:
        file.write_bytes(content)
    case = open_case(file, uploaded=True)
    case.segment("with_dca")
    said = case.findings["with_dca"]
    assert isinstance(said, str)
    pytest.raises(ValueError, fail, said).match(message)
    assert str(tmp_path) not in said
    found_by(open_case(image), "with_dca")


def fail(message):
    raise ValueError(message)


def test_types_and_sizes_are_limited(open_case, image, tmp_path):
    (tmp_path / "letter.docx").write_bytes(b"Dear")
    with pytest.raises(ValueError, match=r"letter.docx is not .* \.png, "):
        open_case(tmp_path / "letter.docx")
    limits = Limits(megabytes=0, pixels=1)
    with pytest.raises(ValueError, match="0.png has 0.0 MB, more than the 0"):
        open_case(image, limits=limits)
    copy = shutil.copy(image, tmp_path)
    with pytest.raises(ValueError, match="Two files are called 0.png"):
        open_case(image, copy, uploaded=True)


def test_attention_covers_what_the_model_saw(open_case, image):
    case = open_case(image)
    found_by(case, "with_dca")
    case.look("with_dca", (40, 10, 0))
    look = case.looks["with_dca"]
    assert isinstance(look, Look), look
    assert look.box == ((0, 40), (0, 48))
    np.testing.assert_allclose(look.maps.mean(axis=(1, 2)), 1, rtol=1e-5)


@pytest.mark.slow
def test_a_run_on_crops_sees_the_window_around_the_point(
    open_case, images, image, tmp_path
):
    recipe = tiny_recipe(images, dca=True, sampling="crop")
    case = open_case(image)
    case._models = Models([write_run(tmp_path / "crops", recipe)])
    found_by(case, "crops")
    case.look("crops", (40, 10, 0))
    assert case.looks["crops"].box == ((0, 32), (16, 48))


def test_attention_where_there_is_none(open_case, image):
    case = open_case(image)
    found_by(case, "plain")
    case.look("plain", (1, 1, 0))
    assert case.looks["plain"] == "plain has no Dual Cross-Attention."
    found_by(case, "with_dca")
    case.look("with_dca", (48, 0, 0))
    assert "`at` must be x,y" in case.looks["with_dca"]


def test_a_slice_of_a_stack_has_its_own_attention(open_case, tmp_path):
    stack = np.zeros((3, 40, 32, 3), "uint8")
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="rgb")
    case = open_case(tmp_path / "stack.tif")
    found_by(case, "with_dca")
    case.look("with_dca", (3, 4, 1))
    assert case.looks["with_dca"].box == ((1, 2), (0, 40), (0, 32))


def test_names_of_models(with_dca, tmp_path):
    again = shutil.copytree(with_dca, tmp_path / "other" / "with_dca")
    models = Models([with_dca, again])
    assert models.names == (str(with_dca), str(again))
    assert Models([with_dca]).names == ("with_dca",)
    assert models.class_names(str(again)) == {1: "class 1"}
    with pytest.raises(ValueError, match="at least one run"):
        Models([])
    with pytest.raises(ValueError, match="not the folder of a run"):
        Models([tmp_path])
