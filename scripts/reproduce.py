"""Runs cells of the paper's table and writes the tables of zoo/README.md.

    python scripts/reproduce.py --data monuseg --data-dir MoNuSeg

trains all models by the paper's recipe, with three seeds; the same command goes
on after a stop. Without `--data` it only writes the tables.
"""

from pathlib import Path
from typing import Annotated

import typer

from dca_keras.cli._options import err, integers, sides

ZOO = Path(__file__).resolve().parents[1] / "zoo"


def main(
    data: Annotated[str | None, typer.Option(help="A data set.")] = None,
    data_dir: Path | None = None,
    models: Annotated[str, typer.Option(help="Names, or all.")] = "all",
    variants: Annotated[str, typer.Option(help="Names, or all.")] = "plain,dca",
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    runs: Path = Path("runs/reproduce"),
    filters: str | None = None,
    image_size: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    dtype: str | None = None,
):
    from dca_keras.reproduction import VARIANTS, reproduce, write_tables
    from dca_keras.zoo import list_models

    if data:
        reproduce(
            data,
            list_models() if models == "all" else models.split(","),
            VARIANTS if variants == "all" else variants.split(","),
            range(seeds),
            runs=runs,
            results=ZOO / "results",
            console=err,
            data_dir=data_dir,
            filters=integers("--filters", filters, ","),
            image_size=sides(image_size),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            dtype=dtype,
        )
    write_tables(ZOO)


if __name__ == "__main__":
    typer.run(main)
