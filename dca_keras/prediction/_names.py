"""The files to predict, and the names of their predictions."""

import collections
from pathlib import Path

from dca_keras.data.formats import EXTENSIONS, split_name


def name_outputs(paths, output):
    """Find images, and the paths that their predictions begin with.

    A file below a folder keeps its place below `output`. If two images differ
    only in their extension, the extension is kept as well.

    Args:
        paths: Files, all of which are taken, and folders, which are searched
            for files with a known extension; hidden files are left out, and
            so is `output` if it lies in such a folder.
        output: The folder of the predictions.

    Returns:
        A dictionary from each image's path to its predictions' path, without
        an ending.

    Raises:
        ValueError: If a folder holds no image, two images would share a name,
            or one lies where predictions would be written.
    """
    places = {}  # by resolved path: a file named twice is taken once
    for path in map(Path, paths):
        found = _search(path, output) if path.is_dir() else [path]
        root = path if path.is_dir() else path.parent
        for file in found:
            place = output / file.relative_to(root).parent
            places.setdefault(file.resolve(), (file, place))
    files = list(places.values())
    short = [place / split_name(file)[0] for file, place in files]
    counts = collections.Counter(short)
    names = [
        name if counts[name] == 1 else place / file.name
        for name, (file, place) in zip(short, files, strict=True)
    ]
    _check_names(files, names, output)
    return {file: name for (file, _), name in zip(files, names, strict=True)}


def _search(folder, output):
    output = output.resolve()
    inside = folder.resolve() in output.parents
    files = sorted(
        file
        for file in folder.rglob("*")
        if split_name(file)[1] in EXTENSIONS
        and file.is_file()
        and not any(p.startswith(".") for p in file.relative_to(folder).parts)
        and not (inside and output in file.resolve().parents)
    )
    if not files:
        raise ValueError(
            f"{folder} holds no image. It should hold some of "
            f"{', '.join(EXTENSIONS)}."
        )
    return files


def _check_names(files, names, output):
    counts = collections.Counter(names)
    if twice := [name.name for name in counts if counts[name] > 1]:
        raise ValueError(
            f"More than one file is called {', '.join(twice)}; their masks "
            "would overwrite each other. Predict the folder above them, or "
            "one folder at a time."
        )
    folders = {file.parent.resolve(): file for file, _ in files}
    for name in names:
        if image := folders.get(name.parent.resolve()):
            raise ValueError(
                "`output` must not be the folder of an image, as a file "
                f"there could be overwritten. Received: {output}, with "
                f"{image.name}"
            )
