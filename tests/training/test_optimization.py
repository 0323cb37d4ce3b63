"""Losses, optimizers and learning rates by Keras's names and configs."""

import keras
import pytest

from dca_keras.losses import DiceLoss
from dca_keras.recipe import make_recipe
from dca_keras.training._optimization import (
    make_loss,
    make_optimizer,
    make_schedule,
)


def tiny(**values):
    return make_recipe(image_size=16, **values)


def test_the_defaults_are_the_papers():
    loss, optimizer = make_loss(tiny()), make_optimizer(tiny(), 1)
    assert type(loss) is DiceLoss and not loss.per_image
    assert type(optimizer) is keras.optimizers.Adam
    plain = keras.optimizers.Adam(1e-3, name=optimizer.name)
    assert optimizer.get_config() == plain.get_config()


@pytest.mark.parametrize(
    "loss, classes",
    [
        ("dice_loss", 1),
        ("DiceLoss", 3),
        ("dice_cross_entropy", 3),
        ({"class_name": "DiceLoss", "config": {"per_image": True}}, 1),
        ({"class_name": "Tversky", "config": {"alpha": 0.3, "beta": 0.7}}, 1),
        ("binary_focal_crossentropy", 1),
        ("BinaryCrossentropy", 1),
        ("CategoricalFocalCrossentropy", 3),
        ("sparse_categorical_crossentropy", 3),
    ],
)
def test_takes_losses_of_ours_and_of_keras(loss, classes):
    assert callable(make_loss(tiny(loss=loss, num_classes=classes)))


BAD = [
    ({"loss": "dicee"}, "`loss` must be one that Keras or a plugin knows"),
    ({"loss": "categorical_crossentropy"}, "`loss` must be .* fits 1 classes"),
    ({"loss": {"class_name": "Tversky", "config": {"x": 1}}}, "`loss` must be"),
    (
        {"loss": {"class_name": "DiceLoss", "config": {"from_logits": True}}},
        "`loss` must take probabilities",
    ),
    ({"optimizer": "adamm"}, "`optimizer` must be one that Keras .*adamw"),
    (
        {"optimizer": {"class_name": "SGD", "config": {"momentumm": 0.9}}},
        "`optimizer` must be .* config that fits",
    ),
    (
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 1}}},
        "leave learning_rate out of its config: `learning_rate` says it",
    ),
    (
        {"optimizer": {"class_name": "SGD", "config": {"global_clipnorm": 1}}},
        "leave global_clipnorm out of its config: `clip_norm` says it",
    ),
    (
        {
            "clip_norm": 1.0,
            "optimizer": {"class_name": "SGD", "config": {"clipvalue": 1.0}},
        },
        "`optimizer` must be",
    ),
]


@pytest.mark.parametrize("values, message", BAD)
def test_says_what_is_wrong(values, message):
    with pytest.raises(ValueError, match=message):
        make_loss(tiny(**values))
        make_optimizer(tiny(**values), 1)


def test_an_optimizer_has_what_the_recipe_says():
    recipe = tiny(
        optimizer={"class_name": "AdamW", "config": {"beta_1": 0.8}},
        learning_rate=0.25,
        weight_decay=0.125,
        clip_norm=2.0,
    )
    optimizer = make_optimizer(recipe, 1)
    assert type(optimizer) is keras.optimizers.AdamW
    assert float(optimizer.learning_rate) == 0.25
    assert optimizer.weight_decay == 0.125
    assert optimizer.global_clipnorm == 2.0
    assert optimizer.beta_1 == 0.8
    assert recipe.optimizer["config"] == {"beta_1": 0.8}
    usual = make_optimizer(tiny(optimizer="adamw"), 1)
    assert usual.weight_decay == keras.optimizers.AdamW().weight_decay


def test_an_optimizer_of_the_users_goes_by_its_short_name():
    @keras.saving.register_keras_serializable(package="mine")
    class Slow(keras.optimizers.SGD):
        pass

    for name in ("Slow", "mine>Slow"):
        assert type(make_optimizer(tiny(optimizer=name), 1)) is Slow


def test_mixed_float16_scales_the_loss():
    optimizer = make_optimizer(tiny(dtype="mixed_float16", clip_norm=1.0), 1)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert optimizer.inner_optimizer.global_clipnorm == 1.0


@pytest.mark.parametrize("schedule", ["constant", "cosine", "polynomial"])
def test_warm_up_rises_linearly_and_then_the_schedule_begins(schedule):
    values = {"learning_rate": 0.5, "schedule": schedule}
    rate = make_schedule(tiny(epochs=5, warmup_epochs=2, **values), 4)
    rates = [float(rate(step)) for step in range(21)]
    assert rates[:8] == pytest.approx([(n + 1) / 16 for n in range(8)])
    later = make_schedule(tiny(epochs=3, **values), 4)
    expected = [
        float(later(n)) if callable(later) else later for n in range(13)
    ]
    assert rates[8:] == pytest.approx(expected)


def test_warm_up_leaves_epochs_to_train():
    with pytest.raises(ValueError, match="`warmup_epochs` must be less than"):
        tiny(epochs=2, warmup_epochs=2)
