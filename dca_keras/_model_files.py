"""Files of models, loaded without trust."""

import json
import zipfile

import keras

# What a file of weights and layers holds only where it brings code along.
CODE = ("Lambda", "__lambda__", "function")
TRUSTED = ("keras", "dca_keras")


def load_model_file(path):
    """Load a `.keras` file that may come from anybody.

    A model is data here, never code: a file with a `Lambda` layer, a
    function or a class from elsewhere is refused before Keras reads it, and
    Keras's safe mode is on.

    Args:
        path: The file.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: If the file is broken or holds code.
    """
    try:
        _check_archive(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises anything on foreign files.
        raise ValueError(f"{path} can't be loaded: {error}") from error


def _check_archive(path):
    """Raise `ValueError` if an archive's layers are not all known ones."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)  # not loaded
    parts = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            parts += part.values()
            name = part.get("class_name")
            module = str(part.get("module") or "keras").partition(".")[0]
            if name in CODE or (name and module not in TRUSTED):
                raise ValueError(
                    f"it holds {name!r} of {part.get('module')!r}, code that "
                    "could do anything. It was not run. Take a model that "
                    "`dca-keras train` made"
                )
