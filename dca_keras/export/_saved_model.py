"""SavedModels for TensorFlow Serving."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from dca_keras._extras import import_extra
from dca_keras._files import write_json
from dca_keras.export._card import CARD, model_card
from dca_keras.export._check import (
    Exported,
    check_backend,
    check_difference,
    check_images,
    largest_difference,
)
from dca_keras.export._folding import inference_model
from dca_keras.export._loading import load_saved_model
from dca_keras.export._signatures import Endpoints
from dca_keras.export._versions import next_version, whole_folder
from dca_keras.export._warm_up import write_warm_up
from dca_keras.prediction import side_multiple


def saved_model(
    model: keras.Model,
    path: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    any_size: bool = False,
    dtype: str | None = None,
    images: Iterable[np.ndarray] | None = None,
    about: dict | None = None,
    beside: Sequence[Path] = (),
) -> Exported:
    """Write a SavedModel for TensorFlow Serving.

    It is written to `path/1`, or to the next number if there are versions,
    and appears there complete or not at all: a server may watch `path`. Its
    signatures don't need this package:

    - `serving_default`: from `images` (batch, *sides, channels), float32 in
      [0, 1], to `probabilities` (batch, *sides, classes).
    - `image_bytes`: from PNG, JPEG or BMP files of any sizes to `classes`
      (batch, height, width) and `probabilities` (batch, height, width,
      classes) at the images' own sizes. If the sizes in a batch differ, the
      arrays are padded with zeros to the largest, and `sizes` (batch, 2) has
      the height and width of each.
    - `mask_png`: from such files to `mask_bytes`, a PNG for each: 0 and 255
      for one class, class indices for several.

    The last two resize bilinearly, as in training; models for images with
    other than one or three channels don't have them. The folder also has a
    warm-up request for each signature, and `model_card.json`.

    Args:
        model: A functional `keras.Model` that returns probabilities.
        path: The model's folder; its name is the name to serve it by.
        image_size: `(height, width)` that image files are segmented at;
            `None` for the size the model was built for.
        any_size: Whether `serving_default` takes every size that the
            architecture allows, even if the model was built for one.
        dtype: Dtype of weights and computation, "float32", "bfloat16" or
            "float16"; `None` for the model's own.
        images: Images to check the SavedModel with, `(height, width,
            channels)` each, floats in [0, 1]; `None` draws some.
        about: Further entries of the model card, such as `training` and
            `scores`; a dictionary for JSON.
        beside: Files that are copied beside the model card.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the model can't be exported, or the SavedModel differs
            from it by more than 1e-3; with "bfloat16" and "float16", the
            difference is only reported. Then nothing is left.
        ImportError: If the extra `serving` is not installed.
    """
    import_extra(
        "tensorflow_serving.apis.predict_pb2",
        extra="serving",
        purpose="Exporting to a SavedModel",
    )
    check_backend()
    served = inference_model(model, any_size=any_size, dtype=dtype)
    step = side_multiple(model) if None in served.input_shape[1:-1] else None
    size = _size_of_files(model, step, image_size)
    fixed = None not in model.input_shape[1:-1]
    checked = check_images(model, images, None if fixed else size)
    version = next_version(Path(path))
    with whole_folder(version) as folder:
        specs = _write(served, folder, step, size)
        write_json(folder / CARD, model_card(served, step, size, about or {}))
        for file in beside:
            shutil.copy(file, folder)
        write_warm_up(folder, version.parent.name, specs, checked[0])
        loaded = load_saved_model(folder)
        difference = largest_difference(model, loaded.predict_on_batch, checked)
        if dtype in (None, "float32"):
            check_difference(difference, "SavedModel")
        size = sum(file.stat().st_size for file in folder.rglob("*"))
    return Exported(version, difference, len(checked), images is None, size)


def _size_of_files(model, step, image_size):
    """Return the size to segment files at; None if there are no such files."""
    *sides, channels = model.input_shape[1:]
    if len(sides) != 2 or channels not in (1, 3):
        return None
    size = tuple(sides if image_size is None else image_size)
    if step is None:
        fits, rule = size == tuple(sides), f"{tuple(sides)}, the model's own"
    else:
        fits = len(size) == 2 and all(
            side and side % step == 0 for side in size
        )
        rule = f"two multiples of {step}, as the model takes any size"
    if not fits:
        raise ValueError(f"`image_size` must be {rule}. Received: {size}")
    return size


def _write(model, folder, step, size):
    endpoints = Endpoints(model, step, size)
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, spec in endpoints.specs().items():
        function = getattr(endpoints, name)
        archive.add_endpoint(name, function, input_signature=[spec])
    archive.write_out(str(folder), verbose=False)
    return endpoints.specs()
