"""Samples in files, resized or whole, for sets larger than memory."""

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dca_keras._files import replace_file, write_json
from dca_keras.data.crops import Grid, load_grid
from dca_keras.data.decoding import resize_image, resize_mask
from dca_keras.data.samples import Sample

INDEX = "prepared.json"
SHARD_SIZE = 64


def prepare(
    samples: Sequence[Sample],
    image_size: tuple[int, int] | None,
    folder: str | Path,
    *,
    shard_size: int = SHARD_SIZE,
    on_written: Callable[[], object] | None = None,
) -> list[Path]:
    """Write samples to a folder, resized or whole, for `make_dataset` to read.

    A shard, a file that `np.load` reads, appears when it is whole, and
    `prepared.json` holds its SHA-256. Called again, after a stop or a fault,
    it checks what is there and writes only what is missing or damaged.

    Args:
        samples: The `Sample`s, in the order to keep.
        image_size: (height, width) that images and masks are resized to; None
            keeps images and volumes at their own grid, one in a file, for
            crops.
        folder: Where to write; made if it is not there.
        shard_size: Samples in a file, all of which are in memory while it
            is written.
        on_written: Called without arguments when a shard is whole.

    Returns:
        The paths of the shards.

    Raises:
        ValueError: If a sample can't be loaded, the disk is full or not
            writable, or the folder holds other samples, or these as they
            were before their files changed.
    """
    folder = Path(folder)
    if image_size is None:
        shard_size = 1
    groups = [
        samples[start : start + shard_size]
        for start in range(0, len(samples), shard_size)
    ]
    index = {
        "format": "npy",
        "image_size": image_size and [int(side) for side in image_size],
        "samples": len(samples),
        "source": _source(samples, shard_size, whole=image_size is None),
        "shards": {},
    }
    known = _read_index(folder / INDEX, index)
    paths = []
    for number, group in enumerate(groups):
        name = f"{number:05}-of-{len(groups):05}.npy"
        path = folder / name
        digest = known.get(name)
        if digest is None or not path.is_file() or _hash(path) != digest:
            _write_shard(path, group, image_size)
            digest = _hash(path)
        index["shards"][name] = digest
        if known.get(name) != digest:
            # What is known stays on record until its shard's turn comes.
            whole = {**index, "shards": known | index["shards"]}
            with _naming(folder / INDEX):
                write_json(folder / INDEX, whole)
        paths.append(path)
        if on_written is not None:
            on_written()
    return tuple(paths)


def prepared_samples(paths):
    """Return the samples in shards that `prepare` wrote."""
    return [
        Sample(f"{path}[{row}]", "", functools.partial(_read, path, row))
        for path in paths
        for row in range(len(np.load(path, mmap_mode="r")))
    ]


def prepared_grid(path):
    """Return the sample at its own grid that is in a shard, left on disk."""
    records = np.load(path, mmap_mode="r")  # A single record would be copied.
    image, mask, places = (records[name][0] for name in Grid._fields)
    return Grid(image, mask, np.array(places))


def _read(path, row):
    record = np.load(path, mmap_mode="r")[row]
    return np.array(record["image"]), record["mask"].astype("int32")


def _write_shard(path, samples, image_size):
    with (
        _naming(path),
        replace_file(path) as temporary,
        ThreadPoolExecutor() as pool,
    ):
        record = functools.partial(_resize, image_size=image_size)
        record = _whole if image_size is None else record
        np.save(temporary, np.stack(list(pool.map(record, samples))))


def _whole(sample):
    grid = load_grid(sample)
    types = ("<f4", "<u2", "<i8")
    dtype = [
        (name, dtype, part.shape)
        for name, dtype, part in zip(Grid._fields, types, grid, strict=True)
    ]
    return np.array(tuple(grid), dtype)


def _resize(sample, image_size):
    image, mask = sample.load()
    image = resize_image(image, image_size)
    mask = resize_mask(mask, image_size)
    dtype = [("image", "<f4", image.shape), ("mask", "<u2", mask.shape)]
    return np.array((image, mask), dtype)


@contextlib.contextmanager
def _naming(path):
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{path} can't be written: {error}. Make room, or choose another "
            "folder; shards that are whole are kept."
        ) from error


def _read_index(path, expected):
    """The digests of the shards that were written for the same samples."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}.") from error
    for key in ("format", "image_size", "samples", "source"):
        if found.get(key) != expected[key]:
            raise ValueError(
                f"{path.parent} was prepared from other samples or by an "
                f"earlier version, or their files have changed since: `{key}` "
                f"is {expected[key]}, there {found.get(key)}. Choose another "
                "folder, or empty it."
            )
    return found["shards"]


def _source(samples, shard_size, whole):
    """A digest of the samples' names and of their files' sizes and dates.

    Whole samples may have been preprocessed in one way or another, which the
    first of them tells.
    """
    digest = hashlib.sha256(str(shard_size).encode())
    if whole:
        for part in samples[0].load():
            digest.update(np.ascontiguousarray(part).data)
    for sample in samples:
        states = [path.stat() for path in sample.files]
        files = [(state.st_size, state.st_mtime_ns) for state in states]
        digest.update(repr((sample.name, files)).encode())
    return digest.hexdigest()


def _hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
