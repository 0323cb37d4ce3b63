"""Recipes that earlier versions wrote."""

import dataclasses

from dca_keras.recipe._hyperparameters import Hyperparameters

# What `per_image_loss` of earlier versions is now.
PER_IMAGE_LOSS = {"class_name": "DiceLoss", "config": {"per_image": True}}


def complete(values: dict) -> dict:
    """Return a recipe's dictionary with what earlier versions lacked.

    Args:
        values: A dictionary, as `Recipe.to_dict` returns it or JSON made of
            it. Names that are unknown are kept.

    Returns:
        A new dictionary, with the default of every field that is missing
        and has one. Two recipes of one meaning are equal, whichever version
        wrote them.
    """
    values = dict(values)
    if values.pop("per_image_loss", False):
        values["loss"] = PER_IMAGE_LOSS
    if isinstance(values.get("freeze"), bool):
        values["freeze"] = "encoder" if values["freeze"] else None
    defaults = {
        name: own.default
        for name, own in Hyperparameters.__dataclass_fields__.items()
        if own.default is not dataclasses.MISSING
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in (defaults | values).items()
    }
