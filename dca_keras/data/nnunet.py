"""A raw data set of nnU-Net's, or a task of the Decathlon."""

import dataclasses
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dca_keras.data.archive import list_folder, shorten
from dca_keras.data.cases import find_case, load_case
from dca_keras.data.channels import group_channels
from dca_keras.data.cross_validation import SPLITS_FILE, take_fold
from dca_keras.data.dataset_json import read_dataset_json
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import (
    Sample,
    Splits,
    hold_out_validation,
    split_by_case,
)
from dca_keras.data.volumes import volume_header

JSON = "dataset.json"
SHARES = (0.8, 0.1, 0.1)
LAYOUT = (
    "It should hold dataset.json, imagesTr/ and labelsTr/, as a raw data set "
    "of nnU-Net's and a task of the Medical Segmentation Decathlon do."
)


@register_dataset("nnunet", layouts=[(JSON, "imagesTr")])
def read_nnunet(
    data_dir, *, channels=None, num_classes=None, case_pattern=None, fold=None
):
    """Read a raw data set of nnU-Net's, or a task of the Decathlon.

        data_dir/dataset.json
        data_dir/imagesTr/CASE_0000.nii.gz     one file for every channel,
        data_dir/imagesTr/CASE.nii.gz          or one of all channels
        data_dir/labelsTr/CASE.nii.gz

    `dataset.json` says what the channels and classes are. Volumes are
    NIfTI; images are PNG, BMP or TIFF. Labels that leave out a number
    become consecutive classes, in their order.

    Labelled images in `imagesTs/` and `labelsTs/` are the test split, and
    15 % of the others val. Otherwise a hash of the names assigns 80 % of
    the cases to train, 10 % to val and 10 % to test.

    Args:
        data_dir: The folder, or the one above it.
        channels: What `dataset.json` says.
        num_classes: What `dataset.json` says: 1 for one class and the
            background, else the number of classes with the background.
        case_pattern: Regular expression that finds the patient in a case's
            name, such as "patient[0-9]+"; all that is of one patient then
            belongs to one split. None: every case is a patient.
        fold: "K/N" for fold K of a cross-validation in N folds, counted from
            0, whose cases are the test split. A `splits_final.json` in the
            folder decides which these are, or else one in the data set's
            folder below `$nnUNet_preprocessed`.

    Returns:
        The `Splits`. Volumes are in the files' own values.

    Raises:
        ValueError: If files or folders are missing, or `dataset.json` asks
            for what can't be done. It names the path and what to do.
    """
    root = _find_root(data_dir)
    about = read_dataset_json(root / JSON)
    _check_given("channels", channels, len(about.channels), about)
    found = (about.num_classes, len(about.labels))
    _check_given("num_classes", num_classes, found, about)
    trained = _read_part(root, "Tr", about, case_pattern)
    if fold is not None:
        parts = take_fold(trained, fold, _folds_folder(root))
    elif (root / "labelsTs").is_dir() and _list_shown(root / "labelsTs"):
        tested = _read_part(root, "Ts", about, case_pattern)
        _check_apart(root, trained, tested)
        parts = (*hold_out_validation(trained), tested)
    else:
        parts = split_by_case(trained, SHARES)
    return Splits(
        *parts,
        class_names=about.class_names,
        modalities=about.channels if about.holds_volumes else None,
        channels=len(about.channels),
        num_classes=num_classes or about.num_classes,
        classes=about.classes,
    )


def _find_root(data_dir):
    folder = Path(data_dir).expanduser()
    if folder.name == JSON:
        folder = folder.parent
    below = list_folder(folder, LAYOUT)
    if (folder / JSON).is_file():
        return folder
    shown = [path for path in below if not path.name.startswith(".")]
    found = [path for path in shown if (path / JSON).is_file()]
    if len(found) > 1:
        raise ValueError(
            f"{data_dir} holds several data sets: "
            f"{shorten([path.name for path in found])}. Name one of them."
        )
    if not found:
        raise ValueError(f"{data_dir} holds no data set. {LAYOUT}")
    return found[0]


def _list_shown(folder):
    """Return the paths in a folder that don't begin with a dot, sorted."""
    return [
        path
        for path in list_folder(folder, LAYOUT)
        if not path.name.startswith(".")
    ]


def _read_part(root, part, about, case_pattern):
    """Return the samples of `imagesTr` and `labelsTr`, or of `Ts`."""
    if about.pairs is not None and part == "Tr":
        files = _listed_files(root, about)
    else:
        files = _found_files(root, part, about)
    brief = dataclasses.replace(about, pairs=None)
    first = [images[0] for images, _ in files.values()]
    with ThreadPoolExecutor(8) as pool:
        spacings = list(pool.map(_spacing, first))
    return tuple(
        Sample(
            case,
            case if case_pattern is None else find_case(case, case_pattern),
            functools.partial(load_case, images, label, brief),
            (*images, label),
            spacing,
        )
        for (case, (images, label)), spacing in zip(
            files.items(), spacings, strict=True
        )
    )


def _listed_files(root, about):
    """Return the paths of every case that dataset.json lists."""
    files, missing = {}, []
    for case, (images, label) in about.pairs.items():
        paths = tuple(root / image for image in images)
        if len(paths) == 1 and not paths[0].is_file():
            # nnU-Net's first version lists CASE and stores its channels.
            stored = [
                paths[0].with_name(f"{case}_{number:04}{about.ending}")
                for number in range(len(about.channels))
            ]
            paths = tuple(stored) if stored[0].is_file() else paths
        files[case] = paths, root / label
        missing += [p for p in (*paths, root / label) if not p.is_file()]
    if missing:
        raise ValueError(
            f"{about.path} lists {len(missing)} files that are not there: "
            f"{shorten([path.relative_to(root) for path in missing])}. Unpack "
            "the archive again, or remove them from the list."
        )
    return files


def _found_files(root, part, about):
    """Return the paths of every case in two folders."""
    images, labels = root / f"images{part}", root / f"labels{part}"
    paths = _with_ending(images, about)
    several = any(not p.name.endswith(f"_0000{about.ending}") for p in paths)
    several = several and len(about.channels) > 1
    cases = group_channels(paths, len(about.channels) if several else 1)
    drawn = {
        path.name.removesuffix(about.ending): path
        for path in _with_ending(labels, about)
    }
    alone = sorted(cases.keys() ^ drawn.keys())
    if alone:
        without = "a label" if alone[0] in cases else "an image"
        raise ValueError(
            f"{root}: {len(alone)} cases have an image in {images.name} or "
            f"a label in {labels.name} and not both: {shorten(alone)}. "
            f"{alone[0]} is without {without}. Add what is missing, or move "
            "them out of the folders."
        )
    return {case: (cases[case], drawn[case]) for case in cases}


def _with_ending(folder, about):
    paths = [p for p in _list_shown(folder) if p.name.endswith(about.ending)]
    if not paths:
        raise ValueError(
            f"{folder} holds no file that ends in {about.ending}, as "
            f"{about.path} says. {LAYOUT}"
        )
    return paths


def _spacing(path):
    """Return a volume's spacing; None for a picture and a broken file."""
    try:
        return volume_header(path)[1]
    except ValueError:  # Loading it says what is wrong.
        return None


def _check_apart(root, trained, tested):
    both = {s.case for s in trained} & {s.case for s in tested}
    if both:
        raise ValueError(
            f"{root} has cases in imagesTr as well as in imagesTs: "
            f"{shorten(sorted(both))}. Scores on them would say nothing: "
            "remove them from one of the two."
        )


def _check_given(name, given, found, about):
    found = found if isinstance(found, tuple) else (found,)
    if given is not None and given not in found:
        raise ValueError(
            f"`{name}` must be {' or '.join(map(str, sorted(set(found))))}, "
            f"as {about.path} says. Received: {given}. Leave it out."
        )


def _folds_folder(root):
    """Return the folder whose file of folds counts."""
    preprocessed = os.environ.get("nnUNet_preprocessed")
    if preprocessed and not (root / SPLITS_FILE).is_file():
        return Path(preprocessed) / root.name
    return root
