"""The command `dca-keras evaluate`."""

from typing import Annotated

import typer

from dca_keras.cli._options import DataDir, RunFolder, print_scores


def evaluate(
    run: RunFolder,
    part: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    data_dir: DataDir = None,
):
    """Score a trained model; writes its metrics.json and predictions.png."""
    from dca_keras.evaluation import evaluate_run

    print_scores(evaluate_run(run, part, data_dir))
