"""What a wheel and a source distribution hold."""

import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LARGEST = 6_000_000  # bytes of the wheel


@pytest.fixture(scope="module")
def tracked():
    """The files that git knows, by their paths in the repository."""
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("this is no clone of the repository")
    return {name for name in done.stdout.split("\n") if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory, tracked):
    """A folder with a wheel and a source distribution of these files."""
    backend = pytest.importorskip("setuptools.build_meta")
    root = tmp_path_factory.mktemp("package")
    for name in tracked:
        copy = root / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    code = (
        f"import {backend.__name__} as backend; backend.build_sdist('..');"
        "backend.build_wheel('..')"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=root / "source",
        check=True,
        capture_output=True,
    )
    return root


def of_the_package(names):
    return {name for name in names if name.startswith("dca_keras/")}


def test_the_wheel_holds_the_package_and_nothing_else(built, tracked):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name[-1] != "/"}
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == of_the_package(tracked)
    assert wheel.stat().st_size <= LARGEST


def test_the_source_distribution_builds_the_same(built, tracked):
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {
            member.name.partition("/")[2]
            for member in archive
            if member.isfile()
        }
    assert of_the_package(names) == of_the_package(tracked)
    others = {name for name in names - of_the_package(names)}
    assert {name for name in others if "egg-info/" not in name} == {
        *("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in"),
        *("PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"),
    }
