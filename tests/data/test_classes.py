"""Files of classes, and what the data command says of them."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from dca_keras.cli import app
from dca_keras.data import read_dataset, save_contact_sheet, summarize
from dca_keras.data.classes.mapping import Classes
from dca_keras.recipe import make_recipe
from dca_keras.training import read_usable
from tests.data.test_folders import (
    GREEN,
    RED,
    SIDE,
    draw,
    everyone,
    photo,
    save,
    write,
)


def write_classes(path, *entries):
    """Write (index, value or colour, name) as a file of classes."""
    listed = []
    for index, value, *name in entries:
        kind = "colour" if isinstance(value, str) else "value"
        named = {"name": name[0]} if name else {}
        listed.append({"index": index, kind: value} | named)
    path.write_text(json.dumps({"classes": listed}))
    return path


def masks_of(folder, path):
    splits = read_dataset("image_folder", folder, classes=path)
    return splits, {int(s.name): s.load()[1][..., 0] for s in everyone(splits)}


def test_a_corrected_file_merges_leaves_out_and_names(tmp_path):
    write(tmp_path, values=(0, 85, 170, 255))
    path = write_classes(
        tmp_path / "merged.json",
        *((0, 0), (1, 85, "rim"), (1, 170, "rim"), (2, 255, "cup")),
    )
    splits, masks = masks_of(tmp_path, path)
    assert splits.num_classes == 3 and splits.class_names == ("rim", "cup")
    for number, mask in masks.items():
        table = np.array([0, 1, 1, 2])
        np.testing.assert_array_equal(mask, table[draw(number, 4)])
    path = write_classes(
        tmp_path / "fewer.json", (0, 0), (0, 85), (1, 170), (0, 255)
    )
    splits, masks = masks_of(tmp_path, path)
    assert splits.num_classes == 1 and splits.class_names is None
    np.testing.assert_array_equal(masks[5], draw(5, 4) == 2)


def test_what_was_found_can_be_read_again(tmp_path):
    write(tmp_path, values=((0, 0, 0), GREEN, RED))
    found = read_dataset("image_folder", tmp_path)
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(found.classes))
    splits, masks = masks_of(tmp_path, path)
    assert splits.classes == found.classes
    assert splits.num_classes == found.num_classes == 3
    np.testing.assert_array_equal(masks[2], draw(2, 3))
    path = write_classes(path, (0, "#000000"), (1, "#ff0000"), (2, "#00ff00"))
    np.testing.assert_array_equal(
        masks_of(tmp_path, path)[1][2], np.array([0, 2, 1])[draw(2, 3)]
    )


def test_a_file_must_fit_the_masks(tmp_path):
    write(tmp_path)
    path = write_classes(tmp_path / "c.json", (0, 40), (1, 90))
    with pytest.raises(ValueError, match=r"\d\.png has areas of 0, 255"):
        masks_of(tmp_path, path)
    path = write_classes(path, (0, 0), (1, 1))
    with pytest.raises(ValueError, match=r"\d\.png has areas of 255, and"):
        masks_of(tmp_path, path)
    path = write_classes(path, (0, 0), (1, 100), (2, 255))
    with pytest.raises(ValueError, match="`num_classes` is 2, and `classes`"):
        read_dataset("image_folder", tmp_path, classes=path, num_classes=2)
    save(tmp_path / "masks/4.png", np.array([(0, 0, 0), RED], "uint8")[draw(4)])
    with pytest.raises(ValueError, match=r"4\.png is coloured, and `classes`"):
        masks_of(tmp_path, path)


WRONG = [
    ([(0, 0), (2, 255)], "indices must be 0 to 1 without a gap"),
    ([(0, 0)], "needs two classes or more"),
    ([(0, 0), (1, "#ff0000")], "all must be values, or all of them colours"),
    ([(0, 0), (1, 0)], "is listed twice"),
    ([(0, "#000000"), (1, "#ff00")], "a colour is #rrggbb, not '#ff00'"),
    ([(0, 0), (1, True)], "a value must be a number and is True"),
    ([(0, 0), ("1", 255)], "an index must be an integer and is '1'"),
]


@pytest.mark.parametrize(("entries", "message"), WRONG)
def test_names_what_is_wrong_with_a_file(tmp_path, entries, message):
    path = write_classes(tmp_path / "c.json", *entries)
    with pytest.raises(
        ValueError, match=f"c.json can't be read as classes: .*{message}"
    ):
        Classes.read(path)


def test_names_a_file_that_holds_no_classes(tmp_path):
    path = tmp_path / "c.json"
    for text in ("{", "[]", "{}", '{"classes": 1}', '{"classes": [{}]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="c.json can't be read as classes"):
            Classes.read(path)
    with pytest.raises(ValueError, match="none.json .*: No such file"):
        Classes.read(tmp_path / "none.json")


def show(*words, code=0):
    result = CliRunner().invoke(app, ["data", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_the_command_shows_and_writes_the_classes(tmp_path):
    folder, sheet = tmp_path / "mine", tmp_path / "out" / "sheet.png"
    write(folder, "{}.png", "{}_seg.jpg", values=(0, 127, 254))
    shown, notes = show(folder, "--sheet", sheet)
    assert "data set: image_folder, since it has the layout of no" in shown
    assert "channels: 3\n" in shown
    assert "pairs: image NAME, mask NAME_seg\n" in shown
    assert re.search(r"  1[1-4]\d -> 1 class 1\n", shown)
    assert "9 masks are JPEG files" in notes and "nearest class" in notes
    said = io.StringIO()
    recipe = make_recipe(
        "unet", data="image_folder", data_dir=str(folder), num_classes=3
    )
    read_usable(recipe, Console(file=said))
    assert "9 masks are JPEG files" in said.getvalue()
    path = sheet.with_name("classes.json")
    classes = json.loads(path.read_text())
    assert len(classes["classes"]) == 3
    show(folder, "--sheet", sheet)
    classes["classes"][1]["name"] = "liver"
    path.write_text(json.dumps(classes))
    _, notes = show(folder, "--sheet", sheet)
    assert "classes.json is there already" in notes
    assert json.loads(path.read_text()) == classes
    shown, _ = show(folder, "--sheet", sheet, "--classes", path)
    assert "-> 1 liver" in shown


def test_pictures_of_channels_and_volumes(tmp_path):
    write(tmp_path, values=(0, 1, 2))
    sample = read_dataset("image_folder", tmp_path).train[0]
    many = np.dstack([photo(), photo()]).astype("float32") / 255
    mask = draw(1, 3)[..., None].astype("int32")
    volume = np.stack([many[..., :1] * 900 - 500] * 5)
    labels = np.zeros((5, SIDE, SIDE, 1), "int32")
    labels[3] = mask

    def of(pair):
        return sample.__class__("a", "a", lambda: pair)

    samples = [of((many, mask)), of((volume, labels))]
    found = summarize(samples)
    assert found["channels"] == [1, 6]
    assert set(found["sizes"]) == {"24x24", "5x24x24"}
    path = tmp_path / "sheet.png"
    save_contact_sheet(samples, path, side=SIDE)
    assert path.stat().st_size > 500
    sheets = []
    for channels in ((0, 1, 2), (2, 1, 0)):
        save_contact_sheet(samples[:1], path, side=SIDE, channels=channels)
        sheets.append(np.asarray(Image.open(path)))
    free = np.all(sheets[0][..., ::-1] == sheets[1], axis=-1)  # of outlines
    assert free.mean() > 0.5 and np.any(sheets[0] != sheets[1])
    with pytest.raises(ValueError, match="indices from 0 to 5"):
        save_contact_sheet(samples[:1], path, channels=(0, 1, 6))
