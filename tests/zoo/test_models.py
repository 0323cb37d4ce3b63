"""Every test on every architecture, plain and with attention."""

import hashlib

import keras
import numpy as np
import pytest

from dca_keras import DCAConfig, zoo
from tests.conftest import give_memory_back
from tests.zoo import check_model as check

# One line an architecture: builder, trainable parameters that act (plain,
# with DCA; published counts less the parameters that cannot change an
# output), and a digest of its weights' names and shapes (plain, with DCA).
MODELS = {
    "unet": (8637345, 8745985, "ba556ddc34bb4f86", "69bb0028663fd6bc"),
    "vnet": (35969978, 36078746, "f2903973db4368c2", "67552b4f4697b074"),
    "r2_unet": (9781729, 9890369, "7dce17a7fbf66255", "6b70230c36084f76"),
    "resunet_plus_plus": (
        13090980,
        13120996,
        "0ed891d607a679e1",
        "c0c5fe7c000b8735",
    ),
    "double_unet": (29683556, 30574916, "af61260c1dbeeb64", "083e64a22c6149b8"),
    "multi_res_unet": (
        7244070,
        7351750,
        "ce393e58f9a89091",
        "be77bbef4028ff6c",
    ),
    "attention_unet": (
        34878573,
        35269933,
        "7ebca4462baca2f5",
        "885b52d847963150",
    ),
    "unet_plus_plus": (
        9163329,
        9271969,
        "22c213731c14f57f",
        "136666f79bb069b4",
    ),
    "trans_unet": (
        105275921,
        105639313,
        "6dde7f59f7e94a42",
        "3e262d93b1be0f10",
    ),
    "swin_unet": (27168133, 27387205, "7f52a963aafd09e2", "0a4ff7f579afe805"),
}
# More of the family: a few tests are enough by default.
MORE = ["attention_unet", "unet_plus_plus", "trans_unet", "swin_unet"]
IMAGES_ONLY = ["trans_unet", "swin_unet"]
# What sides are multiples of, where it is not 16.
MULTIPLES = {"resunet_plus_plus": 8, "swin_unet": 32}
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="once is enough, on TensorFlow",
)


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow if name in MORE else ())
        for name in MODELS
    ]
)
def builder(request):
    return getattr(zoo, request.param)


@pytest.fixture(params=[False, True], ids=["plain", "dca"])
def dca(request):
    return request.param


# For tests that take long: a plain model has no part that DCA's lacks.
plain_is_slow = pytest.mark.parametrize(
    "dca",
    [
        pytest.param(False, id="plain", marks=pytest.mark.slow),
        pytest.param(True, id="dca"),
    ],
)


def test_parameters_and_names(builder, dca):
    model = builder(dca=dca)
    weights = model.trainable_weights
    assert model.name == builder.__name__ + ("_dca" if dca else "")
    expected = MODELS[builder.__name__]
    assert sum(int(np.prod(w.shape)) for w in weights) == expected[dca]
    # Checkpoints depend on these names. To change one is to break them all.
    names = "\n".join(f"{w.path} {tuple(w.shape)}" for w in model.weights)
    digest = hashlib.sha256(names.encode()).hexdigest()[:16]
    assert digest == expected[2 + dca], names
    # On JAX, Keras runs a model with an unbuilt layer op by op, and keeps
    # a program of each.
    layers = model._flatten_layers()
    assert not [layer for layer in layers if not layer.built]


def test_shapes_and_head(builder, dca):
    check.check_shapes_and_head(builder, dca)


@plain_is_slow
def test_initial_values(builder, dca):
    check.check_initial_values(builder, dca)


@plain_is_slow
def test_any_size(builder, dca):
    check.check_any_size(builder, dca)


@plain_is_slow
def test_volumes(builder, dca):
    if builder.__name__ in IMAGES_ONLY:
        with pytest.raises(ValueError, match="has no 3-D form"):
            check.small(builder, (16, 16, 32), dca=dca)
    else:
        check.check_volumes(builder, dca)


def test_channels_first(builder, dca):
    check.check_channels_first(builder, dca)


@on_tensorflow
@plain_is_slow
@pytest.mark.parametrize(
    "dimensions", [2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_every_weight_learns(builder, dca, dimensions):
    if dimensions == 3 and builder.__name__ in IMAGES_ONLY:
        pytest.skip("has no 3-D form")
    check.check_every_weight_learns(builder, dca, dimensions)


def test_saving(builder, dca, tmp_path):
    check.check_saving(builder, dca, tmp_path)


@on_tensorflow
@plain_is_slow
@pytest.mark.parametrize(
    "policy",
    ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)],
)
def test_mixed_precision(builder, dca, policy):
    check.check_mixed_precision(builder, dca, policy)


@on_tensorflow
@pytest.mark.parametrize("name", MORE)
def test_more_of_the_family(name):
    """What the default run checks of these; the rest is slow."""
    check.check_every_weight_learns(getattr(zoo, name), True)


@on_tensorflow
def test_narrow_strided_shortcuts_learn():
    # A 1x1 kernel that strides crashes oneDNN where widths are so small.
    model = zoo.resunet_plus_plus(
        (64, 64, 3), filters=(8, 16, 16, 16), dca=False
    )
    kernel = model.get_layer("encoder_1_shortcut_conv").kernel
    before = keras.ops.convert_to_numpy(kernel)
    model.compile("sgd", "mse")
    images = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
    model.train_on_batch(images, images[..., :1])
    assert np.any(before != keras.ops.convert_to_numpy(kernel))


@on_tensorflow
def test_compiled_step_of_a_small_model():
    model = check.small(zoo.unet, (None, None), filters=(4, 8, 8))
    check.check_compiled_step(check.attend_in_blocks(model), (8, 16))


# Compiling takes some twenty seconds of a core, and much memory.
@on_tensorflow
@pytest.mark.slow
def test_compiled_step(builder):
    if builder.__name__ in (*MORE, "unet"):
        check.check_compiled_step(check.small(builder, (16, 32)), (16, 32))
    else:
        model = check.small(builder, (None, None, None))
        sides = (16, 16, 32)
        check.check_compiled_step(check.attend_in_blocks(model), sides)
    give_memory_back()


def test_list_and_create():
    assert zoo.list_models() == list(MODELS)
    model = zoo.create_model(
        "unet", (32, 32, 1), 4, dca=False, filters=(2, 4, 8), name="mine"
    )
    assert (model.name, model.output_shape) == ("mine", (None, 32, 32, 4))
    with pytest.raises(ValueError, match="no model 'u-net'. Available: unet,"):
        zoo.create_model("u-net")


def test_config_reaches_the_attention():
    config = DCAConfig(patch_size=16, blocks=2, spatial_attention=False)
    layer = zoo.unet((64, 32, 3), dca=config).get_layer("dca")
    assert layer.patch_sizes == (16, 8, 4, 2)
    assert (layer.blocks, layer.spatial_attention) == (2, False)
    bare = DCAConfig(channel_attention=False, spatial_attention=False)
    layer = zoo.unet((64, 32, 3), dca=bare).get_layer("dca")
    assert not layer.attentions


def test_depth_follows_the_filters():
    model = zoo.unet((8, 12, 3), filters=(4, 8, 16))
    assert model.get_layer("dca").patch_sizes == (2, 1)
    assert model.output_shape == (None, 8, 12, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"input_shape": (250, 250, 3)},
            r"multiples of 16. Received: \(250, 250, 3\). "
            r"Nearest: \(256, 256, 3\)",
        ),
        ({"input_shape": (None, 8, 3)}, r"Nearest: \(None, 16, 3\)"),
        (
            {"input_shape": (3, 64, 80)},
            r"channels last. Received: \(3, 64, 80\). "
            r"Did you mean \(64, 80, 3\)\?",
        ),
        ({"input_shape": (1, 64, 64, 64)}, r"mean \(64, 64, 64, 1\)\?"),
        ({"input_shape": (3, None, None)}, "Channels come last"),
        (
            {"input_shape": (96, 96, 3), "dca": DCAConfig(patch_size=64)},
            "multiples of 64",
        ),
        ({"dca": DCAConfig(patch_size=12)}, "`patch_size` must be a multiple"),
        ({"input_shape": (64, 64)}, "`input_shape` must be"),
        ({"input_shape": (64, 64, None)}, "`input_shape` must be"),
        ({"input_shape": (0, 64, 3)}, "`input_shape` must be"),
        ({"input_shape": "224"}, "`input_shape` must be"),
        ({"num_classes": 0}, "`num_classes` must be a positive integer"),
        ({"num_classes": -1}, "`num_classes` must be a positive integer"),
        ({"num_classes": True}, "`num_classes` must be a positive integer"),
        ({"dca": "yes"}, "`dca` must be True, False or a DCAConfig"),
        ({"filters": (32, 64)}, "`filters` must be"),
        ({"filters": (32, 64, 128, 256, 0)}, "`filters` must be"),
        (
            {"dca": DCAConfig(channel_heads=5)},
            "`channel_heads` must divide the channels of every stage",
        ),
    ],
)
def test_bad_arguments(builder, options, message):
    name, dca = builder.__name__, options.get("dca")
    if not all(zoo.takes_argument(name, option) for option in options):
        pytest.skip("has no such argument")
    if name in IMAGES_ONLY and len(options.get("input_shape", ())) == 4:
        pytest.skip("has no 3-D form")
    if multiple := MULTIPLES.get(name):
        message = message.replace("multiples of 16", f"multiples of {multiple}")
        message = message.replace("(None, 16,", f"(None, {multiple},")
    if name == "resunet_plus_plus":  # three skips
        message = message.replace("(256, 256, 3", "(248, 248, 3")
        if options.get("input_shape") == (None, 8, 3):
            pytest.skip("8 is a side of ResUnet++")
        if dca == DCAConfig(patch_size=12):
            pytest.skip("12 is a patch size of ResUnet++")
    with pytest.raises(ValueError, match=message):
        builder(**options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("trans_unet", {"units": (3, 4)}, "`units` must be 3 positive"),
        ("trans_unet", {"decoder_filters": (8,)}, "`decoder_filters` must be"),
        ("trans_unet", {"heads": 5}, "`heads` must divide the channels"),
        ("swin_unet", {"depths": (2, 2)}, "`depths` must be at least 3"),
        ("swin_unet", {"heads": (3, 6)}, "`heads` must be 3 positive"),
        ("swin_unet", {"window": 0}, "`window` must be a positive integer"),
        ("swin_unet", {"width": 1.5}, "`width` must be a positive integer"),
    ],
)
def test_bad_arguments_of_their_own(name, options, message):
    builder = getattr(zoo, name)
    with pytest.raises(ValueError, match=message):
        check.small(builder, (32, 32), **options)


def test_deep_supervision_is_the_mean_of_four_heads():
    """Its parameters are 4uiiurz1's: three heads of 33 more."""
    model = check.small(zoo.unet_plus_plus, deep_supervision=True, dca=False)
    plain = check.small(zoo.unet_plus_plus, dca=False)
    assert model.count_params() == plain.count_params() + 3 * (4 + 1)
    heads = [model.get_layer(f"head_{i}").output for i in range(1, 5)]
    x = check.images()
    outputs = keras.Model(model.input, heads)(x, training=False)
    mean = np.mean([keras.ops.convert_to_numpy(y) for y in outputs], 0)
    np.testing.assert_allclose(check.predict(model, x), mean, atol=1e-6)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """VGG19's weights as keras.applications stores them, at random."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19_notop.weights.h5"
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    vgg.save_weights(path)
    return path, vgg.get_weights()


@pytest.mark.parametrize("channels", [1, 3])
def test_vgg_weights_see_what_keras_shows_them(vgg_file, channels):
    path, weights = vgg_file
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    vgg.set_weights(weights)
    model = zoo.double_unet((128, 128, channels), encoder_weights=str(path))
    x = check.images((128, 128), channels, batch=1)
    colour = np.broadcast_to(x, (1, 128, 128, 3)) * 255.0
    caffe = keras.applications.vgg19.preprocess_input(colour.copy())
    for stage, layer in ((1, "block1_conv2"), (3, "block3_conv4")):
        name = f"vgg_{layer[5]}_{layer[-1]}_relu"
        ours = keras.Model(model.input, model.get_layer(name).output)
        theirs = keras.Model(vgg.input, vgg.get_layer(layer).output)
        # The images' borders are padded with colours half a level apart.
        middle = (slice(None), *(slice(32 // stage, -32 // stage),) * 2)
        expected = check.predict(theirs, caffe)[middle]
        np.testing.assert_allclose(
            check.predict(ours, x)[middle],
            expected,
            atol=1e-5 * expected.max(),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_weights": "nowhere.h5"}, "no file 'nowhere.h5'"),
        ({"encoder_weights": __file__}, "Could not read"),
        (
            {"encoder_weights": "imagenet", "input_shape": (32, 32, 32, 3)},
            "images of one or three channels",
        ),
        ({"filters": (4, 8, 16)}, "`filters` must be 5 positive integers"),
        ({"encoder_filters": (4,)}, "`encoder_filters` must be 5 positive"),
    ],
)
def test_bad_vgg_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        zoo.double_unet(**options)


def test_vgg_weights_of_another_width(vgg_file):
    with pytest.raises(ValueError, match="have the widths"):
        zoo.double_unet(
            encoder_filters=(8, 8, 8, 8, 8), encoder_weights=vgg_file[0]
        )
