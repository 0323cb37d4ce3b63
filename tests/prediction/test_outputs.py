"""Masks, probabilities and overlays, in the format of the image."""

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from dca_keras.data import read_image
from dca_keras.data.dicom import read_dicom_spacing
from dca_keras.data.formats import read_pixels
from dca_keras.prediction import load_run, predict, predict_files, to_mask
from tests.pictures import SAVE, TURNED
from tests.tiny_run import tiny_recipe, write_images, write_run

MASKS = {
    **{".png": ".png", ".JPG": ".png", ".bmp": ".png"},
    **{".tif": ".tif", ".tiff": ".tif", ".dcm": ".tif"},
    **{".nii": ".nii", ".nii.gz": ".nii.gz"},
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(scope="module", params=[1, 3])
def predicted(request, tmp_path_factory, data_dir):
    """All of `SAVE`, predicted: the images, the results and a model."""
    folder = tmp_path_factory.mktemp("formats")
    recipe = tiny_recipe(data_dir, num_classes=request.param)
    run = write_run(folder / "run", recipe)
    (folder / "images").mkdir()
    for name, save in SAVE.items():
        save(folder / "images" / name)
    result = predict_files(run, [folder / "images"], probabilities=True)
    assert result.broken == []
    assert result.plans == {"resized to 32×32, as in training": len(SAVE)}
    assert len(result.written) == len(SAVE)
    return folder / "images", run / "predictions", load_run(run)[0]


@pytest.mark.parametrize("name", SAVE)
def test_writes_the_format_and_geometry_of_the_image(predicted, name):
    images, output, model = predicted
    image = read_image(images / name, stack=True)
    expected = predict(model, image)
    stem, _, suffix = name.partition(".")
    if name == "with.dots.tif":
        stem, suffix = "with.dots", "tif"
    mask_path = output / f"{stem}_mask{MASKS['.' + suffix]}"
    map_end = f".{suffix}" if "nii" in suffix else ".tif"
    map_path = output / f"{stem}_probabilities{map_end}"
    overlay = Image.open(output / f"{stem}_overlay.png")

    mask, palette, _ = read_pixels(mask_path, stack=True)
    assert mask.dtype == "uint8"
    np.testing.assert_array_equal(mask[..., 0], to_mask(expected))
    assert palette is None or palette[1].tolist() == [0x55, 0xE0, 0xFF]
    np.testing.assert_array_equal(read_map(map_path, expected.shape), expected)
    assert overlay.mode == "RGB"
    assert overlay.size == (image.shape[-2], image.shape[-3])
    assert geometry(mask_path) == geometry(images / name)
    if map_path.suffix == images.joinpath(name).suffix:
        assert geometry(map_path) == geometry(images / name)


def read_map(path, shape):
    """Written probabilities in the order of `predict`."""
    if path.suffix == ".tif":
        values = tifffile.imread(path)
        return (
            np.moveaxis(values, -3, -1) if shape[-1] > 1 else values[..., None]
        )
    image = nibabel.load(path)
    stored = nibabel.Nifti1Image(
        image.get_fdata(dtype="float32").reshape(27, 40, -1, shape[-1]), TURNED
    )
    values = nibabel.as_closest_canonical(stored).get_fdata(dtype="float32")
    if len(values) == 1:  # seen from the side
        return np.flip(values[0], (0, 1)).swapaxes(0, 1)
    return np.flip(values, (0, 1)).swapaxes(0, 2)


def geometry(path):
    """Where a file's pixels lie and how large they are."""
    if "nii" in path.name:
        header = nibabel.load(path).header
        names = "qform_code sform_code srow_x srow_y srow_z descrip".split()
        return [header[name].tolist() for name in names] + [
            header["pixdim"][:4].tolist(),
            header["dim"][1:3].tolist(),
        ]
    if path.suffix == ".dcm":
        rows, columns = read_dicom_spacing(path) or (10, 10)
        known = read_dicom_spacing(path) is not None
        return [(10 / columns, 1), (10 / rows, 1), 3 if known else 1]
    if path.suffix not in (".tif", ".tiff"):
        return [round(dots) for dots in Image.open(path).info.get("dpi", ())]
    with tifffile.TiffFile(path) as file:
        tags, extra = file.pages[0].tags, file.imagej_metadata or {}
    names = "XResolution", "YResolution", "ResolutionUnit"
    return [tags.valueof(name) for name in names] + [extra.get("spacing")][
        : file.is_imagej
    ]
