"""Synapse multi-organ CT: eight organs of the abdomen."""

import functools
import re

import h5py
import numpy as np

from dca_keras.data.archive import find_folder, shorten, take_files
from dca_keras.data.channels import read_channels
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import Sample, Splits, hold_out_validation
from dca_keras.data.volumes import read_volume, volume_header

VOLUMES = (*range(1, 11), *range(21, 41))
TEST = (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)
TRAIN_SLICES = 2211
ORGANS = {
    "aorta": 8,
    "gallbladder": 4,
    "left kidney": 3,
    "right kidney": 2,
    "liver": 6,
    "pancreas": 11,
    "spleen": 1,
    "stomach": 7,
}
LABELS = 14  # with the background
LOWEST, HIGHEST = -125, 275  # Hounsfield units
LAYOUT = (
    "Synapse is a folder with img/img0001.nii.gz … img0040.nii.gz and "
    "label/label0001.nii.gz …, RawData/Training as distributed; or with "
    "train_npz/case0005_slice000.npz … and test_vol_h5/case0001.npy.h5 …"
)


@register_dataset(
    "synapse",
    class_names=tuple(ORGANS),
    intensity_window=(LOWEST, HIGHEST),
    published_batch=31,
    layouts=[
        ("img/img0001.nii.gz", "label/label0001.nii.gz"),
        ("train_npz/case*_slice*.npz", "test_vol_h5/case*.h5"),
    ],
)
def read_synapse(
    data_dir, *, channels=1, num_classes=9, partial=False, volumes=False
):
    """Read Synapse multi-organ CT, as distributed or as TransUNet has it.

    30 volumes of the abdomen, 85 to 198 slices of 512×512 pixels each.
    Of 13 labels eight organs are kept as the classes 1 to 8: aorta,
    gallbladder, left kidney, right kidney, liver, pancreas, spleen,
    stomach. Hounsfield units are clipped to [-125, 275] and scaled to
    [0, 1]. A sample is an axial slice, seen from the feet with the front
    up; its case is the volume.

    The other layout, TransUNet's, holds slices to train with (`train_npz`)
    and volumes to test with (`test_vol_h5`), clipped, scaled and with these
    classes already, and no spacings.

    The splits are those of TransUNet, which most later work uses: 18 volumes
    to train, 12 to test; the labels of the owners' own test set are not
    public. The validation split is taken from the training split by volume.

    Source: https://www.synapse.org/#!Synapse:syn3193805
    Licence: the owners' terms, which a user accepts on registering there.
    Citation: B. Landman et al., "Multi-Atlas Labeling Beyond the Cranial
    Vault", MICCAI workshop and challenge, 2015; J. Chen et al.,
    "TransUNet", arXiv:2102.04306, 2021.

    Args:
        data_dir: The unpacked folder, or one above it.
        channels: 1, or 3 equal ones.
        num_classes: 9.
        partial: Whether to accept an archive that is not complete.
        volumes: Whether samples are whole volumes in Hounsfield units, not
            slices. TransUNet's layout has none to train on.

    Returns:
        The `Splits`. The samples of raw volumes carry a spacing (depth,
        height, width).

    Raises:
        ValueError: If the archive is not there, or not complete, or holds
            no volumes where those are wanted.
    """
    if num_classes != len(ORGANS) + 1:
        raise ValueError(
            f"`num_classes` must be {len(ORGANS) + 1} for Synapse: the "
            f"background and {len(ORGANS)} organs. Received: {num_classes!r}"
        )
    holds = ["img/img*.nii.gz", "train_npz/*.npz"]
    root = find_folder(data_dir, holds, LAYOUT, need=any)
    raw = (root / "img").is_dir()
    if volumes:
        if not raw:
            raise ValueError(
                f"{root} holds slices to train on, and `volumes` needs "
                "volumes. Use RawData/Training as distributed, or leave "
                "`volumes` out."
            )
        train, test = _read_volumes(root, channels, partial)
        return Splits(
            *hold_out_validation(train),
            tuple(test),
            modalities=("CT",) * channels,
            published_batch=1,  # Published scores are of slices.
            channels=channels,
            num_classes=num_classes,
        )
    read = _read_raw if raw else _read_transunet
    train, test = read(root, channels, partial)
    return Splits(*hold_out_validation(train), tuple(test))


def _read_raw(root, channels, partial):
    train, test = [], []
    for number, paths in _raw_files(root, partial).items():
        (depth, *_), spacing = volume_header(paths[0])
        split = test if number in TEST else train
        for index in range(depth):
            load = functools.partial(_load_raw, *paths, index, channels)
            split.append(_slice(number, index, load, paths, spacing))
    return train, test


def _read_volumes(root, channels, partial):
    train, test = [], []
    for number, paths in _raw_files(root, partial).items():
        _, spacing = volume_header(paths[0])
        split = test if number in TEST else train
        load = functools.partial(_load_volume, *paths, channels)
        case = f"case{number:04}"
        split.append(Sample(case, case, load, paths, spacing))
    return train, test


def _raw_files(root, partial):
    wanted = {
        number: (f"img/img{number:04}.nii.gz", f"label/label{number:04}.nii.gz")
        for number in VOLUMES
    }
    return take_files(root, wanted, partial)


def _load_raw(image_path, label_path, index, channels):
    image = read_volume(image_path)
    labels = read_volume(label_path)
    _check_shapes(image, labels, image_path, label_path)
    image = np.clip(image[index].astype("float32"), LOWEST, HIGHEST)
    image = (image - LOWEST) / (HIGHEST - LOWEST)
    return _as_sample(image, _organs(label_path, labels[index]), channels)


def _load_volume(image_path, label_path, channels):
    image = read_channels((image_path,))
    labels = read_channels((label_path,))
    _check_shapes(image, labels, image_path, label_path)
    image = np.repeat(image, channels, axis=-1)
    return image, _organs(label_path, labels)


def _check_shapes(image, labels, image_path, label_path):
    if image.shape != labels.shape:
        shapes = image.shape[:3], labels.shape[:3]
        raise ValueError(
            f"{image_path} and {label_path} differ in (depth, height, width): "
            f"{shapes[0]} and {shapes[1]}. Unpack the archive again."
        )


def _organs(path, labels):
    """Return the classes of the organs that are kept, of the archive's."""
    found = labels.astype("int32")
    wrong = (found != labels) | (found < 0) | (found >= LABELS)
    if wrong.any():
        unknown = np.unique(labels[wrong])
        raise ValueError(
            f"{path} holds unknown labels: {shorten(unknown)}. Synapse "
            f"has 0 to {LABELS - 1}."
        )
    classes = np.zeros(LABELS, "int32")
    classes[list(ORGANS.values())] = range(1, len(ORGANS) + 1)
    return classes[found]


def _read_transunet(root, channels, partial):
    found = {}
    for path in sorted((root / "train_npz").glob("case*_slice*.npz")):
        number, index = map(int, re.findall(r"[0-9]+", path.stem))
        found.setdefault(number, {})[index] = path
    train = [
        _slice(
            number, index, functools.partial(_load_npz, path, channels), (path,)
        )
        for number, paths in found.items()
        for index, path in paths.items()
    ]
    if len(train) < TRAIN_SLICES and not partial:
        missing = [
            f"case{number:04}_slice{index:03}.npz"
            for number in sorted(set(VOLUMES) - set(TEST))
            for index in range(max(found.get(number, [0])) + 1)
            if index not in found.get(number, ())
        ]
        raise ValueError(
            f"{root / 'train_npz'} holds {len(train)} of {TRAIN_SLICES} "
            f"slices. Missing: {shorten(missing) or 'the last of a volume'}. "
            "Download and unpack the archive again, or pass `partial=True` to "
            "use what is here."
        )
    wanted = {
        number: (f"test_vol_h5/case{number:04}.npy.h5",) for number in TEST
    }
    test = []
    for number, paths in take_files(root, wanted, partial).items():
        for index in range(_read_h5(*paths, "image", len)):
            load = functools.partial(_load_h5, *paths, index, channels)
            test.append(_slice(number, index, load, paths))
    return train, test


def _load_npz(path, channels):
    try:
        with np.load(path) as arrays:
            image, labels = arrays["image"], arrays["label"]
    except Exception as error:  # Zip files raise anything on broken bytes.
        raise ValueError(_unreadable(path, error)) from error
    return _as_classes(path, image, labels, channels)


def _load_h5(path, index, channels):
    image, labels = (
        _read_h5(path, key, lambda values: values[index])
        for key in ("image", "label")
    )
    return _as_classes(path, image, labels, channels)


def _read_h5(path, key, take):
    try:
        with h5py.File(path) as file:
            return take(file[key])
    except (OSError, KeyError, TypeError) as error:
        raise ValueError(_unreadable(path, error)) from error


def _unreadable(path, error):
    return (
        f"{path} can't be read as image and label: {error}. Replace the file, "
        "or remove it from the folder."
    )


def _as_classes(path, image, labels, channels):
    """Check slices that are already scaled and numbered."""
    found = np.unique(labels)
    if not np.isin(found, range(len(ORGANS) + 1)).all():
        raise ValueError(
            f"{path} holds the labels {shorten(found)}. TransUNet's form of "
            f"Synapse has 0 to {len(ORGANS)}."
        )
    return _as_sample(np.clip(image, 0, 1), labels, channels)


def _as_sample(image, labels, channels):
    image = np.repeat(image.astype("float32")[..., None], channels, axis=-1)
    return image, labels.astype("int32")[..., None]


def _slice(number, index, load, files, spacing=None):
    case = f"case{number:04}"
    return Sample(f"{case}_slice{index:03}", case, load, files, spacing)
