"""All models, plain and with attention."""

import dataclasses
import itertools
import os
import shlex

from benchmarks.race import Command, run_race
from benchmarks.variant import STARTS, Variant

# Images a step, as the figures are commonly asked for.
_BATCHES = {False: 1, True: 4}


def compare_models(
    models,
    backends=("tensorflow",),
    dtypes=("float32",),
    rounds=15,
    against=(),
    checkouts=(),
    progress=lambda label: None,
):
    """Prediction and training step of models, plain and with attention.

    What a ratio is taken of runs in one race: a model's plain and attending
    variants in all dtypes, on one backend, and the foreign programs. A
    prediction is of one 224x224 image, a training step of four.

    Args:
        models: Names of `dca_keras.zoo.list_models()`.
        backends: Keras's backends.
        dtypes: Dtype policies; ratios are to the plain model in the first.
        rounds: Steps that count, of each variant.
        against: Commands of other programs that speak the line protocol.
        checkouts: Folders of other copies of this project; every variant is
            measured with their code, too.
        progress: As for `run_race`.

    Returns:
        A list of dictionaries, one a variant or program and race: what it is,
        what `run_race` found, "ratio" to the first variant's seconds,
        "memory_ratio" to its peak memory, and "load", the machine's load
        averages when the race began.
    """
    places = ("", *map(str, checkouts))
    foreign = {line: Command(tuple(shlex.split(line))) for line in against}
    for model, backend, dtype in itertools.product(models, backends, dtypes):
        for checkout in places:  # Wrong ones raise now.
            Variant(model, backend=backend, dtype=dtype, checkout=checkout)
    rows = []
    for model, backend, training in itertools.product(
        models, backends, (False, True)
    ):
        variants = [
            Variant(
                model,
                dca,
                training,
                backend,
                dtype,
                batch=_BATCHES[training],
                checkout=checkout,
            )
            for dtype, dca, checkout in itertools.product(
                dtypes, (False, True), places
            )
        ]
        rows += race_variants(variants, rounds, foreign, progress)
    return rows


def compare_inserted(
    model="unet", side=128, rounds=7, progress=lambda label: None
):
    """What `insert_dca` makes of a plain model, beside the builder's own DCA.

    Seconds are the processor's, on one thread. Arguments and rows are as of
    `compare_models`, ratios to the builder's own.
    """
    rows = []
    for training in (False, True):
        variants = [
            Variant(
                model,
                training=training,
                side=side,
                batch=_BATCHES[training],
                inserted=inserted,
                cpu=True,
            )
            for inserted in STARTS
        ]
        rows += race_variants(variants, rounds, progress=progress)
    return rows


def race_variants(variants, rounds, foreign=(), progress=lambda label: None):
    """Variants, and other programs, in one race; rows as described above."""
    load = os.getloadavg()
    named = {_label(variant): variant for variant in variants}
    commands = {label: v.command() for label, v in named.items()}
    results = run_race({**commands, **dict(foreign)}, rounds, progress)
    first = next(iter(results.values()))
    return [
        {
            "label": label,
            **(dataclasses.asdict(named[label]) if label in named else {}),
            **result,
            "ratio": result["seconds"] / first["seconds"],
            "memory_ratio": result["peak_memory"] / first["peak_memory"],
            "load": load,
        }
        for label, result in results.items()
    ]


def _label(variant):
    attention = f", DCA x{variant.blocks}" if variant.dca else ""
    if variant.inserted != "no":
        attention += f" inserted, start {variant.inserted}"
    step = "training" if variant.training else "prediction"
    if variant.cpu:
        step += ", CPU time of one thread"
    unit = "voxels a side" if variant.volume else "px"
    return (
        f"{variant.model}{attention}, {step}, {variant.backend}, "
        f"{variant.dtype}, {variant.batch} x {variant.side} {unit}"
        f"{', ' * bool(variant.checkout)}{variant.checkout}"
    )
