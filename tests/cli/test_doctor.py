"""The command that checks an installation."""

import json
from importlib import metadata

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from dca_keras import _doctor, _extras
from dca_keras.cli import app


def run_doctor(*words):
    return CliRunner().invoke(app, ["doctor", *words])


@pytest.fixture
def tested(monkeypatch):
    """Whether the self-test was run, which here does nothing."""
    calls = []
    monkeypatch.setattr(_doctor, "_train_save_and_load", calls.append)
    return calls


def test_a_tiny_model_works():
    result = run_doctor("--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0 and found["problems"] == []
    assert found["self_test"]["seconds"] > 0
    versions = found["versions"]
    assert versions["keras"] == keras.__version__
    assert versions[versions["backend"]]


def test_it_names_what_is_there_and_how_to_get_the_rest(tested, monkeypatch):
    monkeypatch.setattr(
        "dca_keras._extras.metadata.requires",
        lambda _: [
            "numpy>=1.26",
            'absent>=2; extra == "volumes"',
            'numpy>=1; extra == "onnx"',
        ],
    )
    result = run_doctor()
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    rows = {row[0]: row[1] for row in rows if len(row) == 2}
    assert rows["numpy"].strip() == np.__version__
    assert rows["onnx"].strip() == "installed"
    assert rows["volumes"].startswith('pip install "dca-keras[volumes]"')
    assert "test" not in rows  # That is for developers.
    assert result.exit_code == 0 and len(tested) == 1


def test_an_old_package_is_a_problem(tested, monkeypatch):
    monkeypatch.setattr(
        "dca_keras._extras.metadata.requires", lambda _: ["numpy>=999"]
    )
    result = run_doctor()
    assert result.exit_code == 1
    assert (
        f"Error: The package needs numpy>=999 ({np.__version__})\n"
        in result.stderr
    )


def test_a_model_that_fails_is_a_problem(monkeypatch):
    monkeypatch.setattr(
        "dca_keras.zoo.unet", lambda *_, **__: 1 / 0, raising=False
    )
    result = run_doctor("--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["problems"] == ["ZeroDivisionError: division by zero"]
    assert "self_test" not in found and found["versions"]


def test_a_folder_that_is_not_installed_is_a_note(tested, monkeypatch):
    def unknown(_):
        raise metadata.PackageNotFoundError("dca-keras")

    monkeypatch.setattr(_extras.metadata, "requires", unknown)
    monkeypatch.setattr(_extras.metadata, "metadata", unknown)
    result = run_doctor()
    assert result.exit_code == 0
    assert "Warning: dca-keras is imported from a folder" in result.stderr


def test_the_shell_completes_commands():
    environment = {
        "_DCA_KERAS_COMPLETE": "complete_bash",
        "COMP_WORDS": "dca-keras do",
        "COMP_CWORD": "1",
    }
    result = CliRunner().invoke(
        app, prog_name="dca-keras", env=environment, catch_exceptions=False
    )
    assert result.stdout.split() == ["doctor"]
