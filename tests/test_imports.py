"""Imports go down the house only, and the core needs no TensorFlow."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "dca_keras"
# A module imports from lower floors, or from its own package, and no other.
FLOORS = {
    "_fields": -1,
    "_doctor": 10,
    "_drawing": 0,
    "_environment": 0,
    "_extras": 0,
    "_files": 0,
    "_functional": 0,
    "_model_files": 0,
    "_overlap": 0,
    "_plugins": 0,
    "_registry": 0,
    "_run_files": 0,
    "_version": 0,
    "config": 0,
    "_checkpoint": 1,
    "_mask_loss": 1,
    "data": 1,
    "layers": 1,
    "losses": 2,
    "metrics": 1,
    "plotting": 2,
    "blocks": 2,
    "reference": 2,
    "weights": 3,
    "surgery": 4,
    "zoo": 4,
    "recipe": 5,
    "planning": 7,
    "run": 6,
    "prediction": 7,
    "evaluation": 8,
    "export": 9,
    "sharing": 8,
    "training": 9,
    "app": 10,
    "cli": 11,
}
# Plotting takes gradients, for which each backend has its own function.
MAY_USE_TENSORFLOW = {"data", "export", "plotting", "training"}
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"
)


def floor_name(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            if node.module == "dca_keras":
                yield from (f"dca_keras.{alias.name}" for alias in node.names)
            elif node.module == "dca_keras.zoo":
                yield from (
                    f"dca_keras.zoo.{alias.name}" for alias in node.names
                )
            else:
                yield node.module


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_go_down(path):
    own = floor_name(path)
    for module in imported(path):
        if module.startswith("dca_keras."):
            other = module.split(".")[1]
            if other in (own, "__version__"):
                continue
            assert FLOORS[other] < FLOORS[own], f"{own} imports {module}"
        if module.split(".")[0] == "tensorflow":
            assert own in MAY_USE_TENSORFLOW, f"{own} imports {module}"


@pytest.mark.parametrize(
    "path",
    [*FILES, *(PACKAGE.parent / "scripts").rglob("*.py")],
    ids=lambda path: str(path.relative_to(PACKAGE.parent)),
)
def test_nothing_private_crosses_packages(path):
    for module in imported(path):
        package, *rest = module.split(".")[1:] or [""]
        if module.startswith("dca_keras.") and any(
            name.startswith("_") and not name.startswith("__") for name in rest
        ):
            assert path.is_relative_to(PACKAGE / package), module


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "zoo").glob("_[a-z]*.py")), ids=lambda p: p.stem
)
def test_architectures_do_not_import_one_another(path):
    parts = {m for m in imported(path) if m.startswith("dca_keras.zoo")}
    shared = {"scaffold", "_models", "backbones", "stages"}
    assert parts <= {f"dca_keras.zoo.{name}" for name in shared}


@pytest.mark.parametrize(
    "path",
    sorted((PACKAGE / "layers" / "_fast").glob("*.py")),
    ids=lambda p: p.stem,
)
def test_the_fast_path_lies_below_the_layers(path):
    parts = [m for m in imported(path) if m.startswith("dca_keras")]
    assert all(m.startswith("dca_keras.layers._fast") for m in parts)


def loaded_by(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_the_package_itself_loads_nothing_heavy():
    assert not {"keras", "tensorflow", "numpy"} & set(
        loaded_by("import dca_keras")
    )


def test_the_core_runs_where_there_is_no_tensorflow():
    code = (
        "import os, sys; os.environ['KERAS_BACKEND'] = 'torch';"
        "sys.modules['tensorflow'] = None;"
        "import dca_keras.losses, dca_keras.metrics, dca_keras.reference;"
        "from dca_keras.zoo import unet; unet((32, 32, 3), filters=(4, 8, 8))"
    )
    pytest.importorskip("torch")
    subprocess.run([sys.executable, "-c", code], check=True)
