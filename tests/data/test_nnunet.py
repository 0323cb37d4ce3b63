import json
import shutil

import nibabel
import numpy as np
import pytest
from PIL import Image

from dca_keras.data import check_samples, detect, read_dataset
from dca_keras.data.channels import group_channels
from tests.data import archives

RNG = np.random.default_rng(0)
CASES = tuple(f"heart_{number:03}" for number in range(6))
ABOUT = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "ventricle": 1, "atrium": 2},
    "numTraining": 6,
    "file_ending": ".nii.gz",
}


def save(path, values, affine=None):
    affine = np.diag([1.5, 1.5, 10, 1]) if affine is None else affine
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def describe(root, **changes):
    about = {k: v for k, v in (ABOUT | changes).items() if v is not None}
    (root / "dataset.json").write_text(json.dumps(about))


def write_raw(root, channels=1, labels=(0, 1, 2), part="Tr", cases=CASES):
    """A raw data set of nnU-Net's; sides differ from case to case."""
    for number, case in enumerate(cases):
        shape = (8, 9, 3 + number % 2)
        for channel in range(channels):
            scan = RNG.normal(size=shape).astype("float32") * 100
            save(root / f"images{part}/{case}_{channel:04}.nii.gz", scan)
        mask = RNG.choice(labels, shape).astype("uint8")
        save(root / f"labels{part}/{case}.nii.gz", mask)
    describe(root, channel_names={str(c): "MRI" for c in range(channels)})
    return root


def write_decathlon(root, channels=2):
    """A task of the Decathlon's, with files that macOS leaves behind."""
    training = []
    for case in CASES:
        shape = (8, 9, 4, channels)
        scan = RNG.normal(size=shape).astype("float32")
        save(root / f"imagesTr/{case}.nii.gz", scan)
        mask = RNG.integers(0, 3, shape[:3]).astype("uint8")
        save(root / f"labelsTr/{case}.nii.gz", mask)
        for folder in ("imagesTr", "labelsTr"):
            (root / folder / f"._{case}.nii.gz").write_bytes(b"Mac OS X")
        training.append(
            {
                "image": f"./imagesTr/{case}.nii.gz",
                "label": f"./labelsTr/{case}.nii.gz",
            }
        )
    (root / "._dataset.json").write_bytes(b"Mac OS X")
    describe(
        root,
        channel_names=None,
        file_ending=None,
        modality={str(c): name for c, name in enumerate(("T1", "T2"))},
        labels={"0": "background", "1": "ventricle", "2": "atrium"},
        training=training,
        test=["./imagesTs/heart_100.nii.gz"],
    )
    return root


def write_first_version(root):
    """nnU-Net's first: the Decathlon's JSON, a file for every channel."""
    write_raw(root)
    training = [
        {"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"}
        for c in CASES
    ]
    describe(root, file_ending=None, training=training)
    return root


def write_pictures(root):
    """RGB in one file, as nnU-Net's reader of natural images takes it."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for case in CASES:
        colours = RNG.integers(0, 256, (12, 10, 3)).astype("uint8")
        Image.fromarray(colours).save(root / f"imagesTr/{case}_0000.png")
        mask = RNG.integers(0, 3, (12, 10)).astype("uint8")
        Image.fromarray(mask).save(root / f"labelsTr/{case}.png")
    names = dict(enumerate("RGB"))
    describe(root, channel_names=names, file_ending=".png")
    return root


def everyone(splits):
    return {s.name: s for s in splits.train + splits.val + splits.test}


def cases_of(samples):
    return {sample.case for sample in samples}


FORMS = {
    "raw": (write_raw, 1),
    "two channels": (lambda root: write_raw(root, 2), 2),
    "decathlon": (write_decathlon, 2),
    "first version": (write_first_version, 1),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("below", ["", "Dataset027_Heart"])
def test_reads_volumes(tmp_path, name, below):
    write, channels = FORMS[name]
    root = write(tmp_path / below)
    splits = read_dataset("nnunet", tmp_path)
    assert detect(tmp_path).name == "nnunet"
    assert splits.channels == len(splits.modalities) == channels
    assert splits.num_classes == 3 and splits.classes is None
    assert splits.class_names == ("ventricle", "atrium")
    samples = everyone(splits)
    assert tuple(sorted(samples)) == CASES
    assert min(map(len, (splits.train, splits.val, splits.test))) >= 1
    for case, sample in samples.items():
        assert sample.spacing == (10, 1.5, 1.5)
        image, mask = sample.load()
        assert image.dtype == "float32" and mask.dtype == "int32"
        assert image.shape == (*mask.shape[:3], channels)
        label = nibabel.load(root / f"labelsTr/{case}.nii.gz").dataobj
        seen = np.flip(np.asarray(label), (0, 1)).swapaxes(0, 2)
        np.testing.assert_array_equal(mask[..., 0], seen)


def test_reads_pictures(tmp_path):
    root = write_pictures(tmp_path)
    splits = read_dataset("nnunet", tmp_path)
    assert splits.modalities is None and splits.channels == 3
    image, mask = everyone(splits)["heart_002"].load()
    stored = np.asarray(Image.open(root / "imagesTr/heart_002_0000.png"))
    np.testing.assert_allclose(image, stored / 255, atol=1e-6)
    stored = np.asarray(Image.open(root / "labelsTr/heart_002.png"))
    np.testing.assert_array_equal(mask[..., 0], stored)


def test_labels_with_gaps_become_classes_in_a_row(tmp_path):
    root = write_raw(tmp_path, labels=(0, 2, 7))
    describe(root, labels={"tumour": 7, "background": 0, "liver": 2})
    splits = read_dataset("nnunet", root)
    assert splits.class_names == ("liver", "tumour")
    assert [c["value"] for c in splits.classes["classes"]] == [0, 2, 7]
    sample = everyone(splits)["heart_000"]
    stored = np.asarray(nibabel.load(sample.files[-1]).dataobj)
    seen = np.flip(stored, (0, 1)).swapaxes(0, 2)
    _, mask = sample.load()
    np.testing.assert_array_equal(np.array([0, 2, 7])[mask[..., 0]], seen)


def test_one_class_is_one_class(tmp_path):
    root = write_raw(tmp_path, labels=(0, 1))
    describe(root, labels={"background": 0, "heart": 1})
    assert read_dataset("nnunet", root).num_classes == 1
    assert read_dataset("nnunet", root, num_classes=2).num_classes == 2


def test_labelled_test_images_are_the_test_split(tmp_path):
    root = write_raw(tmp_path)
    write_raw(root, part="Ts", cases=("heart_100", "heart_101"))
    splits = read_dataset("nnunet", root)
    assert cases_of(splits.test) == {"heart_100", "heart_101"}
    assert cases_of(splits.train) | cases_of(splits.val) == set(CASES)
    assert splits.val
    write_raw(root, part="Ts", cases=CASES[:1])
    with pytest.raises(ValueError, match="imagesTs: heart_000. Scores"):
        read_dataset("nnunet", root)


def test_unlabelled_test_images_are_left_alone(tmp_path):
    root = write_raw(tmp_path)
    save(root / "imagesTs/heart_100_0000.nii.gz", np.ones((3, 4, 5)))
    assert set(everyone(read_dataset("nnunet", root))) == set(CASES)


@pytest.mark.parametrize("where", ["beside", "preprocessed"])
def test_folds_are_those_of_nnunet(tmp_path, monkeypatch, where):
    root = write_raw(tmp_path / "raw" / "Dataset027_Heart")
    folder = root
    if where == "preprocessed":
        folder = tmp_path / "preprocessed" / root.name
        folder.mkdir(parents=True)
        monkeypatch.setenv("nnUNet_preprocessed", str(folder.parent))
    parts = [(CASES[2:], CASES[:2]), (CASES[:3], CASES[3:])]
    (folder / "splits_final.json").write_text(
        json.dumps([{"train": a, "val": b} for a, b in parts])
    )
    for index, (train, val) in enumerate(parts):
        splits = read_dataset("nnunet", root, fold=f"{index}/2")
        assert cases_of(splits.test) == set(val)
        assert cases_of(splits.train) | cases_of(splits.val) == set(train)
        assert splits.val


def test_a_patient_stays_in_one_split(tmp_path):
    frames = [f"patient{n:03}_frame{f:02}" for n in range(7) for f in (1, 12)]
    root = write_raw(tmp_path, cases=frames)
    splits = read_dataset("nnunet", root, case_pattern=r"patient\d+")
    parts = [cases_of(p) for p in (splits.train, splits.val, splits.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 7
    assert len(splits.train) == 2 * len(parts[0])
    for pattern, message in (
        ("scan", "finds no case in 'patient000_frame01"),
        ("(", "no regular expression"),
    ):
        with pytest.raises(ValueError, match=message):
            read_dataset("nnunet", root, case_pattern=pattern)


def change_file(part, values=None, affine=None):
    def write(root):
        write_raw(root)
        save(root / part, np.ones((8, 9, 3)) if values is None else values)
        if affine is not None:
            save(root / part, np.ones((8, 9, 3), "uint8"), affine)

    return write


def described(**changes):
    return lambda root: (write_raw(root), describe(root, **changes))


def without(part):
    return lambda root: (write_raw(root), (root / part).unlink())


def two_sets(root):
    write_raw(root / "Dataset001_A")
    write_raw(root / "Dataset002_B")


def list_one_more(root):
    write_decathlon(root)
    (root / "imagesTr/heart_003.nii.gz").unlink()


IMAGE, LABEL = "imagesTr/heart_000_0000.nii.gz", "labelsTr/heart_000.nii.gz"
REFUSED = {
    "nothing": (lambda root: root.mkdir(), "holds no data set. It should hold"),
    "two sets": (two_sets, "several data sets: Dataset001_A, Dataset002_B"),
    "json": (
        lambda root: (write_raw(root) / "dataset.json").write_text("{"),
        "dataset.json can't be used",
    ),
    "no labels": (described(labels=None), "it has no 'labels'"),
    "regions": (
        described(labels={"background": 0, "whole": [1, 2], "core": [2]}),
        "its labels whole, core are regions.* Give every class one value",
    ),
    "ignore": (
        described(labels={"background": 0, "a": 1, "ignore": 2}),
        "its label `ignore` .* Label them, or remove",
    ),
    "background": (described(labels={"a": 1, "b": 2}), "must be 0, the back"),
    "same value": (
        described(labels={"background": 0, "a": 1, "b": 1}),
        "two of its labels have one value",
    ),
    "channels": (described(channel_names=None), "names no channels"),
    "numbers": (described(channel_names={"1": "CT"}), "numbered from 0"),
    "ending": (described(file_ending=".mha"), ".mha, which can't be.* Convert"),
    "other ending": (
        described(file_ending=".nii"),
        "imagesTr holds no file that ends in .nii",
    ),
    "no label": (without(LABEL), "heart_000 is without a label"),
    "no image": (without(IMAGE), "heart_000 is without an image"),
    "listed": (list_one_more, "1 files .* not there: imagesTr/heart_003.nii"),
    "one channel more": (
        described(channel_names={"0": "T1", "1": "T2"}),
        "heart_000_0000.nii.gz has 1 channels; .*dataset.json names 2",
    ),
    "shape": (
        change_file(LABEL, np.ones((8, 9, 4), "uint8")),
        "heart_000_0000.nii.gz and .*heart_000.nii.gz differ in",
    ),
    "affine": (
        change_file(LABEL, affine=np.diag([1.5, 1.5, 9, 1])),
        "voxels at different places",
    ),
    "value": (
        change_file(LABEL, np.full((8, 9, 3), 3, "uint8")),
        "heart_000.nii.gz holds the values 3. .* are 0, 1, 2",
    ),
    "negative": (
        change_file(LABEL, np.full((8, 9, 3), -1, "int16")),
        "heart_000.nii.gz holds the values -1.",
    ),
    "not a number": (
        change_file(LABEL, np.full((8, 9, 3), np.nan, "float32")),
        "heart_000.nii.gz holds the values nan.",
    ),
    "fraction": (
        change_file(LABEL, np.full((8, 9, 3), 0.5, "float32")),
        "heart_000.nii.gz holds the values 0.5.",
    ),
    "bytes": (
        lambda root: (write_raw(root) / IMAGE).write_bytes(b"no gzip"),
        "heart_000_0000.nii.gz can't be read as a volume",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_by_name(tmp_path, name):
    write, message = REFUSED[name]
    write(tmp_path / "raw")
    with pytest.raises(ValueError, match=message):
        check_samples(
            tuple(everyone(read_dataset("nnunet", tmp_path / "raw")).values())
        )


def test_other_numbers_are_refused(tmp_path):
    root = write_raw(tmp_path)
    for name, value in (("channels", 3), ("num_classes", 4)):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            read_dataset("nnunet", root, **{name: value})


def test_a_channel_that_is_missing_is_named(tmp_path):
    root = archives.write_nnunet(tmp_path)
    (root / "imagesTr" / "case007_0001.nii.gz").unlink()
    with pytest.raises(ValueError, match="imagesTr does not hold case007_0001"):
        read_dataset("nnunet", root)
    shutil.copy(
        root / "imagesTr" / "case007_0000.nii.gz",
        root / "imagesTr" / "case007_0002.nii.gz",
    )
    with pytest.raises(ValueError, match="does not hold case007_0001"):
        read_dataset("nnunet", root)


def test_names_say_what_is_a_channel(tmp_path):
    def grouped(*names, channels=None):
        found = group_channels([tmp_path / name for name in names], channels)
        return {case: [p.name for p in paths] for case, paths in found.items()}

    assert grouped("b_0001.nii", "a.nii.gz", "b_0000.nii") == {
        "a": ["a.nii.gz"],
        "b": ["b_0000.nii", "b_0001.nii"],
    }
    numbered = [f"scan_{number:04}.png" for number in range(20)]
    assert list(grouped(*numbered)) == [name[:-4] for name in numbered]
    assert grouped("scan_0007.nii") == {"scan_0007": ["scan_0007.nii"]}
    with pytest.raises(ValueError, match="also holds a_0001. Every case has 1"):
        grouped("a_0000.nii", "a_0001.nii", channels=1)
    with pytest.raises(ValueError, match="are the same channel of a"):
        grouped("a_0000.nii", "a.nii.gz")
