"""Trained models on images of any size, and on image files."""

import json
from collections import Counter
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from dca_keras._files import replace_file
from dca_keras.data import read_image, resize_image
from dca_keras.plotting import draw_overlay
from dca_keras.recipes import PARTS, Recipe


def load_run(run):
    """Loads what `train` left in a folder.

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
    try:
        record = json.loads(recipe_path.read_text(encoding="utf-8"))
        recipe = Recipe.from_dict(record["recipe"])
        samples = {part: list(record["samples"][part]) for part in PARTS}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{recipe_path} is not a run's recipe: {error!r}"
        ) from error
    try:
        model = keras.saving.load_model(model_path, compile=False)
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


def predict(model, image):
    """Probabilities of every pixel of one image.

    The image is resized to the size the model was built for, and what the
    model says is resized back, both bilinearly. A model built for any size
    gets the image as it is.

    Args:
        model: A model that returns probabilities.
        image: `(height, width, channels)`, floats in [0, 1].

    Returns:
        `(height, width, classes)`, float32.

    Raises:
        ValueError: If `image` does not have the model's channels.
    """
    *sides, channels = model.input_shape[1:]
    if image.ndim != 3 or image.shape[-1] != channels:
        raise ValueError(
            f"`image` must be (height, width, {channels}), as the model was "
            f"trained. Received: {image.shape}"
        )
    resized = image if None in sides else resize_image(image, sides)
    probabilities = model.predict_on_batch(resized[None])[0]
    return resize_image(probabilities, image.shape[:2])


def to_mask(probabilities):
    """Decides on a class for every pixel.

    Args:
        probabilities: `(..., classes)`. One class is there where its
            probability is above 0.5; of several the likeliest wins.

    Returns:
        `(...)`, int32: {0, 1} for one class, else class indices.
    """
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] > 0.5).astype("int32")
    return np.argmax(probabilities, axis=-1).astype("int32")


def predict_files(run, files, output=None, on_done=None):
    """Writes a mask and an overlay for every image file.

    `cell.jpg` becomes `cell_mask.png`, 0 and 255 for one class and class
    indices for several, and `cell_overlay.png`, the image under the tinted
    and outlined mask. Both have the image's size. A file that can't be read
    does not stop the others.

    Args:
        run: The folder of a run.
        files: Paths of images.
        output: Folder to write to; `None` is `predictions` in the run.
        on_done: Called without arguments after each file.

    Returns:
        The paths of the written masks, and a list with one message for every
        file that could not be read.

    Raises:
        ValueError: If the run can't be loaded, two files would be written
            under one name, or an image's own folder would be written to.
    """
    files = [Path(file) for file in files]
    output = Path(run) / "predictions" if output is None else Path(output)
    _check_names(files, output)
    model, recipe, _ = load_run(run)
    written, broken = [], []
    for file in files:
        try:
            image = read_image(file, recipe.channels)
        except ValueError as error:
            broken.append(str(error))
        else:
            mask = to_mask(predict(model, image))
            grey = mask * 255 if recipe.num_classes == 1 else mask
            written.append(output / f"{file.stem}_mask.png")
            _save_png(written[-1], grey.astype("uint8"))
            _save_png(
                output / f"{file.stem}_overlay.png", draw_overlay(image, mask)
            )
        if on_done is not None:
            on_done()
    return written, broken


def _check_names(files, output):
    counts = Counter(file.stem for file in files)
    if twice := [stem for stem, count in counts.items() if count > 1]:
        raise ValueError(
            f"More than one file is called {', '.join(twice)}; their masks "
            "would overwrite each other. Predict them one folder at a time."
        )
    for file in files:
        if file.parent.resolve() == output.resolve():
            raise ValueError(
                f"`output` must not be the folder of an image, lest a mask "
                f"there be overwritten. Received: {output}, with {file.name}"
            )


def _save_png(path, pixels):
    with replace_file(path) as temporary:
        Image.fromarray(pixels).save(temporary)
