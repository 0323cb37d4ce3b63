"""Model cards: what is known of a model, beside its export."""

import keras

from dca_keras import __version__
from dca_keras.export._image_files import LARGEST_SIDE
from dca_keras.export._signatures import LARGEST_BATCH, LARGEST_FILES

CARD = "model_card.json"
SCORES = ("split", "images", "dice", "iou", "dice_pooled", "protocol")


def model_card(model, step, size, about):
    """Return a model card, as a dictionary for JSON.

    Args:
        model: The `keras.Model` that is served.
        step: The number that sides of images must be multiples of, or `None`.
        size: `(height, width)` that encoded images are segmented at, or
            `None`.
        about: Further entries. Without them, `training` is "not recorded"
            and `scores` is "not measured".
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


def file_card(path):
    """Return the path of the card of an exported file: `unet.onnx.json`."""
    return path.with_name(f"{path.name}.json")


def about_run(recipe, samples, scores, preprocessing=None):
    """Return the entries of a model card about a run.

    Args:
        recipe: The run's `Recipe`.
        samples: Names of the samples, by split.
        scores: What `Run.scores` returned, or `None`.
        preprocessing: The run's `Preprocessing`, or `None`.
    """
    about = {
        "training": {
            "data": recipe.data,
            "protocol": recipe.protocol,
            "images": {split: len(names) for split, names in samples.items()},
            "command": recipe.command(),
        }
    }
    if scores is not None:
        about["scores"] = {k: scores[k] for k in SCORES if k in scores}
    if preprocessing is not None:
        about["preprocessing"] = preprocessing.to_dict()
        about["before_and_after"] = _describe(preprocessing, recipe)
    return about


def _describe(preprocessing, recipe):
    """What a client has to do before a request, and after, as sentences."""
    steps = []
    if preprocessing.intensities is not None:
        steps.append(
            "Order the axes (depth, height, width) from feet to head, front "
            "to back, and the patient's right to left, with the channels last."
        )
        for channel, limits in enumerate(preprocessing.intensities):
            low, high = limits or ("its 0.5th", "its 99.5th percentile")
            steps.append(
                f"Map channel {channel} linearly from {low} and {high} to 0 "
                "and 1, and clip what lies beyond."
            )
    if preprocessing.spacing is not None:
        sides = "×".join(f"{side:g}" for side in preprocessing.spacing)
        steps.append(f"Resample linearly to {sides} mm.")
    size = "×".join(map(str, recipe.image_size))
    if recipe.sampling == "crop":
        steps.append(
            f"Send windows of {size} pixels, padded with zeros where the "
            "image is smaller, and blend their probabilities."
        )
    if preprocessing.spacing is not None:
        steps.append(
            "Resample the probabilities linearly to the image's own grid."
        )
    return steps
