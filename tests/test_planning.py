import functools

import pytest

from dca_keras import planning, zoo
from dca_keras._registry import Registry
from dca_keras.data import Fingerprint
from dca_keras.planning import _deciding, _facts, plan, plan_recipe
from dca_keras.recipe import make_recipe
from dca_keras.zoo import _models, list_models
from tests.tiny_run import write_images

GIB = 2**30


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 16 GiB without a GPU, wherever the tests run."""
    monkeypatch.setattr(_facts, "memory", lambda: 16 * GIB)
    monkeypatch.setattr(_deciding, "accelerators", lambda: [])
    return monkeypatch


def images(median, least=None, most=None, **others):
    facts = {
        "rank": 2,
        "cases": 400,
        "measured": 100,
        "channels": 3,
        "num_classes": 1,
        "class_names": None,
        "modalities": None,
        "shapes": (least or median, median, most or median),
        "spacing": None,
        "intensities": None,
        "class_shares": (0.9, 0.1),
    }
    return Fingerprint(**(facts | others))


def volumes(median, spacing=(1.0, 1.0, 1.0), **others):
    facts = {
        "rank": 3,
        "cases": 160,
        "channels": 1,
        "num_classes": 3,
        "modalities": ("MRI",),
        "spacing": spacing,
        "intensities": (None,),
        "class_shares": (0.9, 0.05, 0.05),
    }
    return images(median, **(facts | others))


def planned(fingerprint, model="unet", **given):
    # The rules ask for nothing of a data set but its fingerprint.
    return plan(model, None, fingerprint, {"data": "image_folder"} | given)


HIPPOCAMPUS = volumes((36, 50, 35))
THICK_SLICES = volumes((10, 256, 216), (10.0, 1.5, 1.5), num_classes=4)
PHOTOGRAPHS = images((767, 1022), (400, 600), (2000, 3000))
SLIDES = images((1000, 1000), channels=5, num_classes=6)
SMALL = images((40, 48), cases=12)

PLANS = [
    (HIPPOCAMPUS, {"image_size": (40, 56, 40), "sampling": "crop"}),
    (HIPPOCAMPUS, {"filters": (16, 32, 64, 128), "patch_size": 4}),
    (HIPPOCAMPUS, {"channels": 1, "num_classes": 3, "spacing": (1, 1, 1)}),
    (HIPPOCAMPUS, {"batch_size": 2, "epochs": 31, "minutes": 25}),
    (HIPPOCAMPUS, {"augment_intensity": True, "cache": "memory"}),
    # Thin depth stays whole, and the long sides are cut.
    (THICK_SLICES, {"image_size": (16, 128, 128), "num_classes": 4}),
    (THICK_SLICES, {"spacing": (10, 1.5, 1.5), "filters": (16, 32, 64, 128)}),
    (
        volumes((300, 400, 400), (1.5, 0.8, 0.8)),
        {"image_size": (64, 64, 64), "filters": (16, 32, 64, 128, 256)}
        | {"cache": "none", "patch_size": 8},
    ),
    (volumes((36, 50, 35), None), {"spacing": None}),
    (volumes((36, 50, 35), cases=1), {"batch_size": 1, "epochs": 200}),
    (PHOTOGRAPHS, {"image_size": (208, 288), "sampling": "resize"}),
    (PHOTOGRAPHS, {"spacing": None, "augment_intensity": False}),
    (SLIDES, {"image_size": (256, 256), "sampling": "crop"}),
    (SLIDES, {"channels": 5, "num_classes": 6, "batch_size": 8}),
    (SMALL, {"image_size": (48, 48), "sampling": "resize", "epochs": 200}),
    (images((300, 200)), {"image_size": (304, 208), "patch_size": 8}),
    (images((500, 500)), {"image_size": (256, 256), "sampling": "resize"}),
]


@pytest.fixture(scope="module")
def plans():
    """What is planned for a fingerprint, each planned once."""
    return functools.cache(lambda fingerprint: planned(fingerprint).recipe)


@pytest.mark.parametrize("fingerprint, expected", PLANS)
def test_values_follow_from_the_data(plans, fingerprint, expected):
    recipe = plans(fingerprint)
    assert {name: getattr(recipe, name) for name in expected} == expected


def test_every_value_has_its_rule_in_words():
    found = planned(HIPPOCAMPUS, epochs=7, augment=False)
    assert found.reasons["image_size"] == (
        "40x56x40: the median volume is 36x50x35, rounded up to multiples of 8"
    )
    assert found.reasons["epochs"] == "7: as given"
    assert found.reasons["augment"] == "no: as given"
    # No bound beside the number of epochs that the user wants.
    assert found.recipe.minutes is None and "minutes" not in found.reasons
    table = planning.markdown_table()
    assert all(f"| `--{n.replace('_', '-')}` |" in table for n in found.reasons)


def test_minutes_that_are_given_may_have_many_epochs():
    recipe = planned(HIPPOCAMPUS, minutes=90).recipe
    assert (recipe.minutes, recipe.epochs) == (90, 1000)


def test_what_is_given_is_kept_and_the_rest_fits():
    given = {"image_size": (32, 32, 32), "filters": (8, 16, 32), "dca": False}
    recipe = planned(THICK_SLICES, **given, epochs=1).recipe
    assert {name: getattr(recipe, name) for name in given} == given
    assert recipe.sampling == "crop" and recipe.warmup_epochs == 0
    assert planned(HIPPOCAMPUS, image_size=64).recipe.image_size == (64,) * 3
    deep = planned(HIPPOCAMPUS, filters=(8, 16, 32, 64, 128)).recipe
    assert (deep.image_size, deep.patch_size) == ((48, 64, 48), 8)


def test_sides_are_those_at_the_spacing_that_is_given():
    recipe = planned(HIPPOCAMPUS, spacing=(2.0, 2.0, 2.0)).recipe
    halved = planned(volumes((18, 25, 18))).recipe
    assert recipe.image_size == halved.image_size


def test_a_small_machine_has_smaller_batches_and_sides(machine):
    def on(gib):
        machine.setattr(_facts, "memory", lambda: gib * GIB)
        return planned(THICK_SLICES).recipe

    assert on(16).batch_size == 2
    assert on(3).batch_size == 1
    assert on(3).image_size == (16, 128, 128)
    assert on(1).image_size < (16, 128, 128)


def test_a_gpu_has_wider_networks(machine):
    machine.setattr(_deciding, "accelerators", lambda: ["gpu:0"])
    assert planned(HIPPOCAMPUS).recipe.filters == (32, 64, 128, 256)


def test_sides_must_be_as_many_as_the_datas():
    with pytest.raises(ValueError, match="must have 3 sides, as the data set"):
        planned(HIPPOCAMPUS, image_size=(64, 64))
    with pytest.raises(ValueError, match="must have 2 sides.*Received: 8x8x8"):
        planned(SMALL, image_size=(8, 8, 8))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    # U-Net is above; the last two are for images.
    sorted({*list_models()} - {"unet", "trans_unet", "swin_unet"}),
)
def test_every_model_gets_sides_that_it_takes(model):
    recipe = planned(volumes((30, 41, 20)), model).recipe
    built = recipe.build_model()
    assert built.output_shape == (None, *recipe.image_size, 3)


def test_a_users_model_gets_sides_that_it_takes(monkeypatch):
    def my_net(
        input_shape=(224, 224, 3),
        num_classes=1,
        *,
        dca=True,
        activation="auto",
        name=None,
        dtype=None,
    ):
        """A network that halves the sides twice, and says so to nobody."""
        import keras

        inputs = x = keras.Input(input_shape)
        fine = keras.layers.Conv2D(2, 3, padding="same")(x)
        x = keras.layers.MaxPool2D(4)(fine)
        x = keras.layers.UpSampling2D(4)(x)
        x = keras.layers.Concatenate()([x, fine])
        x = keras.layers.Conv2D(num_classes, 1, activation="sigmoid")(x)
        return keras.Model(inputs, x)

    monkeypatch.setattr(_models, "_MODELS", Registry("model"))
    zoo.register_model(my_net)
    recipe = planned(images((50, 70)), "my_net").recipe
    assert recipe.image_size == (52, 72)
    assert recipe.filters is None


def test_reads_measures_and_plans(tmp_path):
    folder = write_images(tmp_path / "images")
    found = plan_recipe(data_dir=folder, epochs=3)
    recipe = found.recipe
    assert (recipe.epochs, recipe.channels, recipe.num_classes) == (3, 3, 1)
    assert recipe.image_size == (48, 48) and recipe.batch_size == 3
    assert recipe.data_dir == str(folder)
    assert found.fingerprint.cases == 3
    # The paper's data sets keep the paper's numbers; nothing is read.
    paper = plan_recipe("unet", "glas", "/not/there")
    assert paper == (make_recipe(data="glas", data_dir="/not/there"), {}, None)
