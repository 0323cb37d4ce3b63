"""Measures the models and writes the results to files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import benchmarks
from dca_keras import zoo

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
status = Console(stderr=True).status("starting")
NAMES, FOLDER = zoo.list_models(), Path("benchmarks")
Many = Annotated[list[str], typer.Option(help="Can be repeated.")]


@app.command()
def models(
    model: Many = NAMES,
    backend: Many = ("tensorflow",),
    dtype: Many = ("float32",),
    against: Annotated[list[str], typer.Option(metavar="CMD")] = (),
    checkout: Annotated[list[Path], typer.Option(metavar="FOLDER")] = (),
    rounds: int = 15,
    output: Path = FOLDER,
):
    """Time, memory and size of each model, plain and with attention.

    --against: a program to race beside them. --checkout: another copy of
    this project, for instance of an earlier version, to race beside this one.
    """
    rows = benchmarks.compare_models(
        model, backend, dtype, rounds, against, checkout, status.update
    )
    benchmarks.write_report(output, "models", rows)


@app.command()
def inserted(side: int = 128, rounds: int = 7, output: Path = FOLDER):
    """U-Net with DCA put in by insert_dca, beside its own: CPU time."""
    rows = benchmarks.compare_inserted("unet", side, rounds, status.update)
    benchmarks.write_report(output, "inserted", rows)


@app.command()
def growth(
    volume: Annotated[bool, typer.Option(help="Of the 3-D model.")] = False,
    rounds: int = 3,
    output: Path = FOLDER,
):
    """How U-Net's cost grows with the image, the batch and the blocks."""
    results = benchmarks.measure_growth(
        rounds, volume=volume, progress=status.update
    )
    name = "growth_volumes" if volume else "growth"
    benchmarks.write_growth(output, *results, name=name)


@app.command()
def startup(model: Many = NAMES, output: Path = FOLDER):
    """Imports, --help, and building and tracing each model."""
    times, rows = benchmarks.measure_startup(model, progress=status.update)
    benchmarks.write_report(output, "startup", rows, programs=times)


@app.command()
def formats(
    model: Many = benchmarks.formats.MODELS,
    format: Annotated[list[str] | None, typer.Option()] = None,
    plain: Annotated[bool, typer.Option(help="Without DCA, too.")] = True,
    volume: Annotated[bool, typer.Option(help="The 3-D model.")] = False,
    name: Annotated[str, typer.Option(help="Of the files.")] = "formats",
    rounds: int = 15,
    output: Path = FOLDER,
):
    """Size, time and difference of what models are exported to."""
    benchmarks.measure_formats(
        output,
        rounds,
        status.update,
        models=model,
        formats=format,
        attention=(False, True) if plain else (True,),
        volume=volume,
        name=name,
    )


@app.command()
def predict(
    run: Path,
    image: Path,
    engine: Many = benchmarks.prediction.ENGINES,
    checkout: Annotated[list[Path], typer.Option(metavar="FOLDER")] = (),
    rounds: int = 3,
    output: Path = FOLDER,
):
    """Prediction of an image in windows, by engine and beside a checkout."""
    benchmarks.measure_prediction(
        run, image, output, engine, checkout, rounds, status.update
    )


@app.command()
def profile(model: Many = ("double_unet",), output: Path = FOLDER):
    """Where OpenVINO's time goes, in float32 and in 8 bits, and the limit."""
    benchmarks.measure_profile(output, model, status.update)


@app.command()
def pipeline():
    """Images a second of the data pipeline, and of a plain loader."""
    print(benchmarks.measure_pipeline())


if __name__ == "__main__":
    try:
        with status:
            app()
    except ValueError as error:
        raise SystemExit(f"Error: {error}") from error
