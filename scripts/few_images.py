"""What the package's weights bring where few images are labelled.

    python scripts/few_images.py --data-dir monuseg_512

trains the U-Net of `nuclei` on ten images of MoNuSeg, from nothing and from its
weights. The epoch is chosen on MoNuSeg's validation part, which is the same for
both. Scores with intervals are in `comparison.json` and in a table. The same
command resumes after a stop.
"""

import dataclasses
import random
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dca_keras.data import read_dataset, register_dataset
from dca_keras.evaluation import compare
from dca_keras.recipe import make_recipe
from dca_keras.training import train
from dca_keras.weights import architecture_of
from fine_tuning import write_table

WEIGHTS = "nuclei"
IMAGES, CROPS = 10, 6  # as many crops of each image an epoch
WAYS = {"nothing": {}, WEIGHTS: {"weights": WEIGHTS}}


@register_dataset("few_images", class_names=("nucleus",))
def read_few(data_dir, *, channels=3, num_classes=1):
    """Read MoNuSeg with few images to train on, the same for all seeds."""
    splits = read_dataset("monuseg", data_dir)
    few = random.Random(0).sample(splits.train, IMAGES)
    train = tuple(
        dataclasses.replace(sample, name=f"{sample.name}, {crop}")
        for crop in range(CROPS)
        for sample in few
    )
    return dataclasses.replace(splits, train=train)


def main(
    data_dir: Annotated[Path, typer.Option(help="MoNuSeg's folder.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    epochs: int = 15,
    dtype: str = "float32",
    runs: Path = Path("runs/few_images"),
):
    shared = {
        "data": "few_images",
        "data_dir": data_dir,
        "image_size": 192,
        "sampling": "crop",
        "augment_intensity": True,
        "batch_size": 4,
        "epochs": epochs,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_epochs": 1,
        "loss": "dice_cross_entropy",
        "dtype": dtype,
        **architecture_of(WEIGHTS),
    }
    folders = []
    for way, own in WAYS.items():
        for seed in range(seeds):
            folder = runs / f"{way}-seed{seed}"
            recipe = make_recipe(**shared, **own, seed=seed)
            train(recipe, folder, resume=True, console=Console(stderr=True))
            folders.append(folder)
    comparison = compare(folders, output=runs)
    write_table(comparison, [f"from {way}" for way in WAYS], runs / "table.md")
    typer.echo((runs / "table.md").read_text())


if __name__ == "__main__":
    typer.run(main)
