"""A user's own architecture stands beside the package's."""

import importlib
import sys

import numpy as np
import pytest

from dca_keras import zoo
from dca_keras.zoo import _models
from tests.zoo import check_model as check

FILE = '''
import keras

from dca_keras import blocks
from dca_keras.zoo import register_model, scaffold


@register_model
def two_stages(
    input_shape=(224, 224, 3),
    num_classes=1,
    *,
    dca=True,
    activation="auto",
    filters=(8, 16),
    name=None,
    dtype=None,
):
    """Two stages and one skip of each.

    Args:
        {common_arguments}
        filters: Two widths.
    """
    fine_width, coarse_width = scaffold.check_filters(filters, 2, most=2)
    scaffold.check_arguments(
        input_shape, num_classes, dca, stride=2, num_skips=2
    )
    with scaffold.dtype_scope(dtype):
        inputs = keras.Input(input_shape)
        fine = blocks.conv_norm_relu(inputs, fine_width, "fine")
        coarse = blocks.max_pool(fine, "pool")
        coarse = blocks.conv_norm_relu(coarse, coarse_width, "coarse")
        fine, coarse = scaffold.cross_attend([fine, coarse], dca)
        coarse = blocks.upsample(coarse, "up")
        x = blocks.concatenate([fine, coarse], "concat")
        outputs = scaffold.head(x, num_classes, activation)
    name = scaffold.model_name("two_stages", name, dca)
    return keras.Model(inputs, outputs, name=name)
'''


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a test registers goes with it."""
    parts = dict(_models._MODELS._parts)
    monkeypatch.setattr(_models._MODELS, "_parts", parts)


@pytest.fixture
def builder(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_networks", raising=False)
    yield importlib.import_module("my_networks").two_stages
    del sys.modules["my_networks"]


@pytest.mark.parametrize("dca", [False, True], ids=["plain", "dca"])
def test_a_file_of_the_users_own(builder, dca, tmp_path):
    assert zoo.list_models()[-1] == "two_stages"
    assert "num_classes: 1 for one" in builder.__doc__
    model = zoo.create_model("two_stages", (16, 32, 1), 3, dca=dca)
    assert model.name == ("two_stages_dca" if dca else "two_stages")
    assert ("dca" in {layer.name for layer in model.layers}) == dca
    options = {"filters": (8, 16)}
    x = check.images()
    model = builder((16, 32, 3), dca=dca, **options)
    model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    loss = model.fit(x, np.ones((2, 16, 32, 1)), verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    with pytest.raises(ValueError, match="multiples of 2. Received"):
        builder((15, 32, 3), dca=dca)


def test_a_taken_name_is_refused(builder):
    with pytest.raises(ValueError, match="a model 'unet' already"):
        builder.__name__ = "unet"
        zoo.register_model(builder)


def net(shape, dca=True):
    raise NotImplementedError


def backwards(
    num_classes=1,
    input_shape=(),
    dca=True,
    activation="auto",
    name=None,
    dtype=None,
):
    raise NotImplementedError


def bare(
    input_shape,
    num_classes=1,
    *,
    dca=True,
    activation="auto",
    name=None,
    dtype=None,
):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (net, "Missing: input_shape, num_classes, activation, name, dtype"),
        (backwards, "Received first: num_classes, input_shape"),
        (bare, "Without a default value: input_shape"),
    ],
)
def test_other_arguments_are_refused(builder, message):
    names = zoo.list_models()
    with pytest.raises(ValueError, match=message):
        zoo.register_model(builder)
    assert zoo.list_models() == names
