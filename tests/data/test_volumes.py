import importlib

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dca_keras.data import read_image, read_mask, volumes
from tests.data import archives

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (12, 10)).astype("uint16")
RGB = RNG.integers(0, 256, (12, 10, 3)).astype("uint8")
LABELS = (GREY % 3).astype("uint8")


def save_dicom(path, values, **tags):
    """Write one uncompressed frame of a secondary capture."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = values.shape[:2]
    colour = values.ndim == 3
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * values.itemsize
    dataset.BitsStored = dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


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


def test_names_what_is_no_frame(tmp_path):
    archives.save_nifti(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), "uint8"))
    with pytest.raises(ValueError, match=r"a\.nii\.gz can't be read.*a volume"):
        read_image(tmp_path / "a.nii.gz")
    stack = np.zeros((2, 12, 10), "uint8")
    path = save_dicom(
        tmp_path / "a.dcm", stack, Rows=12, Columns=10, NumberOfFrames=2
    )
    with pytest.raises(
        ValueError, match=r"a\.dcm can't be .*stack of 2 frames"
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
