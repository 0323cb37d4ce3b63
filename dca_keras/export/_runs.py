"""Exports of a run's model."""

import functools
import shutil
from pathlib import Path

from dca_keras._files import hash_file, replace_file, write_json
from dca_keras.export._accuracy import MAX_DICE_LOSS, DiceCheck
from dca_keras.export._card import about_run, file_card, model_card
from dca_keras.export._check import Exported
from dca_keras.export._formats import litert, onnx, openvino
from dca_keras.export._quantization import check_quantizer
from dca_keras.export._saved_model import saved_model
from dca_keras.prediction import side_multiple
from dca_keras.run import Run

CHECKED = 4  # Test images that an export is checked with.
_WRITERS = {
    "saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
    "openvino_int8": openvino,
    "litert": litert,
    "litert_int8": litert,
    "litert_dynamic": functools.partial(litert, int8=True),
}
FORMATS = tuple(_WRITERS)
CALIBRATED = ("openvino_int8", "litert_int8")


def export_run(
    run: str | Path,
    format: str,
    output: str | Path | None = None,
    *,
    dtype: str | None = None,
    any_size: bool = False,
    data_dir: str | Path | None = None,
    max_dice_loss: float | None = None,
) -> Exported:
    """Export a run's model.

    The export is checked with images of the run's test split, or with drawn
    images if the data set can't be read any more. A run's `fingerprint.json`,
    which says what is done to images before the model sees them, is copied
    beside the export. A card, `NAME.onnx.json` and so on, says what the file
    holds.

    With 8 bits, "openvino_int8" and "litert_int8", the convolutions are
    quantized with scales that fit images of the run's validation split;
    attention stays in floating point. Two ways to fit them are tried, and the
    one with the better Dice on that split is kept. Dice is measured before and
    after, and an export that loses too much is not kept.

    Args:
        run: The folder of a run.
        format: One of `FORMATS`. "litert_dynamic" has weights of 8 bits, and
            quantizes activations at inference: it needs no data, and is less
            exact.
        output: The folder to write to; `None` is `export` in the run. The
            file in it, or the SavedModel's folder, has the model's name.
        dtype: For a SavedModel, "float32", "bfloat16" or "float16"; `None`
            for the model's own.
        any_size: Whether the export takes images of every size that the
            architecture allows.
        data_dir: The data set's folder now; `None` if it has not moved.
        max_dice_loss: The most Dice that calibrated 8 bits may lose; `None`
            is 0.005.

    Returns:
        An `Exported`.

    Raises:
        ValueError: If the run can't be loaded, or not exported in this way;
            with calibrated 8 bits also if the data set can't be read, or Dice
            falls too much. Then nothing is left.
        ImportError: If the format's extra is not installed.
    """
    _check_options(format, dtype, max_dice_loss)
    run = Run(run)
    model, recipe = run.load_model(), run.recipe
    noted = [p for p in [run.path("fingerprint")] if p.is_file()]
    scores = run.scores() if run.path("metrics").is_file() else None
    about = about_run(
        recipe, run.record.get("samples", {}), scores, run.preprocessing
    )
    options, check = {}, None
    if format == "saved_model":
        options["dtype"] = dtype
        options["about"] = about
        options["image_size"] = recipe.image_size
        options["beside"] = noted
    if format in CALIBRATED:
        check_quantizer(format.removesuffix("_int8"))
        most = MAX_DICE_LOSS if max_dice_loss is None else max_dice_loss
        check = DiceCheck(run, model, data_dir, most)
        options["calibration"] = check.calibration()
        options["choose"] = check
    bits = format.partition("_")[2] if format != "saved_model" else ""
    exported = _WRITERS[format](
        model,
        (run.path("export") if output is None else Path(output))
        / "_".join(filter(None, (model.name, bits))),
        any_size=any_size,
        images=_test_images(run, data_dir),
        **options,
    )
    if format == "saved_model":
        return exported
    for file in noted:
        with replace_file(exported.path.with_name(file.name)) as temporary:
            shutil.copy(file, temporary)
    if check is not None:
        about["quantization"] = check.entries()
        exported = exported._replace(dice=(check.before, check.after))
    _write_card(exported.path, run, model, format, any_size, about)
    return exported


def _check_options(format, dtype, max_dice_loss):
    if format not in FORMATS:
        raise ValueError(
            f"`format` must be one of {FORMATS}. Received: {format!r}"
        )
    if dtype is not None and format != "saved_model":
        raise ValueError(
            "`dtype` is for the format saved_model only. Received: "
            f"{dtype!r} for {format}"
        )
    if max_dice_loss is not None and format not in CALIBRATED:
        raise ValueError(
            f"`max_dice_loss` is for the formats {' and '.join(CALIBRATED)} "
            f"only. Received: {max_dice_loss!r} for {format}"
        )


def _write_card(path, run, model, format, any_size, about):
    """Write what is known of an exported file beside it."""
    try:
        multiple = side_multiple(model)
    except ValueError:  # It takes no size but its own.
        multiple = 1
    weights = path.with_suffix(".bin")  # Of OpenVINO, beside the graph.
    about |= {
        "format": format,
        "model_sha256": hash_file(run.model_path),
        "sha256": hash_file(weights if path.suffix == ".xml" else path),
        "side_multiple": multiple,
    }
    step = multiple if any_size else None
    write_json(file_card(path), model_card(model, step, None, about))


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
