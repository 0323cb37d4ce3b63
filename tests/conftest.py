"""Fixtures that all tests share."""

import ctypes
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import pytest  # noqa: E402

# Published arrays and real images live beside a checkout, not in it.
SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def one_seed():
    """Every test starts from the same random numbers."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def fresh_session():
    """No module leaves its models behind, nor memory that it has freed."""
    yield
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
    give_memory_back()


def give_memory_back():
    """Drop models, and return their memory to the system.

    The C library would keep it: compiling and exporting free gigabytes in
    small pieces.
    """
    keras.backend.clear_session()
    trim = os.name == "posix" and getattr(ctypes.CDLL(None), "malloc_trim", 0)
    if trim:
        trim(0)


@pytest.fixture
def data_folder():
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real images (shared/data) are not here")
    return folder
