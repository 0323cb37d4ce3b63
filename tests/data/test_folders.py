"""Ordinary folders, read at first try, and those that are refused."""

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from dca_keras.data import check_samples, read_dataset
from tests.data.scans import save_dicom
from tests.data.test_image_folder import SHARED

COUNT, SIDE = 9, 24
RNG = np.random.default_rng(0)
YY, XX = np.mgrid[:SIDE, :SIDE]


def draw(number, classes=2):
    """Class indices: a disc for every class, at a place of its own."""
    mask = np.zeros((SIDE, SIDE), "uint8")
    for index in range(1, classes):
        y, x = np.random.default_rng(10 * number + index).integers(6, 18, 2)
        mask[(YY - y) ** 2 + (XX - x) ** 2 < 20] = index
    return mask


def photo(channels=3):
    return RNG.integers(0, 256, (SIDE, SIDE, channels)).astype("uint8")


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(path, array, **options)
    else:
        Image.fromarray(array).save(path, **options)


def write(
    folder,
    image="images/{}.png",
    mask="masks/{}.png",
    values=(0, 255),
    count=COUNT,
    dtype="uint8",
):
    """Write pairs under names that hold their number."""
    table = np.array(values, dtype)
    for number in range(count):
        save(folder / image.format(number), photo())
        indices = draw(number, len(values))
        save(folder / mask.format(number), table[indices])


def everyone(splits):
    return [*splits.train, *splits.val, *splits.test]


def check(splits, classes=2, channels=3, count=COUNT):
    """Check that all was read, and masks are what was drawn."""
    samples = everyone(splits)
    assert len(samples) == count and all((splits.train, splits.val))
    assert splits.test and splits.channels == channels
    assert splits.num_classes == (1 if classes == 2 else classes)
    check_samples(samples)
    for sample in samples:
        digits = "".join(filter(str.isdigit, sample.files[-1].stem))
        image, mask = sample.load()
        assert image.shape == (SIDE, SIDE, channels)
        np.testing.assert_array_equal(
            mask[..., 0], draw(int(digits[-4:]), classes)
        )


RED, GREEN = (255, 0, 0), (0, 255, 0)
# How a folder is written, how many classes it has.
FOLDERS = {
    # The eight of a new user.
    "ISIC": dict(
        image="ISIC2018_Task1-2_Training_Input/ISIC_{:07}.jpg",
        mask="ISIC2018_Task1_Training_GroundTruth/ISIC_{:07}_segmentation.png",
    ),
    "NAME_mask": dict(image="{}.png", mask="{}_mask.png"),
    "labels": dict(mask="labels/{}.png"),
    "16 bits": dict(mask="masks/{}.tif", values=(0, 65535), dtype="uint16"),
    "three greys": dict(values=(0, 127, 254)),
    "colours": dict(values=((0, 0, 0), GREEN, RED)),
    "twelve": dict(count=12),
    # More of them.
    "mask_NAME": dict(image="a{}.jpg", mask="mask_a{}.png"),
    "NAME_image": dict(image="{}_image.png", mask="{}_mask.png"),
    "image_NAME": dict(image="x/image_{:03}.png", mask="x/mask_{:03}.png"),
    "two suffixes": dict(image="imgs/{}_img.png", mask="GT/{}_seg.png"),
    "two folders": dict(image="Original/{}.TIF", mask="Ground Truth/{}.PNG"),
    "images beside": dict(image="{}.jpg", mask="annotations/{}.png"),
    "an unknown name": dict(image="images/{}.jpg", mask="outlines/{}.png"),
    "an unknown suffix": dict(image="s{}.png", mask="s{}-lesion.png"),
    "JPEG and PNG": dict(image="data/{}.jpg", mask="data/{}.png"),
    "patients": dict(image="p{0}/image.png", mask="p{0}/segmentation_{0}.png"),
    "patients' folders": dict(
        image="patient{0}/images/{0}.png", mask="patient{0}/masks/{0}.png"
    ),
    "classes": dict(
        image="images/benign/{}.png", mask="masks/benign/{}_mask.png"
    ),
    "flat masks": dict(image="images/site a/{}.png", mask="masks/{}.png"),
    "below": dict(
        image="Kvasir-SEG/images/{}.jpg", mask="Kvasir-SEG/masks/{}.jpg"
    ),
    "VOC": dict(image="JPEGImages/{}.jpg", mask="SegmentationClass/{}.png"),
    "camel case": dict(image="TrainImages/{}.jpg", mask="TrainMasks/{}.png"),
    "one and two": dict(values=(1, 2)),
    "four greys": dict(values=(0, 85, 170, 255)),
    "one to three": dict(values=(1, 2, 3)),
    "no black": dict(values=((255, 255, 255), GREEN, RED)),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_reads_folders_at_first_try(tmp_path, name):
    how = FOLDERS[name]
    write(tmp_path, **how)
    (tmp_path / "readme.txt").write_text("not an image")
    splits = read_dataset("image_folder", tmp_path)
    check(splits, len(how.get("values", (0, 1))), count=how.get("count", COUNT))


TIFFS = {
    "contig": (lambda v: v, {"planarconfig": "contig"}),
    "planar": (lambda v: np.moveaxis(v, -1, 0), {"planarconfig": "separate"}),
    "pages": (lambda v: np.moveaxis(v, -1, 0), {}),
    "rows": (lambda v: v, {}),
}


@pytest.mark.parametrize("name", TIFFS)
def test_reads_tiff_of_five_channels(tmp_path, name):
    write(tmp_path)
    arrange, options = TIFFS[name]
    for number in range(COUNT):
        (tmp_path / f"images/{number}.png").unlink()
        save(
            tmp_path / f"images/{number}.tif",
            arrange(photo(5)),
            photometric="minisblack",
            **options,
        )
    check(read_dataset("image_folder", tmp_path), channels=5)
    check(read_dataset("image_folder", tmp_path, channels=5), channels=5)


def test_reads_channels_from_files_of_their_own(tmp_path):
    write(tmp_path)
    for number in range(COUNT):
        (tmp_path / f"images/{number}.png").unlink()
        for channel in range(2):
            path = tmp_path / f"images/{number}_{channel:04}.png"
            save(path, photo()[..., 0])
    splits = read_dataset("image_folder", tmp_path)
    check(splits, channels=2)
    assert {s.name for s in everyone(splits)} == set(map(str, range(COUNT)))
    (tmp_path / "images/3_0001.png").unlink()
    with pytest.raises(ValueError, match="one has 1 channels|has 1 channels"):
        read_dataset("image_folder", tmp_path)


def test_grey_images_have_one_channel(tmp_path):
    write(tmp_path)
    for number in range(COUNT):
        save(tmp_path / f"images/{number}.png", photo()[..., 0])
    check(read_dataset("image_folder", tmp_path), channels=1)
    check(read_dataset("image_folder", tmp_path, channels=3), channels=3)
    save(tmp_path / "images/0.png", photo())
    check(read_dataset("image_folder", tmp_path), channels=3)


LAYOUTS = (
    "{split}/{kind}/{name}.png",
    "{kind}/{split}/{name}.png",
    "{split}_{kind}/{name}.png",
    "{kind}/{split}/ward/{name}.png",
    "set/{split}/{name}_{kind}.png",
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("names", ["train val test", "Training Valid Testing"])
def test_reads_splits_above_and_below(tmp_path, layout, names):
    sizes = dict(zip(names.split(), (4, 2, 3), strict=True))
    for split, size in sizes.items():
        both = (
            layout.format(split=split, kind=kind, name="{}")
            for kind in ("image", "mask")
        )
        write(tmp_path, *both, count=size)
    splits = read_dataset("image_folder", tmp_path)
    check(splits)
    assert [len(splits.train), len(splits.val), len(splits.test)] == [4, 2, 3]
    assert splits.test[0].name.startswith("test-")


def test_palettes_are_indices(tmp_path):
    write(tmp_path)
    for number in range(COUNT):
        mask = Image.fromarray(draw(number, 3)).convert("P")
        mask.putpalette([0, 0, 0, *RED, *GREEN])
        mask.save(tmp_path / f"masks/{number}.png")
    splits = read_dataset("image_folder", tmp_path)
    check(splits, 3)
    assert splits.classes["classes"][1] == {
        "index": 1,
        "name": "class 1",
        "value": 1,
    }


def test_palettes_that_differ_are_colours(tmp_path):
    write(tmp_path)
    for number in range(COUNT):
        indices = draw(number, 3)
        odd = number % 2
        mask = Image.fromarray(2 - indices if odd else indices).convert("P")
        colours = [(0, 0, 0), GREEN, RED][:: -1 if odd else 1]
        mask.putpalette(np.ravel(colours).tolist())
        mask.save(tmp_path / f"masks/{number}.png")
    splits = read_dataset("image_folder", tmp_path)
    check(splits, 3)
    assert splits.classes["classes"][2]["colour"] == "#ff0000"


@pytest.mark.parametrize("values", [(0, 255), (0, 127, 254)])
def test_masks_may_be_jpeg_and_say_so(tmp_path, values):
    write(tmp_path, mask="masks/{}.jpg", values=values)
    splits = read_dataset("image_folder", tmp_path)
    assert splits.classes["jpeg_masks"] == COUNT
    assert 0 < splits.classes["strays"] < 0.2
    assert splits.num_classes == (1 if len(values) == 2 else 3)
    for sample in everyone(splits):
        number = int(sample.name)
        off = sample.load()[1][..., 0] != draw(number, len(values))
        assert off.mean() < 0.03


def enlarge(array):
    return array.repeat(4, axis=0).repeat(4, axis=1)


def test_coloured_masks_may_be_jpeg(tmp_path):
    table = np.array([(0, 0, 0), GREEN, RED], "uint8")
    for number in range(COUNT):
        save(tmp_path / f"images/{number}.png", enlarge(photo()))
        mask = enlarge(table[draw(number, 3)])
        save(tmp_path / f"masks/{number}.jpg", mask)
    splits = read_dataset("image_folder", tmp_path)
    assert splits.num_classes == 3
    for sample in everyone(splits):
        truth = enlarge(draw(int(sample.name), 3))
        assert (sample.load()[1][..., 0] != truth).mean() < 0.03


def test_blurred_edges_count_as_the_nearest_class(tmp_path):
    write(tmp_path)
    for number in range(COUNT):
        large = Image.fromarray(draw(number) * np.uint8(255)).resize(
            (96, 96), Image.Resampling.BILINEAR
        )
        large.save(tmp_path / f"masks/{number}.png")
        save(tmp_path / f"images/{number}.png", enlarge(photo()))
    splits = read_dataset("image_folder", tmp_path)
    assert splits.num_classes == 1 and 0 < splits.classes["strays"] < 0.2
    for sample in everyone(splits):
        truth = enlarge(draw(int(sample.name)))
        assert (sample.load()[1][..., 0] != truth).mean() < 0.03


def test_values_may_be_missing_in_some_masks(tmp_path):
    write(tmp_path, values=(0, 127, 254))
    save(tmp_path / "masks/0.png", np.zeros((SIDE, SIDE), "uint8"))
    save(tmp_path / "masks/1.png", draw(1) * np.uint8(254))
    splits = read_dataset("image_folder", tmp_path)
    masks = {s.name: s.load()[1] for s in everyone(splits)}
    assert set(np.unique(masks["1"])) == {0, 2} and not masks["0"].any()


def save_volume(path, values, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([0.5, 0.75, 2, 1]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def test_reads_volumes(tmp_path):
    shape = (10, 8, 6)
    for number in range(COUNT):
        values = RNG.integers(-1000, 1000, shape).astype("int16")
        save_volume(tmp_path / f"images/{number}.nii.gz", values)
        labels = np.zeros(shape, "float32")
        labels[2:5, 2:5, 1:4], labels[6:8, 2:6] = 1, 2
        save_volume(tmp_path / f"masks/{number}_seg.nii.gz", labels)
    splits = read_dataset("image_folder", tmp_path)
    assert splits.modalities == ("MRI",) and splits.channels == 1
    assert splits.num_classes == 3
    sample = splits.train[0]
    image, mask = sample.load()
    assert image.shape == mask.shape == (6, 8, 10, 1)
    assert image.dtype == "float32" and mask.dtype == "int32"
    assert image.min() < -500 and sample.spacing == (2, 0.75, 0.5)
    assert set(np.unique(mask)) == {0, 1, 2}
    assert read_dataset("image_folder", tmp_path, modality="CT").modalities == (
        "CT",
    )
    with pytest.raises(ValueError, match="`channels` must be 1"):
        read_dataset("image_folder", tmp_path, channels=3)
    save_volume(tmp_path / "images/0.nii.gz", values[:, :, :1])
    with pytest.raises(ValueError, match="volumes and images of one slice"):
        read_dataset("image_folder", tmp_path)


def save_series(folder, values):
    folder.mkdir(parents=True)
    for index, frame in enumerate(values):
        save_dicom(
            folder / f"{index}.dcm",
            frame,
            Modality="CT",
            SeriesInstanceUID="1.2.3",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 2.5 * index],
            PixelSpacing=[0.5, 0.75],
            RescaleSlope=1,
            RescaleIntercept=-1000,
        )


def test_reads_series_with_nifti_masks(tmp_path):
    for number in range(4):
        values = RNG.integers(0, 2000, (6, 8, 10)).astype("uint16")
        save_series(tmp_path / f"images/case{number}", values)
        labels = np.zeros((10, 8, 6), "uint8")
        labels[2:5, 2:5, 1:4] = 1
        affine = np.diag([-0.75, -0.5, 2.5, 1])
        save_volume(tmp_path / f"masks/case{number}.nii.gz", labels, affine)
    splits = read_dataset("image_folder", tmp_path)
    assert splits.modalities == ("CT",) and splits.num_classes == 1
    assert {s.name for s in everyone(splits)} == {f"case{n}" for n in range(4)}
    sample = splits.test[0]
    assert sample.spacing == (2.5, 0.5, 0.75)
    image, mask = sample.load()
    assert image.shape == mask.shape == (6, 8, 10, 1)
    assert image.min() < -500
    assert check_samples(everyone(splits))[1] == []


def test_patients_stay_together(tmp_path):
    write(tmp_path, "images/patient{:02}_a.png", "masks/patient{:02}_a.png")
    write(tmp_path, "images/patient{:02}_b.png", "masks/patient{:02}_b.png")
    for pattern in (r"patient\d+", r"/patient(\d+)_"):
        splits = read_dataset("image_folder", tmp_path, case_pattern=pattern)
        cases = [
            {s.case for s in part}
            for part in (splits.train, splits.val, splits.test)
        ]
        assert sum(map(len, cases)) == len(set.union(*cases)) == COUNT
        assert len(everyone(splits)) == 2 * COUNT
    tested = set()
    for fold in range(3):
        splits = read_dataset(
            "image_folder", tmp_path, case_pattern=pattern, fold=f"{fold}/3"
        )
        cases = {s.case for s in splits.test}
        assert len(cases) == 3 and not tested & cases
        tested |= cases
    for pattern, message in (
        (r"patient(\d", "is no regular expression"),
        ("patient0[1-9]", "finds no case in 2 of 18 .*images/patient00_a"),
    ):
        with pytest.raises(ValueError, match=f"`case_pattern`.*{message}"):
            read_dataset("image_folder", tmp_path, case_pattern=pattern)


@pytest.mark.parametrize("count", [3, 5, 12])
def test_small_sets_get_all_splits(tmp_path, count):
    write(tmp_path, count=count)
    check(read_dataset("image_folder", tmp_path), count=count)


def test_folders_and_patterns_can_be_named(tmp_path):
    write(tmp_path, "a/{}.png", "b/{}.png")
    with pytest.raises(ValueError, match="can't be told which files are masks"):
        read_dataset("image_folder", tmp_path)
    check(read_dataset("image_folder", tmp_path, masks="b"))
    check(read_dataset("image_folder", tmp_path, images="a"))
    check(read_dataset("image_folder", tmp_path, images="a", masks="b/*.png"))
    with pytest.raises(ValueError, match="`masks` must be a folder in.*'c'"):
        read_dataset("image_folder", tmp_path, masks="c")
    with pytest.raises(ValueError, match="`images` and `masks` both name"):
        read_dataset("image_folder", tmp_path, images="a", masks="*.png")


def test_two_observers_must_be_chosen_between(tmp_path):
    write(tmp_path, "Image_{:02}.jpg", "Image_{:02}_1stHO.png")
    write(tmp_path, "Image_{:02}.jpg", "Image_{:02}_2ndHO.png")
    with pytest.raises(
        ValueError,
        match=r"Image_00\.jpg has two masks, Image_00_1stHO\.png and "
        r"Image_00_2ndHO\.png.*`masks='\*_1stHO\.png'`",
    ):
        read_dataset("image_folder", tmp_path)
    for masks in ("*_2ndHO.png", "_2ndHO"):
        splits = read_dataset("image_folder", tmp_path, masks=masks)
        assert len(everyone(splits)) == COUNT
        assert all("_2ndHO" in s.files[-1].name for s in everyone(splits))
        assert len(splits.classes["left_out"]) == COUNT


@pytest.mark.skipif(
    not (SHARED / "chase_db1").is_dir(), reason="no ../shared/data/chase_db1"
)
def test_reads_the_retinas_of_one_observer():
    folder = SHARED / "chase_db1"
    with pytest.raises(ValueError, match="has two masks, Image_01L_1stHO.png"):
        read_dataset("image_folder", folder)
    splits = read_dataset(
        "image_folder",
        folder,
        masks="*_1stHO.png",
        case_pattern=r"Image_(\d+)",
    )
    assert len(everyone(splits)) == 28 and splits.num_classes == 1
    assert len({s.case for s in everyone(splits)}) == 14
    image, mask = splits.test[0].load()
    assert image.shape == (960, 999, 3) and 0.02 < mask.mean() < 0.2


@pytest.mark.skipif(
    not (SHARED / "monuseg_512").is_dir(),
    reason="no ../shared/data/monuseg_512",
)
def test_reads_the_layout_of_the_published_code():
    splits = read_dataset("image_folder", SHARED / "monuseg_512")
    assert len(splits.train) + len(splits.val) == 30 and len(splits.test) == 14
    assert splits.num_classes == 1 and splits.channels == 3


def mixed_scales(folder):
    write(folder)
    save(folder / "masks/3.png", draw(3))


def mixed_greys(folder):
    write(folder)
    save(folder / "masks/3.png", draw(3) * np.uint8(128))


def photos_for_masks(folder):
    write(folder)
    for number in range(COUNT):
        save(folder / f"masks/{number}.png", photo())


def numbered_objects(folder):
    write(folder)
    for number in range(COUNT):
        objects = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 16
        save(
            folder / f"masks/{number}.png",
            (objects % (10 + number)).astype("uint8"),
        )


def empty_masks(folder):
    write(folder)
    for number in range(COUNT):
        save(folder / f"masks/{number}.png", np.zeros((SIDE, SIDE), "uint8"))


def colours_of_16_bits(folder):
    write(folder, values=((0, 0, 0), RED))
    save(folder / "masks/3.png", draw(3).astype("uint16") * 999)


def channels_differ(folder):
    write(folder)
    (folder / "images/3.png").unlink()
    save(folder / "images/3.tif", photo(5), planarconfig="contig")


def instance_masks(folder):
    write(folder, "c{0}/images/c{0}.png", "c{0}/masks/{0}a.png")
    write(folder, "c{0}/images/c{0}.png", "c{0}/masks/{0}b.png")


def two_masks_in_a_folder(folder):
    write(folder)
    save(folder / "masks/3.tif", draw(3))


def masks_of_two_observers(folder):
    write(folder, mask="masks/{}_A.png")
    write(folder, mask="masks/{}_B.png")


def one_suffix_differs(folder):
    write(folder, "{}.png", "{}_mask.png")
    (folder / "3_mask.png").rename(folder / "3_seg.png")


def one_mask_too_many(folder):
    write(folder, "benign/b ({}).png", "benign/b ({})_mask.png")
    save(folder / "benign/b (3)_mask_1.png", draw(3))


def images_alone(folder):
    write(folder, "{}.png", "masks/{}.png")
    (folder / "masks").rename(folder.parent / "gone")


# What is written, and the words of the error.
REFUSED = {
    mixed_scales: r"0\.png holds 0, 255|3\.png holds 0, 1, .*0, 255, and no",
    mixed_greys: r"3\.png holds 0, 128, .*0\.png 0, 255, and no mask both",
    photos_for_masks: "of the masks' pixels have none of the .*Are these masks",
    numbered_objects: r"0\.png holds .* up to 9, .*8\.png up to 17: they seem",
    empty_masks: r"Every pixel of every mask is the same: .*\.png holds 0",
    colours_of_16_bits: r"masks/3\.png holds uint16 values, and other masks",
    channels_differ: r"/\d\.png has 3 channels, .*/3\.tif 5",
    instance_masks: "can't be told|without|has two masks",
    two_masks_in_a_folder: r"images/3\.png has two masks, 3\.png and 3\.tif",
    masks_of_two_observers: r"has two masks, 0_A\.png and 0_B\.png",
    one_mask_too_many: r"b \(3\)_mask\.png and b \(3\)_mask_1\.png\. Say "
    r"which to use: `masks='\*_mask\.png'`",
    one_suffix_differs: "without mask: 3|have no partner",
    images_alone: "can't be told which files are masks",
}


@pytest.mark.parametrize("prepare", REFUSED, ids=lambda f: f.__name__)
def test_refuses_what_is_ambiguous(tmp_path, prepare):
    folder = tmp_path / "mine"
    prepare(folder)
    with pytest.raises(ValueError, match=REFUSED[prepare]):
        read_dataset("image_folder", folder)


def test_what_is_given_decides(tmp_path):
    write(tmp_path, values=(0, 1, 2))
    check(read_dataset("image_folder", tmp_path, num_classes=3), 3)
    splits = read_dataset("image_folder", tmp_path, num_classes=9)
    assert splits.num_classes == 9
    with pytest.raises(ValueError, match="`num_classes` is 1, and 3 values"):
        read_dataset("image_folder", tmp_path, num_classes=1)
    write(tmp_path)
    splits = read_dataset("image_folder", tmp_path, num_classes=2)
    assert splits.num_classes == 2
    np.testing.assert_array_equal(
        {s.name: s.load()[1] for s in everyone(splits)}["4"][..., 0], draw(4)
    )
    save(tmp_path / "masks/3.png", draw(3))
    check(read_dataset("image_folder", tmp_path, num_classes=1))
    empty_masks(tmp_path)
    splits = read_dataset("image_folder", tmp_path, num_classes=1)
    assert not splits.train[0].load()[1].any()
