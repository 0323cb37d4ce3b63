"""What a training run leaves, loaded without trust."""

import json
import zipfile
from pathlib import Path

import keras

from dca_keras.recipe import PARTS, Recipe

# What a file of weights and layers holds only where it brings code along.
CODE = ("Lambda", "__lambda__", "function")
TRUSTED = ("keras", "dca_keras")


def load_run(run):
    """Loads what `train` left in a folder.

    A model is data here, never code: an archive with a `Lambda` layer, a
    function or a class from elsewhere is refused before Keras sees it, and
    Keras's safe mode is on.

    Args:
        run: The run's folder.

    Returns:
        The model with its best weights, not compiled; the `Recipe`; and the
        names of the samples it was made with, `{"train": [...], ...}`.

    Raises:
        ValueError: If `model.keras` or `recipe.json` is missing, broken or
            not of this package.
    """
    recipe_path = Path(run) / "recipe.json"
    model_path = Path(run) / "model.keras"
    for path in (recipe_path, model_path):
        if not path.is_file():
            raise ValueError(
                f"{path} is missing, so {run} is not the folder of a run. "
                "`dca-keras train --output DIR` makes one."
            )
    recipe, samples = read_recipe(recipe_path)
    try:
        _check_archive(model_path)
        model = keras.saving.load_model(
            model_path, compile=False, safe_mode=True
        )
        shapes = (model.input_shape[1:], model.output_shape[-1])
    except Exception as error:  # Keras raises anything on foreign files.
        raise ValueError(f"{model_path} can't be loaded: {error}") from error
    inputs = (*recipe.image_size, recipe.channels)
    if shapes != (inputs, recipe.num_classes):
        raise ValueError(
            f"{model_path} maps {shapes[0]} to {shapes[1]} classes and "
            f"{recipe_path} says {inputs} to {recipe.num_classes}: they are "
            "not of one run."
        )
    return model, recipe, samples


def read_recipe(path):
    """Reads the `recipe.json` of a run.

    Args:
        path: The file.

    Returns:
        The `Recipe`, and the names of the samples as `load_run` gives them.

    Raises:
        ValueError: If it is not what `train` writes.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        recipe = Recipe.from_dict(record["recipe"])
        return recipe, {part: list(record["samples"][part]) for part in PARTS}
    except (
        *(ValueError, KeyError, TypeError, AttributeError),
        RecursionError,
    ) as error:
        raise ValueError(f"{path} is not a run's recipe: {error!r}") from error


def _check_archive(path):
    """Raises `ValueError` if an archive's layers are not all known ones."""
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
