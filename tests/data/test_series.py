import itertools

import nibabel
import numpy as np
import pydicom
import pytest

from dca_keras.data.channels import (
    channels_header,
    read_channels,
    read_grid,
    write_volume,
)
from dca_keras.data.series import is_series, read_series
from tests.data.scans import save_dicom

RNG = np.random.default_rng(0)
SPACING = (3.0, 0.7, 0.8)  # slice to slice, row to row, column to column
AXIAL = (1, 0, 0, 0, 1, 0)  # columns to the left, rows to the back
VALUES = RNG.integers(0, 4000, (5, 6, 7)).astype("uint16")


def save_series(
    folder, values, plane=AXIAL, spacing=SPACING, places=None, **tags
):
    """Write the slices in another order than that of their places."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = pydicom.uid.generate_uid()
    normal = np.cross(plane[:3], plane[3:])
    places = range(len(values)) if places is None else places
    for number, place in enumerate(places):
        position = np.array([-10.0, -20.0, 30.0]) + normal * place * spacing[0]
        save_dicom(
            folder / f"IM{(7 * number) % 11:04}.dcm",
            values[number],
            **{
                "SeriesInstanceUID": uid,
                "ImageOrientationPatient": list(map(float, plane)),
                "ImagePositionPatient": [round(float(x), 6) for x in position],
                "PixelSpacing": list(spacing[1:]),
                "RescaleSlope": 2,
                "RescaleIntercept": -1024,
                **tags,
            },
        )
    return folder


def test_reads_a_series_in_its_own_unit(tmp_path):
    folder = save_series(tmp_path / "ct", VALUES)
    (folder / "DICOMDIR").write_bytes(b"")
    (folder / "notes.txt").write_text("by hand")
    assert is_series(folder) and not is_series(tmp_path)
    volume = read_series(folder)
    assert volume.dtype == "float32"
    # Columns go to the patient's left, rows to the back, slices to the head.
    np.testing.assert_array_equal(volume[..., 0], VALUES * 2.0 - 1024)
    shape, spacing = channels_header(folder)
    assert shape == VALUES.shape
    assert spacing == pytest.approx(SPACING)


PLANES = [
    (*np.roll([a, 0, 0], i), *np.roll([b, 0, 0], j))
    for i, j in itertools.permutations(range(3), 2)
    for a, b in itertools.product((1, -1), repeat=2)
]


@pytest.mark.parametrize("plane", PLANES)
def test_series_are_turned_to_the_frame_of_nifti(tmp_path, plane):
    folder = save_series(tmp_path / "series", VALUES, plane)
    volume = read_series(folder)
    write_volume(tmp_path / "a.nii.gz", volume[..., 0], folder)
    np.testing.assert_array_equal(
        read_channels([tmp_path / "a.nii.gz"]), volume
    )
    # The voxel of a slice's corner lies where its header says.
    image = nibabel.load(tmp_path / "a.nii.gz")
    grid = read_grid(folder)
    np.testing.assert_allclose(image.affine, grid.affine)
    lowest = nibabel.affines.apply_affine(image.affine, (0, 0, 0))
    np.testing.assert_allclose(lowest, (10, 20, 30), atol=1e-4)
    assert np.asarray(image.dataobj)[1, 2, 3] == VALUES[3, 2, 1] * 2 - 1024


def test_an_oblique_series_keeps_its_values(tmp_path):
    turn = np.deg2rad(20)
    plane = (np.cos(turn), 0, np.sin(turn), 0, 1, 0)
    folder = save_series(tmp_path / "tilted", VALUES, plane)
    np.testing.assert_array_equal(
        read_series(folder)[..., 0], VALUES * 2.0 - 1024
    )
    assert channels_header(folder)[1] == pytest.approx(SPACING, rel=1e-5)


def two_series(folder):
    save_series(folder, VALUES[:2])
    for path in list(folder.iterdir()):
        path.rename(folder / f"first-{path.name}")
    return save_series(folder, VALUES)


def with_a_file(folder, **tags):
    save_series(folder, VALUES)
    save_dicom(folder / "scout.dcm", VALUES[0], **tags)
    return folder


def torn(folder):
    save_series(folder, VALUES)
    path = sorted(folder.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-40])
    return folder


REFUSED = {
    "missing": (
        lambda f: save_series(f, VALUES, places=(0, 1, 2, 4, 5)),
        "has missing slices: from IM0003.dcm to IM0010.dcm it is 6.00 mm",
    ),
    "doubled": (
        lambda f: save_series(f, VALUES, places=(0, 1, 1, 2, 3)),
        "has doubled slices: .* 0.00 mm, and usually 3.00",
    ),
    "all doubled": (
        lambda f: save_series(f, VALUES[:4], places=(0, 0, 1, 1)),
        "has doubled slices",
    ),
    "two": (two_series, "holds several series: .* differ in SeriesInstanceUID"),
    "no place": (with_a_file, "scout.dcm says no ImageOrientationPatient"),
    "no values": (torn, "IM[0-9]+.dcm can't be read as a slice"),
    "empty": (lambda f: f.mkdir() or f, "holds no DICOM file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_is_no_volume(tmp_path, name):
    write, message = REFUSED[name]
    folder = write(tmp_path / "scan")
    with pytest.raises(ValueError, match=message) as caught:
        read_series(folder)
    assert str(folder) in str(caught.value)
