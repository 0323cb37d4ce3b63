"""What a model looks at, as numbers and as a picture."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from matplotlib.figure import Figure
from PIL import Image

from dca_keras import DCAConfig, insert_dca, zoo
from dca_keras.plotting import attention, grad_cam, look_inside
from tests.surgery import models

CONFIG = DCAConfig(blocks=2, channel_heads=2, spatial_heads=2)


@pytest.fixture(scope="module")
def unet():
    keras.utils.set_random_seed(0)
    return zoo.unet((16, 32, 3), filters=(4, 8, 8), dca=CONFIG)


def picture(*shape):
    return np.random.default_rng(0).random(shape, dtype="float32")


def test_the_scores_are_the_layers(unet):
    image = picture(16, 32, 3)
    skips = keras.Model(unet.input, unet.get_layer("dca").input)(image[None])
    _, expected = unet.get_layer("dca")(skips, return_attention_scores=True)
    before = ops.convert_to_numpy(unet(image[None]))
    found = look_inside(unet, image)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(unet(image[None])), before
    )
    assert [block.grid for block in found] == [(8, 16)] * 2
    assert found[0].shapes == ((16, 32, 4), (8, 16, 8))
    for block, scores in zip(found, expected, strict=True):
        for kind in ("spatial", "channel"):
            for ours, theirs in zip(
                getattr(block, kind), scores[kind], strict=True
            ):
                theirs = ops.convert_to_numpy(theirs)[0]
                np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_maps_and_shares(unet):
    block = look_inside(unet, picture(16, 32, 3))[1]
    token = block.token_at((31, 4), (16, 32))
    assert token == (2, 15)
    maps = block.spatial_maps(token)
    assert maps.shape == (2, 2, 8, 16)
    np.testing.assert_allclose(maps.mean(axis=(2, 3)), 1, rtol=1e-5)
    index = 2 * 16 + 15
    np.testing.assert_allclose(
        maps[1, 0, 3, 5],
        block.spatial[1][0, index, 3 * 16 + 5] * 128,
        rtol=1e-5,
    )
    shares = block.channel_shares()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    # The first head has six of the twelve joint channels, four of stage 1.
    first, second = block.channel[0]
    own = first[:, :4].sum(axis=1).mean() / 2
    np.testing.assert_allclose(shares[0, 0], own, rtol=1e-5)
    rest = (first[:, 4:].sum(axis=1).mean() + second.sum(axis=1).mean()) / 2
    np.testing.assert_allclose(shares[0, 1], rest, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "shape", "at"),
    [
        (lambda: insert_dca(models.attention_unet()), (32, 32, 1), (31, 0)),
        (lambda: insert_dca(models.flat_patches()), (8, 16, 16, 1), (3, 5, 7)),
        (
            lambda: insert_dca(
                keras.Sequential(
                    [
                        keras.Input((32, 32, 1)),
                        layers.Rescaling(2.0),
                        models.attention_unet((None, None)),
                    ]
                ),
                config=DCAConfig(channel_attention=False, spatial_heads=1),
            ),
            (32, 32, 1),
            (0, 0),
        ),
        (
            lambda: zoo.unet(
                (16, 16, 1),
                filters=(4, 8, 8),
                dca=DCAConfig(spatial_attention=False),
            ),
            (16, 16, 1),
            (8, 8),
        ),
    ],
    ids=["gates", "volume", "nested", "channels alone"],
)
def test_the_picture(tmp_path, build, shape, at):
    model, image = build(), picture(*shape)
    path = tmp_path / "looks.png"
    cam = np.ones(shape[:-1], "float32")
    figure = attention(model, image, at, cam=cam, path=path)
    assert isinstance(figure, Figure)
    with Image.open(path) as written:
        assert min(written.size) > 200
    titles = [axis.get_title() for axis in _axes(figure)]
    layer = look_inside(model, image)[-1]
    assert ("head 1" in titles) == bool(layer.spatial)
    assert any("channel" in t for t in titles) == bool(layer.channel)
    assert "Grad-CAM of the class" in titles


def _axes(figure):
    return [*figure.axes, *(x for sub in figure.subfigs for x in sub.axes)]


def test_grad_cam_is_the_gradient_where_it_can_be_written_down():
    """One linear path: the class's logit is a channel of the coarse map."""
    inputs = keras.Input((8, 8, 2))
    coarse = layers.AveragePooling2D(2, name="coarse")(inputs)
    x = layers.UpSampling2D(2)(coarse)
    head = layers.Conv2D(1, 1, activation="sigmoid", name="head")
    model = keras.Model(inputs, head(x))
    head.kernel.assign([[[[2.0], [0.0]]]])
    image = picture(8, 8, 2)
    pooled = image[..., 0].reshape(4, 2, 4, 2).mean(axis=(1, 3))
    found = grad_cam(model, image, layer="coarse")
    assert found.shape == (8, 8)
    assert found.max() == 1
    i, j = np.unravel_index(pooled.argmax(), pooled.shape)
    assert found[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max() == 1
    corners = found[[0, 0, -1, -1], [0, -1, 0, -1]]
    expected = pooled[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(
        corners / corners.max(), expected / expected.max(), rtol=1e-4
    )
    head.kernel.assign([[[[-2.0], [0.0]]]])
    assert not grad_cam(model, image, layer="coarse").any()


def test_grad_cam_of_volumes_and_classes():
    model = zoo.unet((8, 8, 8, 1), 3, filters=(4, 4, 8), dca=False)
    image = picture(8, 8, 8, 1)
    by_class = [grad_cam(model, image, c) for c in range(3)]
    for heat in (*by_class, grad_cam(model, image)):
        assert heat.shape == (8, 8, 8)
        assert 0 <= heat.min() <= heat.max() <= 1
    assert any((a != by_class[0]).any() for a in by_class[1:])


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (attention, {"at": (32, 0)}, "`at` must be .* x from 0 to 31, y from"),
        (attention, {"at": (1, 2, 3)}, "`at` must be a pixel"),
        (attention, {"at": (0, 0), "block": 2}, "`block` must be from 0 to 1"),
        (attention, {"at": (0, 0), "module": "dca_2"}, "named 'dca_2'"),
        (grad_cam, {"class_index": 2}, "`class_index` must be from 1 to 1"),
        (grad_cam, {"layer": "nowhere"}, "`layer` must be a layer .*nowhere"),
    ],
)
def test_refused(unet, function, options, message):
    with pytest.raises(ValueError, match=message):
        function(unet, picture(16, 32, 3), **options)


def test_what_has_nothing_to_show(unet):
    with pytest.raises(ValueError, match="`image` must have the shape"):
        look_inside(unet, picture(16, 16, 3))
    plain = zoo.unet((16, 16, 1), filters=(4, 8, 8), dca=False)
    with pytest.raises(ValueError, match="has none: build it with `dca=True`"):
        look_inside(plain, picture(16, 16, 1))
    control = DCAConfig(channel_attention=False, spatial_attention=False)
    model = zoo.unet((16, 16, 1), filters=(4, 8, 8), dca=control)
    with pytest.raises(ValueError, match="neither channel nor spatial"):
        look_inside(model, picture(16, 16, 1))
