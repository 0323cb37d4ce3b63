"""TIFF files of several pages."""

import numpy as np
import pytest
import tifffile

from dca_keras.data import read_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 10, 3), "uint8")
GREY = RGB[..., 0]
GREY_16 = RNG.integers(0, 65536, (12, 10), "uint16")
GREY_PAGES = {"photometric": "minisblack"}
GREYS, RGBS = np.stack([GREY] * 4), np.stack([RGB] * 4)
STACKS = {
    # pages, how they are written, one page as it is read
    "pages": (GREYS, {"photometric": "minisblack"}, GREY),
    "colour": (RGBS, {"photometric": "rgb"}, RGB),
    "depth": (
        GREYS,
        {"photometric": "minisblack", "metadata": {"axes": "ZYX"}},
        GREY,
    ),
    "ImageJ": (GREYS, {"imagej": True, "metadata": {"axes": "TYX"}}, GREY),
    "16 bits": (
        np.stack([GREY_16] * 4),
        {"photometric": "minisblack"},
        GREY_16 / 257,
    ),
    "planar": (
        np.moveaxis(RGBS, -1, 1),
        {"photometric": "rgb", "planarconfig": "separate"},
        RGB,
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_reads_stacks_of_pages(tmp_path, name):
    pages, options, page = STACKS[name]
    tifffile.imwrite(tmp_path / "a.tif", pages, **options)
    image = read_image(tmp_path / "a.tif", stack=True)
    expected = np.broadcast_to(np.atleast_3d(page), (4, 12, 10, 3))
    np.testing.assert_allclose(image, expected / 255, atol=1e-6)
    with pytest.raises(ValueError, match="stack of 4 images, not one"):
        read_image(tmp_path / "a.tif")


def test_pages_must_be_slices(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREYS, **GREY_PAGES, metadata={"axes": "AYX"})
    with pytest.raises(ValueError, match="or are AYX and not slices"):
        read_image(path, stack=True)
    tifffile.imwrite(path, GREYS, **GREY_PAGES, metadata={"axes": "CYX"})
    with pytest.raises(ValueError, match="4 channels, not 1 or 3"):
        read_image(path, stack=True)
    tifffile.imwrite(path, GREY)
    tifffile.imwrite(path, GREY[:5], append=True)
    with pytest.raises(ValueError, match="its 2 pages differ in size"):
        read_image(path, stack=True)


@pytest.mark.parametrize("intensities", [(1, 1), (2, 1), (1,), (0, 1, 2)])
def test_intensities_are_low_and_high(tmp_path, intensities):
    with pytest.raises(ValueError, match="the lower one first"):
        read_image(tmp_path / "a.nii", intensities=intensities)
