"""The command `dca-keras`: parses, calls, prints.

What takes long to import is imported by the subcommand that needs it.
"""

import math
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from dca_keras import __version__

# Read when TensorFlow is imported; its notes would bury ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class _Reporter(TyperGroup):
    """Says what the user can mend in one line instead of a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, ImportError) as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError):
                raise
            _print_error(error)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_Reporter,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
out, err = Console(), Console(stderr=True)

RunFolder = Annotated[
    Path, typer.Argument(help="A folder that `train` made.", metavar="RUN")
]


def _optional(kind, help, *names):
    """An option that is None where it isn't given."""
    return Annotated[kind | None, typer.Option(*names, help=help)]


DataDir = _optional(Path, "The dataset's folder.")
ImageSize = _optional(str, "256, or 192x256: height x width.")
Channels = _optional(int, "3 for colour, 1 for grey.")
NumClasses = _optional(int, "1, or the number of classes with the background.")
EmptyMasks = _optional(
    bool,
    "Whether masks may be without foreground.",
    "--empty-masks/--no-empty-masks",
)
SkipBroken = _optional(
    bool, "Go on without images that can't be used.", "--skip-broken"
)
Partial = _optional(bool, "Be content with a part of an archive.", "--partial")


def _print_version(wanted: bool):
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and stop.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", envvar="DCA_KERAS_DEBUG", help="Show tracebacks."
        ),
    ] = False,
):
    """Dual Cross-Attention for medical image segmentation, on Keras 3."""


@app.command()
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
    cache: _optional(
        str, "Keep resized images in memory, none or a folder."
    ) = None,
    protocol: _optional(
        str, "held_out, or paper: the best epoch by the test part."
    ) = None,
    dca: _optional(bool, "Attention on the skips.", "--dca/--no-dca") = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    num_classes: NumClasses = None,
    filters: _optional(str, "Widths, such as 16,32,64,128,256.") = None,
    epochs: _optional(int, "Passes over the training images.") = None,
    batch_size: _optional(int, "Images a step.") = None,
    learning_rate: _optional(float, "Adam's learning rate.") = None,
    augment: _optional(
        bool, "Turn and flip the images at random.", "--augment/--no-augment"
    ) = None,
    seed: _optional(int, "Seed of all that is random.") = None,
    dtype: _optional(str, "float32, mixed_float16 or mixed_bfloat16.") = None,
    output: _optional(
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
        image_size=_sides(image_size),
        filters=_integers("--filters", filters, ","),
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
    _print_scores(scores)
    for name in (
        "model.keras",
        "metrics.json",
        "history.csv",
        "predictions.png",
    ):
        _print_line(f"  {output / name}")


@app.command()
def evaluate(
    run: RunFolder,
    part: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    data_dir: DataDir = None,
):
    """Score a trained model; writes its metrics.json and predictions.png."""
    from dca_keras.evaluation import evaluate_run

    _print_scores(evaluate_run(run, part, data_dir))


@app.command()
def predict(
    run: RunFolder,
    files: Annotated[list[Path], typer.Argument(help="Images of any size.")],
    output: _optional(
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
        _print_line(f"{len(written)} masks and overlays: {written[0].parent}")
    for message in broken:
        _print_error(message)
    if broken:
        raise typer.Exit(1)


@app.command()
def data(
    data_dir: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    data: Annotated[
        str, typer.Option(help="Dataset, such as glas or image_folder.")
    ] = "image_folder",
    channels: Channels = None,
    num_classes: NumClasses = None,
    partial: Partial = None,
    sheet: Annotated[Path, typer.Option(help="The picture to write.")] = Path(
        "contact_sheet.png"
    ),
):
    """Show what is in a dataset: counts, sizes, classes and a picture."""
    from dca_keras.data import (
        check_samples,
        read_dataset,
        save_contact_sheet,
        summarize,
    )

    own = {"partial": True} if partial else {}
    splits = read_dataset(
        data, data_dir, channels=channels, num_classes=num_classes, **own
    )
    table = Table("part", box=None)
    for heading in ("images", "cases", "sizes", "class shares", "empty masks"):
        table.add_column(heading, justify="right")
    shown, broken = [], []
    for part in ("train", "val", "test"):
        samples, errors = check_samples(getattr(splits, part), skip_broken=True)
        found = summarize(samples)
        sizes = [f"{size}: {count}" for size, count in found["sizes"].items()]
        shares = found["class_shares"].items()
        table.add_row(
            part,
            str(found["images"]),
            str(found["cases"]),
            "\n".join(sizes[:3] + ["…"] * (len(sizes) > 3)),
            "\n".join(f"{index}: {share:.1%}" for index, share in shares),
            str(found["empty_masks"]),
        )
        shown += samples
        broken += errors
    out.print(table)
    save_contact_sheet(shown, sheet)
    _print_line(f"  {sheet}")
    for message in broken:
        _print_error(message)
    if broken:
        raise typer.Exit(1)


@app.command()
def prepare(
    output: Annotated[Path, typer.Argument(help="Folder to write to.")],
    data: Annotated[
        str, typer.Option(help="Dataset, such as glas or image_folder.")
    ] = "image_folder",
    data_dir: DataDir = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    num_classes: NumClasses = None,
    partial: Partial = None,
    empty_masks: EmptyMasks = None,
    skip_broken: SkipBroken = None,
):
    """Write resized images once, for a dataset that memory can't hold.

    `dca-keras train --cache OUTPUT` with the same options trains from there.
    Taken up again after a stop, it writes only what is missing.
    """
    from dca_keras.data import prepare as prepare_samples
    from dca_keras.recipes import make_recipe
    from dca_keras.training import read_usable

    recipe = make_recipe(
        data=data,
        data_dir=data_dir,
        image_size=_sides(image_size),
        channels=channels,
        num_classes=num_classes,
        partial=partial,
        empty_masks=empty_masks,
        skip_broken=skip_broken,
        cache=output,
    )
    splits = read_usable(recipe, err)
    for part in ("train", "val"):
        folder, samples = recipe.cache_of(part), getattr(splits, part)
        with err.status(f"writing {folder}"):
            shards = prepare_samples(samples, recipe.image_size, folder)
        _print_line(f"  {folder}: {len(samples)} images, {len(shards)} shards")


@app.command()
def models():
    """List the architectures and their numbers of parameters."""
    from dca_keras.layers import DualCrossAttention
    from dca_keras.zoo import create_model, list_models

    table = Table("model", box=None)
    for heading in ("parameters", "with DCA", "DCA modules", "DCA windows"):
        table.add_column(heading, justify="right")
    for name in list_models():
        plain, model = create_model(name, dca=False), create_model(name)
        modules = [x for x in model.layers if isinstance(x, DualCrossAttention)]
        table.add_row(
            name,
            f"{_count_parameters(plain):,}",
            f"{_count_parameters(model):,}",
            str(len(modules)),
            " ".join(map(str, modules[0].patch_sizes)),
        )
    out.print(table)


def _count_parameters(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _sides(text):
    sides = _integers("--image-size", text, "x")
    return sides * 2 if sides and len(sides) == 1 else sides


def _integers(option, text, separator):
    if text is None:
        return None
    try:
        return [int(number) for number in text.lower().split(separator)]
    except ValueError:
        raise ValueError(
            f"`{option}` must be integers with {separator!r} between them. "
            f"Received: {text!r}"
        ) from None


def _print_scores(scores):
    _print_line(
        f"{scores['part']}: Dice {scores['dice']:.4f}, IoU {scores['iou']:.4f} "
        f"(means over {scores['images']} images)"
    )
    if scores["protocol"] == "paper":
        _print_line("  The epoch was chosen by these very images: too high.")


def _print_line(text):
    out.print(text, soft_wrap=True, highlight=False, markup=False)


def _print_error(error):
    text = Text.assemble(("Error: ", "bold red"), str(error))
    err.print(text, soft_wrap=True)


def main():
    """The entry point of the command."""
    app(prog_name="dca-keras")


if __name__ == "__main__":
    main()
