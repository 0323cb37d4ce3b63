"""Volumes whose channels are several files, or one file's fourth axis."""

import re
from pathlib import Path

import numpy as np

from dca_keras._extras import import_extra
from dca_keras.data.series import open_series, read_series
from dca_keras.data.volumes import naming, open_nifti, write_nifti

MOST_CHANNELS = 16
_NUMBERED = re.compile(r"(?P<case>.+)_(?P<number>[0-9]{4})")


def group_channels(paths, channels=None):
    """Group the files of a case, as nnU-Net names them.

    `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, … are the channels of CASE;
    `CASE.nii.gz` alone is a case of one channel.

    Args:
        paths: Paths in any order.
        channels: How many each case has. None goes by the names: files are
            images with a number, and cases of their own, if there is none
            with 0000, or if there are more than 16.

    Returns:
        A dictionary of the cases, sorted, and the tuples of their paths.

    Raises:
        ValueError: If a channel is missing, or two files are the same one.
    """
    groups = {}
    for path in sorted(map(Path, paths)):
        match = _NUMBERED.fullmatch(_name(path))
        case, number = match.groups() if match else (_name(path), "0000")
        group = groups.setdefault(case, {})
        if int(number) in group:
            raise ValueError(
                f"{group[int(number)]} and {path} are the same channel of "
                f"{case}. Remove one, or rename it."
            )
        group[int(number)] = path
    cases = {}
    for case, group in groups.items():
        if channels is None and (0 not in group or len(group) > MOST_CHANNELS):
            cases |= {_name(path): (path,) for path in group.values()}
            continue
        _check_numbers(case, group, channels or len(group))
        cases[case] = tuple(group[number] for number in sorted(group))
    return dict(sorted(cases.items()))


def read_channels(paths):
    """Read the channels of a volume.

    Args:
        paths: A NIfTI file or the folder of a DICOM series for every
            channel, or one NIfTI file whose fourth axis they are.

    Returns:
        A float32 array (depth, height, width, channels) of the files' own
        values, ordered as by `read_volume`.

    Raises:
        ValueError: If a file can't be read, or they differ in shape or in
            the place that their headers give. It names the files.
    """
    parts, grids = [], []
    for path in paths:
        values, grid = _read_with_grid(path)
        parts.append(values)
        grids.append(grid)
        check_grids(grids[0], paths[0], grid, path)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def channels_header(path):
    """Return (depth, height, width) and spacing of a file or a series.

    Raises:
        ValueError: If it can't be read. It names the file.
    """
    grid = read_grid(path)
    return grid.stack_shape, grid.spacing


def read_grid(path):
    """Return the `Grid` of a NIfTI file or of a DICOM series."""
    if Path(path).is_dir():
        return open_series(path).grid
    with naming(path):
        return open_nifti(path).grid


def _read_with_grid(path):
    if Path(path).is_dir():
        series = open_series(path)
        return read_series(path, series), series.grid
    with naming(path):
        file = open_nifti(path)
        values = file.grid.as_stack(file.values("float32"))
    return values if file.channels else values[..., None], file.grid


def write_volume(path, values, like):
    """Write values as NIfTI on the grid of a NIfTI file or a DICOM series.

    Args:
        path: The file to write.
        values: Array ordered as by `read_channels`, with an axis of classes
            or without.
        like: The file or folder whose grid is used, and the file's header.
    """
    if not Path(like).is_dir():
        write_nifti(path, values, like, stack=True)
        return
    grid = read_grid(like)
    stored = np.empty((*grid.shape, *values.shape[3:]), values.dtype)
    grid.as_stack(stored)[...] = values
    nibabel = import_extra("nibabel", extra="volumes", purpose="Writing NIfTI")
    nibabel.Nifti1Image(stored, grid.affine).to_filename(path)


def check_grids(first, first_path, second, second_path):
    """Raise `ValueError` unless two files have their voxels at one place."""
    if first.stack_shape != second.stack_shape:
        raise ValueError(
            f"{first_path} and {second_path} differ in (depth, height, "
            f"width): {first.stack_shape} and {second.stack_shape}. Save "
            "them on one grid."
        )
    if not first.matches(second):
        raise ValueError(
            f"{first_path} and {second_path} have voxels at different "
            f"places: their affines are {first.affine.round(3).tolist()} "
            f"and {second.affine.round(3).tolist()}. Save them on one grid."
        )


def _check_numbers(case, group, channels):
    missing = sorted(set(range(channels)) - set(group))
    beyond = sorted(set(group) - set(range(channels)))
    if missing or beyond:
        folder = next(iter(group.values())).parent
        names = [f"{case}_{number:04}" for number in missing or beyond]
        raise ValueError(
            f"{folder} "
            + ("does not hold " if missing else "also holds ")
            + f"{', '.join(names)}. Every case has {channels} channels, "
            f"from {case}_0000 on: add the file, or remove the case."
        )


def _name(path):
    if path.is_dir():
        return path.name
    return re.sub(r"(\.nii)?\.[^.]+$", "", path.name, flags=re.IGNORECASE)
