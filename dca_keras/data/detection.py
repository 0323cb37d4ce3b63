"""Which data set lies in a folder."""

import typing
from pathlib import Path

from dca_keras.data.archive import list_folder
from dca_keras.data.registry import known_layouts

# How far below a folder its data set may lie, and how many folders of a
# level are looked into.
DEPTH = 3
MOST_FOLDERS = 100


class Detected(typing.NamedTuple):
    """The data set that `detect` found.

    Attributes:
        name: Its name, one of `list_datasets()`.
        reason: What tells so, such as "it holds dataset.json and imagesTr".
    """

    name: str
    reason: str


def detect(data_dir: str | Path) -> Detected:
    """Find out which data set lies in a folder, by what the folder holds.

    A registered data set is known by its `layouts`, see `register_dataset`.
    A folder that none of them fits, and a CSV file, is an `image_folder`.

    Args:
        data_dir: The folder, or one up to three levels above it.

    Returns:
        A `Detected`: the data set's name and the reason.

    Raises:
        ValueError: If the folder can't be read, or holds several data sets.
    """
    root = Path(data_dir).expanduser()
    if root.suffix.lower() == ".csv":
        return Detected("image_folder", "it is a CSV file")
    level = [root]
    list_folder(root)
    for _ in range(DEPTH + 1):
        found = {}
        for folder in level:
            for name, holds in _match(folder):
                place = "it" if folder == root else folder.relative_to(root)
                reason = f"{place} holds {' and '.join(holds)}"
                found.setdefault(name, reason)
        if len(found) > 1:
            raise ValueError(
                f"{root} holds several data sets: {', '.join(found)}. Name "
                "one as `data`, or the folder of one."
            )
        if found:
            return Detected(*found.popitem())
        level = [below for folder in level for below in _folders(folder)]
    return Detected("image_folder", "it has the layout of no other data set")


def _match(folder):
    """Yield the names of the data sets that a folder holds, and how."""
    for name, layouts in known_layouts().items():
        for patterns in layouts:
            if all(_holds(folder, pattern) for pattern in patterns):
                yield name, patterns
                break


def _holds(folder, pattern):
    try:
        return any(folder.glob(pattern))
    except OSError:  # of a folder that may not be entered
        return False


def _folders(folder):
    try:
        inside = sorted(folder.iterdir())[: 10 * MOST_FOLDERS]
    except OSError:
        return []
    shown = [path for path in inside if not path.name.startswith(".")]
    return [path for path in shown if path.is_dir()][:MOST_FOLDERS]
