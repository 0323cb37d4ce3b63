"""The files to predict, and the names of their predictions."""

import collections
import hashlib
from collections.abc import Iterable
from pathlib import Path

from dca_keras.data.channels import group_channels
from dca_keras.data.formats import EXTENSIONS, split_name
from dca_keras.data.series import is_series

VOLUMES = (".nii", ".nii.gz")


def name_outputs(
    paths: Iterable[str | Path],
    output: Path,
    volume_channels: int | None = None,
) -> dict[tuple[Path, ...], Path]:
    """Find images, and the paths that their predictions begin with.

    A file below a folder keeps its place below `output`. If two images differ
    only in their extension, the extension is kept as well.

    Args:
        paths: Files, all of which are taken, and folders, which are searched
            for files with a known extension; hidden files are left out, and
            so is `output` if it lies in such a folder.
        output: The folder of the predictions.
        volume_channels: For volumes, their number of channels: then
            `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, … are one image, called
            CASE, and so is a folder that holds a DICOM series.

    Returns:
        A dictionary from each image's paths, a tuple, to its predictions'
        path, without an ending.

    Raises:
        ValueError: If a folder holds no image, two images would share a name,
            or one lies where predictions would be written.
    """
    known = EXTENSIONS if volume_channels is None else VOLUMES
    places = {}  # by resolved path: a file named twice is taken once
    for path in map(Path, paths):
        series = volume_channels is not None and is_series(path)
        folder = path.is_dir() and not series
        found = _search(path, output, known) if folder else [path]
        root = path if folder else path.parent
        for file in found:
            place = output / file.relative_to(root).parent
            places.setdefault(file.resolve(), (file, place))
    places = list(places.values())
    if volume_channels is None:
        images = [((file,), p / split_name(file)[0]) for file, p in places]
    else:
        images = list(_group(places, volume_channels))
    counts = collections.Counter(name for _, name in images)
    names = {
        files: name if counts[name] == 1 else name.parent / files[0].name
        for files, name in images
    }
    _check_names(names, output)
    return names


def take_share(names, output, shard):
    """Return the part of the images that is one shard's.

    Whose an image is follows from a hash of its prediction's name below
    `output`: every machine finds the same, and adding images moves no other.

    Args:
        names: What `name_outputs` returned.
        output: The folder of the predictions.
        shard: `(number, count)`, the number from 1 to the count; or `None`
            for all images.
    """
    if shard is None:
        return names
    number, count = shard

    def owner(name):
        text = name.relative_to(output).as_posix().encode()
        return int(hashlib.sha256(text).hexdigest(), 16) % count + 1

    return {files: n for files, n in names.items() if owner(n) == number}


def check_shard(shard):
    """Raise `ValueError` unless it is a number and a count, or `None`."""
    if shard is None:
        return
    whole = len(shard) == 2 and all(isinstance(n, int) for n in shard)
    if not whole or not 1 <= shard[0] <= shard[1]:
        raise ValueError(
            "`shard` must be a number and how many there are, from 1/1 on, "
            f"such as 3/8. Received: {'/'.join(map(str, shard))}"
        )


def _group(places, channels):
    """The images of volumes' files, as nnU-Net names them."""
    folders = collections.defaultdict(list)
    for file, place in places:
        folders[file.parent, place].append(file)
    for (_, place), files in folders.items():
        # With one channel, numbers beyond 0000 count something else.
        groups = [files] if channels > 1 else [[file] for file in files]
        for group in groups:
            for case, paths in group_channels(group).items():
                yield paths, place / case


def _search(folder, output, known):
    output = output.resolve()
    inside = folder.resolve() in output.parents
    files = sorted(
        file
        for file in folder.rglob("*")
        if _is_image(file, known)
        and not any(p.startswith(".") for p in file.relative_to(folder).parts)
        and not (inside and output in file.resolve().parents)
    )
    if not files:
        raise ValueError(
            f"{folder} holds no image. It should hold some of "
            f"{', '.join(known)}."
        )
    return files


def _is_image(path, known):
    if path.is_dir():
        return known is VOLUMES and is_series(path)
    return split_name(path)[1] in known and path.is_file()


def _check_names(names, output):
    counts = collections.Counter(names.values())
    if twice := [name.name for name in counts if counts[name] > 1]:
        raise ValueError(
            f"More than one file is called {', '.join(twice)}; their masks "
            "would overwrite each other. Predict the folder above them, or "
            "one folder at a time."
        )
    folders = {
        (file if file.is_dir() else file.parent).resolve(): file
        for file, *_ in names
    }
    for name in names.values():
        if image := folders.get(name.parent.resolve()):
            raise ValueError(
                "`output` must not be the folder of an image, as a file "
                f"there could be overwritten. Received: {output}, with "
                f"{image.name}"
            )
