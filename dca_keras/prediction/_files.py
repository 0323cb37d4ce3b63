"""Predictions of runs for image files and folders."""

import collections
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dca_keras.data.guards import check_intensities, size_limit
from dca_keras.prediction import _outputs
from dca_keras.prediction._job import Job
from dca_keras.prediction._members import open_member
from dca_keras.prediction._model import check_batch_size
from dca_keras.prediction._names import check_shard, name_outputs, take_share
from dca_keras.prediction._overlap import run_overlapping
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
    def ways(self) -> dict:
        """The name of `plans` in earlier versions."""
        return self.plans


def predict_files(
    run: str | Path | Sequence[str | Path],
    files: Sequence[str | Path],
    output: str | Path | None = None,
    *,
    engine: Callable | None = None,
    window: bool | int | tuple[int, ...] | None = None,
    overlap: int | tuple[int, ...] | None = None,
    test_time_augmentation: bool = False,
    batch_size: int | None = None,
    intensities: tuple[float, float] | None = None,
    probabilities: bool = False,
    overwrite: bool = False,
    shard: tuple[int, int] | None = None,
    max_pixels: int | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> Predictions:
    """Write a mask and an overlay for every image file.

    `cell.tif` gives two files. `cell_mask.tif` holds class indices, with the
    size, format and geometry of the image: NIfTI for NIfTI, TIFF for TIFF and
    DICOM, PNG with a palette for the others. `cell_overlay.png` shows the
    image under the tinted and outlined mask; for a volume, it shows three
    planes through the largest structure, and for a stack that a 2-D run
    predicted the slice with the most foreground.

    A run that was trained on volumes reads NIfTI in the file's own values and
    preprocesses it as in training; the mask is on the file's own grid.
    `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, … are the channels of one volume,
    as nnU-Net names them, and give `CASE_mask.nii.gz`. Memory holds the
    volume, the preprocessed volume, the mask, and the probabilities of as
    many slices as a window has; with `probabilities`, those of all.

    A file that can't be predicted does not stop the others. A prediction that
    exists already, from the same image with the same model and options, is
    not made again.

    While an image is predicted, the next one is read and the last one is
    written, in threads: memory holds up to three, and an image of more than
    256 MiB alone.

    Args:
        run: The folder of a run; or a list of them, whose probabilities are
            averaged on the image's own grid.
        files: Paths of images, NIfTI volumes, DICOM files and TIFF stacks,
            and of folders that are searched for these; the folders below
            them are kept in `output`.
        output: Folder to write to; `None` is `predictions` in the run.
        engine: What computes: a function from a `Run` to a model with
            `predict_on_batch`, such as `dca_keras.export.engine("openvino")`;
            `None` is Keras.
        window, overlap, test_time_augmentation, batch_size: As in `predict`.
            A run that was trained on crops always slides a window.
        intensities: For NIfTI and DICOM, the two values that become 0 and 1;
            `None` for the intensity window of the run's data set, and where
            it has none for what `dca_keras.data.read_image` does.
        probabilities: Whether to write the probabilities too, as
            `…_probabilities`, float32, in NIfTI or TIFF.
        overwrite: Whether to make existing predictions again and to replace
            files of the same names that come from another image.
        shard: `(number, count)`, such as `(3, 8)` for the third of eight
            shares of the images, chosen by a hash of their names; `None` for
            all of them.
        max_pixels: Most pixels of a file, over all slices of a volume; `None`
            for Pillow's limit on an image and for 2^29 voxels.
        on_progress: Function of the number of files done and of all files,
            called before the first and after each.

    Returns:
        A `Predictions`.

    Raises:
        ValueError: If a run can't be loaded, runs don't fit one another, an
            option does not fit a model, a folder holds no image, two files
            would be written under one name, or an image's own folder would
            be written to.
    """
    runs = [Run.open(one) for one in ([run] if _is_one(run) else run)]
    if output is None and len(runs) != 1:
        raise ValueError(
            "`output` must be given for several runs: their predictions "
            f"belong to none of them. Received: {len(runs)} runs"
        )
    if output is None and runs[0].model_path != runs[0].path("model"):
        raise ValueError(
            f"`output` must be given: {runs[0].folder} is no run of yours to "
            "write into."
        )
    output = runs[0].path("predictions") if output is None else Path(output)
    check_batch_size(batch_size)
    check_intensities(intensities)
    check_shard(shard)
    members = [
        open_member(
            one,
            engine,
            intensities,
            window=window,
            overlap=overlap,
            test_time_augmentation=test_time_augmentation,
            batch_size=batch_size,
        )
        for one in runs
    ]
    job = Job(members, probabilities, overwrite)
    _check_job(job, runs)
    names = name_outputs(files, output, job.volume_channels)
    names = take_share(names, output, shard)
    on_progress = on_progress or (lambda count, total: None)
    on_progress(0, len(names))
    result = Predictions([], [], [], collections.Counter())
    with size_limit(max_pixels):
        steps = run_overlapping(
            names.items(),
            job.read,
            job.segment,
            job.write,
            size=lambda task: sum(i.values.nbytes for i in task.images),
        )
        for count, ((paths, _), done) in enumerate(steps, 1):
            _note(result, paths[0], done)
            on_progress(count, len(names))
    return result


def _note(result, file, done):
    """Note in a `Predictions` what became of a file."""
    error = done.exception()
    if isinstance(error, OSError):  # The disk is full, or not ours.
        raise error
    if error is not None:  # Backends have their own for memory.
        result.broken.append(_message(file, error))
        return
    mask, plan = done.result()
    (result.written if plan else result.done).append(mask)
    result.plans.update([plan] if plan else [])


def _is_one(run):
    return isinstance(run, str | Path | Run)


def _check_job(job, runs):
    """Raise `ValueError` for options that would fail on every file."""
    classes = {run.recipe.num_classes for run in runs}
    if len(classes) > 1:
        raise ValueError(
            "Runs whose probabilities are averaged must have the same "
            f"classes. Received: {sorted(classes)} of them"
        )
    if max(classes) > _outputs.CLASSES:
        raise ValueError(
            f"A mask file holds {_outputs.CLASSES} classes at most. "
            f"The run has {max(classes)}."
        )
    for member, run in zip(job.members, runs, strict=True):
        larger = [2 * side for side in run.recipe.image_size]
        windows = {k: member.options[k] for k in ("window", "overlap")}
        plan_prediction(member.model, larger, **windows)


def _message(file, error):
    """Return a line that names the file and what went wrong with it."""
    text = str(error).partition("\n")[0]
    if not isinstance(error, ValueError | ImportError):
        text = f"{type(error).__name__} {text}"
    return text if str(file) in text else f"{file}: {text}"
