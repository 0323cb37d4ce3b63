"""Numbered versions of a model in one folder, which a server may watch."""

import contextlib
import os
import tempfile
from pathlib import Path

from dca_keras._files import make_parents


def versions(path):
    """The numbers of the versions in a model's folder, in no order."""
    folders = Path(path).iterdir() if Path(path).is_dir() else ()
    return [int(folder.name) for folder in folders if folder.name.isdecimal()]


def next_version(path):
    """Where a model's next version belongs: `path/1` if there is none."""
    return Path(path) / str(max(versions(path), default=0) + 1)


@contextlib.contextmanager
def whole_folder(path):
    """Write a folder under a temporary name and put it in place when whole.

    Yields the folder to write to. It lies beside `path`, under a hidden name
    that is no number, so that a server passes it by. When the block raises,
    it is removed, and with it every parent that had to be made.

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
            # Made anew inside, as only the owner may read the temporary one.
            folder = Path(temporary, "folder")
            folder.mkdir()
            yield folder
            os.rename(folder, path)
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
