import json

import pytest

from dca_keras._files import replace_file, write_json, write_text


def test_replaces_whole_files(tmp_path):
    path = tmp_path / "new" / "model.weights.h5"
    for content in ("first", "second"):
        with replace_file(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.name.endswith(path.name)
            temporary.write_text(content)
        assert path.read_text() == content
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_keeps_the_old_file_when_writing_fails(tmp_path, error):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(error):
        with replace_file(path) as temporary:
            temporary.write_text("half")
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writes_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"dice": 0.5, "name": "Kvasír"})
    text = path.read_text(encoding="utf-8")
    assert text == '{\n  "dice": 0.5,\n  "name": "Kvasír"\n}\n'
    assert json.loads(text)["dice"] == 0.5


@pytest.mark.parametrize("value", [float("nan"), [float("inf")]])
def test_refuses_what_json_can_not_say(tmp_path, value):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match=r"a\.json can't be written"):
        write_json(path, value)
    assert list(tmp_path.iterdir()) == []


def test_names_a_path_that_can_not_be_a_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder. Name a file"):
        write_text(tmp_path, "text")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"file.a\.txt can't be written"):
        write_text(tmp_path / "file" / "a.txt", "text")
