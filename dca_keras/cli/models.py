"""The command `dca-keras models`."""

import math

from rich.table import Table

from dca_keras.cli._options import out


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
