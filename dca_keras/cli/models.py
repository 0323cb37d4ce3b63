"""The command `dca-keras models`."""

import math
from typing import Annotated

import typer
from rich.table import Table

from dca_keras.cli._options import out


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Some only; all if not given.", metavar="MODEL"),
    ] = None,
):
    """List the architectures and their numbers of parameters.

    Beside them there is unet_with, a U-Net over a backbone, which `dca-keras
    train --model unet_with --backbone NAME` trains.
    """
    from dca_keras.layers import DualCrossAttention
    from dca_keras.zoo import create_model, list_models

    table = Table("model", box=None)
    for heading in ("parameters", "with DCA", "DCA modules", "DCA windows"):
        table.add_column(heading, justify="right")
    for name in names or list_models():
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
