"""Prediction on files: folders, reruns, options."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dca_keras._files import write_json
from dca_keras.cli import app
from dca_keras.data import read_image, read_mask
from dca_keras.data.formats import read_pixels
from dca_keras.prediction import load_run, predict, predict_files, to_mask
from tests.pictures import GREY, RGB, RNG, SCAN, save_nifti
from tests.tiny_run import read_all, tiny_recipe, write_images, write_run


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return write_run(folder, tiny_recipe(data_dir, num_classes=3))


@pytest.fixture
def images(tmp_path):
    """Two folders of images, of which two are called alike."""
    for name in ("first/a.png", "second/a.png", "second/b.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.permutation(RGB)).save(path)
    return tmp_path / "images"


def names(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in files)


def test_folders_are_searched_and_kept(run, images, tmp_path):
    (images / "second/notes.txt").write_text("no image, and no error")
    (images / "second/.hidden.png").write_text("no image, and no error")
    counts = []
    result = predict_files(
        run,
        [images, images / "first", images / "second/b.png"],
        images / "found",
        on_progress=lambda *count: counts.append(count),
    )
    assert counts == [(0, 3), (1, 3), (2, 3), (3, 3)]
    found = [
        *("first/a_mask.png", "first/a_overlay.png"),
        *("second/a_mask.png", "second/a_overlay.png"),
        *("second/b_mask.png", "second/b_overlay.png"),
    ]
    assert names(images / "found") == found
    # What was written is not predicted in its turn.
    again = predict_files(run, [images], images / "found")
    assert again.done == result.written
    assert again.written == []


def test_one_stem_twice_keeps_the_extension(run, images, tmp_path):
    Image.fromarray(RGB).save(images / "first/a.bmp")
    predict_files(run, [images / "first"], tmp_path / "found")
    assert names(tmp_path / "found") == [
        *("a.bmp_mask.png", "a.bmp_overlay.png"),
        *("a.png_mask.png", "a.png_overlay.png"),
    ]


def test_overwrites_nothing_of_the_users(run, images, tmp_path):
    before = read_all(images)
    files = [images / "first/a.png", images / "second/a.png"]
    with pytest.raises(
        ValueError, match=r"More than one file is called a\.png"
    ):
        predict_files(run, files, tmp_path / "found")
    for wanted in ([images / "first"], [images / "first/a.png"]):
        with pytest.raises(ValueError, match="must not be the folder of an"):
            predict_files(run, wanted, images / "first")
    assert read_all(images) == before
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize("name", ["a_mask.png", "a_overlay.png"])
def test_replaces_no_file_of_another_image(run, images, tmp_path, name):
    found = tmp_path / "found"
    found.mkdir()
    Image.fromarray(GREY).save(found / name)
    before = read_all(found)
    file = images / "first/a.png"
    (message,) = predict_files(run, [file], found).broken
    assert f"{found / name} exists and is from another image" in message
    assert read_all(found) == before
    predict_files(run, [file], found, overwrite=True)
    assert names(found) == ["a_mask.png", "a_overlay.png"]
    before = read_all(found)
    (message,) = predict_files(run, [images / "second/a.png"], found).broken
    assert "is from another image" in message
    assert read_all(found) == before


def test_does_again_only_what_has_changed(run, images, tmp_path):
    found = tmp_path / "found"
    (first,) = predict_files(run, [images / "first"], found).written
    for options in (
        {"test_time_augmentation": True, "window": True},
        {"window": True, "probabilities": True},
        {"overwrite": True},
    ):
        again = predict_files(run, [images / "first"], found, **options)
        assert again.written == [first]
        assert again.done == []
    assert names(found) == ["a_mask.png", "a_overlay.png"]


def test_goes_on_after_a_stop(run, images, tmp_path):
    found = tmp_path / "found"

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(run, [images], found, on_progress=stop)
    before = read_all(found)
    assert len(before) == 4
    result = predict_files(run, [images], found)
    assert (len(result.done), len(result.written)) == (2, 1)
    assert before.items() <= read_all(found).items()
    # As a stop between two files leaves it: no mask yet.
    (found / "first/a_mask.png").unlink()
    assert len(predict_files(run, [images], found).written) == 1
    assert before.items() <= read_all(found).items()


def test_reads_scans_as_the_run_was_trained(run, tmp_path):
    save_nifti(tmp_path / "a.nii", SCAN)
    image = read_image(tmp_path / "a.nii", stack=True, intensities=(-125, 275))
    expected = to_mask(predict(load_run(run)[0], image))
    found = tmp_path / "found"
    predict_files(run, [tmp_path / "a.nii"], found, intensities=(-125, 275))
    mask = read_pixels(found / "a_mask.nii", stack=True).values
    np.testing.assert_array_equal(mask[..., 0], expected)


def test_reads_scans_with_the_window_that_the_run_notes(run, tmp_path):
    save_nifti(tmp_path / "a.nii", SCAN)
    record = json.loads((run / "recipe.json").read_text())
    synapse = record["recipe"] | {"data": "synapse"}

    def probabilities(changes, **options):
        copy = shutil.copytree(run, tmp_path / "run", dirs_exist_ok=True)
        write_json(copy / "recipe.json", record | changes)
        options |= {"probabilities": True, "overwrite": True}
        (mask,) = predict_files(copy, [tmp_path / "a.nii"], **options).written
        return mask.with_name("a_probabilities.nii").read_bytes()

    expected = probabilities({}, intensities=(-125, 275))
    assert probabilities({"intensity_window": [-125, 275]}) == expected
    # Earlier versions noted no window.
    assert probabilities({"recipe": synapse}) == expected
    assert probabilities({}) != expected


def test_masks_can_be_read_as_masks(run, images, tmp_path):
    (path,) = predict_files(run, [images / "first"], tmp_path / "found").written
    image = read_image(images / "first/a.png")
    expected = to_mask(predict(load_run(run)[0], image))
    np.testing.assert_array_equal(read_mask(path, 3)[..., 0], expected)


WRONG_OPTIONS = {
    "overlap alone": (["--overlap", "8"], "Add `--windows`"),
    "overlap": (["--windows", "--overlap", "32"], "less than two thirds"),
    "intensities": (["--intensities", "low"], "must be integers with ','"),
    "order": (["--intensities", "9,0"], "the lower one first"),
    "batch": (["--batch-size", "0"], "`--batch-size` must be"),
}


@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_the_command_says_which_option_is_wrong(run, images, tmp_path, name):
    words, message = WRONG_OPTIONS[name]
    words = ["predict", run, images, "--output", tmp_path / "found", *words]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "found").exists()


def test_the_command_tells_what_it_did(run, images, tmp_path):
    found = tmp_path / "found"
    words = ["predict", run, images, "--output", found, "--windows"]
    words = list(map(str, [*words, "--probabilities", "--tta"]))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"3 masks and overlays: {found}",
        "  3 in windows of 32×32 that overlap by 8×8",
    ]
    assert len(names(found)) == 9
    again = CliRunner().invoke(app, words)
    assert again.stdout.splitlines() == [f"3 existed already: {found}"]
