"""The parts alone."""

import keras
import numpy as np
import pytest
from keras import ops

from dca_keras import DCAConfig, layers


def test_aligned_upsampling_keeps_corners_and_lines():
    ramp = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    stretched = ops.convert_to_numpy(layers.AlignedUpsampling(3)(ramp))
    assert stretched.shape == (1, 9, 12, 1)
    rows = np.linspace(0, 8, 9)[:, None]
    columns = np.linspace(0, 3, 12)
    np.testing.assert_allclose(stretched[0, ..., 0], rows + columns, atol=1e-5)


def test_aligned_upsampling_of_a_single_line():
    x = np.random.default_rng(0).random((2, 3, 1, 5, 2), dtype=np.float32)
    y = ops.convert_to_numpy(layers.AlignedUpsampling(2)(x))
    assert y.shape == (2, 6, 2, 10, 2)
    np.testing.assert_array_equal(y[:, :, 0], y[:, :, 1])
    np.testing.assert_allclose(y[:, ::5, 0, ::9], x[:, ::2, 0, ::4], atol=1e-6)


def test_affine_starts_like_a_depthwise_convolution_in_pytorch():
    affine = layers.Affine()
    affine.build((None, 4096))
    for weight in (affine.scale, affine.bias):
        values = ops.convert_to_numpy(weight)
        assert -1 <= values.min() < -0.9 and 0.9 < values.max() <= 1
        assert abs(values.mean()) < 0.1
    scale = ops.convert_to_numpy(affine.scale)
    x = np.random.default_rng(0).random((2, 4096), dtype=np.float32)
    affine.bias.assign(np.full(4096, 0.5))
    np.testing.assert_allclose(
        ops.convert_to_numpy(affine(x)), x * scale + 0.5, rtol=1e-6
    )


def test_patch_embedding_reads_row_by_row():
    image = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    embedding = layers.PatchEmbedding(2)
    embedding.build(image.shape)
    embedding.affine.scale.assign([1.0])
    embedding.affine.bias.assign([0.0])
    tokens = ops.convert_to_numpy(embedding(image))
    np.testing.assert_allclose(tokens[0, :, 0], [2.5, 4.5, 10.5, 12.5])


@pytest.mark.parametrize(
    "layer",
    [
        layers.Affine(use_bias=False),
        layers.AlignedUpsampling(3),
        layers.AlignedUpsampling((1, 2)),
        layers.PatchEmbedding(4),
        layers.ChannelCrossAttention(2),
        layers.SpatialCrossAttention(8, query_block=64),
        layers.SkipReconstruction(2, token_activation=True),
        layers.SkipReconstruction(2, start="identity"),
        layers.DualCrossAttention((2, 1), 3, 2, 8, False, True, True, 64),
        layers.DualCrossAttention(((2, 4), 1), spatial_heads=2),
        layers.DualCrossAttention((2, 1), recompute=True, fast=False),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_round_trip(layer):
    data = keras.saving.serialize_keras_object(layer)
    assert data["registered_name"].startswith("dca_keras>")
    again = keras.saving.deserialize_keras_object(data)
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 0}, "`patch_size` must be a positive integer"),
        ({"blocks": None}, "`blocks` must be a positive integer"),
        ({"channel_heads": True}, "`channel_heads` must be a positive"),
        ({"spatial_heads": 2.0}, "`spatial_heads` must be a positive"),
        ({"spatial_attention": 1}, "`spatial_attention` must be True or"),
    ],
)
def test_bad_config(options, message):
    with pytest.raises(ValueError, match=message):
        DCAConfig(**options)


def test_a_seed_draws_the_initial_values_of_recorded_runs():
    shapes = [(None, 4, 4), (None, 4, 8)]
    keras.utils.set_random_seed(0)
    layer = layers.ChannelCrossAttention(heads=1)
    layer.build(shapes)
    keras.utils.set_random_seed(0)
    for stage in range(len(shapes)):
        for affines in (
            layer.projections,
            layer.queries,
            layer.keys,
            layer.values,
        ):
            expected = layers.Affine()
            expected.build((None, None, affines[stage].scale.shape[0]))
            for ours, drawn in zip(
                affines[stage].weights, expected.weights, strict=True
            ):
                np.testing.assert_array_equal(
                    ops.convert_to_numpy(ours), ops.convert_to_numpy(drawn)
                )
