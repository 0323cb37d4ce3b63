"""The architecture that weights are of, as the recipe beside them says."""

from pathlib import Path

from dca_keras._run_files import PATHS, not_a_recipe, read_record
from dca_keras.config import ATTENTION, DCAConfig
from dca_keras.weights._shipped import shipped_folder
from dca_keras.weights._sources import find_folder

FIELDS = ("model", "channels", "filters", "backbone", "dca")


def architecture_of(source: str | Path) -> dict:
    """Return the fields of a recipe that its weights need to fit.

    Args:
        source: As in `load_weights`.

    Returns:
        A dictionary of fields of `dca_keras.recipe.Recipe`; empty where the
        source is a file, which has no recipe beside it.

    Raises:
        ValueError: If the recipe, or the repository, can't be read.
        ImportError: If a repository is named and the Hub's client is not
            installed.
    """
    recipe = _read_recipe(find_folder(source))
    names = FIELDS + ATTENTION * bool(recipe.get("dca"))
    found = {name: recipe.get(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def shipped_arguments(name: str, model: str) -> dict:
    """Return the arguments of a builder that shipped weights were made with.

    Args:
        name: What is given as `weights`.
        model: Name of the architecture.

    Returns:
        A dictionary; empty where these are no shipped weights, or those of
        another architecture.
    """
    folder = None if Path(name).exists() else shipped_folder(str(name))
    recipe = {} if folder is None else _read_recipe(folder)
    if recipe.get("model") != model:
        return {}
    dca = {name: recipe[name] for name in ATTENTION}
    return {
        "input_shape": (*recipe["image_size"], recipe["channels"]),
        "num_classes": recipe["num_classes"],
        "filters": tuple(recipe["filters"]),
        "dca": DCAConfig(**dca) if recipe["dca"] else False,
    }


def _read_recipe(folder):
    """Return a folder's recipe as a dictionary, empty if it has none."""
    path = Path(folder, PATHS["recipe"])
    if not path.is_file():
        return {}
    record = read_record(path)
    try:
        return dict(record["recipe"])
    except (ValueError, TypeError, LookupError) as error:
        raise not_a_recipe(path, error) from error
