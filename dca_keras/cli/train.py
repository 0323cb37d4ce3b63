"""The command `dca-keras train`."""

from pathlib import Path
from typing import Annotated

import typer

from dca_keras.cli._options import (
    Channels,
    DataDir,
    EmptyMasks,
    ImageSize,
    NumClasses,
    Partial,
    SkipBroken,
    err,
    integers,
    optional,
    print_line,
    print_scores,
    sides,
)


def train(
    model: Annotated[
        str, typer.Option(help="Architecture; `dca-keras models` lists them.")
    ] = "unet",
    data: Annotated[
        str, typer.Option(help="Dataset, such as synthetic or image_folder.")
    ] = "synthetic",
    data_dir: DataDir = None,
    partial: Partial = None,
    empty_masks: EmptyMasks = None,
    skip_broken: SkipBroken = None,
    cache: optional(
        str, "Keep resized images in memory, none or a folder."
    ) = None,
    protocol: optional(
        str, "held_out, or paper: the best epoch by the test part."
    ) = None,
    dca: optional(bool, "Attention on the skips.", "--dca/--no-dca") = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    num_classes: NumClasses = None,
    filters: optional(str, "Widths, such as 16,32,64,128,256.") = None,
    epochs: optional(int, "Passes over the training images.") = None,
    batch_size: optional(int, "Images a step.") = None,
    learning_rate: optional(float, "Adam's learning rate.") = None,
    augment: optional(
        bool, "Turn and flip the images at random.", "--augment/--no-augment"
    ) = None,
    seed: optional(int, "Seed of all that is random.") = None,
    dtype: optional(str, "float32, mixed_float16 or mixed_bfloat16.") = None,
    output: optional(
        Path, "Folder to make; runs/MODEL[-dca]-DATA-seedSEED if not given."
    ) = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in OUTPUT.")
    ] = False,
):
    """Train a model and score it on images held out for the test.

    Without options: a small U-Net with DCA on drawn images, in one to two
    minutes on two CPU cores. What is not given comes from the package's
    `recipes.toml`.
    """
    from dca_keras.recipes import make_recipe
    from dca_keras.training import train as train_recipe

    recipe = make_recipe(
        model,
        data,
        data_dir=data_dir,
        partial=partial,
        empty_masks=empty_masks,
        skip_broken=skip_broken,
        cache=cache,
        protocol=protocol,
        dca=dca,
        image_size=sides(image_size),
        filters=integers("--filters", filters, ","),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        num_classes=num_classes,
        channels=channels,
        augment=augment,
        seed=seed,
        dtype=dtype,
    )
    output = output or Path("runs", recipe.run_name())
    scores = train_recipe(recipe, output, overwrite=overwrite, console=err)
    print_scores(scores)
    for name in (
        "model.keras",
        "metrics.json",
        "history.csv",
        "predictions.png",
    ):
        print_line(f"  {output / name}")
