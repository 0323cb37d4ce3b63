import json

import pytest

from dca_keras import data
from dca_keras.data import registry


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


# What of a layout tells the data set.
LAYOUTS = [
    ("glas", ("Grade.csv", "train_1.bmp", "train_1_anno.bmp")),
    (
        "monuseg",
        (
            "MoNuSeg 2018 Training Data/Tissue Images/TCGA-1.tif",
            "MoNuSeg 2018 Training Data/Annotations/TCGA-1.xml",
            "MoNuSegTestData/TCGA-2.tif",
        ),
    ),
    ("monuseg", ("train_images/TCGA-1.png", "train_masks/TCGA-1.png")),
    ("cvc_clinicdb", ("Original/612.tif", "Ground Truth/612.tif")),
    ("cvc_clinicdb", ("PNG/Original/612.png", "PNG/Ground Truth/612.png")),
    ("kvasir_seg", ("kavsir_bboxes.json", "images/a.jpg", "masks/a.jpg")),
    (
        "synapse",
        (
            "RawData/Training/img/img0001.nii.gz",
            "RawData/Training/label/label0001.nii.gz",
        ),
    ),
    (
        "synapse",
        ("train_npz/case0005_slice000.npz", "test_vol_h5/case0001.npy.h5"),
    ),
    ("image_folder", ("images/a.png", "masks/a.png")),
    ("image_folder", ("train/images/a.jpg", "train/masks/a.jpg")),
    ("image_folder", ("a.png", "a_mask.png")),
    # What others call so is not the archive.
    ("image_folder", ("Original/1.png", "Ground Truth/1.png")),
    ("image_folder", ("dataset.json", "images/a.png", "masks/a.png")),
]


@pytest.mark.parametrize("below", ["", "one", "one/two"])
@pytest.mark.parametrize("name, files", LAYOUTS)
def test_a_layout_tells_the_data_set(tmp_path, name, files, below):
    touch(tmp_path / below, *files)
    # A layout that lies deeper itself is found from one folder above.
    above = tmp_path / below if "/" in below else tmp_path
    assert data.detect(above).name == name


def test_says_why(tmp_path):
    touch(tmp_path / "sub", "Grade.csv", "train_1_anno.bmp")
    assert data.detect(tmp_path / "sub") == (
        "glas",
        "it holds Grade.csv and train_*_anno.bmp",
    )
    assert data.detect(tmp_path).reason.startswith("sub holds Grade.csv")
    assert data.detect(tmp_path / "sub" / "pairs.csv") == (
        "image_folder",
        "it is a CSV file",
    )


def test_refuses_two_data_sets_in_a_folder(tmp_path):
    for name, files in LAYOUTS[0:4:3]:
        touch(tmp_path / name, *files)
    with pytest.raises(ValueError, match="several data sets: cvc_.*, glas"):
        data.detect(tmp_path)


def test_refuses_what_is_no_folder(tmp_path):
    with pytest.raises(ValueError, match="nowhere can't be read as a folder"):
        data.detect(tmp_path / "nowhere")


def test_users_data_sets_are_found_too(tmp_path, monkeypatch):
    readers = dict(registry._READERS._parts)
    monkeypatch.setattr(registry._READERS, "_parts", readers)
    monkeypatch.setattr(registry, "_FACTS", dict(registry._FACTS))
    monkeypatch.setattr(registry, "_LAYOUTS", dict(registry._LAYOUTS))
    register = data.register_dataset("cells", layouts=[("cells.json",)])
    register(lambda data_dir: None)
    (tmp_path / "cells.json").write_text(json.dumps({}))
    assert data.detect(tmp_path).name == "cells"
