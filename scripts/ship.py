"""Make the weights that come with the package, of a plain and a DCA run.

    python scripts/ship.py vessels runs/vessels-plain runs/vessels-dca

rounds both to half precision and scores what is left of them on the validation
and the held-out part. The one that is better on the validation part goes into
`dca_keras/weights/shipped/NAME`, with its recipe, scores, card and licence.
"""

import dataclasses
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Annotated

import h5py
import jinja2
import numpy as np
import typer

import dca_keras
from dca_keras import Run
from dca_keras._files import write_json, write_text
from dca_keras.evaluation import compare, evaluate_run

HERE = Path(__file__).parent
SHIPPED = Path(dca_keras.__file__).parent / "weights" / "shipped"
KEPT = ("recipe", "fingerprint", "classes", "shared_model", "metrics")
SMALL = 1024  # Values of an array that is not worth compressing.


def write_half(model, path):
    """Write a model's weights as Keras does, in half precision."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.weights.h5")
        model.save_weights(whole)
        with (
            h5py.File(whole) as source,
            h5py.File(path, "w", libver="latest") as target,
        ):
            _copy_half(source, target)


def _copy_half(source, target):
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_half(item, target.create_group(name))
            continue
        values = item[()].astype("float16")
        if not np.isfinite(values).all():
            raise ValueError(f"{item.name} has values beyond half precision.")
        packed = {"compression": "gzip", "shuffle": True, "compression_opts": 9}
        options = packed if values.size > SMALL else {}
        target.create_dataset(name, data=values, **options)


def round_run(run, folder):
    """Write a run with rounded weights, and score it; return the `Run`."""
    folder.mkdir()
    for kind in ("fingerprint", "classes", "history"):
        if run.path(kind).is_file():
            shutil.copy(run.path(kind), folder)
    write_half(run.load_model(), folder / run.path("shared_model").name)
    # Half as much computation in training; every machine computes this well.
    recipe = dataclasses.replace(run.recipe, dtype="float32")
    record = {**run.record, "recipe": recipe.to_dict()}
    write_json(folder / "recipe.json", record)
    for split in ("val", "test"):
        evaluate_run(folder, split)
    return Run(folder)


def write_shipped(name, run, trained, text, about):
    """Write the folder of a rounded run, without paths of this machine."""
    target = SHIPPED / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for kind in KEPT:
        if run.path(kind).is_file():
            shutil.copy(run.path(kind), target)
    write_json(target / "metrics.json", run.scores() | {"command": trained})
    recipe = run.recipe
    named = dataclasses.replace(
        recipe, data_dir=Path(recipe.data_dir).name, classes=None, weights=None
    )
    record = {**run.record, "recipe": named.to_dict()}
    write_json(target / "recipe.json", record)
    write_text(target / "README.md", text)
    write_text(target / "LICENSE", _license(about))
    return target


def describe(name, runs, rounded, best, about):
    """Return the card."""
    # Of a cross-validation there may be one fold.
    comparison = compare([run.folder for run in rounded], partial=True)
    rows = []
    for run, group in zip(rounded, comparison["groups"], strict=True):
        scores = run.scores()
        rows.append(
            {
                "label": "DCA" if run.recipe.dca else "plain",
                "shipped": run is best,
                "val": _foreground(run.scores("val"))["mean"],
                "dice": group["scores"]["dice"],
                "iou": group["scores"]["iou"],
                "difference": group.get("differences", {}).get("dice"),
                "classes": [
                    scores["per_class"][key]["dice"]["mean"]
                    for key in _classes(scores)
                ],
            }
        )
    trained, scores = runs[rounded.index(best)], best.scores()
    environment = jinja2.Environment(
        autoescape=False,  # It is Markdown.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.from_string((HERE / "ship.md.jinja").read_text())
    return template.render(
        name=name,
        about=about,
        recipe=best.recipe,
        scores=scores,
        counts={split: len(names) for split, names in best.samples.items()},
        classes=[scores["class_names"][key] for key in _classes(scores)],
        rows=rows,
        warnings=comparison["warnings"],
        command=trained.command,
        trained_in=trained.recipe.dtype,
    )


def _classes(scores):
    """The classes that the card names, where there are several."""
    foreground = [key for key in scores["class_names"] if key != "0"]
    return foreground if len(foreground) > 1 else []


def _foreground(scores):
    return scores["over_cases"]["foreground"]["dice"]


def _license(about):
    return (
        f"The weights in this folder are under {about['license']}:\n"
        f"{about['license_url']}\n\n"
        f"They were trained and tested on {about['data']}\n"
        f"({about['citation']}), which is under {about['license']} too.\n"
        "No image is in this folder: what was learned of the images is.\n"
    )


def main(
    name: Annotated[str, typer.Argument(help="A table of ship.toml.")],
    plain: Annotated[Path, typer.Argument(help="Run of the plain model.")],
    dca: Annotated[Path, typer.Argument(help="The same with DCA.")],
):
    about = tomllib.loads((HERE / "ship.toml").read_text())[name]
    runs = [Run(plain), Run(dca)]
    with tempfile.TemporaryDirectory() as folder:
        rounded = [
            round_run(run, Path(folder, kind))
            for run, kind in zip(runs, ("plain", "dca"), strict=True)
        ]
        best = max(
            rounded, key=lambda run: _foreground(run.scores("val"))["mean"]
        )
        text = describe(name, runs, rounded, best, about)
        trained = runs[rounded.index(best)].command
        target = write_shipped(name, best, trained, text, about)
    typer.echo(text)
    typer.echo(target)


if __name__ == "__main__":
    typer.run(main)
