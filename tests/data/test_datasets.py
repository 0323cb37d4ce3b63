"""Every reader on its owners' layout, through one set of tests."""

import contextlib
import inspect
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from dca_keras.data import (
    check_samples,
    list_datasets,
    read_dataset,
    registry,
)
from tests.data import archives


class Row(NamedTuple):
    """What a data set should be read as.

    Attributes:
        name: The name it is registered under.
        write: Writes a tiny one into a folder and returns its root; None for
            one that is generated.
        train_and_val: Images of both splits together.
        test: Images of the test split.
        channels: Of its images.
        classes: With the background.
        tests_on_seen_cases: Whether its owners do.
        names_its_files: Whether a file that is missing can be named.
    """

    name: str
    write: Callable | None
    train_and_val: int
    test: int
    channels: int = 3
    classes: int = 2
    tests_on_seen_cases: bool = False
    names_its_files: bool = True


DATASETS = [
    Row("glas", archives.write_glas, 85, 80, tests_on_seen_cases=True),
    Row("monuseg", archives.write_monuseg, 30, 14),
    Row("monuseg", archives.write_monuseg_masks, 30, 14),
    Row("cvc_clinicdb", archives.write_cvc, 476, 136),
    Row("cvc_clinicdb", archives.write_cvc_mirror, 476, 136),
    Row("kvasir_seg", archives.write_kvasir, 771, 229, names_its_files=False),
    Row("synapse", archives.write_synapse, 265, 184, channels=1, classes=9),
    Row("synapse", archives.write_transunet, 2211, 60, channels=1, classes=9),
    Row("nnunet", archives.write_nnunet, 37, 3, channels=2, classes=3),
    Row("image_folder", archives.write_image_folder, 34, 6),
    Row("synthetic", None, 192, 32),
]


def takes(row, argument):
    reader = registry._READERS.get(row.name)
    return argument in inspect.signature(reader).parameters


ARCHIVES = sorted({row.name for row in DATASETS if takes(row, "partial")})


@pytest.fixture(
    scope="module",
    params=DATASETS,
    ids=lambda row: row.write.__name__ if row.write else row.name,
)
def dataset(request, tmp_path_factory):
    """The row, the folder to read or None if it is generated, the root."""
    row = request.param
    if row.write is None:
        return row, None, None
    folder = tmp_path_factory.mktemp(row.name)
    return row, folder, row.write(folder)


@pytest.fixture
def archive(dataset):
    """A data set that lies in files."""
    if dataset[0].write is None:
        pytest.skip("it is generated")
    return dataset


def splits_of(splits):
    return splits.train, splits.val, splits.test


def names(splits):
    return [[sample.name for sample in split] for split in splits_of(splits)]


def test_every_data_set_is_in_the_table():
    assert {row.name for row in DATASETS} == set(list_datasets())


def test_counts_and_splits_as_stated(dataset):
    row, folder, _ = dataset
    splits = read_dataset(row.name, folder)
    train, val, test = splits_of(splits)
    assert len(train) + len(val) == row.train_and_val
    assert len(test) == row.test
    assert 0.05 < len(val) / len(train + val) < 0.35
    everyone = [sample.name for split in splits_of(splits) for sample in split]
    assert len(set(everyone)) == len(everyone)
    cases = [{sample.case for sample in split} for split in splits_of(splits)]
    assert not cases[0] & cases[1]
    if not row.tests_on_seen_cases:
        assert not (cases[0] | cases[1]) & cases[2]
    if splits.class_names is not None:
        assert len(splits.class_names) == row.classes - 1


def test_every_sample_loads(dataset):
    row, folder, _ = dataset
    splits = read_dataset(row.name, folder)
    for split in splits_of(splits):
        good, errors = check_samples(split)
        assert good == split and not errors
        for sample in split[::17]:
            image, mask = sample.load()
            assert image.dtype == "float32" and mask.dtype == "int32"
            assert image.shape == (*mask.shape[:-1], row.channels)
            if splits.modalities is None:
                assert image.min() >= 0 and image.max() <= 1
            assert set(np.unique(mask)) <= set(range(row.classes))
            assert all(path.is_file() for path in sample.files)


def test_folder_itself_will_do(archive):
    row, folder, root = archive
    expected = names(read_dataset(row.name, folder))
    if row.name == "monuseg" and root != folder:
        root = root.parent
    assert names(read_dataset(row.name, root)) == expected


def test_paper_protocol(dataset):
    row, folder, _ = dataset
    ours = read_dataset(row.name, folder)
    paper = read_dataset(row.name, folder, protocol="paper")
    assert (ours.protocol, paper.protocol) == ("held_out", "paper")
    assert len(paper.train) == len(ours.train) + len(ours.val)
    assert names(paper)[1] == names(paper)[2] == names(ours)[2]


def test_half_an_archive_is_reported(archive, tmp_path):
    row, folder, _ = archive
    if not takes(row, "partial"):
        pytest.skip("nobody knows how many images it should have")
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    splits = read_dataset(row.name, half)
    gone = splits.train[1].files
    for path in gone:
        path.unlink()
    with pytest.raises(ValueError) as caught:
        read_dataset(row.name, half)
    message = str(caught.value)
    assert re.search("half.* holds [0-9]+ of [0-9]+ ", message)
    assert "`partial=True`" in message
    if row.names_its_files:
        assert gone[0].name in message
    fewer = read_dataset(row.name, half, partial=True)
    lost = {s.name for s in splits.train if set(gone) & set(s.files)}
    before, after = names(splits), names(fewer)
    assert after[0] == [n for n in before[0] if n not in lost]
    assert after[1:] == before[1:]


def test_a_truncated_file_is_reported(archive, tmp_path):
    row, folder, _ = archive
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    splits = read_dataset(row.name, copy)
    torn = splits.test[1].files[-1]
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    if torn.suffix == ".h5":
        with pytest.raises(ValueError, match=torn.name):
            read_dataset(row.name, copy)
        return
    with pytest.raises(ValueError, match=torn.name):
        check_samples(splits.test)
    good, errors = check_samples(splits.test, skip_broken=True)
    assert all(torn.name in error for error in errors)
    lost = {s.name for s in splits.test if torn in s.files}
    assert {s.name for s in good} == {s.name for s in splits.test} - lost
    assert len(errors) == len(lost) >= 1


def test_a_closed_folder_is_reported(tmp_path):
    """As somebody who may not read: root may read everything."""
    root = archives.write_cvc(tmp_path / "archive")
    for path in (root, *root.parents):
        if path.owner() == Path("/").owner() and path != path.parent:
            os.chmod(path, path.stat().st_mode | 0o055)
    (root / "Original" / "7.tif").chmod(0)

    def read():
        splits = read_dataset("cvc_clinicdb", tmp_path)
        for split in splits_of(splits):
            check_samples(split)

    assert "Original/7.tif can't be read" in message_of_a_stranger(read)
    root.chmod(0)
    message = message_of_a_stranger(read)
    root.chmod(0o755)
    assert "No permission to read" in message and str(root) in message


def message_of_a_stranger(function):
    """The error of a function that runs in a process without privileges."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(60)
        with contextlib.suppress(BaseException):
            if os.geteuid() == 0:
                os.setgroups([])
                os.setuid(65534)
            try:
                function()
            except ValueError as error:
                os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader, encoding="utf-8") as pipe:
        return pipe.read()


@pytest.mark.parametrize("name", ARCHIVES)
def test_another_folder_is_reported(tmp_path, name):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="mine does not hold the data set. "):
        read_dataset(name, tmp_path / "mine")
    with pytest.raises(ValueError, match="nowhere can't be read as a folder"):
        read_dataset(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ARCHIVES)
def test_other_classes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="`num_classes` must be .*: 5"):
        read_dataset(name, tmp_path, num_classes=5)
