"""What a served model says of itself, in `model_card.json`."""

import keras

from dca_keras import __version__
from dca_keras.export._image_files import LARGEST_SIDE
from dca_keras.export._signatures import LARGEST_BATCH, LARGEST_FILES

CARD = "model_card.json"
SCORES = ("split", "part", "images", "dice", "iou", "dice_pooled", "protocol")


def model_card(model, step, size, about):
    """A model card, as a dictionary that JSON can hold.

    Args:
        model: The `keras.Model` that is served.
        step: What the images' sides are multiples of, or `None`.
        size: `(height, width)` that encoded images are segmented at, or
            `None`.
        about: What the card says besides; `training` and `scores` are
            "not recorded" and "not measured" if they are not in it.
    """
    classes = model.output_shape[-1]
    files = "not taken"
    if size is not None:
        files = {
            "formats": ["PNG", "JPEG", "BMP"],
            "segmented_at": list(size),
            "largest_side": LARGEST_SIDE,
            "largest_request_pixels": LARGEST_FILES,
        }
    return {
        "name": model.name,
        "input": {
            "shape": [None, *model.input_shape[1:]],
            "range": [0.0, 1.0],
            "sides_multiple_of": step or "fixed",
            "largest_request_pixels": LARGEST_BATCH,
        },
        "image_files": files,
        "output": {
            "classes": classes,
            "meaning": "one foreground class, from a probability above 0.5"
            if classes == 1
            else "class indices, of the largest probability",
        },
        "training": "not recorded",
        "scores": "not measured",
        **about,
        "versions": {"dca_keras": __version__, "keras": keras.__version__},
    }


def about_run(recipe, samples, scores):
    """What a model card says of a run.

    Args:
        recipe: The run's `Recipe`.
        samples: The names of its samples, by part.
        scores: What `evaluate_run` returned, or `None`.
    """
    about = {
        "training": {
            "data": recipe.data,
            "protocol": recipe.protocol,
            "images": {part: len(names) for part, names in samples.items()},
            "command": recipe.command(),
        }
    }
    if scores is not None:
        about["scores"] = {k: scores[k] for k in SCORES if k in scores}
    return about
