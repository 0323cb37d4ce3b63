"""How a page is started, and what it offers."""

import os
import sys

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dca_keras import app as page
from dca_keras.app import _serve, is_loopback, running_page
from dca_keras.app._models import Models
from dca_keras.cli import app
from dca_keras.cli import page as command


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.7", False),
        ("hospital.example", False),
    ],
)
def test_what_only_this_computer_reaches(host, answer):
    assert is_loopback(host) == answer


def test_examples_of_the_test_split_stay_on_this_computer(models, tmp_path):
    held_out = _serve._examples(models, None, "127.0.0.1", tmp_path)
    assert [example.name for example in held_out] == [
        "test-0",
        "test-1",
        "test-2",
    ]
    assert all(example.files[0].is_file() for example in held_out)
    drawn = _serve._examples(models, None, "0.0.0.0", tmp_path)
    assert [example.name for example in drawn] == [
        f"drawn_{i}" for i in range(1, 5)
    ]
    assert Image.open(drawn[0].thumbnail).size == (160, 160)


def test_examples_of_a_folder(models, of_volumes, images, tmp_path):
    folder = images / "test" / "images"
    found = _serve._examples(models, folder, "0.0.0.0", tmp_path)
    assert [example.name for example in found] == ["0", "1", "2"]
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    for channel in (0, 1):
        volume = nibabel.Nifti1Image(np.zeros((4, 5, 6), "uint8"), np.eye(4))
        nibabel.save(volume, volumes / f"brain_000{channel}.nii.gz")
    (volumes / "broken.png").write_bytes(b"no image")
    (volumes / "notes.txt").write_text("none")
    found = _serve._examples(models, volumes, "0.0.0.0", tmp_path)
    assert [len(example.files) for example in found] == [1, 2]
    with pytest.raises(ValueError, match="`examples` must be a folder that"):
        _serve._examples(models, tmp_path / "absent", "0.0.0.0", tmp_path)
    only = Models([of_volumes])
    assert _serve._examples(only, None, "0.0.0.0", tmp_path) == []


def test_bad_options_are_named(with_dca, tmp_path):
    for options, message in (
        ({"max_pixels": 0}, "`max_pixels` must be a positive integer"),
        ({"max_megabytes": -1}, "`max_megabytes` must be a positive"),
        ({"runs": [tmp_path]}, "not the folder of a run"),
    ):
        with pytest.raises(ValueError, match=message):
            with running_page(**{"runs": [with_dca]} | options):
                pass


def test_names_the_extra_where_gradio_is_missing(with_dca, monkeypatch):
    for name in ("dca_keras.app._gradio", "dca_keras.app._page"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    before = dict(os.environ)
    with pytest.raises(ImportError, match=r'pip install "dca-keras\[app\]"'):
        with running_page([with_dca]):
            pass
    added = {"GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"}
    assert {k: v for k, v in os.environ.items() if k not in added} == {
        k: v for k, v in before.items() if k not in added
    }


class Page:
    """Stands for `running_page`."""

    def __init__(self, *args, **options):
        self.given.append((args, options))

    def __enter__(self):
        return "http://127.0.0.1:7860/"

    def __exit__(self, *error):
        pass


def test_the_command(monkeypatch):
    given = []
    monkeypatch.setattr(Page, "given", given, raising=False)
    monkeypatch.setattr(page, "running_page", Page)
    monkeypatch.setattr(command, "_wait", lambda: None)
    result = CliRunner().invoke(app, ["app", "run", "nuclei"])
    assert result.exit_code == 0, result.output
    assert "page: http://127.0.0.1:7860/" in result.stdout
    assert "Warning" not in result.stderr
    words = ["app", "run", "--host", "0.0.0.0", "--port", "81", "--browser"]
    words += ["--max-megabytes", "3", "--max-pixels", "9"]
    result = CliRunner().invoke(app, words)
    assert "It has no password" in result.stderr
    (first, default), (second, options) = given
    assert first == (["run", "nuclei"],) and second == (["run"],)
    assert default["host"] == "127.0.0.1" and default["port"] is None
    assert default["max_megabytes"] == page.MAX_MEGABYTES
    assert default["max_pixels"] == page.MAX_PIXELS
    assert options == {
        "examples": None,
        "host": "0.0.0.0",
        "port": 81,
        "max_megabytes": 3,
        "max_pixels": 9,
        "browser": True,
    }
