"""Images of more channels than three."""

import nibabel
import numpy as np
import pytest
import tifffile

from dca_keras.data import read_image
from dca_keras.data.formats import read_sides
from tests.data.scans import save_dicom

RNG = np.random.default_rng(0)
GREY = {"photometric": "minisblack"}
CONTIG = {"planarconfig": "contig", **GREY}
PLANAR = {"planarconfig": "separate", **GREY}
AXES = {"metadata": {"axes": "CYX"}}
OME = {"ome": True, **AXES, **GREY}


def values(channels, dtype="uint8"):
    return RNG.integers(0, 200, (12, 10, channels)).astype(dtype)


def first(array):
    return np.moveaxis(array, -1, 0)


# How an array (height, width, channels) is written.
TIFFS = {
    "contig": (lambda v: v, CONTIG),
    "planar": (first, PLANAR),
    "pages": (first, GREY),
    "rows as pages": (lambda v: v, GREY),
    "axes": (first, AXES | GREY),
    "ImageJ": (first, {"imagej": True, **AXES}),
    "OME": (first, OME),
}


@pytest.mark.parametrize("channels", [2, 4, 5, 16])
@pytest.mark.parametrize("name", TIFFS)
def test_reads_tiff_of_any_number(tmp_path, name, channels):
    arrange, options = TIFFS[name]
    content = values(channels)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, arrange(content), **options)
    image = read_image(path, channels)
    assert image.dtype == "float32"
    np.testing.assert_allclose(image, content / 255, atol=1e-6)
    other = 3 if channels != 5 else 6
    with pytest.raises(ValueError, match=r"a\.tif can't be read"):
        read_image(path, other)
    if "pages" not in name:
        np.testing.assert_array_equal(read_image(path, None), image)
        assert read_sides(path) == ((12, 10), channels)


def test_reads_the_depth_of_types(tmp_path):
    path = tmp_path / "a.tif"
    wide = values(5, "uint16") * 300
    tifffile.imwrite(path, wide, **CONTIG)
    np.testing.assert_allclose(read_image(path, 5), wide / 65535, atol=1e-6)
    shares = (values(7) / 255).astype("float32")
    tifffile.imwrite(path, first(shares), **PLANAR)
    np.testing.assert_array_equal(read_image(path, 7), shares)


def test_a_stack_of_several_channels(tmp_path):
    path = tmp_path / "a.tif"
    content = RNG.integers(0, 255, (6, 2, 12, 10)).astype("uint8")
    options = {"imagej": True, "metadata": {"axes": "ZCYX"}}
    tifffile.imwrite(path, content, **options)
    image = read_image(path, 2, stack=True)
    np.testing.assert_allclose(image, np.moveaxis(content, 1, -1) / 255)
    assert read_sides(path) == ((6, 12, 10), 2)


def test_only_alpha_is_dropped(tmp_path):
    path = tmp_path / "a.tif"
    content = values(4)
    for kind, channels in (("unassalpha", 3), ("unspecified", 4)):
        tifffile.imwrite(path, content, photometric="rgb", extrasamples=[kind])
        assert read_image(path, None).shape[-1] == channels
        assert read_sides(path)[1] == channels
    tifffile.imwrite(path, content[..., :2], extrasamples=["assocalpha"])
    assert read_image(path, 1).shape == (12, 10, 1)


def test_no_more_than_sixteen(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values(17), **CONTIG)
    with pytest.raises(ValueError, match="17 channels, more than 16"):
        read_image(path, None)


@pytest.mark.parametrize("shape", [(10, 12, 1, 5), (10, 12, 6, 5)])
def test_reads_the_fourth_axis_of_nifti(tmp_path, shape):
    path = tmp_path / "a.nii.gz"
    content = RNG.integers(0, 255, shape).astype("uint8")
    nibabel.save(nibabel.Nifti1Image(content, np.eye(4)), path)
    stack = shape[2] > 1
    image = read_image(path, 5, stack=stack)
    expected = np.flip(content, (0, 1)).swapaxes(0, 2) / 255
    np.testing.assert_allclose(image, expected if stack else expected[0])
    assert read_sides(path) == (image.shape[:-1], 5)


def test_says_the_sides_of_dicom(tmp_path):
    path = save_dicom(tmp_path / "a.dcm", values(3))
    assert read_sides(path) == ((12, 10), 3)
    with pytest.raises(ValueError, match=r"a\.dcm .*3 channels, not 5"):
        read_image(path, 5)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.dcm can't be read"):
        read_sides(path)
