"""Samples and their splits, which a reader returns."""

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

PROTOCOLS = ("held_out", "paper")
VALIDATION_SHARE = 0.15
SHOWN_ERRORS = 20


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image and its mask, loaded on demand.

    Attributes:
        name: Unique in the data set.
        case: The patient or slide that it comes from. All samples of a case
            belong to the same split.
        load: Returns the image, float32 (height, width, channels) in [0, 1],
            and the mask, int32 (height, width, 1), at their original size.
            Of a volume, the image is (depth, height, width, channels) in the
            file's own values, and the mask of the same rank. Raises a
            ValueError that names the file and what to do.
        files: The paths it is read from, the image's first.
        spacing: Millimetres from pixel to pixel, (height, width), or (depth,
            height, width) for a volume or a slice of one; None if not known.
        source: The sample before preprocessing; None for one as it was read.
    """

    name: str
    case: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    files: tuple[Path, ...] = ()
    spacing: tuple[float, ...] | None = None
    source: "Sample | None" = None


@dataclasses.dataclass(frozen=True)
class Splits:
    """The three splits of a data set, and what is known of it.

    Attributes:
        train: The samples to train on.
        val: The samples to choose the best epoch by.
        test: The samples to report scores on, and for nothing else.
        protocol: One of `PROTOCOLS`, to be reported with every score.
            "paper" is the paper's: no split is held out, `val` is the test
            split itself, so that a score is the best that any epoch reached
            on it.
        class_names: Names of the classes 1, 2, …, without the background;
            None if they are not known.
        intensity_window: (low, high), the values of the files that become 0
            and 1, such as -125 and 275 Hounsfield units; None for images
            whose format says it.
        published_batch: Images in a batch of the test in published work,
            whose scores pool the pixels of a batch; None if there is none.
        modalities: What each channel of a volume was taken with, such as
            ("CT",) or ("MRI", "MRI"). The volumes are in their own values
            then, and need preprocessing; None for images in [0, 1].
        channels: Number of the images' channels, if the reader found it.
        num_classes: 1, or the number of classes with the background, if the
            reader found it.
        classes: Which values or colours of the mask files are which class,
            as `classes.json` holds it; None if the files hold the indices.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    protocol: str = "held_out"
    class_names: tuple[str, ...] | None = None
    intensity_window: tuple[float, float] | None = None
    published_batch: int | None = None
    modalities: tuple[str, ...] | None = None
    channels: int | None = None
    num_classes: int | None = None
    classes: dict | None = None

    def as_in_paper(self) -> "Splits":
        """Return the same data under the paper's protocol."""
        return dataclasses.replace(
            self,
            train=self.train + self.val,
            val=self.test,
            protocol="paper",
        )


def split_by_case(samples, shares):
    """Divide samples by their case.

    A hash of the case's name decides, so that a case stays in its split in
    whatever order samples are given and whichever are added or removed.

    If that leaves a split empty, as it may with few cases, it gets the case
    whose hash is nearest to its share, from a split that has several. An
    added case may then send that one back: at most one case for each split
    but the first changes its place. From as many cases as there are shares
    on, no split is empty.

    Args:
        samples: Samples in any order.
        shares: Approximate shares of the cases, which sum to 1.

    Returns:
        A tuple of samples for every share.
    """
    samples = tuple(samples)
    index = _divide({sample.case for sample in samples}, shares)
    return tuple(
        tuple(sample for sample in samples if index[sample.case] == split)
        for split in range(len(shares))
    )


def _divide(cases, shares):
    """Return the index of each case's share."""
    edges = np.cumsum(shares)
    hashes = {case: hash_name(case) for case in sorted(cases)}
    index = {
        case: int(np.searchsorted(edges[:-1], value, "right"))
        for case, value in hashes.items()
    }
    sizes = collections.Counter(index.values())
    for split in range(len(shares)):
        if sizes[split]:
            continue
        low, high = edges[split] - shares[split], edges[split]
        spare = [case for case in hashes if sizes[index[case]] > 1]
        if not spare:
            break
        nearest = min(
            spare, key=lambda c: max(low - hashes[c], hashes[c] - high)
        )
        sizes[index[nearest]] -= 1
        index[nearest], sizes[split] = split, 1
    return index


def hold_out_validation(samples):
    """Divide a training split by case: about 85 % to train, 15 % to val."""
    return split_by_case(samples, (1 - VALIDATION_SHARE, VALIDATION_SHARE))


def check_samples(
    samples: Sequence[Sample],
    on_checked: Callable[[], object] | None = None,
    *,
    skip_broken: bool = False,
    allow_empty: bool = True,
) -> tuple[list[Sample], list[str]]:
    """Load every sample once, to find the broken ones early.

    Args:
        samples: The samples.
        on_checked: Called without arguments after each sample.
        skip_broken: Whether to return without the broken ones.
        allow_empty: Whether masks may have no foreground.

    Returns:
        The samples that can be used, and a message for each that can't.

    Raises:
        ValueError: If any can't be used and `skip_broken` is not set, or
            none can: one error that lists them.
    """
    good, errors = [], []
    check = functools.partial(_fault, allow_empty=allow_empty)
    with ThreadPoolExecutor() as pool:
        for sample, fault in zip(
            samples, pool.map(check, samples), strict=True
        ):
            if fault is None:
                good.append(sample)
            else:
                errors.append(fault)
            if on_checked is not None:
                on_checked()
    if errors and not (skip_broken and good):
        hidden = len(errors) - SHOWN_ERRORS
        lines = errors[:SHOWN_ERRORS] + [f"and {hidden} more"] * (hidden > 0)
        raise ValueError(
            f"{len(errors)} of {len(samples)} samples can't be used:\n- "
            + "\n- ".join(lines)
        )
    return tuple(good), errors


def _fault(sample, allow_empty):
    try:
        _, mask = sample.load()
    except ValueError as error:
        return str(error)
    if allow_empty or mask.any():
        return None
    place = sample.files[-1] if sample.files else sample.name
    return (
        f"{place} has an empty mask ({sample.name}). Draw what it shows, or "
        "remove the pair."
    )


def hash_name(name):
    """Return a number in [0, 1) that depends on the name alone."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
