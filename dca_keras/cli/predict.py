"""The command `dca-keras predict`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from dca_keras.cli._options import (
    RunFolder,
    err,
    integers,
    optional,
    print_error,
    print_line,
)


def predict(
    run: RunFolder,
    files: Annotated[
        list[Path],
        typer.Argument(help="Images of any size, volumes, folders of them."),
    ],
    output: optional(
        Path, "Folder to write to; RUN/predictions if not given."
    ) = None,
    windows: Annotated[
        bool,
        typer.Option(
            "--windows",
            help="Keep the scale and cut images into overlapping windows, "
            "instead of resizing them as in training.",
        ),
    ] = False,
    overlap: optional(
        int, "Pixels that windows overlap by; a quarter if not given."
    ) = None,
    flips: Annotated[
        bool,
        typer.Option("--flips", help="The mean over mirror images; slower."),
    ] = False,
    batch_size: optional(int, "Windows or slices at a time.") = None,
    intensities: optional(
        str, "Values of NIfTI and DICOM to read as 0 and 1: -125,275."
    ) = None,
    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Write them too, as float32."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do again what is there.")
    ] = False,
    max_pixels: optional(
        int, "Pixels a file may have; about 89 million if not given."
    ) = None,
):
    """Write a mask and an overlay for every image file.

    A mask holds class indices, in the format of its image where that can
    keep them. What is done already is not done again, so that the same
    command goes on after a stop. A file that can't be predicted does not stop
    the others: it is named at the end, and the exit code is 1.
    """
    from dca_keras.prediction import predict_files

    quiet = not err.is_terminal
    with Progress(console=err, transient=True, disable=quiet) as bar:
        task = bar.add_task("predicting", total=None)
        result = predict_files(
            run,
            files,
            output,
            window=windows or None,
            overlap=overlap,
            flips=flips,
            batch_size=batch_size,
            intensities=integers("--intensities", intensities, ","),
            probabilities=probabilities,
            overwrite=overwrite,
            max_pixels=max_pixels,
            on_progress=lambda done, total: bar.update(
                task, completed=done, total=total
            ),
        )
    output = output or run / "predictions"
    if result.written:
        print_line(f"{len(result.written)} masks and overlays: {output}")
    for way, count in result.ways.items():
        print_line(f"  {count} {way}")
    if result.done:
        print_line(f"{len(result.done)} were there already: {output}")
    for message in result.broken:
        print_error(message)
    if result.broken:
        raise typer.Exit(1)
