"""What training left, exported."""

import functools
import json
from pathlib import Path

from dca_keras.export._card import about_run
from dca_keras.export._formats import litert, onnx, openvino
from dca_keras.export._saved_model import saved_model
from dca_keras.prediction import load_run

CHECKED = 4  # images of the test part that a file is checked with
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
    """Exports a run's model.

    What was written is checked with images of the run's own test part, or,
    where the dataset can't be read any more, with drawn ones.

    Args:
        run: The folder of a run.
        format: One of `FORMATS`.
        output: The folder to write to; `None` is `export` in the run. The
            file in it, or the SavedModel's folder, is named like the model.
        dtype: Of a SavedModel: "float32", "bfloat16" or "float16"; `None` is
            the model's own.
        any_size: Whether it takes images of every size that the architecture
            allows.
        data_dir: Where the dataset is now; `None` for where it was.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the run can't be loaded or exported so.
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
    model, recipe, samples = load_run(run)
    if format == "saved_model":
        scores = _read_scores(Path(run) / "metrics.json")
        options["about"] = about_run(recipe, samples, scores)
        options["image_size"] = recipe.image_size
    name = f"{model.name}_int8" if format == "litert_int8" else model.name
    return _WRITERS[format](
        model,
        Path(run, "export") / name if output is None else Path(output, name),
        any_size=any_size,
        images=_test_images(recipe, samples["test"], data_dir),
        **options,
    )


def _test_images(recipe, names, data_dir):
    """Images of the test part; None where they are gone."""
    try:
        splits = recipe.read_dataset(data_dir)
        wanted = set(names[:CHECKED])
        # Under the paper's protocol, it is the validation part as well.
        found = [s for s in splits.test if s.name in wanted]
        return [sample.load()[0] for sample in found] or None
    except (ValueError, OSError):
        if data_dir is not None:
            raise
        return None


def _read_scores(path):
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is no run's metrics: {error}. `dca-keras evaluate` "
            "writes it anew."
        ) from error
