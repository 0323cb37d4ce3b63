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

WRITTEN = (
    "model.keras",
    "history.csv",
    "metrics.json",
    "predictions.png",
    "report.html",
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
    channel_attention: optional(
        bool,
        "DCA's attention across channels.",
        "--channel-attention/--no-channel-attention",
    ) = None,
    spatial_attention: optional(
        bool,
        "DCA's attention across space.",
        "--spatial-attention/--no-spatial-attention",
    ) = None,
    token_activation: optional(
        bool,
        "LayerNorm and GELU after the attentions.",
        "--token-activation/--no-token-activation",
    ) = None,
    patch_size: optional(int, "Side of DCA's patches in pixels.") = None,
    blocks: optional(int, "How often DCA's attentions follow.") = None,
    channel_heads: optional(int, "Heads of the channel attention.") = None,
    spatial_heads: optional(int, "Heads of the spatial attention.") = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    num_classes: NumClasses = None,
    filters: optional(str, "Widths, such as 16,32,64,128,256.") = None,
    epochs: optional(int, "Passes over the training images.") = None,
    batch_size: optional(int, "Images a step.") = None,
    learning_rate: optional(float, "Adam's learning rate.") = None,
    schedule: optional(
        str, "What becomes of it: constant, cosine or polynomial."
    ) = None,
    patience: optional(
        int, "Epochs without a better validation Dice before stopping."
    ) = None,
    per_image_loss: optional(
        bool,
        "The mean of each image's Dice loss, not the batch's.",
        "--per-image-loss/--no-per-image-loss",
    ) = None,
    augment: optional(
        bool, "Turn and flip the images at random.", "--augment/--no-augment"
    ) = None,
    seed: optional(int, "Seed of all that is random.") = None,
    dtype: optional(str, "float32, mixed_float16 or mixed_bfloat16.") = None,
    strategy: optional(
        str, "single device, mirrored (all GPUs here) or multi_worker."
    ) = None,
    sync_batch_norm: optional(
        bool,
        "Batch norm over all devices, or each over its own share.",
        "--sync-batch-norm/--no-sync-batch-norm",
    ) = None,
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
):
    """Train a model and score it on images held out for the test.

    Without options: a small U-Net with DCA on drawn images, in one to two
    minutes on two CPU cores. What is not given comes from the package's
    `recipes.toml`.
    """
    # All options so far, by their names.
    given = {**locals()}
    from dca_keras.recipe import make_recipe
    from dca_keras.training import train as train_recipe

    for name in ("output", "overwrite", "resume", "tensorboard", "devices"):
        del given[name]
    given["image_size"] = sides(image_size)
    given["filters"] = integers("--filters", filters, ",")
    recipe = make_recipe(**given)
    output = output or Path("runs", recipe.run_name())
    scores = train_recipe(
        recipe,
        output,
        overwrite=overwrite,
        resume=resume,
        tensorboard=tensorboard,
        devices=devices.split(",") if devices else None,
        console=err,
    )
    if scores is None:
        print_line("The first worker scores the model.")
        return
    print_scores(scores)
    for name in WRITTEN:
        print_line(f"  {output / name}")
