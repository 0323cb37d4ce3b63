import importlib
import threading
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest

from dca_keras.data import read_image, read_mask, volumes
from tests.data import archives
from tests.data.scans import save_dicom, save_dicom_stack

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (12, 10)).astype("uint16")
RGB = RNG.integers(0, 256, (12, 10, 3)).astype("uint8")
LABELS = (GREY % 3).astype("uint8")


WINDOW = {"WindowCenter": 40, "WindowWidth": 400}
HOUNSFIELD = {"RescaleSlope": 2, "RescaleIntercept": -1024}
DICOM = {
    "12_bits": (GREY, {"BitsStored": 12, "HighBit": 11}, GREY / 4095),
    "16_bits": (GREY, {}, GREY / 65535),
    "signed": (
        GREY.astype("int16"),
        {},
        (GREY.astype("float64") + 32768) / 65535,
    ),
    "window": (
        GREY,
        WINDOW | HOUNSFIELD,
        np.clip((GREY * 2.0 - 1024 + 160) / 400, 0, 1),
    ),
    "inverted": (
        LABELS,
        {"PhotometricInterpretation": "MONOCHROME1"},
        1 - LABELS / 255,
    ),
    "colour": (RGB, {}, RGB / 255),
}


@pytest.mark.parametrize("name", DICOM)
def test_reads_dicom_frames(tmp_path, name):
    values, tags, expected = DICOM[name]
    image = read_image(save_dicom(tmp_path / "a.dcm", values, **tags))
    assert image.dtype == "float32" and image.shape == (12, 10, 3)
    expected = np.broadcast_to(np.atleast_3d(expected), image.shape)
    np.testing.assert_allclose(image, expected, atol=1e-5)


def test_reads_dicom_masks(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", LABELS, **WINDOW)
    np.testing.assert_array_equal(read_mask(path, 3)[..., 0], LABELS)


def save_frame(path, rows, side, dtype):
    """Rows and columns of a picture as NIfTI, which counts from the back."""
    frame = np.flip(rows).T.astype(dtype)
    shape = {"axial": (10, 12, 1), "coronal": (10, 1, 12), "flat": (10, 12)}
    affine = np.diag([0.5, 0.5, 2.0, 1])
    nibabel.save(nibabel.Nifti1Image(frame.reshape(shape[side]), affine), path)
    return path


@pytest.mark.parametrize("side", ["axial", "coronal", "flat"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_reads_nifti_frames(tmp_path, name, side):
    path = save_frame(tmp_path / name, GREY - 1000.0, side, "int16")
    low, high = int(GREY.min()), int(GREY.max())
    image = read_image(path, channels=1)[..., 0]
    np.testing.assert_allclose(image, (GREY - low) / (high - low), atol=1e-6)
    path = save_frame(path, GREY / 4096, side, "float32")
    np.testing.assert_allclose(read_image(path)[..., 0], GREY / 4096)
    path = save_frame(path, LABELS, side, "float32")
    np.testing.assert_array_equal(read_mask(path, 3)[..., 0], LABELS)


AFFINES = {
    "from the left": np.diag([-0.8, 0.7, 3.0, 1]),
    "upside down": np.diag([0.8, -0.7, -3.0, 1]),
    "sagittal": np.array(
        [[0, 0, 0.8, 0], [0.7, 0, 0, 0], [0, 3.0, 0, 0], [0, 0, 0, 1]]
    ),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_volumes_are_turned_to_one_view(tmp_path, affine):
    standard = nibabel.Nifti1Image(
        np.arange(4 * 5 * 6, dtype="int16").reshape(4, 5, 6),
        np.diag([0.8, 0.7, 3.0, 1]),
    )
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(standard.affine), nibabel.io_orientation(affine)
    )
    path = tmp_path / "a.nii.gz"
    nibabel.save(standard.as_reoriented(turn), path)
    volume = volumes.read_volume(path)
    expected = np.flip(standard.get_fdata(), (0, 1)).transpose(2, 1, 0)
    np.testing.assert_array_equal(volume, expected)
    shape, spacing = volumes.volume_header(path)
    assert shape == (6, 5, 4)
    assert spacing == pytest.approx((3.0, 0.7, 0.8))


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_reads_volumes_as_stacks(tmp_path, affine):
    path = tmp_path / "a.nii"
    values = RNG.integers(-1000, 2000, (4, 5, 6)).astype("int16")
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    volume = volumes.read_volume(path)[..., None].astype("float32")
    low, high = volume.min(), volume.max()
    for intensities, expected in (
        (None, (volume - low) / (high - low)),
        ((-100, 300), np.clip((volume + 100) / 400, 0, 1)),
    ):
        image = read_image(path, stack=True, intensities=intensities)
        assert image.dtype == "float32" and image.shape[-1] == 3
        np.testing.assert_allclose(
            image, np.repeat(expected, 3, axis=-1), atol=1e-6
        )


def test_reads_dicom_frames_as_stacks(tmp_path):
    stack = RNG.integers(0, 256, (3, 12, 10)).astype("uint8")
    path = save_dicom_stack(tmp_path / "a.dcm", stack)
    image = read_image(path, channels=1, stack=True)
    np.testing.assert_allclose(image[..., 0], stack / 255, atol=1e-6)
    image = read_image(path, 1, stack=True, intensities=(100, 200))
    expected = np.clip((stack - 100.0) / 100, 0, 1)
    np.testing.assert_allclose(image[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 1), (4, 5), (1, 5, 6)])
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("classes", [(), (3,)])
def test_writes_back_where_it_was_read(tmp_path, shape, affine, classes):
    values = RNG.integers(0, 1000, shape).astype("int16")
    path, found = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    seen = volumes.read_nifti(path)
    seen = seen.repeat(3, axis=-1) if classes else seen[..., 0]
    volumes.write_nifti(found, seen, path)
    image = nibabel.load(found)
    np.testing.assert_array_equal(image.affine, nibabel.load(path).affine)
    stored = np.asarray(image.dataobj)
    for index in range(3 if classes else 1):
        part = stored[..., index] if classes else stored
        np.testing.assert_array_equal(part.reshape(shape), values)


def test_names_what_is_no_frame(tmp_path):
    archives.save_nifti(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), "uint8"))
    with pytest.raises(
        ValueError, match=r"a\.nii\.gz can't be .*stack of 6 images"
    ):
        read_image(tmp_path / "a.nii.gz")
    path = save_dicom_stack(tmp_path / "a.dcm", np.zeros((2, 12, 10), "uint8"))
    with pytest.raises(
        ValueError, match=r"a\.dcm can't be .*stack of 2 images"
    ):
        read_image(path)
    for name in ("b.dcm", "b.nii", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"not a picture")
        with pytest.raises(ValueError, match=f"{name} can't be read"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii", "a.dcm"])
def test_names_the_extra(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(b"content")

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(
        ImportError, match=r'pip install "dca-keras\[volumes\]"'
    ):
        read_image(tmp_path / name)


def test_threads_read_different_volumes_at_once(monkeypatch):
    both = threading.Barrier(2)
    read = []

    def slowly(path):
        both.wait(timeout=20)
        read.append(path)
        return np.zeros(3)

    monkeypatch.setattr(volumes, "_read_volume", slowly)
    volumes._cached_volume.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(volumes.read_volume, ["a", "a", "b", "b"]))
    finally:
        volumes._cached_volume.cache_clear()
    assert sorted(read) == ["a", "b"]  # Each of them once.
