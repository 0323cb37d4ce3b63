"""What an export needs besides the package itself."""

import importlib

import keras


def import_extra(extra, *modules):
    """Imports what an extra of this package installs.

    Args:
        extra: The extra's name.
        *modules: Names of modules.

    Returns:
        The last of the modules.

    Raises:
        ImportError: If one is not installed; it names the extra.
    """
    try:
        return [importlib.import_module(module) for module in modules][-1]
    except ImportError as error:
        raise ImportError(
            f"This export takes {', '.join(modules)}: "
            f'pip install "dca-keras[{extra}]"'
        ) from error


def check_backend():
    """Raises `ValueError` unless Keras runs on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Models are exported from Keras's TensorFlow backend. Set the "
            "environment variable KERAS_BACKEND to tensorflow. Received: "
            f"{keras.backend.backend()!r}"
        )
