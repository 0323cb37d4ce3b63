"""What the training split of a data set looks like, in numbers."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dca_keras.data.preprocessing import PERCENTILES
from dca_keras.data.resampling import grid_shape
from dca_keras.data.samples import Splits

MOST_CASES = 100
# Large volumes are measured in fewer cases, so that it takes seconds.
LEAST_CASES = 8
VOXELS = 2**29
# Of a case's foreground, evenly spaced.
FOREGROUND_VOXELS = 20_000


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What was measured of a training split.

    Attributes:
        rank: 2 for images, 3 for volumes.
        cases: Images or volumes of the training split.
        measured: How many of them were loaded, for all that needs their
            values.
        channels: Channels of each.
        num_classes: 1, or the number of classes with the background.
        class_names: Names of the classes 1, 2, …, or None.
        modalities: As in `Splits`; None for images in [0, 1].
        shapes: The least, the median and the greatest (height, width) or
            (depth, height, width), after resampling to `spacing`.
        spacing: The median millimetres (depth, height, width) from voxel to
            voxel; None for images.
        intensities: For every channel the 0.5th and 99.5th percentile of
            the foreground's values if its modality is CT, else None. None
            instead of all for images.
        class_shares: Every class's share of the voxels, the background's
            first.
    """

    rank: int
    cases: int
    measured: int
    channels: int
    num_classes: int
    class_names: tuple[str, ...] | None
    modalities: tuple[str, ...] | None
    shapes: tuple[tuple[int, ...], ...]
    spacing: tuple[float, ...] | None
    intensities: tuple[tuple[float, float] | None, ...] | None
    class_shares: tuple[float, ...]

    def at(self, spacing: tuple[float, ...] | None) -> "Fingerprint":
        """Return the fingerprint as it is at another spacing.

        Args:
            spacing: Millimetres (depth, height, width) from voxel to voxel;
                None for the median.

        Raises:
            ValueError: If these are not as many as the volumes have sides.
        """
        if spacing is None or self.spacing is None:
            return self
        if len(spacing) != len(self.spacing):
            raise ValueError(
                f"`spacing` must be {len(self.spacing)} numbers, one a side. "
                f"Received: {spacing!r}"
            )
        shapes = tuple(
            grid_shape(shape, self.spacing, spacing) for shape in self.shapes
        )
        spacing = tuple(map(float, spacing))
        return dataclasses.replace(self, shapes=shapes, spacing=spacing)

    def to_dict(self) -> dict:
        """Return a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Fingerprint":
        """Return the fingerprint that `to_dict` described."""
        return cls(**{key: _as_tuple(value) for key, value in values.items()})


def measure(splits: Splits) -> Fingerprint:
    """Measure the training split of a data set.

    Up to 100 cases are loaded, evenly spaced in the order of their names;
    fewer of large volumes, but at least 8.

    Args:
        splits: The `Splits`, as a reader gave them.

    Returns:
        The `Fingerprint`.

    Raises:
        ValueError: If a case can't be loaded. It names the file.
    """
    samples = sorted(splits.train, key=lambda sample: sample.name)
    cases = _measure_cases(samples, splits.modalities)
    shapes = [case.shape for case in cases]
    rank = len(shapes[0])
    spacing = None
    if rank == 3:
        spacing = _median_spacing(samples)
    if spacing is not None:
        shapes = [
            grid_shape(case.shape, case.spacing or spacing, spacing)
            for case in cases
        ]
    labels = max(len(case.shares) for case in cases)
    num_classes = splits.num_classes or (1 if labels <= 2 else labels)
    shares = np.zeros((len(cases), max(2, num_classes, labels)))
    for row, case in zip(shares, cases, strict=True):
        row[: len(case.shares)] = case.shares
    return Fingerprint(
        rank=rank,
        cases=len(samples),
        measured=len(cases),
        channels=cases[0].channels,
        num_classes=num_classes,
        class_names=splits.class_names,
        modalities=splits.modalities,
        shapes=tuple(
            tuple(int(side) for side in np.round(summary(shapes, axis=0)))
            for summary in (np.min, np.median, np.max)
        ),
        spacing=spacing,
        intensities=_intensities(cases, splits.modalities),
        class_shares=tuple(map(float, shares.mean(axis=0))),
    )


@dataclasses.dataclass(frozen=True)
class _Case:
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    channels: int
    shares: np.ndarray  # of the voxels, for every class
    foreground: np.ndarray | None  # (voxels, channels)


def _measure_cases(samples, modalities):
    def measure_case(index):
        sample = samples[index]
        image, mask = sample.load()
        counts = np.bincount(mask.reshape(-1))
        foreground = None
        if modalities is not None:
            places = np.flatnonzero(mask)
            step = -(-places.size // FOREGROUND_VOXELS) or 1
            foreground = image.reshape(-1, image.shape[-1])[places[::step]]
        return _Case(
            image.shape[:-1],
            sample.spacing,
            image.shape[-1],
            counts / mask.size,
            foreground,
        )

    first = measure_case(0)
    most = min(MOST_CASES, max(LEAST_CASES, VOXELS // np.prod(first.shape)))
    chosen = np.linspace(0, len(samples) - 1, min(most, len(samples)))
    with ThreadPoolExecutor(2) as pool:  # Large volumes, two at a time.
        return [first, *pool.map(measure_case, chosen.round().astype(int)[1:])]


def _median_spacing(samples):
    known = [sample.spacing for sample in samples if sample.spacing]
    if not known:
        return None
    return tuple(map(float, np.median(known, axis=0)))


def _intensities(cases, modalities):
    if modalities is None:
        return None
    values = np.concatenate([case.foreground for case in cases])
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):  # Nothing is labelled in any.
        return (None,) * len(modalities)
    limits = np.percentile(values, PERCENTILES, axis=0).T
    return tuple(
        tuple(map(float, pair)) if is_ct(modality) else None
        for modality, pair in zip(modalities, limits, strict=True)
    )


def is_ct(modality):
    """Whether a modality's values are Hounsfield units."""
    return modality.strip().lower() == "ct"


def _as_tuple(value):
    if isinstance(value, list | tuple):
        return tuple(map(_as_tuple, value))
    return value
