"""A training's whole state in one file, so that it can be taken up again."""

import json

import h5py

from dca_keras._files import replace_file


def save_checkpoint(path, variables, record):
    """Writes variables and a record, whole or not at all.

    Args:
        path: The HDF5 file.
        variables: Keras variables; their order is what identifies them.
        record: What else there is to know, as JSON can hold it.
    """
    with replace_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["record"] = json.dumps(record)
        for index, variable in enumerate(variables):
            data = file.create_dataset(f"{index:05}", data=variable.numpy())
            data.attrs["path"] = variable.path


def read_checkpoint(path):
    """Reads what `save_checkpoint` wrote.

    Returns:
        A list of NumPy arrays, and the record.

    Raises:
        ValueError: If the file can't be read.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = [file[name][()] for name in sorted(file)]
            return arrays, json.loads(file.attrs["record"])
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of a training: {error}. Begin anew "
            "with `--overwrite`."
        ) from error


def restore(variables, arrays):
    """Gives variables the values they had.

    Raises:
        ValueError: If there are more or fewer arrays, or one has another
            shape. No variable is changed then.
    """
    shapes = [tuple(variable.shape) for variable in variables]
    found = [array.shape for array in arrays]
    if shapes != found:
        raise ValueError(
            f"The checkpoint's {len(found)} arrays don't fit the "
            f"{len(shapes)} variables of this model and optimizer. It was "
            "made by another version; begin anew with `--overwrite`."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
