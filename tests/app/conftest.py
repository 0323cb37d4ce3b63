"""Runs small enough for a page of the tests."""

import numpy as np
import pytest

from dca_keras.app._cases import Case
from dca_keras.app._models import Models
from dca_keras.app._uploads import Limits
from dca_keras.data import read_image
from dca_keras.prediction import predict
from dca_keras.run import Run
from tests.tiny_run import tiny_recipe, write_images, write_run
from tests.volume_run import write_volume_run

LIMITS = Limits(megabytes=1, pixels=10**6)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(scope="session")
def image(images):
    return images / "test" / "images" / "0.png"  # 40 high, 48 wide


@pytest.fixture(scope="session")
def with_dca(tmp_path_factory, images, image):
    """A run whose model finds something here, and nothing there."""
    folder = tmp_path_factory.mktemp("runs") / "with_dca"
    run = Run(write_run(folder, tiny_recipe(images, dca=True)))
    model = run.load_model()
    found = np.clip(predict(model, read_image(image)), 1e-6, 1 - 1e-6)
    head = [layer for layer in model.layers if getattr(layer, "use_bias", 0)]
    head[-1].bias.assign_sub(np.median(np.log(found / (1 - found)))[None])
    model.save(run.path("model"))
    return folder


@pytest.fixture(scope="session")
def plain(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("runs") / "plain"
    return write_run(folder, tiny_recipe(images, sampling="crop"))


@pytest.fixture(scope="session")
def of_volumes(tmp_path_factory):
    return write_volume_run(tmp_path_factory.mktemp("runs") / "of_volumes")


@pytest.fixture(scope="session")
def models(with_dca, plain, of_volumes):
    return Models([with_dca, plain, of_volumes])


@pytest.fixture
def open_case(models, tmp_path):
    def open_case(*files, limits=LIMITS, uploaded=False):
        return Case(models, limits, files, tmp_path, uploaded)

    return open_case
