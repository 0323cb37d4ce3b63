"""Read a published checkpoint as NumPy arrays by name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dca_keras._extras import import_extra


def read_arrays(source):
    """Read a mapping or a file as NumPy arrays by published name.

    Args:
        source: `state_dict` of `load_reference_weights`.

    Raises:
        ValueError: If it is not a checkpoint.
        ImportError: If reading it takes a package that is not installed.
    """
    if not isinstance(source, Mapping):
        source = _read_file(Path(source))
    if "model_state_dict" in source:
        source = source["model_state_dict"]
    if not isinstance(source, Mapping):
        raise ValueError(
            "A checkpoint must be a mapping from names to arrays. Received: "
            f"{type(source).__name__}."
        )
    return {str(name): _to_array(name, value) for name, value in source.items()}


def _to_array(name, value):
    if hasattr(value, "detach"):  # a PyTorch tensor
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
        if array.dtype != object:
            return array.astype("float32")
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"Every entry of `state_dict` must be an array. Received for {name!r}: "
        f"{type(value).__name__}."
    )


def _read_file(path):
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ValueError(
            "A checkpoint's name must end in .safetensors, .pth or .pt. "
            f"Received: {str(path)!r}."
        )
    if not path.is_file():
        raise ValueError(f"There is no checkpoint {str(path)!r}.")
    read = (
        _safetensors_reader if path.suffix == ".safetensors" else _torch_reader
    )
    read = read()
    try:
        source = read(path)
    except Exception as error:
        raise ValueError(
            f"Could not read the checkpoint {str(path)!r}: {error}"
        ) from error
    if not isinstance(source, Mapping):
        raise ValueError(
            f"The checkpoint {str(path)!r} holds no mapping from names to "
            f"arrays but a {type(source).__name__}."
        )
    return source


def _safetensors_reader():
    return import_extra(
        "safetensors.numpy",
        extra="safetensors",
        purpose="Reading .safetensors files",
    ).load_file


def _torch_reader():
    torch = import_extra(
        "torch", extra="torch", purpose="Reading .pth and .pt files"
    )
    return lambda path: torch.load(path, map_location="cpu", weights_only=True)
