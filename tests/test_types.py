"""Types stand in the signatures of what users call."""

import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MODULES = {
    f"dca_keras.{name}"
    for name in (
        *("app", "config", "data", "evaluation", "export", "layers", "losses"),
        *("metrics", "plotting", "prediction", "recipe", "reference", "run"),
        *("sharing", "surgery", "training", "weights", "zoo"),
    )
}
# Keras calls these, with what its own documentation says.
OF_KERAS = {"call", "build", "get_config", "from_config", "convolution_op"}
OF_KERAS |= {"compute_output_shape", "compute_output_spec"}


def public_functions():
    """Yield the names and functions of all that is public."""
    for name in sorted(MODULES):
        module = importlib.import_module(name)
        for key in getattr(module, "__all__", vars(module)):
            value = getattr(module, key)
            own = getattr(value, "__module__", None) or ""
            if key.startswith("_") or not own.startswith(name):
                continue
            if inspect.isclass(value):
                yield from methods(value)
            elif callable(value):
                yield f"{name}.{key}", inspect.unwrap(value)


def methods(kind):
    for key, value in vars(kind).items():
        value = getattr(value, "fget", None) or getattr(value, "func", value)
        value = getattr(value, "__func__", value)
        own = getattr(value, "__qualname__", "").startswith(kind.__qualname__)
        hidden = key.startswith("_") and key != "__init__"
        if inspect.isfunction(value) and own and not hidden | (key in OF_KERAS):
            yield f"{kind.__module__}.{kind.__name__}.{key}", value


def test_public_functions_have_types():
    lacking, count = [], 0
    for name, function in public_functions():
        count += 1
        signature = inspect.signature(function)
        named = [
            p
            for p in signature.parameters.values()
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            and p.name not in ("self", "cls")
        ]
        empty = inspect.Parameter.empty
        # A dataclass or a named tuple has a `None` without saying so.
        returned = signature.return_annotation is not empty
        if not returned or any(p.annotation is empty for p in named):
            lacking.append(name)
    assert lacking == []
    assert count > 100


@pytest.mark.slow
def test_mypy_accepts_typical_uses_and_finds_mistakes():
    pytest.importorskip("mypy")
    options = "--follow-imports=silent --ignore-missing-imports"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options.split()]
        + ["--warn-unused-ignores", "tests/typed_use.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
