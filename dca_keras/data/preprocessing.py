"""What is done to volumes before a network sees them, and undone after."""

import dataclasses
import functools
import typing
from collections.abc import Iterable, Iterator

import numpy as np

from dca_keras.data.resampling import (
    grid_shape,
    resample_linear,
    resample_nearest,
    resample_slabs,
)
from dca_keras.data.samples import Sample, Splits

if typing.TYPE_CHECKING:
    from dca_keras.data.fingerprint import Fingerprint

PERCENTILES = (0.5, 99.5)
# Of more voxels a volume's percentiles are taken from evenly spaced ones.
MEASURED_VOXELS = 2**24


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """One spacing and one range of values for all images of a run.

    Attributes:
        spacing: Millimetres from voxel to voxel, a number a side, that
            images are resampled to; None keeps the grid of each.
        intensities: For every channel the two values that become 0 and 1,
            with values beyond them clipped, or None for each image's own
            0.5th and 99.5th percentile. None instead of all leaves values
            as they are.

    Raises:
        ValueError: If a spacing is not positive, or an intensity's lower
            value not the lower one.
    """

    spacing: tuple[float, ...] | None = None
    intensities: tuple[tuple[float, float] | None, ...] | None = None

    def __post_init__(self):
        if self.spacing is not None:
            spacing = tuple(map(float, self.spacing))
            if not all(0 < side < np.inf for side in spacing):
                raise ValueError(
                    "`spacing` must be positive millimetres, a number a "
                    f"side. Received: {self.spacing!r}"
                )
            object.__setattr__(self, "spacing", spacing)
        if self.intensities is not None:
            intensities = tuple(map(_check_range, self.intensities))
            object.__setattr__(self, "intensities", intensities)

    @classmethod
    def of(
        cls,
        fingerprint: "Fingerprint",
        spacing: tuple[float, ...] | None = None,
    ) -> "Preprocessing":
        """Return the preprocessing that suits what was measured.

        Args:
            fingerprint: The training split's `Fingerprint`.
            spacing: Millimetres from voxel to voxel, if not its median.
        """
        return cls(spacing or fingerprint.spacing, fingerprint.intensities)

    def image(
        self, values: np.ndarray, spacing: tuple[float, ...] | None = None
    ) -> np.ndarray:
        """Map values to [0, 1], on the grid of `self.spacing`.

        Values that are not finite become the lowest that are.

        Args:
            values: Array (*sides, channels) of a file's own values.
            spacing: Millimetres from voxel to voxel in it; None if that is
                not known, which leaves the grid as it is.

        Returns:
            A float32 array (*sides, channels). It shares memory with
            `values` if nothing had to be done.
        """
        values = np.asarray(values)
        shape = self.shape(values.shape[:-1], spacing)
        if self.intensities is not None:
            values = self._to_unit_range(values)
        return resample_linear(values, shape)

    def mask(
        self, mask: np.ndarray, spacing: tuple[float, ...] | None = None
    ) -> np.ndarray:
        """Resample a mask to the grid of `self.spacing`, by nearest voxel.

        Args:
            mask: Array (*sides, 1) of class indices.
            spacing: As of `image`.
        """
        return resample_nearest(mask, self.shape(mask.shape[:-1], spacing))

    def shape(
        self, shape: tuple[int, ...], spacing: tuple[float, ...] | None = None
    ) -> tuple[int, ...]:
        """Return the sides that an image of these sides is resampled to."""
        if self.spacing is None or spacing is None:
            return tuple(shape)
        # A slice of a volume has three spacings, the depth's first.
        spacing = spacing[-len(shape) :]
        if len(self.spacing) != len(shape):
            raise ValueError(
                f"`spacing` must have a number a side, here {len(shape)}. "
                f"Received: {self.spacing}"
            )
        return grid_shape(shape, spacing, self.spacing)

    def undo(
        self,
        probabilities: np.ndarray,
        shape: tuple[int, ...],
        rows: slice | None = None,
    ) -> np.ndarray:
        """Resample a prediction to the grid that an image came from.

        Args:
            probabilities: Array (*sides, classes) on the grid of `image`.
            shape: The sides of the image before `image`.
            rows: A slice of the first side, if not all are wanted.

        Returns:
            A float32 array (*shape, classes).
        """
        return resample_linear(probabilities, shape, rows)

    def undo_slabs(
        self, slabs: Iterable[np.ndarray], depth: int, shape: tuple[int, ...]
    ) -> Iterator[np.ndarray]:
        """Resample a prediction that arrives slab by slab.

        Only the rows that are still needed are kept in memory, whatever the
        depth.

        Args:
            slabs: Arrays (rows, …, classes) that follow one another along
                the first side of the grid of `image`.
            depth: The length of that side.
            shape: The sides of the image before `image`.

        Returns:
            A generator of float32 arrays (rows, *shape[1:], classes) that
            follow one another along the first side of `shape`.
        """
        return resample_slabs(slabs, depth, shape)

    def sample(self, raw: Sample) -> Sample:
        """Return a sample whose image and mask are preprocessed.

        Args:
            raw: The `Sample` as a reader gave it, its `source`.
        """
        return dataclasses.replace(
            raw,
            load=functools.partial(_load, self, raw),
            spacing=self.spacing and raw.spacing and self.spacing,
            source=raw,
        )

    def splits(self, splits: Splits) -> Splits:
        """Return `Splits` of preprocessed samples."""
        return dataclasses.replace(
            splits,
            **{
                part: tuple(map(self.sample, getattr(splits, part)))
                for part in ("train", "val", "test")
            },
        )

    def to_dict(self) -> dict:
        """Return a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Preprocessing":
        """Return the preprocessing that `to_dict` described."""
        return cls(**values)

    def _to_unit_range(self, values):
        if len(self.intensities) != values.shape[-1]:
            raise ValueError(
                f"The image has {values.shape[-1]} channels; `intensities` "
                f"are for {len(self.intensities)}. Pass the channels that "
                "the training had."
            )
        scaled = np.empty(values.shape, "float32")
        for channel, limits in enumerate(self.intensities):
            plane = scaled[..., channel]
            plane[...] = values[..., channel]
            _fill(plane)
            low, high = limits or own_range(plane)
            plane -= low
            plane /= (high - low) or 1
        return np.clip(scaled, 0, 1, out=scaled)


def own_range(values):
    """Return the 0.5th and the 99.5th percentile of an array's values."""
    values = values.reshape(-1)
    step = -(-values.size // MEASURED_VOXELS)
    return tuple(map(float, np.percentile(values[::step], PERCENTILES)))


def _fill(values):
    """Replace what is not finite by the lowest value that is."""
    finite = np.isfinite(values)
    if not finite.all():
        values[~finite] = values[finite].min() if finite.any() else 0


def _load(preprocessing, raw):
    image, mask = raw.load()
    return (
        preprocessing.image(image, raw.spacing),
        preprocessing.mask(mask, raw.spacing),
    )


def _check_range(limits):
    if limits is None:
        return None
    low, high = map(float, limits)
    if not -np.inf < low <= high < np.inf:
        raise ValueError(
            "`intensities` must be (low, high) for every channel, or None. "
            f"Received: {limits!r}"
        )
    return low, high
