"""A checkpoint is read whole, or refused; the one before it is kept."""

import random

import h5py
import keras
import numpy as np
import pytest

from dca_keras import Run
from dca_keras._checkpoint import read_checkpoint, restore, save_checkpoint

ROWS = [{"epoch": 1, "val_dice": 0.5}]


@pytest.fixture(scope="module")
def variables():
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=f"v{i}")
        for i, shape in enumerate([(3, 3, 4, 8), (8,), (8, 40), ()])
    ]


@pytest.fixture
def run(tmp_path, variables):
    """A run of two epochs, as far as checkpoints go."""
    run = Run(tmp_path)
    for epochs in (1, 2):
        save_checkpoint(
            run.path("checkpoint"),
            variables,
            ROWS * epochs,
            previous=run.path("previous_checkpoint"),
        )
    return run


def assert_whole(arrays, variables):
    for array, variable in zip(arrays, variables, strict=True):
        np.testing.assert_array_equal(array, variable.numpy())


def test_keeps_the_state_and_the_one_before(run, variables):
    found = run.read_checkpoint()
    assert found.epochs == ROWS * 2 and found.damage is None
    assert_whole(found.arrays, variables)
    arrays, rows = read_checkpoint(run.path("previous_checkpoint"))
    assert rows == ROWS
    assert_whole(arrays, variables)


def test_no_checkpoint_is_no_epoch(tmp_path):
    assert Run(tmp_path).read_checkpoint() == ([], None, None)


def test_reads_the_one_before_where_the_newest_is_gone(run, variables):
    run.path("checkpoint").unlink()  # killed between two renames
    found = run.read_checkpoint()
    assert found.epochs == ROWS and found.damage is None


def change_bytes(content, moment):
    for _ in range(4):
        place = moment.randrange(len(content))
        content[place] ^= moment.randrange(1, 256)


def cut(content, moment):
    del content[moment.randrange(len(content)) :]


def overwrite(content, moment):
    start = moment.randrange(len(content))
    length = moment.randrange(1, 2000)
    end = min(start + length, len(content))
    content[start:end] = bytes(b ^ 255 for b in content[start:end])


def append(content, moment):
    content += moment.randbytes(moment.randrange(1, 100))


@pytest.mark.parametrize("damage", [change_bytes, cut, overwrite, append])
def test_damage_is_always_found(run, variables, damage):
    path = run.path("checkpoint")
    whole = path.read_bytes()
    moment = random.Random(0)
    for _ in range(150):
        content = bytearray(whole)
        damage(content, moment)
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.h5 is damaged: "):
            read_checkpoint(path)
        found = run.read_checkpoint()
        assert found.epochs == ROWS
        assert found.damage.startswith(f"{path} is damaged: ")
        assert_whole(found.arrays, variables)


def test_says_what_to_do_where_both_are_damaged(run):
    for kind in ("checkpoint", "previous_checkpoint"):
        run.path(kind).write_bytes(b"")
    with pytest.raises(ValueError, match="start again with `--overwrite`"):
        run.read_checkpoint()


def test_reads_a_checkpoint_of_an_earlier_version(tmp_path, variables):
    path = tmp_path / "checkpoint.h5"
    with h5py.File(path, "w") as file:
        file.attrs["record"] = '[{"epoch": 1, "val_dice": 0.5}]'
        for index, variable in enumerate(variables):
            file.create_dataset(f"{index:05}", data=variable.numpy())
    found = Run(tmp_path).read_checkpoint()
    assert found.epochs == ROWS
    assert_whole(found.arrays, variables)
    content = path.read_bytes()
    for size in range(8, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"checkpoint\.h5 is damaged: "):
            read_checkpoint(path)


def test_restores_all_or_nothing(variables):
    arrays = [variable.numpy() for variable in variables]
    restore(variables, arrays)
    with pytest.raises(ValueError, match="another version of the package"):
        restore(variables, arrays[:-1])
