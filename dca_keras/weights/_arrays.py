"""The arrays in Keras's weight files, by the names of their layers.

A file is read as numbers and nothing else: no configuration in it is looked
at, no class is made, no link is followed.
"""

import contextlib
import io
import zipfile

import h5py
import numpy as np

MEMBER = "model.weights.h5"  # of a `.keras` file
LARGEST = 2**33  # Bytes of that member.
NUMBERS = "buif"


@contextlib.contextmanager
def open_arrays(path):
    """Open a `.keras` or `.weights.h5` file and yield its arrays.

    Args:
        path: The file.

    Yields:
        A dictionary of `h5py.Dataset`s by key. A key is a tuple: the names of
        the layers from the outermost to the one that owns the array, as far
        as the file has them, and the array's number there.

    Raises:
        ValueError: If the file can't be read, or holds anything but arrays
            of numbers in itself.
    """
    try:
        with contextlib.ExitStack() as stack:
            source = path
            if zipfile.is_zipfile(path):
                source = io.BytesIO(_read_member(path))
            file = stack.enter_context(h5py.File(source, "r"))
            yield by_key(file)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
        raise ValueError(
            f"{path} can't be read as Keras's weights: {error}"
        ) from error


def by_key(file):
    """Return the arrays of an open HDF5 file by their keys."""
    arrays = {}
    for key, array in _find(file):
        if arrays.setdefault(key, array) is not array:
            raise OSError(f"it holds {'/'.join(key)} twice")
    return arrays


def is_of_class(array, name):
    """Whether a model's array is below a layer of a class, by its file.

    Args:
        array: One of `by_key`'s.
        name: The class's name as Keras writes it, such as `conv2d`.
    """
    _, _, group, *_ = (*array.name.split("/"), "", "")
    stem, _, number = group.rpartition("_")
    return group == name or stem == name and number.isdecimal()


def _find(group, key=()):
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise OSError(f"{group.name}/{name} is a link")
        item = group[name]
        # As many ways to one group could be without end.
        if h5py.h5o.get_info(item.id).rc != 1:
            raise OSError(f"{item.name} is there by several names")
        if isinstance(item, h5py.Dataset):
            yield (*key, name), _checked(item)
        elif name == "vars":  # A layer's own arrays, by their numbers.
            yield from _find(item, key)
        elif name == "layers":  # Of a model: each has a name of its own.
            yield from _find(item, key)
        else:
            yield from _find(item, (*key, _layer_name(item, name)))


def _layer_name(group, default):
    """Return the name of the layer that a group holds the arrays of."""
    own = group.get("vars")
    name = default if own is None else own.attrs.get("name", default)
    return str(name)


def _checked(dataset):
    if dataset.external or dataset.is_virtual:
        raise OSError(f"{dataset.name} lies in another file")
    if np.dtype(dataset.dtype).kind not in NUMBERS:
        raise OSError(f"{dataset.name} holds {dataset.dtype}, not numbers")
    return dataset


def _read_member(path):
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(MEMBER).file_size
        if size > LARGEST:
            raise OSError(f"{MEMBER} in it has {size} bytes")
        return archive.read(MEMBER)
