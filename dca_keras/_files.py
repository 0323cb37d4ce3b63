"""Files that hold the old content or the new, never half of either."""

import contextlib
import hashlib
import json
import os
import uuid
from pathlib import Path


@contextlib.contextmanager
def replace_file(path):
    """Write a file under a temporary name and put it in place when whole.

    Yields the path to write to: a hidden sibling that ends in the wanted
    name, so that libraries which go by the suffix accept it. When the block
    ends it replaces `path` in one step; when the block raises (Ctrl-C too)
    it is removed and `path` stays what it was.

    Args:
        path: The file to write. Missing parent folders are made.

    Raises:
        ValueError: If `path` is a folder, or lies where no folder can be
            made.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder. Name a file to write.")
    make_parents(path)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def make_parents(path):
    """Make the folders above `path`; `ValueError` where none can be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{path} can't be written: {error.strerror} "
            f"({error.filename}). Choose another folder."
        ) from error


def write_text(path, text):
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write `value` to `path` as indented JSON, whole or not at all.

    Raises:
        ValueError: If `value` holds NaN, an infinity or itself, none of
            which JSON can say.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path} can't be written: {error}.") from error
    write_text(path, text + "\n")


def hash_file(path):
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
