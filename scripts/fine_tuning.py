"""What DCA brings to a model that is trained already.

    python scripts/fine_tuning.py --data-dir dsb2018

trains a plain U-Net and goes on from it in two ways, for as many epochs again:
as it is, and with DCA inserted that starts as the identity. A U-Net with DCA
from the start gets all the epochs at once. The scores of all, with intervals,
are in `comparison.json` and in a table. The same command resumes after a stop.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dca_keras import Run, insert_dca
from dca_keras.evaluation import compare
from dca_keras.recipe import make_recipe
from dca_keras.training import train
from dca_keras.zoo import register_model

# What follows the training of the plain model, and what it is called.
WAYS = {
    "longer": "plain, trained on",
    "inserted": "DCA inserted, trained on",
    "dca": "DCA from the start",
}


def fine_tuned(
    input_shape=(128, 128, 3),
    num_classes=1,
    *,
    dca=True,
    activation="auto",
    name=None,
    dtype=None,
):
    """Take the model of `fine_tuned.base`, with DCA inserted or without."""
    model = Run(fine_tuned.base).load_model("last")
    return insert_dca(model, config=dca, start="identity") if dca else model


def recipes(seed, epochs, data):
    """Return the recipes of a seed, the plain model's first."""
    once = {"seed": seed, "epochs": epochs, **data}
    unet = {"filters": (8, 16, 32, 64, 128)}
    return {
        "plain": make_recipe("unet", dca=False, **unet, **once),
        "longer": make_recipe("fine_tuned", dca=False, **once),
        "inserted": make_recipe("fine_tuned", start="identity", **once),
        "dca": make_recipe("unet", **unet, **(once | {"epochs": 2 * epochs})),
    }


def write_table(comparison, labels, path):
    """Write the groups' scores as Markdown, each with its label."""
    lines = [
        f"Dice of {comparison['images']} test images, {comparison['data']}: "
        "means and 95 % intervals over seeds and images.",
        "",
        "| | Dice | 95 % interval | minus the first | 95 % interval |",
        "|---|---:|---:|---:|---:|",
    ]
    for label, group in zip(labels, comparison["groups"], strict=True):
        cells = [label, *_cells(group["scores"]["dice"], "")]
        difference = group.get("differences", {}).get("dice")
        cells += _cells(difference, "+") if difference else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    path.write_text("\n".join([*lines, "", *comparison["warnings"], ""]))


def _cells(score, sign):
    low, high = score["interval"]
    return [
        f"{score['mean']:{sign}.4f}",
        f"{low:{sign}.4f} to {high:{sign}.4f}",
    ]


def main(
    data_dir: Annotated[Path, typer.Option(help="Images and masks.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    epochs: Annotated[int, typer.Option(help="Before, and again after.")] = 20,
    image_size: int = 128,
    learning_rate: float = 1e-3,
    runs: Path = Path("runs/fine_tuning"),
):
    register_model(fine_tuned)
    data = {
        "data": "image_folder",
        "data_dir": data_dir,
        "image_size": image_size,
        "learning_rate": learning_rate,
    }
    folders = []
    for seed in range(seeds):
        fine_tuned.base = runs / f"plain-seed{seed}"
        for way, recipe in recipes(seed, epochs, data).items():
            folder = runs / f"{way}-seed{seed}"
            train(recipe, folder, resume=True, console=Console(stderr=True))
            folders += [folder] if way in WAYS else []
    # Groups come in the order of their first runs.
    comparison = compare(folders, output=runs)
    write_table(comparison, WAYS.values(), runs / "table.md")
    typer.echo((runs / "table.md").read_text())


if __name__ == "__main__":
    typer.run(main)
