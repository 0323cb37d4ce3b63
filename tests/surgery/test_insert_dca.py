"""DCA in models that somebody else built."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dca_keras import DCAConfig, find_skips, insert_dca, zoo
from dca_keras.layers import DualCrossAttention
from peers.examine import inputs_of, outputs_of
from tests.surgery import models
from tests.zoo import check_model as check

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="once is enough, on TensorFlow",
)
ONE_HEAD = DCAConfig(spatial_heads=1)
BUILDERS = {
    "residual": models.residual_unet,
    "added": lambda: models.residual_unet(add=True, heads=False),
    "volumes": lambda: models.residual_unet((16, 16, 16)),
    "open": lambda: models.residual_unet((None, None)),
    "gates": models.attention_unet,
    "nested": models.unet_plus_plus,
    "backbone": models.pretrained_unet,
    "two images": models.two_images,
    "flat patches": models.flat_patches,
}


@pytest.fixture(scope="module", params=BUILDERS)
def pair(request):
    """A model with weights unlike any fresh one's, and the new model."""
    keras.utils.set_random_seed(1)
    model = BUILDERS[request.param]()
    for variable in model.variables:
        values = np.abs(np.random.default_rng(2).normal(size=variable.shape))
        if "float" in variable.dtype:
            variable.assign(values * 0.1 + 0.01)
    return model, insert_dca(model)


def without_dca(model, new):
    """The new model's outputs where DCA gives its skips back untouched."""
    layer = new.get_layer("dca")
    call = layer.call
    layer.call = lambda skips, training=None: skips
    try:
        return outputs_of(new, inputs_of(model))
    finally:
        layer.call = call


def test_everything_but_dca_is_as_it_was(pair):
    model, new = pair
    assert new.name == f"{model.name}_dca"
    added = [x.name for x in new.layers if isinstance(x, DualCrossAttention)]
    assert added == ["dca"]
    old_names = [layer.name for layer in model.layers]
    assert {x.name for x in new.layers} == {*old_names, "dca"}
    assert not {id(v) for v in model.variables} & {id(v) for v in new.variables}
    assert keras.tree.map_structure(
        lambda x: x.shape, new.output
    ) == keras.tree.map_structure(lambda x: x.shape, model.output)
    before = outputs_of(model, inputs_of(model))
    for y, expected in zip(without_dca(model, new), before, strict=True):
        np.testing.assert_array_equal(y, expected)
    after = outputs_of(new, inputs_of(model))
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


def test_only_the_decoder_reads_what_dca_gives(pair):
    """DCA's inputs do not depend on its outputs, the bottleneck neither."""
    _, new = pair
    nodes = {
        node.operation.name: node
        for nodes in new._nodes_by_depth.values()
        for node in nodes
    }
    skips = find_skips(pair[0])
    dca = nodes["dca"]
    assert len(dca.input_tensors) == len(skips)
    readers = set()
    for node in nodes.values():
        for x in node.input_tensors:
            if x._keras_history.operation.name == "dca":
                readers.add(x._keras_history.tensor_index)
    assert readers == set(range(len(skips)))


def test_a_start_at_the_identity(pair):
    """The same outputs; the gate learns first, then every other weight."""
    model, _ = pair
    new = insert_dca(model, start="identity")
    x = inputs_of(model)
    for y, expected in zip(
        outputs_of(new, x), outputs_of(model, x), strict=True
    ):
        np.testing.assert_array_equal(y, expected)
    gates = [w for w in new.get_layer("dca").weights if w.name == "gate"]
    assert len(gates) == len(new.get_layer("dca").patch_sizes)
    for gate in gates:
        gate.assign(ops.ones(gate.shape))
    paper = insert_dca(model)
    for weight in new.weights:
        if weight.name != "gate":
            by_path(paper)[weight.path].assign(weight)
    for y, expected in zip(
        outputs_of(new, x), outputs_of(paper, x), strict=True
    ):
        np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("builder", "found"),
    [
        (models.link_net, ["down_0", "down_1"]),
        (models.padded_unet, ["down_0", "down_1", "down_2"]),
        (models.heads_on_both_sides, ["down_0", "down_1", "down_2"]),
        (
            models.encoder_and_decoder,
            ["encoder/down_4", "encoder/down_8", "encoder/down_12"],
        ),
    ],
)
def test_unusual_ones_start_as_they_were(builder, found):
    model = builder()
    assert [skip.layer for skip in find_skips(model)] == found
    new, x = insert_dca(model, start="identity"), inputs_of(model)
    assert len(new.get_layer("dca").patch_sizes) == len(found)
    for y, expected in zip(
        outputs_of(new, x), outputs_of(model, x), strict=True
    ):
        np.testing.assert_array_equal(y, expected)


def by_path(model):
    return {w.path: w for w in model.weights}


@on_tensorflow
def test_gates_learn_first_then_all():
    import tensorflow as tf

    new = insert_dca(models.attention_unet(), start="identity")
    x = inputs_of(new)
    dca = new.get_layer("dca").trainable_weights
    optimizer = keras.optimizers.Adam(1e-2)
    for step in range(2):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((new(x, training=True) - x) ** 2)
        gradients = tape.gradient(loss, [w.value for w in dca])
        for w, gradient in zip(dca, gradients, strict=True):
            if w.name == "gate" or step and w.name != "bias":
                assert np.asarray(gradient).any(), w.path
        optimizer.apply(gradients, dca)


def test_trainable_flags_and_statistics_come_along():
    model = models.pretrained_unet()
    new = insert_dca(model)
    assert not new.get_layer("down").trainable
    assert not new.get_layer("down").trainable_weights
    other = insert_dca(models.residual_unet())
    assert len(other.trainable_weights) > 20
    model = models.residual_unet()
    model.layers[2].trainable = False
    new = insert_dca(model)
    assert [x.trainable for x in new.layers if x.name != "dca"] == [
        x.trainable for x in sorted_as(model.layers, new.layers)
    ]


def sorted_as(layers_, order):
    by_name = {layer.name: layer for layer in layers_}
    return [by_name[x.name] for x in order if x.name in by_name]


@on_tensorflow
def test_every_weight_learns(pair):
    import tensorflow as tf

    _, new = pair
    new = keras.models.clone_model(new)
    rng = np.random.default_rng(4)
    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(new(inputs_of(new), training=True))
        loss = sum(
            tf.reduce_mean((y - rng.random(y.shape, dtype="float32")) ** 2)
            for y in outputs
        )
    gradients = tape.gradient(loss, [w.value for w in new.trainable_weights])
    for w, gradient in zip(new.trainable_weights, gradients, strict=True):
        assert gradient is not None, w.path
        assert np.isfinite(gradient).all(), w.path
        if "dca" in w.path and not w.path.endswith("bias"):
            assert np.asarray(gradient).any(), w.path


def test_saved_and_loaded(pair, tmp_path):
    _, new = pair
    new.save(tmp_path / "new.keras")
    again = keras.saving.load_model(tmp_path / "new.keras")
    x = inputs_of(new)
    for y, expected in zip(
        outputs_of(again, x), outputs_of(new, x), strict=True
    ):
        np.testing.assert_array_equal(y, expected)


@on_tensorflow
@pytest.mark.parametrize("pair", ["residual", "two images"], indirect=True)
def test_exported(pair, tmp_path):
    import tensorflow as tf

    _, new = pair
    new.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    x = inputs_of(new)
    served = keras.tree.flatten(saved.serve(x))
    for y, expected in zip(served, outputs_of(new, x), strict=True):
        # Up to 200, where float32 itself is spaced by 1.5e-5.
        largest = np.abs(expected).max()
        np.testing.assert_allclose(y / largest, expected / largest, atol=1e-6)


@pytest.mark.parametrize("sides", [(16, 32), (16, 16, 32)])
def test_equals_the_builders_own(sides):
    """U-Net takes the same tensors with DCA and without.

    ResUnet++ does, too, but for the gate on its bottleneck: to the graph it
    is a strided shortcut of the encoder's. The others hand DCA a tensor that
    the plain model does not have or does not skip with, and DoubleU-Net has
    three modules.
    """
    new = insert_dca(check.small(zoo.unet, sides, dca=False))
    own = check.small(zoo.unet, sides, dca=True)
    theirs = {w.path: w for w in own.weights}
    assert theirs.keys() == {w.path for w in new.weights}
    for weight in new.weights:
        theirs[weight.path].assign(weight)
    x = check.images(sides)
    np.testing.assert_allclose(
        check.predict(new, x), check.predict(own, x), atol=1e-6
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if i > 5 else ())
        for i, name in enumerate(zoo.list_models())
    ],
)
def test_our_plain_models(name):
    model = check.small(getattr(zoo, name), dca=False)
    config = ONE_HEAD if name == "multi_res_unet" else None
    new = insert_dca(model, config=config, name="mine")
    assert new.name == "mine"
    np.testing.assert_array_equal(
        without_dca(model, new), outputs_of(model, inputs_of(model))
    )


def test_open_sides_and_known_ones_are_one_function():
    fixed = models.residual_unet((32, 64))
    free = models.residual_unet((None, None))
    free.set_weights(fixed.get_weights())
    fixed, free = insert_dca(fixed), insert_dca(free)
    free.set_weights(fixed.get_weights())
    x = np.random.default_rng(0).random((1, 32, 64, 2), dtype="float32")
    for a, b in zip(outputs_of(fixed, x), outputs_of(free, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_whole_model_in_the_model():
    inner = models.attention_unet()
    outer = keras.Sequential(
        [keras.Input((32, 32, 1)), layers.Rescaling(2.0), inner]
    )
    new = insert_dca(outer)
    assert new.get_layer(inner.name).get_layer("dca").patch_sizes == (4, 2, 1)
    assert new.output_shape == outer.output_shape


def test_skips_that_are_named():
    model = models.residual_unet()
    found = find_skips(model)
    for skips in (
        ["stage_0", "stage_1"],
        [model.get_layer("stage_1"), "stage_0"],
        [skip.tensor for skip in found],
        found,
    ):
        edited = insert_dca(model, skips=skips)
        assert edited.get_layer("dca").patch_sizes == (2, 1)
    laterals = insert_dca(model, skips=["lateral_0", "lateral_1"])
    readers = [
        node.operation.name
        for node in laterals.get_layer("dca")._inbound_nodes[0].parent_nodes
    ]
    assert readers == ["lateral_0", "lateral_1"]


def test_two_modules_in_a_row_of_networks():
    model = check.small(zoo.double_unet, dca=False)
    once = insert_dca(model)
    vgg = [f"vgg_{i}_{2 if i < 3 else 4}_conv" for i in (1, 2, 3, 4)]
    twice = insert_dca(once, skips=vgg)
    layer = twice.get_layer("dca_2")
    assert layer.patch_sizes == (8, 4, 2, 1)
    readers = {node.operation.name for node in layer._outbound_nodes}
    assert readers == {
        f"{which}_decoder_{i}_concat"
        for which in ("first", "second")
        for i in (1, 2, 3, 4)
    }


def test_config_reaches_the_layer():
    config = DCAConfig(patch_size=8, blocks=2, channel_attention=False)
    layer = insert_dca(models.residual_unet(), config=config).get_layer("dca")
    assert layer.patch_sizes == (8, 4)
    assert (layer.blocks, layer.channel_attention) == (2, False)


def test_heads_follow_from_the_widths_unless_they_are_given():
    model = models.residual_unet(widths=(6, 9, 3))
    assert insert_dca(model).get_layer("dca").spatial_heads == 3


def test_a_patch_has_a_side_for_each_axis():
    model = models.flat_patches()
    layer = insert_dca(model).get_layer("dca")
    assert layer.patch_sizes == ((2, 4, 4), 2, 1)
    config = DCAConfig(patch_size=8)
    layer = insert_dca(model, config=config).get_layer("dca")
    assert layer.patch_sizes == ((4, 8, 8), 4, 2)


def test_dtype_policies_come_along():
    model = check.small(zoo.unet, dca=False, dtype="mixed_bfloat16")
    new = insert_dca(model)
    policies = {x.name: x.dtype_policy.name for x in new.layers}
    assert policies["dca"] == "mixed_bfloat16"
    assert policies["head"] == "float32"
    for layer in model.layers[1:]:
        assert policies[layer.name] == layer.dtype_policy.name


class Unreadable(layers.Layer):
    """Its config is unknown, as one of its arguments is a function."""

    def __init__(self, width, function=ops.relu, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.function = function
        self.conv = layers.Conv2D(width, 3, padding="same")

    def build(self, input_shape):
        self.conv.build(input_shape)

    def call(self, x):
        return self.function(self.conv(x))


class Talkative(Unreadable):
    """Its config says more than its `__init__` takes."""

    def get_config(self):
        config = {**super().get_config(), "width": self.width}
        return {**config, "weights_in_it": 2}


class Regrouped(Unreadable):
    """Its config makes a layer with a sublayer more."""

    def __init__(self, width, more=False, **kwargs):
        super().__init__(width, **kwargs)
        if more:
            self.more = layers.Activation("linear")

    def get_config(self):
        return {**super().get_config(), "width": self.width, "more": True}


def odd(width):
    return Unreadable(width, function=lambda x: x, name="odd")


class Knowing(keras.Model):
    """A model that knows how it was made, of layers that do not."""

    def __init__(self, width, name=None):
        self.width = width
        inner = with_layer(odd, width)
        super().__init__(inner.inputs, inner.outputs, name=name)

    def get_config(self):
        return {"width": self.width, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def with_layer(layer, width=4):
    inputs = x = keras.Input((16, 16, 1))
    skips = []
    for _ in range(2):
        x = layer(width)(x) if not skips else layers.Conv2D(width, 1)(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    for skip in skips[::-1]:
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
    return keras.Model(inputs, layers.Conv2D(1, 1)(x), name="odd_one")


def test_layers_that_do_not_know_their_config():
    with pytest.raises(ValueError, match="Layer 'odd' .Unreadable. could not"):
        insert_dca(with_layer(odd))
    for model in (with_layer(Talkative), with_layer(Regrouped), Knowing(4)):
        new = insert_dca(model)
        assert {x.name for x in model.layers} < {x.name for x in new.layers}
        for y, expected in zip(
            without_dca(model, new),
            outputs_of(model, inputs_of(model)),
            strict=True,
        ):
            np.testing.assert_array_equal(y, expected)
        ours = {id(v) for v in model.variables}
        assert not ours & {id(v) for v in new.variables}


def test_lambda_layers():
    factor = 3.0  # what a saved lambda would have lost
    model = with_layer(
        lambda width: keras.Sequential(
            [
                layers.Conv2D(width, 1),
                layers.Lambda(lambda x: x * factor, name="times"),
            ]
        )
    )
    new = insert_dca(model, start="identity")
    x = inputs_of(model)
    np.testing.assert_array_equal(outputs_of(new, x), outputs_of(model, x))


def one_skip():
    inputs = keras.Input((16, 16, 1))
    skip = layers.Conv2D(4, 3, padding="same", name="only")(inputs)
    x = layers.UpSampling2D()(layers.MaxPooling2D()(skip))
    return keras.Model(inputs, layers.Add()([x, skip]), name="one")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            models.residual_unet,
            {"start": "never"},
            "`start` must be one of 'paper'",
        ),
        (models.residual_unet, {"config": 8}, "`config` must be a DCAConfig"),
        (models.keras_io_unet, {}, "at least two skips. Found .* none"),
        (one_skip, {}, r"at least two skips. Found in 'one': \['only'\]"),
        (
            models.residual_unet,
            {"skips": ["stage_0", "nowhere"]},
            "Received: 'nowhere', which is not in the model",
        ),
        (
            models.residual_unet,
            {"skips": ["stage_0", "out_0"]},
            "'out_0' does not rejoin the decoder",
        ),
        (
            models.valid_unet,
            {},
            r"whole multiples of .* \[\(None, 184, 184, 4\), "
            r"\(None, 88, 88, 8\)",
        ),
        (
            lambda: models.residual_unet(widths=(6, 9, 3)),
            {"config": DCAConfig()},
            r"Received: 4 for skips of \[6, 9\] channels. "
            r"Use `config=DCAConfig\(spatial_heads=3\)`",
        ),
        (
            models.residual_unet,
            {"config": DCAConfig(patch_size=3)},
            "`config.patch_size` must be a multiple of 2",
        ),
        (
            models.flat_patches,
            {"config": DCAConfig(patch_size=2)},
            "`config.patch_size` must be a multiple of 4",
        ),
    ],
)
def test_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        insert_dca(model(), **options)
