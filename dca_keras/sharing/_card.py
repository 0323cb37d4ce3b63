"""The model card: what a model is, was trained on, scores, and is not for."""

import json
import math

import jinja2

from dca_keras import __version__
from dca_keras._files import write_text

_SCORES = {"dice": "Dice", "iou": "IoU"}


def write_card(path, recipe, model, scores, about):
    """Write a model card with front matter as the Hugging Face Hub reads it.

    Args:
        path: The file, `README.md`.
        recipe: The run's `Recipe`, without what nobody else should read.
        model: Its model.
        scores: What `Run.scores` returns, or None.
        about: A dictionary of the `license` and the `data_name`; whether
            `predictions.png` lies beside the card (`pictures`); the `counts`
            of samples by split; and the `address` to load the model from.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dca_keras.sharing", "."),
        autoescape=False,  # It is Markdown.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # A JSON string is one of YAML, whatever is in it.
    environment.filters["json"] = lambda value: json.dumps(
        value, ensure_ascii=False
    )
    text = environment.get_template("card.md.jinja").render(
        recipe=recipe,
        name=model.name,
        attention="" if recipe.variant == "plain" else recipe.variant,
        sides=" × ".join(map(str, recipe.image_size)),
        parameters=sum(
            math.prod(weight.shape) for weight in model.trainable_weights
        ),
        scores=scores,
        rows=scores and _rows(scores),
        version=__version__,
        **about,
    )
    write_text(path, text)


def _rows(scores):
    """Return the heading, the value and the interval of every score."""
    return [
        (heading, key, scores[key], scores["intervals"].get(key))
        for key, heading in _SCORES.items()
    ]
