"""Where the voxels of a volume lie, and one frame to see all volumes in."""

import dataclasses
import functools

import numpy as np

from dca_keras._extras import import_extra

# Two grids are one if no corner is off by more voxels: headers are rounded.
TOLERANCE = 0.1


@dataclasses.dataclass(frozen=True)
class Grid:
    """The grid of a stored array of three axes.

    All volumes are seen in one frame, a stack of slices (depth, row, column):
    from feet to head, front to back, and the patient's right to left. An
    oblique grid is turned to the nearest axes; no value is interpolated.

    Attributes:
        shape: The array's sides, as stored.
        affine: (4, 4), from the array's indices to millimetres towards the
            patient's right, front and head, as in NIfTI.
        zooms: Millimetres from voxel to voxel along the array's axes.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    zooms: tuple[float, float, float]

    def as_stack(self, values):
        """Return a view of a stored array as (depth, row, column, …).

        Writing to the view writes to the array.
        """
        values = _nibabel().apply_orientation(values, self._orientation)
        return np.flip(values, (0, 1)).swapaxes(0, 2)

    def as_seen(self, values):
        """Return a view of a stored array as a picture or a stack.

        One of a single slice is a picture (row, column, …), the slice seen
        from the side that it was taken from.
        """
        if 1 not in self.shape:
            return self.as_stack(values)
        values = _nibabel().apply_orientation(values, self._orientation)
        thin = max(axis for axis in range(3) if values.shape[axis] == 1)
        frame = values[(slice(None),) * thin + (0,)]
        return np.flip(frame, (0, 1)).swapaxes(0, 1)

    @property
    def stack_shape(self):
        """(depth, height, width)."""
        return tuple(self.shape[axis] for axis in self._order)

    @property
    def spacing(self):
        """Millimetres from slice to slice, row to row, column to column."""
        return tuple(float(self.zooms[axis]) for axis in self._order)

    def matches(self, other):
        """Whether another grid has its voxels at the same places."""
        if self.shape != other.shape:
            return False
        corners = np.indices((2, 2, 2)).reshape(3, -1)
        corners = corners * (np.array(self.shape)[:, None] - 1)
        off = (self.affine - other.affine)[:3]
        moved = np.linalg.norm(off[:, :3] @ corners + off[:, 3:], axis=0)
        return bool(moved.max() <= TOLERANCE * min(self.zooms))

    @property
    def _order(self):
        return np.argsort(self._orientation[:, 0])[::-1]

    @functools.cached_property
    def _orientation(self):
        if not np.isfinite(self.affine).all():
            raise ValueError("its affine holds NaN or infinity")
        orientation = _nibabel().io_orientation(self.affine)
        if not np.isfinite(orientation).all():
            raise ValueError("its affine gives an axis no direction")
        return orientation


def _nibabel():
    return import_extra("nibabel", extra="volumes", purpose="Reading volumes")
