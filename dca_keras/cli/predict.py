"""The command `dca-keras predict`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from dca_keras.cli._options import (
    RunFolder,
    err,
    optional,
    print_error,
    print_line,
)


def predict(
    run: RunFolder,
    files: Annotated[list[Path], typer.Argument(help="Images of any size.")],
    output: optional(
        Path, "Folder to write to; RUN/predictions if not given."
    ) = None,
):
    """Write a mask and an overlay for every image file.

    A file that can't be read does not stop the others: it is named at the
    end, and the exit code is 1.
    """
    from dca_keras.prediction import predict_files

    quiet = not err.is_terminal
    with Progress(console=err, transient=True, disable=quiet) as bar:
        task = bar.add_task("predicting", total=len(files))
        written, broken = predict_files(
            run, files, output, on_done=lambda: bar.advance(task)
        )
    if written:
        print_line(f"{len(written)} masks and overlays: {written[0].parent}")
    for message in broken:
        print_error(message)
    if broken:
        raise typer.Exit(1)
