"""The numbers of `recipes.toml`, merged with those of the user."""

import tomllib
from importlib import resources
from pathlib import Path

from dca_keras._fields import markdown_table as fields_table
from dca_keras._plugins import load_plugins
from dca_keras.recipe._hyperparameters import PATHS
from dca_keras.recipe._recipe import Recipe


def make_recipe(
    model: str = "unet", data: str = "synthetic", **overrides
) -> Recipe:
    """Return the recipe of a model on a data set, with the user's changes.

    Args:
        model: Name of an architecture, one of `dca_keras.zoo.list_models()`.
        data: Name of a data set, one of `dca_keras.data.list_datasets()`.
        **overrides: Other fields of `Recipe`. `None` means not given; a single
            number as `image_size` is the side of a square. Those modules that
            `plugins` names are imported.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If a name is unknown or a value wrong.
    """
    load_plugins(overrides.get("plugins") or ())
    tables = _read_numbers()
    values = tables["defaults"]
    values |= tables["dataset"].get(data, {})
    values.pop("follows_data", None)
    if _lacks_filters(model):
        values.pop("filters", None)
    values |= tables.get("model", {}).get(model, {})
    values |= {k: v for k, v in overrides.items() if v is not None}
    if isinstance(values["image_size"], int):
        values["image_size"] = [values["image_size"]] * 2
    if len(values["image_size"]) == 3:  # Volumes keep their scale.
        values.setdefault("sampling", "crop")
    for name in PATHS:
        if values.get(name) not in (None, "memory", "none", "imagenet"):
            values[name] = str(Path(values[name]).expanduser().absolute())
    weights = values.get("weights")  # A path, or a name.
    if weights and Path(weights).expanduser().exists():
        values["weights"] = str(Path(weights).expanduser().absolute())
    return Recipe.from_dict({"model": model, "data": data} | values)


def follows_data(data: str) -> bool:
    """Whether what isn't given follows from the images of a data set.

    Args:
        data: Name of a data set. Those of the paper, and the generated one,
            have numbers of their own.
    """
    numbers = _read_numbers()["dataset"].get(data, {"follows_data": True})
    return numbers.get("follows_data", False)


def markdown_table() -> str:
    """Return a Markdown table of all hyperparameters, for documentation."""
    recipe = Recipe.from_dict(
        {"model": "unet", "data": "synthetic"} | _read_numbers()["defaults"]
    )
    return "\n".join(fields_table(recipe))


def _lacks_filters(model):
    """Whether an architecture is known, and its widths can't be set."""
    from dca_keras.zoo import list_models, takes_argument

    known = model in list_models(all=True)
    return known and not takes_argument(model, "filters")


def _read_numbers():
    text = resources.files("dca_keras").joinpath("recipes.toml").read_text()
    return tomllib.loads(text)
