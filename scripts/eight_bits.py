"""What calibrated 8 bits cost the models in Dice.

    python scripts/eight_bits.py --data-dir dsb2018

trains the paper's six models, plain and with DCA, with narrow stages and for a
few epochs, exports each with 8 bits and scores the exports on held-out images.
Runs named after the options are exported and scored too. The figures are in
`eight_bits.json` and in a table. The same command resumes after a stop.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dca_keras import Run
from dca_keras._files import write_json, write_text
from dca_keras.evaluation import run_dice, run_samples
from dca_keras.export import export_run, open_engine
from dca_keras.recipe import make_recipe
from dca_keras.training import train
from dca_keras.zoo import double_unet, register_model

MODELS = (
    "unet",
    "vnet",
    "r2_unet",
    "resunet_plus_plus",
    "double_unet",
    "multi_res_unet",
)
FORMATS = {"openvino_int8": "OpenVINO", "litert_int8": "LiteRT"}
FILTERS = (8, 16, 32, 64, 128)
DOUBLE_FILTERS = (8, 16, 32, 64, 16)


def narrow_double_unet(
    input_shape=(128, 128, 3),
    num_classes=1,
    *,
    filters=DOUBLE_FILTERS,
    dca=True,
    activation="auto",
    name=None,
    dtype=None,
):
    """Make a DoubleU-Net whose first encoder is as narrow as its second."""
    return double_unet(
        input_shape,
        num_classes,
        filters=filters,
        encoder_filters=FILTERS,
        dca=dca,
        activation=activation,
        name=name,
        dtype=dtype,
    )


def train_narrow(model, dca, shared, folder):
    """Train a model of the zoo with narrow stages; returns its run."""
    double = model == "double_unet"
    recipe = make_recipe(
        "narrow_double_unet" if double else model,
        dca=dca,
        filters=DOUBLE_FILTERS if double else FILTERS,
        **shared,
    )
    train(recipe, folder, resume=True, console=Console(stderr=True))
    return folder


def measure(folder):
    """Export a run with 8 bits, and score it in floating point and in those.

    Returns:
        A dictionary: "model", "sides" of its input, "images" (of the test
        split), "dice" of the model on them, and for every format a dictionary
        of "validation" (Dice on the validation split before and after) and
        "dice"; LiteRT takes no volumes.
    """
    run = Run(folder)
    samples = run_samples(run)
    row = {
        "model": f"{run.recipe.model}{'_dca' * run.recipe.dca}",
        "sides": run.recipe.image_size,
        "images": len(samples),
        "dice": run_dice(run, run.load_model(), samples),
    }
    for format in FORMATS:
        if format == "litert_int8" and len(run.recipe.image_size) == 3:
            continue
        # Whatever is lost: the table shows it.
        exported = export_run(folder, format, max_dice_loss=1)
        dice = run_dice(run, open_engine(run, format), samples)
        row[format] = {"validation": exported.dice, "dice": dice}
    return row


def to_markdown(rows):
    """Return the table: Dice on held-out images, then on the validation's.

    A score is a dash where a runtime does not take the model.
    """
    names = [f"{name}, 8 bits" for name in FORMATS.values()]
    names = ["model", "Dice", *names, "validation", *names]
    lines = [f"| {' | '.join(names)} |\n", f"|---|{'---:|' * 6}\n"]
    for row in rows:
        found = [row[format] for format in FORMATS if format in row]
        before = [found[0]["validation"][0]]
        after = [each["validation"][1] for each in found]
        parts = [row["dice"]], [each["dice"] for each in found], before, after
        cells = [row["model"]]
        for part, count in zip(parts, (1, len(FORMATS)) * 2, strict=True):
            cells += [f"{score:.4f}" for score in part]
            cells += ["-"] * (count - len(part))
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def main(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="[RUN…]")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="A folder of images and masks.")
    ] = None,
    model: Annotated[list[str], typer.Option(help="Can be repeated.")] = MODELS,
    epochs: int = 20,
    image_size: int = 128,
    folder: Annotated[Path, typer.Option(help="For runs.")] = Path(
        "runs/eight_bits"
    ),
    output: Path = Path("benchmarks"),
):
    shared = {
        "data": "image_folder",
        "data_dir": data_dir,
        "image_size": image_size,
        "sampling": "resize",
        "epochs": epochs,
        "batch_size": 8,
        "learning_rate": 2e-3,
        "schedule": "cosine",
    }
    register_model(narrow_double_unet)
    folders = [
        train_narrow(name, dca, shared, folder / f"{name}{'_dca' * dca}")
        for name in (model if data_dir else ())
        for dca in (False, True)
    ]
    rows = [measure(run) for run in [*folders, *(runs or ())]]
    write_json(output / "eight_bits.json", {"epochs": epochs, "rows": rows})
    write_text(output / "eight_bits.md", to_markdown(rows))
    typer.echo(to_markdown(rows), nl=False)


if __name__ == "__main__":
    typer.run(main)
