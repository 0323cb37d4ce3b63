"""The command `dca-keras evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from dca_keras.cli._options import (
    DataDir,
    ImageSize,
    err,
    optional,
    print_line,
    print_scores,
    sides,
)


def evaluate(
    run: Annotated[
        Path | None,
        typer.Argument(help="A folder that `train` made.", metavar="[RUN]"),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    data_dir: DataDir = None,
    grid: optional(
        str,
        "Compare at the size the model works at, as published (resized), or "
        "at each image's own (original); original for crops and volumes.",
    ) = None,
    epoch: Annotated[
        str,
        typer.Option(
            help="Of a run: best, on the validation split, or last, which "
            "needs `--output`."
        ),
    ] = "best",
    saved_model: optional(
        Path, "Instead of a run: a SavedModel that `export` wrote."
    ) = None,
    data: optional(str, "Of a SavedModel: the data set, such as glas.") = None,
    image_size: ImageSize = None,
    output: optional(
        Path, "The folder to write to; if not given, the run's own."
    ) = None,
):
    """Score a trained model on a split of a data set.

    Writes metrics.json, metrics.csv, report.html and predictions.png beside
    the model, or into OUTPUT.
    """
    of_saved_model = {"--data": data, "--image-size": image_size}
    if (run is None) == (saved_model is None):
        raise ValueError("Give a RUN, or `--saved-model PATH`, and not both.")
    if saved_model is None:
        given = [name for name, value in of_saved_model.items() if value]
        if given:
            raise ValueError(
                f"{', '.join(given)} can be given with `--saved-model` only: "
                "a run has its own."
            )
        from dca_keras.evaluation import evaluate_run

        scores = evaluate_run(
            *(run, split, data_dir),
            console=err,
            grid=grid,
            epoch=epoch,
            output=output,
        )
    else:
        if epoch != "best":
            raise ValueError("`--epoch` can be given with a RUN only.")
        if data is None or output is None:
            raise ValueError("`--saved-model` needs `--data` and `--output`.")
        scores = _evaluate_saved_model(
            saved_model, output, data, data_dir, split, sides(image_size), grid
        )
    from dca_keras.run import Run

    print_scores(scores)
    print_line(f"  {Run(output or run).path('report', split)}")


def _evaluate_saved_model(
    path, output, data, data_dir, split, image_size, grid
):
    from dca_keras.data import Preprocessing
    from dca_keras.evaluation import evaluate_dataset
    from dca_keras.export import load_saved_model

    model = load_saved_model(path)
    files, noted = model.card["image_files"], model.card.get("preprocessing")
    if image_size is None and isinstance(files, dict):
        image_size = files["segmented_at"]
    return evaluate_dataset(
        model,
        output,
        data=data,
        data_dir=data_dir,
        split=split,
        image_size=image_size,
        num_classes=model.output_shape[-1],
        grid=grid,
        preprocessing=noted and Preprocessing.from_dict(noted),
        facts={"model": model.card["name"], "training": model.card["training"]},
        console=err,
    )
