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
            help="saved_model, onnx, openvino, litert or litert_int8."
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
):
    """Write a trained model for systems that run it without this package.

    A SavedModel is written to OUTPUT/NAME/1, or the next number, as
    TensorFlow Serving expects. The export is run on test images, and kept
    only if its probabilities are the model's.
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
        )
    images = f"{exported.images} {'drawn' if exported.drawn else 'test'} images"
    print_line(f"  {exported.path}: {exported.size / 1e6:.1f} MB")
    print_line(
        f"  largest difference from the model, on {images}: "
        f"{exported.difference:.2g}"
    )
