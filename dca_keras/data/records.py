"""Samples written once as TFRecords, for sets larger than memory."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from dca_keras._files import replace_file, write_json
from dca_keras.data.decoding import resize_image, resize_mask

INDEX = "prepared.json"
SHARD_SIZE = 128
FEATURES = {
    "image": tf.io.FixedLenFeature((), tf.string),
    "mask": tf.io.FixedLenFeature((), tf.string),
}


def prepare(
    samples, image_size, folder, *, shard_size=SHARD_SIZE, on_written=None
):
    """Write resized samples to a folder, in shards of TFRecords.

    A shard appears when it is whole, and `prepared.json` holds its SHA-256.
    Called again, after a stop or a fault, it checks what is there and
    writes only what is missing or damaged.

    Args:
        samples: The `Sample`s, in the order to keep.
        image_size: (height, width) that images and masks are resized to.
        folder: Where to write; made if it is not there.
        shard_size: Samples in a file.
        on_written: Called without arguments when a shard is whole.

    Returns:
        The paths of the shards.

    Raises:
        ValueError: If a sample can't be loaded, the disk is full or not
            writable, or the folder holds other samples, or these as they
            were before their files changed.
    """
    folder = Path(folder)
    groups = [
        samples[start : start + shard_size]
        for start in range(0, len(samples), shard_size)
    ]
    index = {
        "image_size": [int(side) for side in image_size],
        "samples": len(samples),
        "source": _source(samples, shard_size),
        "shards": {},
    }
    known = _read_index(folder / INDEX, index)
    paths = []
    for number, group in enumerate(groups):
        name = f"{number:05}-of-{len(groups):05}.tfrecord"
        path = folder / name
        digest = known.get(name)
        if digest is None or not path.is_file() or _hash(path) != digest:
            _write_shard(path, group, image_size)
            digest = _hash(path)
        index["shards"][name] = digest
        if known.get(name) != digest:
            _write_index(folder / INDEX, index, known)
        paths.append(path)
        if on_written is not None:
            on_written()
    return tuple(paths)


def read_records(paths, image_shape, seeds, num_parallel_calls):
    """A tf.data.Dataset of what `prepare` wrote.

    Args:
        paths: The shards.
        image_shape: (height, width, channels).
        seeds: Integer tensor (2,) that orders the shards; None keeps them in
            their order.
        num_parallel_calls: How many samples to decode at once.

    Returns:
        Pairs of an image, float32, and a mask, int32 (height, width, 1).
    """
    names = tf.constant([str(path) for path in paths])
    if seeds is not None:
        names = tf.random.experimental.stateless_shuffle(names, seeds)

    def decode(record):
        record = tf.io.parse_single_example(record, FEATURES)
        image = tf.io.decode_raw(record["image"], "float32")
        mask = tf.io.decode_raw(record["mask"], "uint16")
        return (
            tf.reshape(image, image_shape),
            tf.cast(tf.reshape(mask, (*image_shape[:2], 1)), "int32"),
        )

    return tf.data.TFRecordDataset(names).map(
        decode, num_parallel_calls=num_parallel_calls
    )


def _write_shard(path, samples, image_size):
    def serialize(sample):
        image, mask = sample.load()
        values = {
            "image": resize_image(image, image_size).astype("<f4"),
            "mask": resize_mask(mask, image_size).astype("<u2"),
        }
        features = {
            key: tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[value.tobytes()])
            )
            for key, value in values.items()
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        return example.SerializeToString()

    try:
        with (
            replace_file(path) as temporary,
            ThreadPoolExecutor() as pool,
            tf.io.TFRecordWriter(str(temporary)) as writer,
        ):
            for record in pool.map(serialize, samples):
                writer.write(record)
    except (OSError, tf.errors.OpError) as error:
        raise ValueError(_unwritable(path, error)) from error


def _write_index(path, index, known):
    # What is known stays on record until its shard's turn comes.
    whole = {**index, "shards": known | index["shards"]}
    try:
        write_json(path, whole)
    except OSError as error:
        raise ValueError(_unwritable(path, error)) from error


def _unwritable(path, error):
    return (
        f"{path} can't be written: {error}. Make room, or choose another "
        "folder; shards that are whole are kept."
    )


def _read_index(path, expected):
    """The digests of the shards that were written for the same samples."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}.") from error
    for key in ("image_size", "samples", "source"):
        if found.get(key) != expected[key]:
            raise ValueError(
                f"{path.parent} was prepared from other samples, or their "
                f"files have changed since: `{key}` is {expected[key]}, there "
                f"{found.get(key)}. Choose another folder, or empty it."
            )
    return found["shards"]


def _source(samples, shard_size):
    """A digest of the samples' names and of their files' sizes and dates."""
    digest = hashlib.sha256(str(shard_size).encode())
    for sample in samples:
        states = [path.stat() for path in sample.files]
        files = [(state.st_size, state.st_mtime_ns) for state in states]
        digest.update(repr((sample.name, files)).encode())
    return digest.hexdigest()


def _hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
