"""Files of models, loaded without trust."""

import json
import zipfile

import keras

# What brings code along, whatever else an entry says.
CODE = ("Lambda", "__lambda__")
TRUSTED = ("keras", "dca_keras")


def load_model_file(path):
    """Load a `.keras` file that may come from anybody.

    A model is data here, never code. A file with a `Lambda` layer is refused
    before Keras reads it, and so is one with a function or a class that is
    not of Keras, of this package, or registered by a module that was imported
    already (`keras.saving.register_keras_serializable`). Keras's safe mode is
    on.

    Args:
        path: The file.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: If the file is damaged or holds code.
    """
    try:
        _check_archive(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises anything on foreign files.
        raise ValueError(f"{path} can't be loaded: {error}") from error


def _check_archive(path):
    """Raise `ValueError` if an archive's layers are not all known ones."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} in it is damaged")
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)  # not loaded
    entries = [config]
    while entries:
        entry = entries.pop()
        if isinstance(entry, list):
            entries += entry
        elif isinstance(entry, dict):
            entries += entry.values()
            if entry.get("class_name") and not _is_known(entry):
                raise ValueError(
                    f"it holds {entry['class_name']!r} of "
                    f"{entry.get('module')!r}, code that could do anything. "
                    "It was not run. Take a model that `dca-keras train` "
                    "made; if it needs a module of yours, name that as "
                    "`--plugin NAME`, or import it in Python"
                )


def _is_known(entry):
    """Return whether Keras finds what an entry names without importing."""
    name = entry["class_name"]
    if name in CODE:
        return False
    if name == "function":
        return _is_registered(entry.get("config"))
    module = str(entry.get("module") or "keras").partition(".")[0]
    return module in TRUSTED or _is_registered(
        entry.get("registered_name", name)
    )


def _is_registered(name):
    found = isinstance(name, str) and keras.saving.get_registered_object(name)
    return callable(found)
