"""Every reader on its owners' layout, through one set of tests."""

import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from dca_keras.data import check_samples, read_dataset
from tests.data import archives

LAYOUTS = [
    (name, writer)
    for name, writers in archives.WRITERS.items()
    for writer in writers
]
# Images of training and validation together, and of the test part.
COUNTS = {
    "write_glas": (85, 80),
    "write_monuseg": (30, 14),
    "write_monuseg_masks": (30, 14),
    "write_cvc": (476, 136),
    "write_cvc_mirror": (476, 136),
    "write_kvasir": (771, 229),
    "write_synapse": (265, 184),
    "write_transunet": (2211, 60),
}


@pytest.fixture(scope="module", params=LAYOUTS, ids=lambda p: p[1].__name__)
def archive(request, tmp_path_factory):
    """The data set's name, the writer's, the folder and its root."""
    name, writer = request.param
    folder = tmp_path_factory.mktemp(writer.__name__)
    return name, writer.__name__, folder, writer(folder)


def parts(splits):
    return splits.train, splits.val, splits.test


def names(splits):
    return [[sample.name for sample in part] for part in parts(splits)]


def test_counts_and_splits_as_stated(archive):
    name, writer, folder, _ = archive
    splits = read_dataset(name, folder)
    train, val, test = parts(splits)
    assert (len(train) + len(val), len(test)) == COUNTS[writer]
    assert 0.05 < len(val) / len(train + val) < 0.35
    everyone = [sample.name for part in parts(splits) for sample in part]
    assert len(set(everyone)) == len(everyone)
    cases = [{sample.case for sample in part} for part in parts(splits)]
    assert not cases[0] & cases[1]
    if name != "glas":  # Whose owners test on the patients trained on.
        assert not (cases[0] | cases[1]) & cases[2]


def test_every_sample_loads(archive):
    name, _, folder, _ = archive
    channels, classes = (1, range(9)) if name == "synapse" else (3, range(2))
    splits = read_dataset(name, folder)
    for part in parts(splits):
        good, errors = check_samples(part)
        assert good == part and not errors
        for sample in part[::17]:
            image, mask = sample.load()
            assert image.dtype == "float32" and mask.dtype == "int32"
            assert image.shape == (*mask.shape[:2], channels)
            assert image.min() >= 0 and image.max() <= 1
            assert set(np.unique(mask)) <= set(classes)
            assert all(path.is_file() for path in sample.files)


def test_folder_itself_will_do(archive):
    name, _, folder, root = archive
    expected = names(read_dataset(name, folder))
    if name == "monuseg" and root != folder:
        root = root.parent
    assert names(read_dataset(name, root)) == expected


def test_paper_protocol(archive):
    name, _, folder, _ = archive
    ours = read_dataset(name, folder)
    paper = read_dataset(name, folder, protocol="paper")
    assert (ours.protocol, paper.protocol) == ("held_out", "paper")
    assert len(paper.train) == len(ours.train) + len(ours.val)
    assert names(paper)[1] == names(paper)[2] == names(ours)[2]


def test_half_an_archive_is_told(archive, tmp_path):
    name, writer, folder, _ = archive
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    splits = read_dataset(name, half)
    gone = splits.train[1].files
    for path in gone:
        path.unlink()
    with pytest.raises(ValueError) as caught:
        read_dataset(name, half)
    message = str(caught.value)
    assert re.search("half.* holds [0-9]+ of [0-9]+ ", message)
    assert "`partial=True`" in message
    if writer != "write_kvasir":  # Its names follow no rule.
        assert gone[0].name in message
    fewer = read_dataset(name, half, partial=True)
    lost = {s.name for s in splits.train if set(gone) & set(s.files)}
    before, after = names(splits), names(fewer)
    assert after[0] == [n for n in before[0] if n not in lost]
    assert after[1:] == before[1:]


def test_a_truncated_file_is_told(archive, tmp_path):
    name, _, folder, _ = archive
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    splits = read_dataset(name, copy)
    torn = splits.test[1].files[-1]
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    if torn.suffix == ".h5":
        with pytest.raises(ValueError, match=torn.name):
            read_dataset(name, copy)
        return
    with pytest.raises(ValueError, match=torn.name):
        check_samples(splits.test)
    good, errors = check_samples(splits.test, skip_broken=True)
    assert all(torn.name in error for error in errors)
    lost = {s.name for s in splits.test if torn in s.files}
    assert {s.name for s in good} == {s.name for s in splits.test} - lost
    assert len(errors) == len(lost) >= 1


def test_a_closed_folder_is_told(tmp_path):
    """As somebody who may not read: root may read everything."""
    root = archives.write_cvc(tmp_path / "archive")
    for path in (root, *root.parents):
        if path.owner() == Path("/").owner() and path != path.parent:
            os.chmod(path, path.stat().st_mode | 0o055)
    (root / "Original" / "7.tif").chmod(0)

    def read():
        splits = read_dataset("cvc_clinicdb", tmp_path)
        for part in parts(splits):
            check_samples(part)

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


@pytest.mark.parametrize("name", archives.WRITERS)
def test_another_folder_is_told(tmp_path, name):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="mine does not hold the data set. "):
        read_dataset(name, tmp_path / "mine")
    with pytest.raises(ValueError, match="nowhere can't be read as a folder"):
        read_dataset(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", archives.WRITERS)
def test_other_classes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="`num_classes` must be .*: 5"):
        read_dataset(name, tmp_path, num_classes=5)
