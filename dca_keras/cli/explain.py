"""The command `dca-keras explain`."""

from pathlib import Path
from typing import Annotated

import typer

from dca_keras.cli._options import RunFolder, integers, optional, print_line


def explain(
    run: RunFolder,
    file: Annotated[
        Path, typer.Argument(help="An image, volume or stack.", metavar="IMAGE")
    ],
    at: Annotated[
        str,
        typer.Option(
            help="The point: X,Y in the file's pixels from the upper left "
            "corner, X,Y,Z in a volume."
        ),
    ],
    output: optional(
        Path, "PNG file to write; RUN/predictions/NAME_attention.png by default"
    ) = None,
    class_index: optional(
        int,
        "Class of the Grad-CAM; the most frequent by default.",
        "--class",
    ) = None,
    module: optional(
        str, "The attention's layer in a model with several; the last."
    ) = None,
    block: optional(int, "Its block, counted from 0; the last.") = None,
):
    """Draw where the attention looks from a point of an image.

    For every stage and head of the spatial attention, a map of where the
    point looks; for the channel attention, what each stage draws on; and the
    Grad-CAM of a class beside the image.
    """
    from dca_keras.prediction import explain_file

    path = explain_file(
        run,
        file,
        integers("--at", at, ","),
        output,
        class_index=class_index,
        module=module,
        block=-1 if block is None else block,
    )
    print_line(f"attention: {path}")
