"""The command `dca-keras predict`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from dca_keras.cli._options import (
    err,
    integers,
    name_options,
    optional,
    print_error,
    print_line,
)


def predict(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="A folder that `train` made, or several, whose probabilities "
            "are averaged; then images of any size, volumes, folders of them.",
            metavar="RUN [RUN…] FILES…",
        ),
    ],
    output: optional(
        Path, "Folder to write to; RUN/predictions by default."
    ) = None,
    engine: Annotated[
        str,
        typer.Option(
            help="What computes: keras, openvino, onnx, litert; openvino_int8 "
            "and litert_int8 with 8 bits. The run is exported once."
        ),
    ] = "keras",
    windows: Annotated[
        bool,
        typer.Option(
            "--windows",
            help="Keep the scale and slide a window over the image, instead of "
            "resizing it as in training.",
        ),
    ] = False,
    overlap: optional(
        int, "Overlap of windows in pixels; a quarter of the window by default."
    ) = None,
    tta: Annotated[
        bool,
        typer.Option(
            "--tta",
            help="Test-time augmentation: the mean over mirror images. Takes "
            "four times as long, eight in 3-D.",
        ),
    ] = False,
    batch_size: optional(
        int, "Windows or slices that are predicted together."
    ) = None,
    intensities: optional(
        str, "Values of NIfTI and DICOM that become 0 and 1, as in -125,275."
    ) = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Write the probabilities too, as float32."
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Make existing predictions again."),
    ] = False,
    shard: optional(
        str, "Predict one share of the images, such as 3/8."
    ) = None,
    max_pixels: optional(
        int, "Most pixels of a file; about 89 million by default."
    ) = None,
):
    """Write a mask and an overlay for every image file.

    The first path is a run, and so are the folders after it that hold a
    recipe.json. A mask holds class indices, in the format of its image if
    that can keep them. Existing predictions are not made again, so that the
    same command resumes after an interruption. A file that can't be predicted
    does not stop the others: it is named at the end, and the exit code is 1.
    """
    from dca_keras.prediction import predict_files
    from dca_keras.run import Run

    shard = integers("--shard", shard, "/")
    runs, files = _tell_apart(paths)

    quiet = not err.is_terminal
    with Progress(console=err, transient=True, disable=quiet) as bar:
        task = bar.add_task("predicting", total=None)
        result = predict_files(
            runs,
            files,
            output,
            engine=_find_engine(engine),
            window=windows or None,
            overlap=overlap,
            test_time_augmentation=tta,
            batch_size=batch_size,
            intensities=integers("--intensities", intensities, ","),
            probabilities=probabilities,
            overwrite=overwrite,
            shard=shard,
            max_pixels=max_pixels,
            on_progress=lambda done, total: bar.update(
                task, completed=done, total=total
            ),
        )
    output = output or Run(runs[0]).path("predictions")
    if result.written:
        print_line(f"{len(result.written)} masks and overlays: {output}")
    for plan, count in result.plans.items():
        print_line(f"  {count} {plan}")
    if result.done:
        print_line(f"{len(result.done)} existed already: {output}")
    for message in result.broken:
        print_error(name_options(message, context.command))
    if result.broken:
        raise typer.Exit(1)


def _find_engine(name):
    """Return what `predict_files` takes; Keras needs none of `export`."""
    if name == "keras":
        return None
    from dca_keras.export import engine

    return engine(name)


def _tell_apart(paths):
    """Return the runs, which come first, and the files."""
    count = 1
    while count < len(paths) and (paths[count] / "recipe.json").is_file():
        count += 1
    if count == len(paths):
        raise ValueError(
            "Name the images to predict after the "
            f"run{'s' * (count > 1)}: files or folders. Received: "
            f"{', '.join(map(str, paths))}"
        )
    return paths[:count], paths[count:]
