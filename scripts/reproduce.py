"""Train cells of the paper's table and write the tables of zoo/README.md.

    python scripts/reproduce.py --data monuseg --data-dir MoNuSeg

trains all models by the paper's recipe, with three seeds; the same command
resumes after a stop. Without `--data` it only writes the tables.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dca_keras._files import replace_file
from dca_keras.evaluation import evaluate_run
from dca_keras.recipe import make_recipe
from dca_keras.run import Run
from dca_keras.zoo import list_models
from zoo_results import LAST, VARIANTS
from zoo_tables import is_full, write_tables

ZOO = Path(__file__).resolve().parents[1] / "zoo"


def reproduce(
    data,
    models,
    variants,
    seeds,
    *,
    runs,
    results,
    folds=None,
    console=None,
    **overrides,
):
    """Train every model in every variant with every seed, on every fold.

    Finished runs are kept, and a training that was stopped is resumed. The
    model of each run's last epoch is scored too.

    Args:
        data: Name of a data set.
        models: Names of architectures.
        variants: Names in `VARIANTS`.
        seeds: Integers.
        runs: The folder for the runs.
        results: The folder that gets each run's `metrics.json`, named after
            the run; those of the last epoch are in `last_epoch` there.
        folds: The number of folds of a cross-validation; None trains on the
            data set's own split.
        console: The `rich` console for the progress.
        **overrides: Other fields of `Recipe`; the paper's otherwise.

    Raises:
        ValueError: If a name is unknown, or a value or the data set is
            wrong; all are checked before the first training.
    """
    from dca_keras.training import train

    if unknown := [name for name in variants if name not in VARIANTS]:
        raise ValueError(
            f"`variants` must be of {', '.join(VARIANTS)}. "
            f"Received: {', '.join(unknown)}"
        )
    parts = [None] if folds is None else [f"{k}/{folds}" for k in range(folds)]
    recipes = [
        make_recipe(
            *(model, data),
            **{"seed": seed, "fold": fold, **overrides, **VARIANTS[variant]},
        )
        for seed in seeds
        for fold in parts
        for model in models
        for variant in variants
    ]
    for recipe in recipes:
        run = Run(Path(runs) / _result_name(recipe))
        train(recipe, run.folder, resume=True, console=console)
        last = Run(run.folder / LAST)
        evaluate_run(run, console=console, epoch="last", output=last.folder)
        for scored, folder in ((run, results), (last, Path(results) / LAST)):
            copy = Path(folder) / f"{run.folder.name}.json"
            with replace_file(copy) as temporary:
                shutil.copyfile(scored.path("metrics"), temporary)


def main(
    data: Annotated[str | None, typer.Option(help="A data set.")] = None,
    data_dir: Path | None = None,
    models: Annotated[str, typer.Option(help="Names, or all.")] = "all",
    variants: Annotated[str, typer.Option(help="Names, or all.")] = "plain,dca",
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Of a cross-validation.")
    ] = None,
    runs: Path = Path("runs/reproduce"),
    protocol: Annotated[
        str | None,
        typer.Option(help="held_out, or paper to validate as the paper does."),
    ] = None,
    filters: str | None = None,
    image_size: Annotated[str | None, typer.Option(help="192x256")] = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    dtype: str | None = None,
):
    if data:
        reproduce(
            data,
            list_models() if models == "all" else models.split(","),
            VARIANTS if variants == "all" else variants.split(","),
            range(seeds),
            runs=runs,
            results=ZOO / "results",
            folds=folds,
            console=Console(stderr=True),
            data_dir=data_dir,
            protocol=protocol,
            filters=_integers(filters, ","),
            image_size=_integers(image_size, "x"),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            dtype=dtype,
        )
    write_tables(ZOO)


def _integers(text, separator):
    return text and [int(number) for number in text.split(separator)]


def _result_name(recipe):
    """Such as `unet-dca-monuseg-seed0`, by the folder where it has a name."""
    data = recipe.data
    if data == "image_folder":
        data = Path(recipe.data_dir).name
    words = [recipe.model, recipe.variant, data]
    if not is_full(recipe.to_dict()):
        words.append("reduced")
    if recipe.protocol == "paper":
        words.append("paper")
    if recipe.dtype != "float32":
        words.append(recipe.dtype.removeprefix("mixed_"))
    if recipe.fold:
        words.append(f"fold{recipe.fold.replace('/', 'of')}")
    return "-".join([*words, f"seed{recipe.seed}"])


if __name__ == "__main__":
    typer.run(main)
