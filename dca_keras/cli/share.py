"""The command `dca-keras share`."""

from typing import Annotated

import typer

from dca_keras.cli._options import RunFolder, err, optional, print_line


def share(
    run: RunFolder,
    target: Annotated[
        str, typer.Argument(help="Folder to make, or hf://USER/NAME.")
    ],
    license: optional(
        str, "Licence of the weights in the Hub's words, such as cc-by-4.0."
    ) = None,
    data_name: optional(
        str, "What the card calls the data; the recipe's word by default."
    ) = None,
    picture: Annotated[
        bool,
        typer.Option(help="Share predictions.png, images of the test split."),
    ] = True,
    private: Annotated[
        bool,
        typer.Option("--private", help="Make a repository that only you see."),
    ] = False,
):
    """Write a trained model for others, with a model card.

    `keras.saving.load_model` loads it after `import dca_keras`, and
    `dca-keras predict` takes it in place of a run. Paths and the names of
    images are left out.
    """
    from dca_keras.sharing import share as share_run

    with err.status(f"sharing {run}"):
        written = share_run(
            run,
            target,
            license=license,
            data_name=data_name,
            pictures=picture,
            private=private,
        )
    print_line(f"  {written}")
    if picture and not str(written).startswith("hf://"):
        print_line("  predictions.png shows images of the test split.")
