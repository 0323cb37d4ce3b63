"""A folder of images and a run on them, small enough for any test."""

import csv

import numpy as np
from PIL import Image

from dca_keras._files import write_json
from dca_keras.recipe import make_recipe


def write_images(folder, sizes=((40, 48), (32, 32), (52, 36)), classes=1):
    """Three parts of images with a bright rectangle, and their masks."""
    rng = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True)
        for index, (height, width) in enumerate(sizes):
            mask = np.zeros((height, width), "uint8")
            for label in range(1, max(classes, 2)):
                top, left = rng.integers(0, 16, 2)
                mask[top : top + 16, left : left + 16] = label
            noise = rng.integers(0, 60, (height, width, 3))
            image = 120 * (mask > 0)[..., None] + noise
            Image.fromarray(image.astype("uint8")).save(
                folder / part / "images" / f"{index}.png"
            )
            Image.fromarray(mask).save(folder / part / "masks" / f"{index}.png")
    return folder


def tiny_recipe(data_dir, **overrides):
    """A recipe that a test can train in seconds."""
    tiny = {"image_size": 32, "filters": (4, 4, 8), "epochs": 2, "dca": False}
    return make_recipe(
        data="image_folder", data_dir=data_dir, **(tiny | overrides)
    )


def write_run(folder, recipe):
    """What training leaves, without the training: the weights are random."""
    folder.mkdir()
    model = recipe.build_model()
    for name in ("model.keras", "last.keras"):
        model.save(folder / name)
    splits = recipe.read_dataset()
    samples = {
        part: [sample.name for sample in getattr(splits, part)]
        for part in ("train", "val", "test")
    }
    write_json(
        folder / "recipe.json",
        {"recipe": recipe.to_dict(), "samples": samples},
    )
    with open(folder / "history.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "val_dice", "seconds"])
        rows.writerows([[1, 0.5, 2.0], [2, 0.75, 1.0], [3, 0.7, 1.5]])
    return folder


def read_all(folder):
    """The bytes of every file below a folder, by path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in files}
