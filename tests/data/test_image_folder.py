import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dca_keras.data import check_samples, read_dataset
from tests.data import archives

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
IMAGE = np.arange(8 * 6 * 3, dtype="uint8").reshape(8, 6, 3)
MASK = np.where(IMAGE[..., :1] > 70, 255, 0).astype("uint8")[..., 0]


def write_pair(folder, stem, extension=".png"):
    for kind, array in (("images", IMAGE), ("masks", MASK)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / kind / f"{stem}{extension}")


def write_folder(folder, count=40):
    for number in range(count):
        write_pair(folder, f"case{number:02}")
    return folder


def splits_of(splits):
    return splits.train, splits.val, splits.test


def names(splits):
    return [{sample.name for sample in split} for split in splits_of(splits)]


def test_reads_pairs(tmp_path):
    folder = write_folder(tmp_path)
    (folder / "images" / ".hidden.png").write_bytes(b"")
    (folder / "images" / "notes.txt").write_text("not an image")
    (folder / "masks" / "Thumbs.db").write_bytes(b"")
    splits = read_dataset("image_folder", str(folder), channels=1)
    assert sum(map(len, splits_of(splits))) == 40
    for split in splits_of(splits):
        check_samples(split)
    image, mask = splits.train[0].load()
    assert image.shape == (8, 6, 1) and image.dtype == "float32"
    assert mask.dtype == "int32"
    np.testing.assert_array_equal(mask[..., 0], MASK > 0)


def test_extensions_may_differ(tmp_path):
    folder = write_folder(tmp_path)
    mask = folder / "masks" / "case00.png"
    Image.open(mask).save(mask.with_suffix(".TIF"), format="TIFF")
    mask.unlink()
    splits = read_dataset("image_folder", folder)
    for split in splits_of(splits):
        check_samples(split)


def test_splits_do_not_depend_on_other_files(tmp_path):
    folder = write_folder(tmp_path)
    before = names(read_dataset("image_folder", folder, seed=1))
    for number in range(0, 40, 3):
        (folder / "images" / f"case{number:02}.png").unlink()
        (folder / "masks" / f"case{number:02}.png").unlink()
    write_pair(folder, "another")
    after = names(read_dataset("image_folder", folder, seed=2))
    for few, all_ in zip(after, before, strict=True):
        assert few - {"another"} <= all_


@pytest.mark.parametrize("with_val", [False, True])
def test_reads_splits_given_as_folders(tmp_path, with_val):
    given = ["train", "test"] + ["val"] * with_val
    for split in given:
        write_folder(tmp_path / split, 20)
    splits = read_dataset("image_folder", tmp_path)
    assert len(splits.test) == 20
    assert len(splits.train) + len(splits.val) == 20 * (1 + with_val)
    assert all(split for split in splits_of(splits))
    everyone = [sample.name for split in splits_of(splits) for sample in split]
    assert len(set(everyone)) == len(everyone)
    cases = [{sample.case for sample in split} for split in splits_of(splits)]
    assert with_val or not cases[0] & cases[1]


@pytest.mark.parametrize(
    "given",
    [
        ("training", "valid", "testing"),
        ("Train", "Dev", "Test"),
        ("train", "validation", "test"),
    ],
)
def test_splits_have_other_names_too(tmp_path, given):
    for folder, count in zip(given, (5, 6, 7), strict=True):
        write_folder(tmp_path / folder, count)
    (tmp_path / "notes" / "images").mkdir(parents=True)
    splits = read_dataset("image_folder", tmp_path)
    assert [len(split) for split in splits_of(splits)] == [5, 6, 7]
    assert splits.val[0].name == "val-case00"


def test_a_closed_folder_beside_is_passed_over(tmp_path, monkeypatch):
    write_folder(tmp_path)
    (tmp_path / "lost+found").mkdir()
    stat = os.stat

    def forbid(path, *arguments, **options):
        if "lost+found/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", forbid)
    splits = read_dataset("image_folder", tmp_path)
    assert sum(map(len, splits_of(splits))) == 40


def test_a_folder_of_notes_is_no_split(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "dev").mkdir()
    splits = read_dataset("image_folder", tmp_path)
    assert sum(map(len, splits_of(splits))) == 40


def another_split(folder):
    for split in ("train", "test", "holdout"):
        write_folder(folder / split, 3)


def one_split_twice(folder):
    for split in ("train", "val", "validation", "test"):
        write_folder(folder / split, 3)


def both_layouts(folder):
    write_folder(folder / "train", 3)
    write_folder(folder / "test", 3)
    write_pair(folder, "a")


def without_test(folder):
    write_folder(folder / "train", 3)


def train_without_masks(folder):
    write_folder(folder / "train", 3)
    write_folder(folder / "test", 3)
    shutil.rmtree(folder / "train" / "masks")


def without_images_folder(folder):
    write_folder(folder)
    shutil.rmtree(folder / "images")


def without_masks_folder(folder):
    write_folder(folder)
    shutil.rmtree(folder / "masks")


def masks_is_a_file(folder):
    without_masks_folder(folder)
    (folder / "masks").write_text("")


def without_images(folder):
    without_images_folder(folder)
    (folder / "images").mkdir()


def without_masks(folder):
    without_masks_folder(folder)
    (folder / "masks").mkdir()


def image_alone(folder):
    write_folder(folder)
    (folder / "masks" / "case07.png").unlink()


def masks_alone(folder):
    write_folder(folder)
    for number in range(12):
        (folder / "images" / f"case{number:02}.png").unlink()


def two_of_one_name(folder):
    write_folder(folder)
    Image.fromarray(IMAGE).save(folder / "images" / "case07.jpg")


def too_few(folder):
    write_folder(folder, 2)


WRONG_FOLDERS = [
    (lambda folder: None, "/images can't be read as a folder: No such"),
    (lambda folder: folder.rmdir(), "can't be read as a folder: No such"),
    (without_images_folder, "/images can't be read.* should hold images/"),
    (without_masks_folder, "/masks can't be read.* should hold images/"),
    (masks_is_a_file, "/masks can't be read as a folder: Not a directory"),
    (train_without_masks, "train/masks can't be read"),
    (without_images, r"/images holds no image.* \.png, \.jpg"),
    (without_masks, "/masks holds no image"),
    (image_alone, "has 1 images without mask: case07. An image"),
    (masks_alone, "12 masks without image: case00, .*case09, ….* same name"),
    (two_of_one_name, "images/case07.jpg and case07.png have the same name"),
    (another_split, "has holdout with images/ and masks/ beside .*Rename it"),
    (one_split_twice, "has val, validation, which all mean `val`. Move all b"),
    (without_test, r"has the splits \['train'\]. It needs train/ and test/"),
    (both_layouts, r"has images/ as well as \['train', 'test'\]"),
    (too_few, "no image falls to `.*` when its 2 images .* Add images"),
]


@pytest.mark.parametrize(("prepare", "message"), WRONG_FOLDERS)
def test_names_what_is_wrong_with_a_folder(tmp_path, prepare, message):
    folder = tmp_path / "mine"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(ValueError, match=f"mine.*{message}"):
        read_dataset("image_folder", folder)


def write_csv(folder, header, *lines):
    path = folder / "pairs.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def lines(count, *more):
    """Lines of a CSV, three images to a case."""
    columns = {
        "case": lambda number: f"patient {number // 3}",
        "split": lambda number: ("train", "train", "test")[number // 3 % 3],
    }
    return [
        ",".join(
            [f"images/case{number:02}.png", f"masks/case{number:02}.png"]
            + [columns[name](number) for name in more]
        )
        for number in range(count)
    ]


def test_reads_a_csv_of_pairs(tmp_path):
    write_folder(tmp_path)
    path = write_csv(tmp_path, "image,mask", *lines(40))
    splits = read_dataset("image_folder", path, channels=1)
    everyone = [sample for split in splits_of(splits) for sample in split]
    assert len(everyone) == len({s.case for s in everyone}) == 40
    check_samples(everyone)
    path = write_csv(tmp_path, "image,mask,case", *lines(40, "case"))
    splits = read_dataset("image_folder", path)
    cases = [{sample.case for sample in split} for split in splits_of(splits)]
    assert sum(map(len, cases)) == len(set.union(*cases)) == 14
    header = "image, mask, case, split"
    path = write_csv(tmp_path, header, *lines(40, "case", "split"))
    splits = read_dataset("image_folder", path)
    assert len(splits.test) == 12
    cases = [{sample.case for sample in split} for split in splits_of(splits)]
    assert sum(map(len, cases)) == len(set.union(*cases)) == 14


def test_splits_of_a_csv_have_other_names_too(tmp_path):
    rows = ["a,b,Training", "c,d,validation", "e,f,testing", "g,h,dev"]
    path = write_csv(tmp_path, "image,mask,split", *rows)
    splits = read_dataset("image_folder", path)
    assert names(splits) == [{"a"}, {"c", "g"}, {"e"}]


WRONG_CSVS = [
    ("picture,mask", lines(9), "line 2, names no image and mask"),
    ("image,mask", [*lines(9), "images/a.png"], "line 11, names no image"),
    ("image,mask", lines(9) * 2, "names images twice: images/case00.png, "),
    ("image,mask,split", ["a,b,x"], "line 2: `split` must be .* 'x'"),
    ("image,mask,split", ["a,b,train", "c,d,"], "on some lines and not on"),
    (
        "image,mask,case,split",
        ["a,b,patient 1,train", "c,d,patient 1,test"],
        "cases in two splits: patient 1. All images",
    ),
    ("image,mask,split", ["a,b,train", "c,d,val"], "no image falls to `test`"),
    ("image,mask", [], "no image falls to `train`"),
]


@pytest.mark.parametrize(("header", "rows", "message"), WRONG_CSVS)
def test_names_what_is_wrong_with_a_csv(tmp_path, header, rows, message):
    path = write_csv(tmp_path, header, *rows)
    with pytest.raises(ValueError, match=f"pairs.csv.*{message}"):
        read_dataset("image_folder", path)
    with pytest.raises(ValueError, match="none.csv can't be read as CSV"):
        read_dataset("image_folder", tmp_path / "none.csv")


def test_names_a_missing_file_of_a_csv(tmp_path):
    write_folder(tmp_path)
    path = write_csv(tmp_path, "image,mask", *lines(41))
    splits = read_dataset("image_folder", path)
    everyone = [sample for split in splits_of(splits) for sample in split]
    with pytest.raises(ValueError, match="images/case40.png.*No such file"):
        check_samples(everyone)


def test_pairs_compressed_nifti_by_name(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(20):
        for kind in ("images", "masks"):
            frame = rng.integers(0, 2, (10, 12, 1)).astype("uint8")
            name = f"scan.{number}.nii.gz"
            archives.save_nifti(tmp_path / kind / name, frame)
    splits = read_dataset("image_folder", tmp_path)
    assert splits.train[0].name.startswith("scan.")
    for split in splits_of(splits):
        check_samples(split)


def test_names_a_file_given_for_a_folder(tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"mine\.zip.*Not a directory"):
        read_dataset("image_folder", path)


def test_names_pairs_of_two_sizes(tmp_path):
    folder = write_folder(tmp_path)
    Image.fromarray(MASK[:4]).save(folder / "masks" / "case07.png")
    splits = read_dataset("image_folder", folder)
    with pytest.raises(ValueError) as caught:
        for split in splits_of(splits):
            check_samples(split)
    for words in (
        "images/case07.png",
        "masks/case07.png",
        "(8, 6) and (4, 6)",
        "Save them at one size",
    ):
        assert words in str(caught.value)


@pytest.mark.skipif(
    not (SHARED / "dsb2018").is_dir(), reason="no ../shared/data/dsb2018"
)
def test_reads_real_microscopy():
    splits = read_dataset("image_folder", SHARED / "dsb2018")
    assert sum(map(len, splits_of(splits))) == 300
    cases = [{sample.case for sample in split} for split in splits_of(splits)]
    assert len(set.union(*cases)) == sum(map(len, cases)) == 300
    assert [len(split) for split in splits_of(splits)] == [211, 50, 39]
    sizes = set()
    for sample in splits.val + splits.test:
        image, mask = sample.load()
        sizes.add(image.shape)
        assert image.min() >= 0 and image.max() <= 1
        assert set(np.unique(mask)) == {0, 1}
    assert sizes == {(256, 256, 3), (256, 320, 3)}
