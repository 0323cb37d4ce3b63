"""Cross-validation: folds by a hash of the names, or as nnU-Net's file says."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from dca_keras.data.archive import shorten
from dca_keras.data.samples import Sample, hash_name, hold_out_validation

SPLITS_FILE = "splits_final.json"


def folds(
    samples: Sequence[Sample], count: int
) -> tuple[tuple[Sample, ...], ...]:
    """Divide samples by case into folds for cross-validation.

    The cases are put in the order of a hash of their names and cut into
    blocks, so that the order in which samples are given plays no part. The
    numbers of cases differ by one at most. An added case moves at most one
    other across each border between two folds.

    Args:
        samples: Samples in any order.
        count: Number of folds.

    Returns:
        A tuple of `count` tuples of samples.

    Raises:
        ValueError: If there are fewer cases than folds.
    """
    samples = tuple(samples)
    # Another hash than that of the splits, so that a fold and the validation
    # part that is taken from the others do not depend on one another.
    cases = sorted(
        {sample.case for sample in samples},
        key=lambda case: (hash_name(f"fold {case}"), case),
    )
    if not 2 <= count <= len(cases):
        raise ValueError(
            f"`fold` needs 2 folds or more, and a case for each: {len(cases)} "
            f"cases can't be divided into {count} folds."
        )
    fold = {case: i * count // len(cases) for i, case in enumerate(cases)}
    return tuple(
        tuple(sample for sample in samples if fold[sample.case] == index)
        for index in range(count)
    )


def take_fold(
    samples: Sequence[Sample], fold: str, data_dir: str | Path | None = None
) -> tuple[tuple[Sample, ...], ...]:
    """Return the splits of one fold of a cross-validation.

    The fold is the test split; 15 % of the other cases become val. Where
    `data_dir` holds nnU-Net's `splits_final.json`, it decides instead: the
    `val` of the fold is the test split, and val is taken from its `train`.

    Args:
        samples: Samples in any order.
        fold: "K/N", fold K of N, counted from 0 as nnU-Net does.
        data_dir: The folder of the data.

    Returns:
        Three tuples of samples: train, val and test.

    Raises:
        ValueError: If `fold` is not of that form, or the file does not fit
            it or the samples.
    """
    samples = tuple(samples)
    index, count = parse_fold(fold)
    path = Path(data_dir).expanduser() / SPLITS_FILE if data_dir else None
    if path and path.is_file():
        rest, test = _read_fold(path, samples, index, count)
    else:
        parts = folds(samples, count)
        test = parts[index]
        own = {sample.case for sample in test}
        rest = tuple(sample for sample in samples if sample.case not in own)
    return *hold_out_validation(rest), test


def parse_fold(fold):
    """Return the index and the number of folds that "K/N" names.

    Raises:
        ValueError: If it is not of that form.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", fold.strip())
    if not match or not int(match[1]) < int(match[2]):
        raise ValueError(
            "`fold` must be K/N, fold K of N with K from 0 to N - 1, such as "
            f"0/5. Received: {fold!r}"
        )
    return int(match[1]), int(match[2])


def _read_fold(path, samples, index, count):
    """Return the samples to train on and to test on."""
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        named = [(set(part["train"]), set(part["val"])) for part in parts]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} can't be read as folds, a list of "
            f'{{"train": [names], "val": [names]}}: {error!r}. Repair it, or '
            "move it away to divide by hash."
        ) from error
    if len(named) != count:
        raise ValueError(
            f"{path} has {len(named)} folds, and `fold` asks for {count}. "
            f"Pass {index}/{len(named)}, or move the file away."
        )
    train, test = named[index]
    known = {name for sample in samples for name in (sample.name, sample.case)}
    if missing := sorted((train | test) - known):
        raise ValueError(
            f"{path} names cases that are not there: {shorten(missing)}. Its "
            "names must be those of the images, without extension."
        )
    if both := sorted(train & test):
        raise ValueError(
            f"{path}: fold {index} trains and tests on {shorten(both)}. "
            "Remove them from one of the two."
        )
    taken = [
        tuple(s for s in samples if names & {s.name, s.case})
        for names in (train, test)
    ]
    if torn := sorted({s.case for s in taken[0]} & {s.case for s in taken[1]}):
        raise ValueError(
            f"{path}: fold {index} has images of {shorten(torn)} in both "
            "parts. All images of a case belong to one."
        )
    return taken
