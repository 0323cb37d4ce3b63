"""MoNuSeg 2018: nuclei in histology of seven organs."""

import functools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from dca_keras.data.archive import (
    check_binary,
    find_folder,
    load_binary_pair,
    take_files,
)
from dca_keras.data.decoding import read_image
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import Sample, Splits, hold_out_validation

TRAIN = (
    *("18-5592-01Z-00-DX1", "21-5784-01Z-00-DX1", "21-5786-01Z-00-DX1"),
    *("38-6178-01Z-00-DX1", "49-4488-01Z-00-DX1", "50-5931-01Z-00-DX1"),
    *("A7-A13E-01Z-00-DX1", "A7-A13F-01Z-00-DX1", "AR-A1AK-01Z-00-DX1"),
    *("AR-A1AS-01Z-00-DX1", "AY-A8YK-01A-01-TS1", "B0-5698-01Z-00-DX1"),
    *("B0-5710-01Z-00-DX1", "B0-5711-01Z-00-DX1", "CH-5767-01Z-00-DX1"),
    *("DK-A2I6-01A-01-TS1", "E2-A14V-01Z-00-DX1", "E2-A1B5-01Z-00-DX1"),
    *("G2-A2EK-01A-02-TSB", "G9-6336-01Z-00-DX1", "G9-6348-01Z-00-DX1"),
    *("G9-6356-01Z-00-DX1", "G9-6362-01Z-00-DX1", "G9-6363-01Z-00-DX1"),
    *("HE-7128-01Z-00-DX1", "HE-7129-01Z-00-DX1", "HE-7130-01Z-00-DX1"),
    *("KB-A93J-01A-01-TS1", "NH-A8F7-01A-01-TS1", "RD-A8N9-01A-01-TS1"),
)
TEST = (
    *("2Z-A9J9-01A-01-TS1", "44-2665-01B-06-BS6", "69-7764-01A-01-TS1"),
    *("A6-6782-01A-01-BS1", "AC-A2FO-01A-01-TS1", "AO-A0J2-01A-01-BSA"),
    *("CU-A0YN-01A-02-BSB", "EJ-A46H-01A-03-TSC", "FG-A4MU-01B-01-TS1"),
    *("GL-6846-01A-01-BS1", "HC-7209-01A-01-TS1", "HT-8564-01Z-00-DX1"),
    *("IZ-8196-01A-01-BS1", "ZF-A9R5-01A-01-TS1"),
)
# A shift of the outlines in pixels, so small that it only decides on which
# edges points count as inside.
EDGE = 1e-6
LAYOUT = (
    "MoNuSeg is a folder with `MoNuSeg 2018 Training Data/Tissue "
    "Images/*.tif`, `…/Annotations/*.xml` and `MoNuSegTestData/*.tif, "
    "*.xml`; or with train_images/, train_masks/, test_images/ and "
    "test_masks/ of PNG files."
)
TEST_LAYOUT = (
    "The test split, MoNuSegTestData with 14 *.tif and *.xml, is missing."
)


@register_dataset(
    "monuseg",
    class_names=("nucleus",),
    published_batch=14,
    layouts=[
        ("Tissue Images/TCGA-*", "Annotations/TCGA-*.xml"),
        ("train_images/TCGA-*", "train_masks/TCGA-*"),
    ],
)
def read_monuseg(data_dir, *, channels=3, num_classes=1, partial=False):
    """Read MoNuSeg 2018, as distributed or with ready masks.

    44 images of tissue stained with haematoxylin and eosin, uint8 RGB of
    1000×1000 pixels at 40×. The owners distribute an outline of every nucleus
    as XML; a pixel is foreground where its integer (x, y) lies inside one.
    The other layout, which the paper's code reads, holds PNG masks.

    The owners' splits: 30 images to train, 14 to test; the validation split
    is taken from the training split by patient. The case is the patient, the
    first three fields of the TCGA barcode.

    Source: https://monuseg.grand-challenge.org
    Licence: CC BY-NC-SA 4.0.
    Citation: N. Kumar et al., "A Dataset and a Technique for Generalized
    Nuclear Segmentation for Computational Pathology", IEEE Transactions on
    Medical Imaging 36, 2017; N. Kumar et al., "A Multi-Organ Nucleus
    Segmentation Challenge", IEEE Transactions on Medical Imaging 39, 2020.

    Args:
        data_dir: The folder that both archives are unpacked in, or one
            above it.
        channels: 3, or 1 for the luma.
        num_classes: 1, or 2 with the background.
        partial: Whether to accept an archive that is not complete.

    Returns:
        The `Splits`.

    Raises:
        ValueError: If the archive is not there, or not complete.
    """
    check_binary(num_classes)
    holds = ["Tissue Images/*.tif", "train_images/*"]
    root = find_folder(data_dir, holds, LAYOUT, need=any)
    if (root / "train_images").is_dir():
        load = load_binary_pair
        train_files = root, "train_images", "train_masks", ".png"
        test_files = root, "test_images", "test_masks", ".png"
    else:
        load = _load_outlines
        test_root = find_folder(data_dir, ["*.tif", "*.xml"], TEST_LAYOUT)
        train_files = root, "Tissue Images", "Annotations", ".xml"
        test_files = test_root, "", "", ".xml"
    train, test = (
        tuple(
            Sample(
                name,
                name[: len("TCGA-CH-5767")],
                functools.partial(load, *paths, channels),
                files=paths,
            )
            for name, paths in _take_pairs(*place, slides, partial).items()
        )
        for place, slides in ((train_files, TRAIN), (test_files, TEST))
    )
    return Splits(*hold_out_validation(train), test)


def _take_pairs(root, images, masks, mask_suffix, slides, partial):
    """The files of the known slides, and of any others that are there."""
    found = {
        path.stem: path.suffix
        for path in (root / images).glob("*")
        if path.suffix in (".tif", ".png")
    }
    usual = next(iter(found.values()), ".tif")
    names = sorted({f"TCGA-{slide}" for slide in slides} | found.keys())
    wanted = {
        name: (
            Path(images, name + found.get(name, usual)),
            Path(masks, name + mask_suffix),
        )
        for name in names
    }
    return take_files(root, wanted, partial)


def _load_outlines(image_path, outlines_path, channels):
    image = read_image(image_path, channels)
    return image, draw_outlines(outlines_path, image.shape[:2])


def draw_outlines(path, size):
    """Fill the outlines of an annotation file.

    Args:
        path: An XML file, in which every Region has a list of Vertex.
        size: (height, width) of the image.

    Returns:
        An int32 array (height, width, 1): 1 where the point (x, y) lies
        inside a region. On an edge it counts as inside at the left and top
        of a region, and not at the right and bottom.

    Raises:
        ValueError: If the file can't be read. It is named.
    """
    from skimage.draw import polygon

    mask = np.zeros((*size, 1), "int32")
    try:
        for region in ElementTree.parse(path).iter("Region"):
            corners = [
                (float(vertex.get("Y")), float(vertex.get("X")))
                for vertex in region.iter("Vertex")
            ]
            if corners:
                mask[polygon(*(np.transpose(corners) - EDGE), size)] = 1
    except (OSError, ElementTree.ParseError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} can't be read as outlines: {error}. Replace the file, or "
            "remove it from the folder."
        ) from error
    return mask
