"""Fixtures that all tests share."""

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
    """No module leaves its models behind."""
    yield
    keras.backend.clear_session()


@pytest.fixture
def data_folder():
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real images (shared/data) are not here")
    return folder
