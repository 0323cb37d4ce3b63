"""What the folders of a data set say of its files."""

import fnmatch
import os
import re
from pathlib import Path
from typing import NamedTuple

from dca_keras.data.archive import list_folder, shorten
from dca_keras.data.formats import EXTENSIONS, split_name

SPLITS = ("train", "val", "test")
# What folders, and the `split` of a CSV, may call the splits.
NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
IMAGE_WORDS = frozenset(
    "image images img imgs input inputs original originals photo photos "
    "picture pictures scan scans frame frames volume volumes raw".split()
)
MASK_WORDS = frozenset(
    "mask masks msk msks label labels lbl lbls annotation annotations annot "
    "gt gts groundtruth truth truths seg segs segm segmentation segmentations "
    "target targets manual".split()
)
# They may stand beside the name of a split.
NOISE = frozenset("set data dataset split part".split())
LAYOUT = (
    "It should hold images/ and masks/ with files of the same names, or "
    "images with masks such as NAME_mask.png beside them. Other folders or "
    "names can be given as `images` and `masks`."
)


class File(NamedTuple):
    """A file of images, or a folder of the slices of a DICOM series.

    Attributes:
        path: Where it is.
        relative: The same below the data set's folder, with "/".
        stem: Its name without extension.
        kind: "image", "mask" or None, which is what its folders say.
        split: "train", "val", "test" or None, likewise.
        rest: The other folders that it is in.
        folders: The same with the one that says the kind.
    """

    path: Path
    relative: str
    stem: str
    kind: str | None
    split: str | None
    rest: tuple[str, ...]
    folders: tuple[str, ...]


def list_files(root):
    """List the files of images in a folder and those below it.

    Returns:
        A list of `File`, sorted by path.

    Raises:
        ValueError: If the folder can't be read, or names splits in two ways.
    """
    list_folder(root, LAYOUT)
    paths = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(n for n in below if not n.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and split_name(path)[1] in EXTENSIONS:
                paths.append(path)
    files = [_describe(root, path) for path in paths]
    return _settle_splits(root, files)


def choose(root, files, text, argument):
    """Return those files that an argument names.

    Args:
        root: The data set's folder.
        files: Its `File`s.
        text: A folder in it, or a pattern of names.
        argument: The argument's name, for the error.

    Raises:
        ValueError: If there is none.
    """
    folder = Path(root, text)
    if folder.is_dir():
        chosen = [f for f in files if f.path.is_relative_to(folder)]
    else:
        pattern = text if re.search(r"[*?[]", text) else f"*{text}*"
        chosen = [
            f
            for f in files
            if fnmatch.fnmatch(f.path.name, pattern)
            or fnmatch.fnmatch(f.relative, pattern)
        ]
    if not chosen:
        seen = shorten([f.relative for f in files]) or "no image"
        raise ValueError(
            f"`{argument}` must be a folder in {root}, or a pattern of names "
            f"such as '*_mask.png'. Received: {text!r}. The folder holds {seen}"
        )
    return chosen


def words(name):
    """Return the words of a name, in lowercase."""
    return [
        word.lower()
        for part in re.split(r"[^A-Za-z]+", name)
        for word in [part, *re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", part)]
        if word
    ]


def kind_of(name):
    """Return whether a folder's name is one for masks or for images."""
    found = set(words(name))
    if found & MASK_WORDS:
        return "mask"
    return "image" if found & IMAGE_WORDS else None


def split_of(name):
    """Return the word by which a folder's name names a split, or None."""
    found = set(words(name))
    named = sorted(found & NAMES.keys())
    if kind_of(name) is None and found - NAMES.keys() - NOISE:
        return None
    return named[0] if named else None


def _describe(root, path):
    relative = path.relative_to(root)
    parts = relative.parts[:-1]
    kinds = [place for place, part in enumerate(parts) if kind_of(part)]
    splits = [place for place, part in enumerate(parts) if split_of(part)]
    return File(
        path,
        relative.as_posix(),
        split_name(path)[0],
        kind_of(parts[kinds[-1]]) if kinds else None,
        parts[splits[0]] if splits else None,
        _without(parts, splits + kinds[-1:]),
        _without(parts, splits),
    )


def _without(parts, places):
    return tuple(p for place, p in enumerate(parts) if place not in places)


def _settle_splits(root, files):
    """Return files with the splits' own names, if they are divided."""
    parts = {file.split for file in files} - {None}
    spoken = {}
    for part in sorted(parts):
        word = split_of(part)
        spoken.setdefault(NAMES[word], {})[word] = part
    for split, names in spoken.items():
        if len(names) > 1:
            raise ValueError(
                f"{root} has {shorten(sorted(names.values()))}, which all "
                f"mean `{split}`. Move all but one out of the folder, or their "
                "images into one."
            )
    # A name such as Training_Input is not the part of a whole alone.
    if spoken.keys() <= {"train"} and all(map(kind_of, parts)):
        return [file._replace(split=None) for file in files]
    if not {"train", "test"} <= spoken.keys():
        named = [split for split in SPLITS if split in spoken]
        raise ValueError(
            f"{root} has the splits {named}. It needs train/ and test/, or "
            "none of them: images/ and masks/ alone are divided into splits."
        )
    return [
        file
        if file.split is None
        else file._replace(split=NAMES[split_of(file.split)])
        for file in files
    ]
