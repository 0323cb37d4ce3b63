"""The command `dca-keras export`."""

from pathlib import Path
from typing import Annotated

import typer

from dca_keras.cli._options import (
    DataDir,
    RunFolder,
    err,
    optional,
    print_line,
)


def export(
    run: RunFolder,
    format: Annotated[
        str,
        typer.Option(
            help="saved_model, onnx, openvino, openvino_int8, litert, "
            "litert_int8 or litert_dynamic."
        ),
    ] = "saved_model",
    output: optional(Path, "Folder to write to; RUN/export by default.") = None,
    dtype: optional(
        str, "For a SavedModel: float32, bfloat16 or float16."
    ) = None,
    any_size: Annotated[
        bool,
        typer.Option("--any-size", help="Take images of any valid size."),
    ] = False,
    data_dir: DataDir = None,
    max_dice_loss: optional(
        float, "The most Dice that 8 bits may lose; 0.005 by default."
    ) = None,
):
    """Write a trained model for systems that run it without this package.

    A SavedModel is written to OUTPUT/NAME/1, or the next number, as
    TensorFlow Serving expects. The export is run on test images, and kept
    only if its probabilities are the model's. With openvino_int8 and
    litert_int8, convolutions have 8 bits, calibrated on images of the run's
    validation split: it is kept only if Dice on that split stays.
    """
    from dca_keras.export import export_run

    with err.status(f"exporting {run}"):
        exported = export_run(
            run,
            format,
            output,
            dtype=dtype,
            any_size=any_size,
            data_dir=data_dir,
            max_dice_loss=max_dice_loss,
        )
    images = f"{exported.images} {'drawn' if exported.drawn else 'test'} images"
    print_line(f"  {exported.path}: {exported.size / 1e6:.1f} MB")
    print_line(
        f"  largest difference from the model, on {images}: "
        f"{exported.difference:.2g}"
    )
    if exported.dice is not None:
        before, after = exported.dice
        print_line(
            f"  Dice on the validation split: {before:.4f} before, "
            f"{after:.4f} after"
        )
