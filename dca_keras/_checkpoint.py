"""A training's whole state in one file, from which it can be resumed.

The file is HDF5 behind 512 bytes of its own, which HDF5 leaves to its users:
they hold the SHA-256 of the rest, so that damage never goes unnoticed.
"""

import hashlib
import json
import os

import h5py

from dca_keras._files import replace_file

BLOCK = 512  # bytes
TITLE = b"dca-keras checkpoint, sha256 of what follows these 512 bytes:\n"
# What HDF5 begins with, and so did checkpoints of earlier versions.
HDF5 = b"\x89HDF\r\n\x1a\n"


def save_checkpoint(path, variables, record, previous):
    """Write variables and a record, whole or not at all.

    Args:
        path: The file.
        variables: Keras variables; their order is what identifies them.
        record: Anything else, as JSON can hold it.
        previous: Where the file that was there is kept.
    """
    with replace_file(path) as temporary:
        with h5py.File(temporary, "w", userblock_size=BLOCK) as file:
            file.attrs["record"] = json.dumps(record)
            for index, variable in enumerate(variables):
                data = file.create_dataset(f"{index:05}", data=variable.numpy())
                data.attrs["path"] = variable.path
        with open(temporary, "r+b") as file:
            header = _header(file)
            file.seek(0)
            file.write(header)
        if path.exists():
            os.replace(path, previous)


def read_checkpoint(path):
    """Read what `save_checkpoint` wrote.

    Returns:
        A list of NumPy arrays, and the record.

    Raises:
        ValueError: If a single byte of the file is not what was written.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(BLOCK)
            if not header.startswith(HDF5) and header != _header(file):
                raise ValueError("its checksum differs")
        with h5py.File(path, "r") as file:
            arrays = [file[name][()] for name in sorted(file)]
            return arrays, json.loads(file.attrs["record"])
    except Exception as error:  # h5py raises anything on broken files.
        raise ValueError(f"{path} is damaged: {error}.") from error


def restore(variables, arrays):
    """Give variables the values they had.

    Raises:
        ValueError: If there are more or fewer arrays, or one has another
            shape. No variable is changed then.
    """
    shapes = [tuple(variable.shape) for variable in variables]
    found = [array.shape for array in arrays]
    if shapes != found:
        raise ValueError(
            f"The checkpoint's {len(found)} arrays don't fit the "
            f"{len(shapes)} variables of this model and optimizer: another "
            "version of the package wrote it. Start again with `--overwrite`."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _header(file):
    """Return the first bytes that belong to the rest of an open file."""
    file.seek(BLOCK)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return (TITLE + digest.encode()).ljust(BLOCK, b"\n")
