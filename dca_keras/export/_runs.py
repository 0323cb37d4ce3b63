"""Exports of a run's model."""

import functools
import shutil
from pathlib import Path

from dca_keras._files import replace_file
from dca_keras.export._card import about_run
from dca_keras.export._formats import litert, onnx, openvino
from dca_keras.export._saved_model import saved_model
from dca_keras.run import Run

CHECKED = 4  # Test images that an export is checked with.
_WRITERS = {
    "saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
    "litert": litert,
    "litert_int8": functools.partial(litert, int8=True),
}
FORMATS = tuple(_WRITERS)


def export_run(
    run, format, output=None, *, dtype=None, any_size=False, data_dir=None
):
    """Export a run's model.

    The export is checked with images of the run's test split, or with drawn
    images if the data set can't be read any more. A run's `fingerprint.json`,
    which says what is done to images before the model sees them, is copied
    beside the export.

    Args:
        run: The folder of a run.
        format: One of `FORMATS`.
        output: The folder to write to; `None` is `export` in the run. The
            file in it, or the SavedModel's folder, has the model's name.
        dtype: For a SavedModel, "float32", "bfloat16" or "float16"; `None`
            for the model's own.
        any_size: Whether the export takes images of every size that the
            architecture allows.
        data_dir: The data set's folder now; `None` if it has not moved.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the run can't be loaded, or not exported in this way.
        ImportError: If the format's extra is not installed.
    """
    if format not in FORMATS:
        raise ValueError(
            f"`format` must be one of {FORMATS}. Received: {format!r}"
        )
    options = {}
    if format == "saved_model":
        options["dtype"] = dtype
    elif dtype is not None:
        raise ValueError(
            "`dtype` is for the format saved_model only. Received: "
            f"{dtype!r} for {format}"
        )
    run = Run(run)
    model, recipe = run.load_model(), run.recipe
    noted = [p for p in [run.path("fingerprint")] if p.is_file()]
    if format == "saved_model":
        measured = run.path("metrics").is_file()
        scores = run.scores() if measured else None
        options["about"] = about_run(
            recipe, run.samples, scores, run.preprocessing
        )
        options["image_size"] = recipe.image_size
        options["beside"] = noted
    name = f"{model.name}_int8" if format == "litert_int8" else model.name
    exported = _WRITERS[format](
        model,
        (run.path("export") if output is None else Path(output)) / name,
        any_size=any_size,
        images=_test_images(run, data_dir),
        **options,
    )
    for file in noted if format != "saved_model" else ():
        with replace_file(exported.path.with_name(file.name)) as temporary:
            shutil.copy(file, temporary)
    return exported


def _test_images(run, data_dir):
    """Return images of the test split; None if they can't be read."""
    try:
        splits = run.read_splits(data_dir)
        wanted = set(run.samples["test"][:CHECKED])
        # Under the paper's protocol, they are the validation split as well.
        found = [s for s in splits.test if s.name in wanted]
        return [sample.load()[0] for sample in found] or None
    except (ValueError, OSError):
        if data_dir is not None:
            raise
        return None
