"""Images in every format, written for the tests."""

import nibabel
import numpy as np
import tifffile
from PIL import Image

from tests.data.scans import save_dicom, save_dicom_stack

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 27)).astype("uint8")
RGB = RNG.integers(0, 256, (40, 27, 3)).astype("uint8")
STACK = RNG.integers(0, 256, (3, 40, 27)).astype("uint8")
SCAN = RNG.integers(-1000, 2000, (27, 40, 3)).astype("int16")
TURNED = np.array([[0, 0, 2, 9], [-0.7, 0, 0, 5], [0, 0.6, 0, 1], [0, 0, 0, 1]])


def save_nifti(path, values):
    image = nibabel.Nifti1Image(values, TURNED)
    image.header["descrip"] = b"a scan"
    nibabel.save(image, path)


DPI = {"resolution": ((300, 7), (200, 3)), "resolutionunit": "inch"}
PAGES = DPI | {"photometric": "minisblack"}
SPACED = {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2.5}}
SAVE = {
    "rgb.png": lambda p: Image.fromarray(RGB).save(p, dpi=(300, 300)),
    "upper.JPG": lambda p: Image.fromarray(RGB).save(p),
    "grey.bmp": lambda p: Image.fromarray(GREY).save(p),
    "with.dots.tif": lambda p: tifffile.imwrite(p, RGB, **DPI),
    "16_bits.tiff": lambda p: tifffile.imwrite(p, GREY * np.uint16(257)),
    "stack.tif": lambda p: tifffile.imwrite(p, STACK, **PAGES),
    "imagej.tif": lambda p: tifffile.imwrite(p, STACK, **DPI | SPACED),
    "volume.nii.gz": lambda p: save_nifti(p, SCAN),
    "slice.nii": lambda p: save_nifti(p, SCAN[:, :, :1]),
    "flat.nii": lambda p: save_nifti(p, SCAN[:, :, 0]),
    "frame.dcm": lambda p: save_dicom(p, GREY, PixelSpacing=[0.5, 0.25]),
    "frames.dcm": lambda p: save_dicom_stack(p, STACK),
}
