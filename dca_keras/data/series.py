"""DICOM series: volumes that are a folder with a file for every slice."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dca_keras._extras import import_extra
from dca_keras.data.dicom import rescale
from dca_keras.data.grids import Grid
from dca_keras.data.guards import check_size

# Slices are missing or doubled if a step is off by this share of the usual.
UNEVEN = 0.2
_ONE_SERIES = (
    *("SeriesInstanceUID", "Rows", "Columns"),
    *("ImageOrientationPatient", "PixelSpacing"),
)
_HEADER = (
    *_ONE_SERIES,
    *("ImagePositionPatient", "SamplesPerPixel", "NumberOfFrames"),
    *("SliceThickness", "InstanceNumber"),
)


class Series(NamedTuple):
    """The files of a series from the first slice to the last, and its grid.

    The grid's axes are column, row, slice.
    """

    paths: tuple[Path, ...]
    grid: Grid


def is_series(path):
    """Whether a path is a folder that holds DICOM files."""
    path = Path(path)
    return path.is_dir() and any(map(_is_dicom, _files(path)))


def read_series(folder: str | Path, series: Series | None = None) -> np.ndarray:
    """Read a DICOM series, a folder with a file for every slice.

    The slices are sorted by their position along the normal of their plane.
    Files of other kinds are passed over.

    Args:
        folder: The folder.
        series: Its `Series`, if it was opened before.

    Returns:
        A float32 array (depth, height, width, 1), ordered as by
        `read_volume`, in the series' own unit: the stored values times the
        rescale slope plus the intercept, for CT Hounsfield units.

    Raises:
        ValueError: If a file can't be read, the folder holds several
            series, or slices are missing or doubled. It names the folder.
    """
    series = series or open_series(folder)
    columns, rows, depth = series.grid.shape
    stored = np.empty((depth, rows, columns), "float32")

    def read_slice(index):
        path = series.paths[index]
        try:
            dataset = _pydicom().dcmread(path)
            stored[index] = rescale(dataset, dataset.pixel_array)
        except Exception as error:  # Decoders raise anything.
            raise ValueError(
                f"{path} can't be read as a slice: {error}. Replace the file, "
                "or remove the series."
            ) from error

    with ThreadPoolExecutor() as pool:
        list(pool.map(read_slice, range(depth)))
    return series.grid.as_stack(stored.T)[..., None]


def series_header(folder):
    """Return a series' (depth, height, width) and the millimetres of a voxel.

    Raises:
        ValueError: As of `read_series`.
    """
    grid = open_series(folder).grid
    return grid.stack_shape, grid.spacing


def open_series(folder):
    """Return the `Series` in a folder, without its values.

    Raises:
        ValueError: As of `read_series`.
    """
    folder = Path(folder)
    headers = {p: _read_header(p) for p in _files(folder) if _is_dicom(p)}
    if not headers:
        raise ValueError(f"{folder} holds no DICOM file.")
    _check_series(folder, headers)
    first = next(iter(headers.values()))
    across, down = np.reshape(
        [float(x) for x in first.ImageOrientationPatient], (2, 3)
    )
    normal = np.cross(across, down)
    places = {
        path: np.array([float(x) for x in header.ImagePositionPatient])
        for path, header in headers.items()
    }
    paths = sorted(places, key=lambda path: places[path] @ normal)
    heights = [places[path] @ normal for path in paths]
    _check_steps(folder, paths, np.diff(heights))
    step = normal * float(first.get("SliceThickness") or 1)
    if len(paths) > 1:
        step = (places[paths[-1]] - places[paths[0]]) / (len(paths) - 1)
    between_rows, between_columns = map(float, first.PixelSpacing)
    axes = np.stack([across * between_columns, down * between_rows, step], 1)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, places[paths[0]]
    affine[:2] *= -1  # DICOM counts to the left and to the back.
    shape = int(first.Columns), int(first.Rows), len(paths)
    check_size(*shape[::-1])
    zooms = tuple(map(float, np.linalg.norm(axes, axis=0)))
    return Series(tuple(paths), Grid(shape, affine, zooms))


def _files(folder):
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(
            f"{folder} can't be read as a folder: {error.strerror}."
        ) from error
    return [
        path
        for path in paths
        if path.is_file()
        and not path.name.startswith(".")
        and path.name.upper() != "DICOMDIR"
    ]


def _is_dicom(path):
    if path.suffix.lower() == ".dcm":
        return True
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def _read_header(path):
    try:
        return _pydicom().dcmread(
            path, stop_before_pixels=True, specific_tags=list(_HEADER)
        )
    except ImportError:
        raise
    except Exception as error:  # Parsers raise anything on broken bytes.
        raise ValueError(
            f"{path} can't be read as DICOM: {error}. Replace the file, or "
            "remove the series."
        ) from error


def _check_series(folder, headers):
    needed = ("Rows", "Columns", "ImageOrientationPatient")
    needed += ("PixelSpacing", "ImagePositionPatient")
    for path, header in headers.items():
        if missing := [name for name in needed if name not in header]:
            raise ValueError(
                f"{path} says no {', '.join(missing)}, so it is no slice of a "
                f"volume. Remove it from {folder}."
            )
        if header.get("SamplesPerPixel", 1) != 1 or header.get(
            "NumberOfFrames", 1
        ) not in (1, None):
            raise ValueError(
                f"{path} is coloured or has several frames, so it is no slice "
                f"of a volume. Remove it from {folder}."
            )
    first_path, first = next(iter(headers.items()))
    for path, header in headers.items():
        for name in _ONE_SERIES:
            if not _same(first.get(name), header.get(name)):
                raise ValueError(
                    f"{folder} holds several series: {first_path.name} and "
                    f"{path.name} differ in {name}. Move each series into a "
                    "folder of its own."
                )


def _same(a, b):
    if a is None or b is None or isinstance(a, str | int):
        return a == b
    return np.allclose([float(x) for x in a], [float(x) for x in b], atol=1e-3)


def _check_steps(folder, paths, steps):
    usual = np.median(steps[steps > 0]) if (steps > 0).any() else 0.0
    for index, step in enumerate(steps):
        if abs(step - usual) > UNEVEN * usual or step <= 0:
            raise ValueError(
                f"{folder} has {'doubled' if step <= usual else 'missing'} "
                f"slices: from {paths[index].name} to {paths[index + 1].name} "
                f"it is {step:.2f} mm, and usually {usual:.2f} mm. Export the "
                "series again."
            )


def _pydicom():
    return import_extra("pydicom", extra="volumes", purpose="Reading DICOM")
