"""The command `dca-keras train`."""

from pathlib import Path
from typing import Annotated

import typer

from dca_keras.cli._options import (
    err,
    optional,
    print_line,
    print_scores,
    recipe_options,
)
from dca_keras.cli._recipes import (
    choose_recipe,
    name_dataset,
    open_early,
)
from dca_keras.recipe import Recipe

WRITTEN = ("model", "history", "metrics", "pictures", "report")


@recipe_options(
    *(name for name in Recipe.__dataclass_fields__ if name != "plugins")
)
def train(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="The data set's folder; what it holds says which data set "
            "it is.",
            metavar="DIR",
        ),
    ] = None,
    plugins=(),
    devices: optional(
        str, "For mirrored: some devices only, such as GPU:0,GPU:1."
    ) = None,
    output: optional(
        Path, "Folder to make; runs/MODEL[-dca]-DATA-seedSEED if not given."
    ) = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in OUTPUT.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in OUTPUT, if any."),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Write OUTPUT/tensorboard, too."),
    ] = False,
    **given,
):
    """Train a model and score it on images held out for the test.

    On a folder of your own, images or volumes, what is not given follows
    from what they are like; every value is printed with its reason. The
    paper's data sets have the paper's, from the package's `recipes.toml`.

    Without a folder: a small U-Net with DCA on drawn images, in one to two
    minutes on two CPU cores.
    """
    from dca_keras.run import Run
    from dca_keras.training import train as train_recipe

    given = name_dataset(folder, given)
    devices = devices.split(",") if devices else None
    strategy = open_early(devices, **given)
    recipe, fingerprint = choose_recipe(
        output if resume else None, plugins=plugins, **given
    )
    output = output or Path("runs", recipe.run_name())
    scores = train_recipe(
        recipe,
        output,
        overwrite=overwrite,
        resume=resume,
        tensorboard=tensorboard,
        devices=devices,
        strategy=strategy,
        fingerprint=fingerprint,
        console=err,
    )
    if scores is None:
        print_line("The first worker scores the model.")
        return
    print_scores(scores)
    for kind in WRITTEN:
        print_line(f"  {Run(output).path(kind)}")
