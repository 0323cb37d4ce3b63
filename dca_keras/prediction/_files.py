"""A run's model on image files and folders of them."""

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
from dca_keras.prediction._runs import load_run
from dca_keras.prediction._ways import choose_way
from dca_keras.run import Run


class Predictions(NamedTuple):
    """What `predict_files` did.

    Args:
        written: The paths of the masks that were written.
        done: Of those that were there, from the same image, model and options.
        broken: A message for every file that could not be predicted.
        ways: How many images went through the model in which way, by the
            words of `choose_way`.
    """

    written: list
    done: list
    broken: list
    ways: dict


def predict_files(
    run,
    files,
    output=None,
    *,
    window=None,
    overlap=None,
    flips=False,
    batch_size=None,
    intensities=None,
    probabilities=False,
    overwrite=False,
    max_pixels=None,
    on_progress=None,
):
    """Writes a mask and an overlay for every image file.

    `cell.tif` becomes `cell_mask.tif`, class indices of the image's size in
    its own format and geometry: NIfTI as NIfTI, TIFF and DICOM as TIFF, the
    others as PNG with a palette. And `cell_overlay.png`, the image under the
    tinted and outlined mask; of a volume the slice with the most foreground.

    A file that can't be predicted does not stop the others. What is there,
    from the same image with the same model and options, is not done again.

    Args:
        run: The folder of a run.
        files: Paths of images, of NIfTI volumes, DICOM files and TIFF stacks,
            and of folders, which are searched for such; the folders below
            them are kept in `output`.
        output: Folder to write to; `None` is `predictions` in the run.
        window, overlap, flips, batch_size: As in `predict`.
        intensities: For NIfTI and DICOM, the two values that become 0 and 1;
            `None` for the intensity window of the run's data set, and where
            it has none for what `dca_keras.data.read_image` does.
        probabilities: Whether to write them too, as `…_probabilities`,
            float32, in NIfTI or TIFF.
        overwrite: Whether to do again what is there, and to replace files of
            the same names that are not from the same image.
        max_pixels: Pixels that a file may have, all slices of a volume taken
            together; `None` for Pillow's limit on an image and for 2^29
            voxels. Memory for several floats a pixel is needed.
        on_progress: Called with the number of files done and of all, before
            the first and after each.

    Returns:
        The `Predictions`.

    Raises:
        ValueError: If the run can't be loaded, an option does not fit its
            model, a folder holds no image, two files would be written under
            one name, or an image's own folder would be written to.
    """
    output = Path(run) / "predictions" if output is None else Path(output)
    names = name_outputs(files, output)
    model, recipe, _ = load_run(run)
    intensities = intensities or Run(run).intensity_window
    job = _Job(
        model,
        windows={"window": window, "overlap": overlap},
        flips=flips,
        reading={"channels": recipe.channels, "intensities": intensities},
        batch_size=batch_size,
        probabilities=probabilities,
        overwrite=overwrite,
        model_hash=_hash(Path(run) / "model.keras"),
    )
    _check_job(job, recipe)
    on_progress = on_progress or (lambda count, total: None)
    on_progress(0, len(names))
    result = Predictions([], [], [], collections.Counter())
    for count, (file, name) in enumerate(names.items(), 1):
        try:
            with size_limit(max_pixels):
                mask, way = _predict_file(job, file, name)
        except OSError:  # The disk is full, or not ours: so for all files.
            raise
        except Exception as error:  # Backends have their own for memory.
            result.broken.append(_message(file, error))
        else:
            (result.written if way else result.done).append(mask)
            result.ways.update([str(way)] if way else [])
        on_progress(count, len(names))
    return result


class _Job(NamedTuple):
    """What is the same for all files."""

    model: keras.Model
    windows: dict
    flips: bool
    reading: dict
    batch_size: int | None
    probabilities: bool
    overwrite: bool
    model_hash: str


def _check_job(job, recipe):
    """Raises `ValueError` for what would fail on every file."""
    if recipe.num_classes > _outputs.CLASSES:
        raise ValueError(
            f"A mask file holds {_outputs.CLASSES} classes at most. "
            f"The run has {recipe.num_classes}."
        )
    larger = [2 * side for side in recipe.image_size]
    choose_way(job.model, larger, **job.windows)
    check_batch_size(job.batch_size)
    check_intensities(job.reading["intensities"])


def _predict_file(job, file, name):
    """The mask's path, and the way it was made or None where it was there."""
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
                f"{file} was not predicted, because {present[0]} is there and "
                "not from this image. Choose another `output`, or `overwrite`."
            )
        if texts.items() <= noted.items() and all(p.exists() for p in wanted):
            return mask_path, None
    image = read_image(file, stack=True, **job.reading)
    found = predict(
        job.model,
        image,
        flips=job.flips,
        batch_size=job.batch_size,
        **job.windows,
    )
    way = choose_way(job.model, image.shape[:-1], **job.windows)
    mask = to_mask(found)
    # A mask is there only beside an overlay that tells where it is from.
    for stale in (mask_path, map_path):
        stale.unlink(missing_ok=True)
    texts["Way"] = str(way)
    _outputs.write_overlay(overlay_path, image, mask, texts)
    if job.probabilities:
        _outputs.write_probabilities(map_path, found, file)
    _outputs.write_mask(mask_path, mask, file)
    return mask_path, way


def _settings(job):
    """All that the predictions on an image depend on, in a line."""
    parts = [job.model_hash, job.windows, job.flips, job.reading]
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
    """What went wrong with a file, in a line that names it."""
    text = str(error).partition("\n")[0]
    if not isinstance(error, ValueError | ImportError):
        text = f"{type(error).__name__} {text}"
    return text if str(file) in text else f"{file}: {text}"
