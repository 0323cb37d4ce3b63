import collections
import dataclasses
import json
import os
import resource
import signal

import numpy as np
import pytest
from PIL import Image

from dca_keras.data import Sample, make_dataset, prepare, read_dataset
from dca_keras.data.crops import load_grid
from dca_keras.data.prepared import prepared_grid

SAMPLES = read_dataset("synthetic", image_side=32, train=10).train
SIZE = (32, 40)


def counting(samples, counts):
    def counted(sample):
        def load():
            counts[sample.name] += 1
            return sample.load()

        return dataclasses.replace(sample, load=load)

    return [counted(sample) for sample in samples]


def batches(folder, samples=SAMPLES):
    dataset = make_dataset(samples, SIZE, 4, cache=folder)
    return [
        tensor.tobytes() for b in dataset.as_numpy_iterator() for tensor in b
    ]


def expected():
    dataset = make_dataset(SAMPLES, SIZE, 4)
    return [
        tensor.tobytes() for b in dataset.as_numpy_iterator() for tensor in b
    ]


def test_writes_shards_once(tmp_path):
    counts, written = collections.Counter(), []
    for _ in range(2):
        paths = prepare(
            counting(SAMPLES, counts),
            SIZE,
            tmp_path / "new",
            shard_size=4,
            on_written=lambda: written.append(1),
        )
    assert [path.name for path in paths] == [
        f"0000{number}-of-00003.npy" for number in range(3)
    ]
    assert len(written) == 6
    assert set(counts.values()) == {1} and len(counts) == 10
    assert len(os.listdir(tmp_path / "new")) == 4
    assert sum(len(np.load(path)) for path in paths) == 10


def test_goes_on_after_a_stop(tmp_path):
    counts = collections.Counter()
    samples = counting(SAMPLES, counts)

    def stop():
        raise KeyboardInterrupt

    broken = [*samples[:5], dataclasses.replace(samples[5], load=stop)]
    with pytest.raises(KeyboardInterrupt):
        prepare([*broken, *samples[6:]], SIZE, tmp_path, shard_size=4)
    assert sorted(os.listdir(tmp_path)) == [
        "00000-of-00003.npy",
        "prepared.json",
    ]
    counts.clear()
    prepare(samples, SIZE, tmp_path, shard_size=4)
    assert set(counts) == {sample.name for sample in SAMPLES[4:]}


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_mends_damage(tmp_path, damage):
    assert batches(tmp_path) == expected()
    (path,) = tmp_path.glob("*.npy")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-9])
    assert batches(tmp_path) == expected()


def test_a_full_disk_leaves_nothing_half(tmp_path):
    """The kernel refuses to let files grow beyond a shard's half."""
    prepare(SAMPLES, SIZE, tmp_path / "whole")
    (whole,) = (tmp_path / "whole").glob("*.npy")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (whole.stat().st_size // 2, limits[1])
    )
    try:
        with pytest.raises(ValueError, match="npy can't be written.*room"):
            prepare(SAMPLES, SIZE, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path / "full") == []
    assert batches(tmp_path / "full") == expected()


def test_a_broken_sample_is_named(tmp_path):
    def load():
        raise ValueError("torn.png can't be read as an image.")

    torn = dataclasses.replace(SAMPLES[0], load=load)
    with pytest.raises(ValueError, match=r"torn\.png can't be read"):
        prepare([*SAMPLES, torn], SIZE, tmp_path)
    assert os.listdir(tmp_path) == []


def test_other_samples_are_refused(tmp_path):
    folder = tmp_path / "prepared"
    prepare(SAMPLES, SIZE, folder)
    for samples, size in ((SAMPLES[1:], SIZE), (SAMPLES, (32, 32))):
        with pytest.raises(ValueError, match="prepared was prepared from oth"):
            prepare(samples, size, folder)
    (folder / "prepared.json").write_text("{")
    with pytest.raises(ValueError, match=r"prepared\.json can't be read"):
        prepare(SAMPLES, SIZE, folder)


def test_changed_files_are_noticed(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(20):
        for kind in ("images", "masks"):
            path = tmp_path / "own" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = rng.integers(0, 2, (8, 8), "uint8") * 255
            Image.fromarray(values).save(path)
    samples = read_dataset("image_folder", tmp_path / "own").train
    prepare(samples, SIZE, tmp_path / "prepared")
    index = json.loads((tmp_path / "prepared" / "prepared.json").read_text())
    assert index["samples"] == len(samples) and len(index["shards"]) == 1
    os.utime(samples[0].files[1], (1, 1))
    with pytest.raises(ValueError, match="files have changed since: `source`"):
        prepare(samples, SIZE, tmp_path / "prepared")


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file"):
        prepare(SAMPLES, SIZE, tmp_path / "file" / "folder")


def volumes(shift=0.0):
    def sample(side):
        rng = np.random.default_rng(side)
        image = rng.random((side, 7, 6, 2), "float32") * (1 - shift)
        mask = (image[..., :1] > 0.6).astype("int32")
        return Sample(str(side), "", lambda: (image, mask))

    return [sample(side) for side in (5, 9, 6)]


def test_whole_samples_keep_their_own_grid(tmp_path):
    counts = collections.Counter()
    for _ in range(2):
        paths = prepare(counting(volumes(), counts), None, tmp_path)
    assert len(paths) == 3 and len(os.listdir(tmp_path)) == 4
    for path, sample in zip(paths, volumes(), strict=True):
        grid, expected = prepared_grid(path), load_grid(sample)
        for one, other in zip(grid, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        assert isinstance(grid.image, np.memmap)
    # The first one tells how all were preprocessed.
    assert counts == {"5": 3, "9": 1, "6": 1}
    with pytest.raises(ValueError, match="was prepared from other samples"):
        prepare(volumes(shift=0.1), None, tmp_path)
    with pytest.raises(ValueError, match="was prepared from other samples"):
        prepare(SAMPLES, SIZE, tmp_path)
