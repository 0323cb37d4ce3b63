"""Volumes in, masks on their own grids out."""

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dca_keras.cli import app
from dca_keras.data import Preprocessing
from dca_keras.data.channels import read_grid
from dca_keras.prediction import predict, predict_files
from dca_keras.prediction._source import predict_source
from tests.data.test_series import save_series
from tests.volume_run import (
    AFFINES,
    draw_structures,
    oracle,
    save_case,
    write_volume_run,
)

SHAPE = (21, 30, 13)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_volume_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def resampling_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return write_volume_run(folder, spacing=[1.3, 0.9, 0.9])


@pytest.fixture(scope="module")
def two_class_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return write_volume_run(folder, spacing=[1.3, 0.9, 1.1], num_classes=2)


def geometry(path):
    header = nibabel.load(path).header
    names = "qform_code sform_code srow_x srow_y srow_z descrip".split()
    return [header[name].tolist() for name in names] + [
        header["pixdim"][:4].tolist(),
        header["dim"][:4].tolist(),
    ]


@pytest.mark.parametrize("kind", AFFINES)
def test_a_known_structure_comes_back_in_place(run, tmp_path, kind):
    mask = draw_structures(SHAPE)
    save_case(tmp_path / "in" / "brain", mask, AFFINES[kind])
    result = predict_files(run, [tmp_path / "in"], tmp_path / "out")
    assert result.broken == []
    (written,) = result.written
    assert written == tmp_path / "out" / "brain_mask.nii.gz"
    image = nibabel.load(written)
    np.testing.assert_allclose(image.affine, AFFINES[kind], atol=1e-6)
    scan = tmp_path / "in" / "brain_0000.nii.gz"
    assert geometry(written) == geometry(scan)
    assert image.get_data_dtype() == "uint8"
    np.testing.assert_array_equal(np.asarray(image.dataobj), mask)


@pytest.mark.parametrize("kind", AFFINES)
def test_resampling_moves_nothing(two_class_run, tmp_path, kind):
    mask = draw_structures((40, 42, 38), classes=2)
    save_case(tmp_path / "in" / "brain", mask, AFFINES[kind])
    result = predict_files(two_class_run, [tmp_path / "in"], tmp_path / "out")
    found = np.asarray(nibabel.load(*result.written).dataobj)
    assert 2 * np.sum(found & mask) / np.sum(found + mask) > 0.95
    centres = [np.argwhere(part).mean(0) for part in (found, mask)]
    np.testing.assert_allclose(*centres, atol=0.5)  # half a voxel


def test_real_volumes_keep_their_grid(run, data_folder, tmp_path):
    images = sorted((data_folder / "Task04_Hippocampus").rglob("imagesTr/*"))
    if not images:
        pytest.skip("the real volumes (shared/data) are not here")
    result = predict_files(run, images[:2], tmp_path / "out")
    assert result.broken == []
    for path, scan in zip(result.written, images, strict=False):
        assert path.name == scan.name.replace(".nii", "_mask.nii")
        assert geometry(path) == geometry(scan)
        values = nibabel.load(scan).get_fdata()
        expected = np.digitize(values, [0, 100])  # Half way between levels.
        found = np.asarray(nibabel.load(path).dataobj)
        sure = np.all([np.abs(values - edge) > 1 for edge in (0, 100)], axis=0)
        np.testing.assert_array_equal(found[sure], expected[sure])


def test_a_volume_of_one_slice(run, tmp_path):
    for name, shape in (("a", (9, 1, 7)), ("b", (9, 7, 1)), ("c", (1, 1, 1))):
        mask = draw_structures(shape)
        save_case(tmp_path / "in" / name, mask, AFFINES["axes permuted"])
    result = predict_files(run, [tmp_path / "in"], tmp_path / "out")
    assert result.broken == []
    for path, name in zip(result.written, "abc", strict=True):
        assert path.name == f"{name}_mask.nii.gz"
        image = nibabel.load(tmp_path / "in" / f"{name}_0000.nii.gz")
        found = nibabel.load(path)
        expected = (np.asarray(image.dataobj) + 50) // 100
        np.testing.assert_array_equal(np.asarray(found.dataobj), expected)


def test_the_overlay_shows_three_planes(run, tmp_path):
    save_case(tmp_path / "in" / "a", draw_structures(SHAPE), AFFINES["flipped"])
    predict_files(run, [tmp_path / "in"], tmp_path / "out")
    with Image.open(tmp_path / "out" / "a_overlay.png") as picture:
        pixels = np.asarray(picture)
    # In a case of 13 slices of 30x21 voxels, 3 by 1.2 by 0.8 mm.
    height, width, depth = 30 * 1.2, 21 * 0.8, 13 * 3.0
    expected = (height + depth) / (width + height)
    assert pixels.shape[0] / pixels.shape[1] == pytest.approx(
        expected, abs=0.03
    )
    assert not pixels[2, -2].any()  # No plane is at the top right.
    coloured = np.ptp(pixels.astype(int), axis=-1) > 20
    middle = round(height / (height + depth) * len(pixels))
    across = round(width / (width + height) * pixels.shape[1])
    for part in (
        coloured[:middle, :across],
        coloured[middle:, :across],
        coloured[middle:, across:],
    ):
        assert 0.02 < part.mean() < 0.98


def test_several_channels_are_one_case(tmp_path):
    run = write_volume_run(tmp_path / "run", channels=3)
    masks = {name: draw_structures(SHAPE) for name in ("a", "b_0001x")}
    for name, mask in masks.items():
        place = tmp_path / "in" / name
        save_case(place, mask, AFFINES["oblique"], channels=3)
    save_case(tmp_path / "in" / "few", mask, AFFINES["oblique"], channels=2)
    result = predict_files(run, [tmp_path / "in"], tmp_path / "out")
    (message,) = result.broken
    assert "few_0000.nii.gz has 2 channels" in message
    assert "trained with 3" in message
    for name, mask in masks.items():
        image = nibabel.load(tmp_path / "out" / f"{name}_mask.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj), mask)


def test_pictures_show_the_channels_that_the_run_names(tmp_path):
    mask = draw_structures((4, 6, 5))
    pictures = []
    for shown in ((0, 1, 2), (2, 1, 0)):
        folder = tmp_path / "-".join(map(str, shown))
        run = write_volume_run(folder / "run", channels=3, shown_channels=shown)
        save_case(folder / "in" / "a", mask, AFFINES["oblique"], channels=3)
        predict_files(run, [folder / "in"], folder / "out")
        with Image.open(folder / "out" / "a_overlay.png") as picture:
            pictures.append(np.asarray(picture))
    grey, swapped = pictures
    free = np.all(grey[..., ::-1] == swapped, axis=-1)  # of the mask's tint
    assert free.mean() > 0.2 and (grey[free] != swapped[free]).any()


def test_numbers_of_one_channel_are_names(run, tmp_path):
    mask = draw_structures(SHAPE)
    for name in ("a", "b", "b_0007"):
        save_case(tmp_path / "in" / name, mask, AFFINES["flipped"])
    (tmp_path / "in" / "a_0000.nii.gz").rename(
        tmp_path / "in" / "c_0003.nii.gz"
    )
    (tmp_path / "in" / "b_0007_0000.nii.gz").rename(
        tmp_path / "in" / "b_0007.nii.gz"
    )
    result = predict_files(run, [tmp_path / "in"], tmp_path / "out")
    assert result.broken == []
    assert {path.name for path in result.written} == {
        *("b_mask.nii.gz", "b_0007_mask.nii.gz", "c_0003_mask.nii.gz"),
    }


def test_probabilities_are_on_the_grid_too(resampling_run, tmp_path):
    mask = draw_structures(SHAPE)
    save_case(tmp_path / "in" / "a", mask, AFFINES["oblique"])
    predict_files(
        resampling_run, [tmp_path / "in"], tmp_path / "out", probabilities=True
    )
    image = nibabel.load(tmp_path / "out" / "a_probabilities.nii.gz")
    np.testing.assert_allclose(image.affine, AFFINES["oblique"], atol=1e-6)
    values = image.get_fdata()
    assert values.shape == (*SHAPE, 3)
    np.testing.assert_allclose(values.sum(-1), 1, atol=1e-5)
    found = nibabel.load(tmp_path / "out" / "a_mask.nii.gz").dataobj
    np.testing.assert_array_equal(values.argmax(-1), np.asarray(found))


def test_runs_are_averaged_on_the_grid(run, resampling_run, tmp_path):
    mask = draw_structures(SHAPE)
    save_case(tmp_path / "in" / "a", mask, AFFINES["anisotropic"])

    def probabilities(name, runs):
        out = tmp_path / name
        predict_files(runs, [tmp_path / "in"], out, probabilities=True)
        image = nibabel.load(out / "a_probabilities.nii.gz")
        return image.get_fdata(dtype="float32")

    one, other = probabilities("1", run), probabilities("2", [resampling_run])
    assert np.abs(one - other).max() > 0.1
    both = probabilities("both", [run, resampling_run])
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)
    words = ["predict", run, resampling_run, tmp_path / "in"]
    words += ["--output", tmp_path / "cli"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert "1 masks and overlays" in result.stdout
    found = nibabel.load(tmp_path / "cli" / "a_mask.nii.gz").dataobj
    np.testing.assert_array_equal(np.asarray(found), both.argmax(-1))
    # One of them anew is another prediction.
    again = predict_files(run, [tmp_path / "in"], tmp_path / "cli")
    assert len(again.written) == 1


def test_a_dicom_series_is_one_volume(run, tmp_path):
    mask = draw_structures((11, 20, 9))
    series = save_series(tmp_path / "in" / "ct", 487 + 50 * mask.astype("u2"))
    save_series(tmp_path / "in" / "below" / "mr", np.full((4, 9, 9), 487, "u2"))
    result = predict_files(run, [tmp_path / "in"], tmp_path / "out")
    assert result.broken == []
    names = ["out/below/mr_mask.nii.gz", "out/ct_mask.nii.gz"]
    assert result.written == [tmp_path / name for name in names]
    (path,) = predict_files(run, [series], tmp_path / "out").done
    image, grid = nibabel.load(path), read_grid(series)
    np.testing.assert_allclose(image.affine, grid.affine, atol=1e-5)
    found = grid.as_stack(np.asarray(image.dataobj))
    np.testing.assert_array_equal(found, mask)


def test_says_which_runs_cannot_be_averaged(run, tmp_path):
    save_case(tmp_path / "in" / "a", draw_structures(SHAPE), np.eye(4))
    with pytest.raises(ValueError, match="`output` must be given for several"):
        predict_files([run, run], [tmp_path / "in"])
    with pytest.raises(ValueError, match="`output` must be given.*: 0 runs"):
        predict_files([], [tmp_path / "in"])
    other = write_volume_run(tmp_path / "other", num_classes=2)
    with pytest.raises(ValueError, match=r"the same classes. .*\[2, 3\]"):
        predict_files([run, other], [tmp_path / "in"], tmp_path / "out")
    with pytest.raises(ValueError, match="`intensities` can't be given"):
        predict_files(run, [tmp_path / "in"], intensities=(0, 1))
    with pytest.raises(ValueError, match="in holds no image.* .nii.gz"):
        (tmp_path / "in" / "a_0000.nii.gz").rename(tmp_path / "in" / "a.png")
        predict_files(run, [tmp_path / "in"])


@pytest.mark.parametrize("spacing", [None, (2.0, 1.0, 0.6), (0.7, 0.9, 1.0)])
def test_a_stream_is_undone_as_a_whole(spacing):
    preprocessing = Preprocessing(spacing, ((-50, 150),))
    values = np.random.default_rng(0).uniform(-60, 160, (19, 24, 18, 1))
    model = oracle((8, 16, 16))
    image = preprocessing.image(values, (1, 1, 1))
    expected = preprocessing.undo(predict(model, image), (19, 24, 18))
    rows = predict_source(
        model, values, preprocessing=preprocessing, spacing=(1, 1, 1)
    )
    np.testing.assert_array_equal(np.stack(list(rows)), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_any_type_of_values(run, tmp_path, dtype):
    mask = draw_structures(SHAPE)
    values = (100.0 * mask - 50).clip(0 if dtype == "uint8" else None)
    save_case(
        tmp_path / "in" / "a", mask, np.eye(4), values=values.astype(dtype)
    )
    (path,) = predict_files(run, [tmp_path / "in"], tmp_path / "out").written
    found = np.asarray(nibabel.load(path).dataobj)
    np.testing.assert_array_equal(found, mask)
