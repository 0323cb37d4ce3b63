"""Writes tiny data sets in their owners' layouts."""

import json

import h5py
import nibabel
import numpy as np
import tifffile
from PIL import Image

from dca_keras.data import cvc_clinicdb, monuseg, synapse

RNG = np.random.default_rng(0)
PATIENTS = 15


def colours(height, width):
    return RNG.integers(0, 256, (height, width, 3), "uint8")


def blob(height, width, value=255):
    """A mask with a rectangle."""
    mask = np.zeros((height, width), "uint8")
    mask[height // 4 : height // 2, width // 3 : -2] = value
    return mask


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        colour = array.ndim == 3
        kind = "rgb" if colour else "minisblack"
        tifffile.imwrite(path, array, photometric=kind)
    else:
        Image.fromarray(array).save(path, **options)


def write_glas(folder):
    """Sizes differ; the glands of a mask are numbered from 1."""
    root = folder / "Warwick QU Dataset (Released 2016_07_08)"
    lines = ["name,patient ID, grade (GlaS), grade (Sirinukunwattana 2015)"]
    for part, count in {"testA": 60, "testB": 20, "train": 85}.items():
        for number in range(1, count + 1):
            name = f"{part}_{number}"
            size = (12, 18) if number % 5 else (10, 14)
            save(root / f"{name}.bmp", colours(*size))
            glands = blob(*size, value=number % 7 + 1)
            save(root / f"{name}_anno.bmp", glands)
            patient = number % PATIENTS + 1
            lines.append(f"{name},{patient}, benign, healthy")
    (root / "Grade.csv").write_text("\n".join(lines) + "\n")
    return root


def write_outlines(path, *polygons):
    """Polygons of (x, y), as Aperio's ImageScope exports them."""
    regions = "".join(
        f'<Region Id="{number}" Type="0"><Attributes/><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in polygon)
        + "</Vertices></Region>"
        for number, polygon in enumerate(polygons, 1)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<Annotations MicronsPerPixel="0.252000"><Annotation Id="1">'
        '<Attributes><Attribute Name="Description" Id="0" Value=""/>'
        f"</Attributes><Regions>{regions}</Regions></Annotation>"
        "</Annotations>"
    )


SQUARE = ((2, 3), (6, 3), (6, 8), (2, 8))  # (x, y)


def write_monuseg(folder):
    train = folder / "MoNuSeg 2018 Training Data"
    test = folder / "MoNuSegTestData"
    for slide in monuseg.TRAIN:
        save(train / "Tissue Images" / f"TCGA-{slide}.tif", colours(20, 20))
        write_outlines(train / "Annotations" / f"TCGA-{slide}.xml", SQUARE)
    for slide in monuseg.TEST:
        save(test / f"TCGA-{slide}.tif", colours(20, 20))
        write_outlines(test / f"TCGA-{slide}.xml", SQUARE)
    return train


def write_monuseg_masks(folder):
    for part, slides in (("train", monuseg.TRAIN), ("test", monuseg.TEST)):
        for slide in slides:
            name = f"TCGA-{slide}.png"
            save(folder / f"{part}_images" / name, colours(20, 20))
            save(folder / f"{part}_masks" / name, blob(20, 20))
    return folder


def write_cvc(folder, suffix="tif"):
    for frame in range(1, cvc_clinicdb.LAST_FRAMES[-1] + 1):
        save(folder / "Original" / f"{frame}.{suffix}", colours(9, 12))
        save(folder / "Ground Truth" / f"{frame}.{suffix}", blob(9, 12))
    return folder


def write_cvc_mirror(folder):
    write_cvc(folder / "PNG", "png")
    write_cvc(folder / "TIF")
    (folder / "metadata.csv").write_text("frame_id,sequence_id\n1,1\n")
    return folder / "TIF"


def write_kvasir(folder):
    root = folder / "Kvasir-SEG"
    for number in range(1000):
        size = (16, 24) if number % 3 else (24, 16)
        name = f"cju{number:05}qkwl.jpg"
        save(root / "images" / name, colours(*size), quality=90)
        mask = np.dstack([blob(*size)] * 3)
        save(root / "masks" / name, mask, quality=80)
    (root / "kavsir_bboxes.json").write_text("{}")
    return root


def labels_of_slices(depth, side=12):
    """(side, side, depth): every slice holds one label, 0 to 13 in turn."""
    labels = np.zeros((side, side, depth), "uint8")
    labels[2:5, 1:11] = np.arange(depth) % synapse.LABELS
    return labels


def save_nifti(path, array, affine=None, zooms=(0.8, 0.7, 3.0)):
    affine = np.diag([*zooms, 1]) if affine is None else affine
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def write_synapse(folder):
    root = folder / "RawData" / "Training"
    for number in synapse.VOLUMES:
        depth = 14 + number % 3
        scan = RNG.integers(-1024, 1500, (12, 12, depth)).astype("int16")
        scan[0, 0], scan[1, 0] = -125, 275
        save_nifti(root / "img" / f"img{number:04}.nii.gz", scan)
        save_nifti(
            root / "label" / f"label{number:04}.nii.gz",
            labels_of_slices(depth),
        )
    return root


def write_transunet(folder):
    root = folder / "Synapse"
    for part in ("train_npz", "test_vol_h5"):
        (root / part).mkdir(parents=True)
    cases = sorted(set(synapse.VOLUMES) - set(synapse.TEST))
    for count in range(synapse.TRAIN_SLICES):
        number, index = cases[count % 18], count // 18
        np.savez(
            root / "train_npz" / f"case{number:04}_slice{index:03}.npz",
            image=RNG.random((8, 8), "float32"),
            label=np.full((8, 8), index % 9, "float32"),
        )
    for number in synapse.TEST:
        path = root / "test_vol_h5" / f"case{number:04}.npy.h5"
        with h5py.File(path, "w") as file:
            file["image"] = RNG.random((5, 8, 8), "float32")
            file["label"] = np.ones((5, 8, 8), "float32")
    return root


def write_nnunet(folder, channels=("CT", "MRI"), classes=("liver", "spleen")):
    """A raw data set of nnU-Net's, version 2: a file for every channel."""
    root = folder / "Dataset007_Abdomen"
    for number in range(40):
        size = (7, 8 + number % 3, 6)
        for channel in range(len(channels)):
            scan = RNG.integers(-1000, 1000, size).astype("int16")
            name = f"case{number:03}_{channel:04}.nii.gz"
            save_nifti(root / "imagesTr" / name, scan)
        labels = RNG.integers(0, len(classes) + 1, size).astype("uint8")
        save_nifti(root / "labelsTr" / f"case{number:03}.nii.gz", labels)
    about = {
        "channel_names": dict(enumerate(channels)),
        "labels": {"background": 0}
        | {name: value for value, name in enumerate(classes, 1)},
        "numTraining": 40,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(about))
    return root


def write_image_folder(folder):
    for number in range(40):
        save(folder / "images" / f"{number}.jpg", colours(12, 10))
        save(folder / "masks" / f"{number}.png", blob(12, 10))
    return folder
