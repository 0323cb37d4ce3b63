"""What TensorFlow says while it starts, and what of it is seen."""

import os
import subprocess
import sys

import pytest

from tests.test_imports import PACKAGE

# Stands for TensorFlow: writes as its C++ does, and as Python does.
NATIVE, PYTHON = "oneDNN custom operations are on", "a warning in Python"
MODULE = f"""
import os, sys, types
os.write(2, b"{NATIVE}\\n")
print("{PYTHON}", file=sys.stderr)
config = types.SimpleNamespace(
    list_physical_devices=lambda: os.write(2, b"no cuda drivers\\n")
)
"""
COMMAND = """
import os, sys
from dca_keras.cli._quiet import quiet_imports
quiet_imports()
import keras
os.write(2, b"later\\n")
print("done", file=sys.stderr)
"""


def start(folder, keras, tensorflow=MODULE, **environment):
    """Run a command that imports these in place of Keras and TensorFlow."""
    (folder / "keras.py").write_text(keras)
    (folder / "tensorflow.py").write_text(tensorflow)
    path = os.pathsep.join([str(folder), str(PACKAGE.parent)])
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.run(
        [sys.executable, "-c", COMMAND],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


def test_only_native_lines_of_a_start_are_hidden(tmp_path):
    done = start(tmp_path, "import tensorflow")
    assert done.stderr.splitlines() == [PYTHON, "later", "done"]


def test_a_user_who_asks_for_the_lines_gets_them(tmp_path):
    done = start(tmp_path, "import tensorflow", TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stderr.splitlines() == [NATIVE, PYTHON, "later", "done"]


def test_a_failed_start_shows_them(tmp_path):
    done = start(tmp_path, "import tensorflow, no_such_module")
    shown, native, *_, error = done.stderr.splitlines()
    assert (shown, native) == (PYTHON, NATIVE)
    assert error.startswith("ModuleNotFoundError")


@pytest.mark.parametrize("end", ["os.abort()", "os._exit(3)"])
def test_a_crash_shows_them(tmp_path, end):
    done = start(tmp_path, "import tensorflow", MODULE + end)
    assert done.returncode != 0
    assert NATIVE in done.stderr.splitlines()
    assert "done" not in done.stderr
