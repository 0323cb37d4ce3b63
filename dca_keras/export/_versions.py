"""Numbered versions of a model in a folder that a server may watch."""

import contextlib
import os
import tempfile
from pathlib import Path

from dca_keras._files import make_parents


def versions(path):
    """Return the numbers of the versions in a model's folder, in any order."""
    folders = Path(path).iterdir() if Path(path).is_dir() else ()
    return [int(folder.name) for folder in folders if folder.name.isdecimal()]


def next_version(path):
    """Return the folder of a model's next version, `path/1` for the first."""
    return Path(path) / str(max(versions(path), default=0) + 1)


@contextlib.contextmanager
def whole_folder(path):
    """Write a folder under a temporary name, and rename it when complete.

    Yields the folder to write to. It is beside `path`, under a hidden name
    that is not a number, so that a server ignores it. If the block raises,
    the folder is removed, and so are all parents that were made for it.

    Args:
        path: The folder to make.

    Raises:
        ValueError: If no folder can be made there.
    """
    path = Path(path)
    made = [parent for parent in path.parents if not parent.exists()]
    make_parents(path)
    try:
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=".", ignore_cleanup_errors=True
        ) as temporary:
            # A folder inside, as only the owner may read the temporary one.
            folder = Path(temporary, "folder")
            folder.mkdir()
            yield folder
            os.rename(folder, path)
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
