"""DCA in models of other packages, with no help beyond the model.

`scripts/peers_table.py` examines all of them. Here are those that differ in
kind, and what it wrote must hold for them. They skip where a package is
absent.
"""

import json
from pathlib import Path

import keras
import pytest
from keras import ops

from dca_keras import zoo
from peers import PEERS, examine

TABLE = Path(__file__).parents[2] / "docs" / "peers_table.json"
KINDS = (
    "medicai UNet resnet18 2-D",
    "medicai AttentionUNet resnet18 3-D",
    "medicai UNetPlusPlus resnet18 2-D",
    "medicai UPerNet resnet18 2-D",
    "medicai UNETRPlusPlus unetr_plusplus_encoder 2-D",
    "medicai SwinUNETR swin_tiny 2-D",
    "medicai SegFormer mit_b0 2-D",
    "medicai DeepLabV3Plus resnet18 2-D",
    "keras-unet-collection unet_2d 2-D",
    "keras-unet-collection att_unet_2d 2-D",
    "keras-unet-collection r2_unet_2d 2-D",
    "keras-unet-collection unet_plus_2d 2-D",
    "keras-hub SegFormerBackbone 2-D",
    "keras-hub DeepLabV3Backbone 2-D",
    "keras-hub ResNetBackbone 2-D",
)


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="once is enough, on TensorFlow",
)
@pytest.mark.parametrize("key", KINDS)
def test_peers(key, tmp_path):
    peer = next(peer for peer in PEERS if peer.key == key)
    pytest.importorskip(peer.module)
    expected = json.loads(TABLE.read_text("utf-8"))["rows"][key]
    keras.backend.clear_session()  # Numbers in names begin at one.
    row = examine(peer.build(), tmp_path)
    assert row.pop("difference", 0) <= 1e-6
    row.pop("errors", None)
    assert row == {name: expected[name] for name in row}


@keras.saving.register_keras_serializable("test_peers")
class Unlearned(keras.layers.Layer):
    """Adds nothing, by a norm that nothing trains and Keras numbers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization()

    def call(self, x):
        return x + 0 * ops.stop_gradient(self.norm(x))


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="once is enough, on TensorFlow",
)
def test_a_weight_that_nothing_trained_before_is_not_lost(tmp_path):
    plain = zoo.unet((16, 16, 3), dca=False, filters=(2, 4, 8))
    model = keras.Model(plain.input, Unlearned()(plain.output))
    assert examine(model, tmp_path)["trained"] == "yes"
