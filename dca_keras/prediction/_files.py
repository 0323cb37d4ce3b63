"""Predictions of a run's model for image files and folders."""

import collections
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import keras

from dca_keras.data import read_image
from dca_keras.data.guards import check_intensities, size_limit
from dca_keras.prediction import _outputs
from dca_keras.prediction._model import check_batch_size, predict, to_mask
from dca_keras.prediction._names import name_outputs
from dca_keras.prediction._plan import plan_prediction
from dca_keras.run import Run


class Predictions(NamedTuple):
    """What `predict_files` did.

    Args:
        written: Paths of the masks that were written.
        done: Paths of the masks that existed already, from the same image,
            model and options.
        broken: A message for every file that could not be predicted.
        plans: Number of images by what their `PredictionPlan` says.
    """

    written: list
    done: list
    broken: list
    plans: dict

    @property
    def ways(self):
        """The name of `plans` in earlier versions."""
        return self.plans


def predict_files(
    run,
    files,
    output=None,
    *,
    window=None,
    overlap=None,
    test_time_augmentation=False,
    batch_size=None,
    intensities=None,
    probabilities=False,
    overwrite=False,
    max_pixels=None,
    on_progress=None,
):
    """Write a mask and an overlay for every image file.

    `cell.tif` gives two files. `cell_mask.tif` holds class indices, with the
    size, format and geometry of the image: NIfTI for NIfTI, TIFF for TIFF and
    DICOM, PNG with a palette for the others. `cell_overlay.png` shows the
    image under the tinted and outlined mask; for a volume, it shows the slice
    with the most foreground.

    A file that can't be predicted does not stop the others. A prediction that
    exists already, from the same image with the same model and options, is
    not made again.

    Args:
        run: The folder of a run.
        files: Paths of images, NIfTI volumes, DICOM files and TIFF stacks,
            and of folders that are searched for these; the folders below
            them are kept in `output`.
        output: Folder to write to; `None` is `predictions` in the run.
        window, overlap, test_time_augmentation, batch_size: As in `predict`.
        intensities: For NIfTI and DICOM, the two values that become 0 and 1;
            `None` for the intensity window of the run's data set, and where
            it has none for what `dca_keras.data.read_image` does.
        probabilities: Whether to write the probabilities too, as
            `…_probabilities`, float32, in NIfTI or TIFF.
        overwrite: Whether to make existing predictions again and to replace
            files of the same names that come from another image.
        max_pixels: Most pixels of a file, over all slices of a volume; `None`
            for Pillow's limit on an image and for 2^29 voxels. A prediction
            needs memory for several floats a pixel.
        on_progress: Function of the number of files done and of all files,
            called before the first and after each.

    Returns:
        A `Predictions`.

    Raises:
        ValueError: If the run can't be loaded, an option does not fit its
            model, a folder holds no image, two files would be written under
            one name, or an image's own folder would be written to.
    """
    run = Run(run)
    output = run.path("predictions") if output is None else Path(output)
    names = name_outputs(files, output)
    model, recipe = run.load_model(), run.recipe
    intensities = intensities or run.intensity_window
    job = _Job(
        model,
        windows={"window": window, "overlap": overlap},
        test_time_augmentation=test_time_augmentation,
        reading={"channels": recipe.channels, "intensities": intensities},
        batch_size=batch_size,
        probabilities=probabilities,
        overwrite=overwrite,
        model_hash=_hash(run.path("model")),
    )
    _check_job(job, recipe)
    on_progress = on_progress or (lambda count, total: None)
    on_progress(0, len(names))
    result = Predictions([], [], [], collections.Counter())
    for count, (file, name) in enumerate(names.items(), 1):
        try:
            with size_limit(max_pixels):
                mask, plan = _predict_file(job, file, name)
        except OSError:  # The disk is full, or not ours: so for all files.
            raise
        except Exception as error:  # Backends have their own for memory.
            result.broken.append(_message(file, error))
        else:
            (result.written if plan else result.done).append(mask)
            result.plans.update([str(plan)] if plan else [])
        on_progress(count, len(names))
    return result


class _Job(NamedTuple):
    """The model and options that all files share."""

    model: keras.Model
    windows: dict
    test_time_augmentation: bool
    reading: dict
    batch_size: int | None
    probabilities: bool
    overwrite: bool
    model_hash: str


def _check_job(job, recipe):
    """Raise `ValueError` for options that would fail on every file."""
    if recipe.num_classes > _outputs.CLASSES:
        raise ValueError(
            f"A mask file holds {_outputs.CLASSES} classes at most. "
            f"The run has {recipe.num_classes}."
        )
    larger = [2 * side for side in recipe.image_size]
    plan_prediction(job.model, larger, **job.windows)
    check_batch_size(job.batch_size)
    check_intensities(job.reading["intensities"])


def _predict_file(job, file, name):
    """Return the mask's path, and the plan or None if the mask existed."""
    mask_path, map_path, overlay_path = (
        name.with_name(name.name + end) for end in _outputs.ends(file)
    )
    texts = {"Image": _hash(file), "Settings": _settings(job)}
    if not job.overwrite:
        wanted = [mask_path, overlay_path] + [map_path] * job.probabilities
        present = [p for p in (*wanted, map_path) if p.exists()]
        noted = _outputs.read_texts(overlay_path)
        if present and noted.get("Image") != texts["Image"]:
            raise ValueError(
                f"{file} was not predicted, because {present[0]} exists and is "
                "from another image. Choose another `output`, or "
                "`overwrite=True`."
            )
        if texts.items() <= noted.items() and all(p.exists() for p in wanted):
            return mask_path, None
    image = read_image(file, stack=True, **job.reading)
    found = predict(
        job.model,
        image,
        test_time_augmentation=job.test_time_augmentation,
        batch_size=job.batch_size,
        **job.windows,
    )
    plan = plan_prediction(job.model, image.shape[:-1], **job.windows)
    mask = to_mask(found)
    # A mask exists only beside an overlay that names its image.
    for stale in (mask_path, map_path):
        stale.unlink(missing_ok=True)
    texts["Plan"] = str(plan)
    _outputs.write_overlay(overlay_path, image, mask, texts)
    if job.probabilities:
        _outputs.write_probabilities(map_path, found, file)
    _outputs.write_mask(mask_path, mask, file)
    return mask_path, plan


def _settings(job):
    """Return all that a prediction depends on besides the image, as JSON."""
    parts = [
        job.model_hash,
        job.windows,
        job.test_time_augmentation,
        job.reading,
    ]
    return json.dumps(parts, default=int)


def _hash(file):
    if not file.is_file():  # Reading a pipe would never end.
        raise ValueError(f"{file} can't be read: no such file")
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{file} can't be read: {error.strerror}") from error


def _message(file, error):
    """Return a line that names the file and what went wrong with it."""
    text = str(error).partition("\n")[0]
    if not isinstance(error, ValueError | ImportError):
        text = f"{type(error).__name__} {text}"
    return text if str(file) in text else f"{file}: {text}"
