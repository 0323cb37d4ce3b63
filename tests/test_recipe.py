import dataclasses
import json
import shlex
import tomllib
from importlib import resources

import pytest

from dca_keras import planning, zoo
from dca_keras import recipe as recipes
from dca_keras._registry import Registry
from dca_keras.data import list_datasets
from dca_keras.recipe import Recipe, make_recipe
from dca_keras.zoo import _models, list_models


def test_the_defaults_are_the_papers():
    text = resources.files("dca_keras").joinpath("recipes.toml").read_text()
    numbers = tomllib.loads(text)["defaults"]
    recipe = Recipe.from_dict({"model": "unet", "data": "glas"} | numbers)
    assert recipe.to_dict() == {
        "plugins": (),
        "model": "unet",
        "data": "glas",
        "data_dir": None,
        "classes": None,
        "images": None,
        "masks": None,
        "modality": None,
        "case_pattern": None,
        "fold": None,
        "partial": False,
        "empty_masks": True,
        "skip_broken": False,
        "cache": "memory",
        "dca": True,
        "patch_size": 8,
        "blocks": 1,
        "channel_heads": 1,
        "spatial_heads": 4,
        "channel_attention": True,
        "spatial_attention": True,
        "token_activation": False,
        "start": "paper",
        "image_size": (224, 224),
        "sampling": "resize",
        "spacing": None,
        "channels": 3,
        "shown_channels": None,
        "num_classes": 1,
        "filters": None,
        "backbone": None,
        "backbone_weights": None,
        "freeze": None,
        "freeze_epochs": None,
        "epochs": 200,
        "minutes": None,
        "batch_size": 4,
        "loss": "dice_loss",
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "weight_decay": None,
        "clip_norm": None,
        "schedule": "constant",
        "warmup_epochs": 0,
        "monitor": "val_dice",
        "patience": None,
        "augment": True,
        "augment_intensity": False,
        "weights": None,
        "seed": 0,
        "dtype": "float32",
        "strategy": "single",
        "sync_batch_norm": False,
        "protocol": "held_out",
    }
    assert make_recipe("resunet_plus_plus").patch_size == 4


def test_merges_defaults_dataset_model_and_overrides(tmp_path, monkeypatch):
    (tmp_path / "recipes.toml").write_text(
        """
        [defaults]
        dca = true
        image_size = [64, 64]
        channels = 3
        num_classes = 1
        epochs = 1
        batch_size = 1
        learning_rate = 1
        augment = true
        seed = 0
        dtype = "float32"
        protocol = "held_out"
        [dataset.synthetic]
        batch_size = 2
        learning_rate = 2
        seed = 2
        [model.vnet]
        learning_rate = 3
        seed = 3
        """
    )
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    recipe = make_recipe("vnet", "synthetic", seed=4, dtype=None)
    assert recipe.epochs == 1
    assert recipe.batch_size == 2
    assert recipe.learning_rate == 3
    assert recipe.seed == 4
    assert recipe.dtype == "float32"


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(name, marks=pytest.mark.slow if i > 5 else ())
        for i, name in enumerate(list_models())
    ],
)
def test_every_model_can_be_built_small(model):
    recipe = make_recipe(model, "synthetic")
    built = recipe.build_model()
    assert built.input_shape == (None, *recipe.image_size, 3)
    assert built.output_shape == (None, *recipe.image_size, 1)


@pytest.mark.parametrize("data", list_datasets())
def test_every_dataset_has_a_recipe(data):
    assert make_recipe(data=data).data == data


def test_a_recipe_survives_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe(
        "vnet",
        "image_folder",
        data_dir="images",
        image_size=(64, 96),
        filters=[4, 8, 16],
        dca=False,
    )
    assert recipe.data_dir == str(tmp_path / "images")
    assert recipe.image_size == (64, 96)
    values = json.loads(json.dumps(recipe.to_dict()))
    assert Recipe.from_dict(values) == recipe


BAD_VALUES = [
    ({"model": "u_net"}, "`model` must be one of 'unet', 'vnet'"),
    ({"data": "cifar"}, "`data` must be one of .*'synthetic'"),
    ({"image_size": 0}, "`image_size` must be two positive integers"),
    ({"image_size": (64,) * 4}, "`image_size` must be .* or three"),
    ({"sampling": "tiles"}, "`sampling` must be one of 'resize', 'crop'"),
    ({"spacing": (1.0, 1.0)}, "`spacing` must be three positive numbers"),
    ({"spacing": (1, 0, 1)}, "`spacing` must be three positive numbers"),
    ({"fold": "5/5"}, "`fold` must be K/N, such as 0/5 .*, or left out"),
    ({"fold": "0/1"}, "`fold` must be K/N"),
    ({"fold": 1}, "`fold` must be K/N"),
    ({"minutes": 0}, "`minutes` must be a positive number, or left out"),
    ({"image_size": (64, -64)}, r"Received: \(64, -64\)"),
    ({"image_size": (64.0, 64.0)}, "`image_size` must be"),
    ({"filters": ()}, "`filters` must be positive integers"),
    ({"filters": (4, 0, 8)}, "`filters` must be positive integers"),
    ({"channels": 0}, "`channels` must be a positive integer"),
    ({"shown_channels": (0, 1)}, "`shown_channels` must be three channels"),
    ({"shown_channels": (0, 1, 3)}, "`shown_channels` must be from 0 to 2"),
    ({"num_classes": 0}, "`num_classes` must be a positive integer"),
    ({"epochs": 0}, "`epochs` must be a positive integer. Received: 0"),
    ({"epochs": True}, "`epochs` must be a positive integer"),
    ({"batch_size": 2.0}, "`batch_size` must be a positive integer"),
    ({"learning_rate": 0}, "`learning_rate` must be a positive number"),
    ({"learning_rate": float("nan")}, "`learning_rate` must be"),
    ({"learning_rate": "1e-3"}, "`learning_rate` must be"),
    ({"seed": -1}, "`seed` must be an integer from 0"),
    ({"protocol": "mine"}, "`protocol` must be one of 'held_out', 'paper'"),
    ({"dca": "no"}, "`dca` must be True or False"),
    ({"augment": 1}, "`augment` must be True or False"),
    ({"dtype": "float16"}, "`dtype` must be one of 'float32', 'mixed_"),
    ({"schedule": "step"}, "`schedule` must be one of 'constant', 'cosine'"),
    ({"patience": 0}, "`patience` must be a positive integer, or left out"),
    ({"strategy": "tpu"}, "`strategy` must be one of 'single', 'mirrored'"),
    ({"seed": True}, "`seed` must be an integer from 0"),
    ({"patch_size": 0}, "`patch_size` must be a positive integer"),
    ({"spatial_heads": 2.0}, "`spatial_heads` must be a positive integer"),
    ({"blocks": 0}, "`blocks` must be a positive integer"),
    ({"channel_attention": 1}, "`channel_attention` must be True or False"),
    ({"epoch": 3}, "A recipe has no 'epoch'. Names: plugins, model, data"),
    ({"loss": ""}, "`loss` must be a name, or .*class_name"),
    ({"loss": {"config": {}}}, "`loss` must be a name, or .*class_name"),
    ({"optimizer": {"class_name": "SGD", "config": 1}}, "`optimizer` must be"),
    ({"weight_decay": -0.1}, "`weight_decay` must be a number from 0, or left"),
    ({"clip_norm": 0}, "`clip_norm` must be a positive number, or left out"),
    ({"warmup_epochs": -1}, "`warmup_epochs` must be an integer from 0"),
    ({"monitor": "val_f1"}, "`monitor` must be one of 'val_dice', 'val_iou'"),
    ({"plugins": "mine"}, "`plugins` must be names"),
]


def test_reads_recipes_of_earlier_versions():
    values = json.loads(json.dumps(make_recipe().to_dict()))
    new = "plugins loss optimizer weight_decay clip_norm warmup_epochs monitor"
    for name in new.split():
        del values[name]
    read = Recipe.from_dict(values | {"per_image_loss": False})
    assert read == make_recipe()
    read = Recipe.from_dict(values | {"per_image_loss": True})
    assert read == make_recipe(
        loss={"class_name": "DiceLoss", "config": {"per_image": True}}
    )


@pytest.mark.parametrize("values, message", BAD_VALUES)
def test_says_what_is_wrong(values, message):
    with pytest.raises(ValueError, match=message):
        make_recipe(**values)


def test_says_what_is_missing():
    values = make_recipe().to_dict()
    del values["epochs"], values["seed"]
    with pytest.raises(ValueError, match="lacks epochs, seed"):
        Recipe.from_dict(values)


def test_the_command_names_what_differs():
    recipe = make_recipe(
        data="cvc_clinicdb",
        data_dir="/somebody/likes/privacy",
        image_size=(64, 96),
        filters=(4, 8, 16),
        dca=False,
        learning_rate=1e-5,
    )
    assert recipe.command() == (
        "dca-keras train --model unet --data cvc_clinicdb --data-dir privacy "
        "--no-dca --image-size 64x96 --filters 4,8,16 --learning-rate 1e-05"
    )


def test_the_command_names_all_that_would_follow_from_the_data():
    assert tuple(rule.name for rule in planning.RULES) == recipes.FOLLOWING
    recipe = make_recipe(data="image_folder", filters=(4, 8, 16), dca=False)
    assert recipe.command() == (
        "dca-keras train --model unet --data image_folder --no-dca "
        "--image-size 128x128 --sampling resize --channels 3 --num-classes 1 "
        "--filters 4,8,16 --epochs 20 --batch-size 8 --loss dice_loss "
        "--learning-rate 0.001 --schedule constant --warmup-epochs 0 "
        "--augment --no-augment-intensity --dtype float32"
    )


def test_the_command_names_volumes_and_folds():
    recipe = make_recipe(
        data="kvasir_seg",
        image_size=(40, 56, 40),
        sampling="crop",
        spacing=(1.5, 1, 1.0),
        fold="0/5",
        classes="/somebody/likes/classes.json",
        case_pattern=r"patient\d+",
        minutes=2.5,
        augment_intensity=True,
    )
    words = shlex.split(recipe.command())[6:]
    assert words == [
        *("--classes", "classes.json", "--case-pattern", r"patient\d+"),
        *("--fold", "0/5", "--image-size", "40x56x40", "--sampling", "crop"),
        *("--spacing", "1.5x1x1", "--minutes", "2.5", "--augment-intensity"),
    ]
    assert recipe.run_name() == "unet-dca-kvasir_seg-fold0of5-seed0"
    model = dataclasses.replace(recipe, filters=(4, 4, 4, 4)).build_model()
    assert model.output_shape == (None, 40, 56, 40, 1)


def test_the_run_is_named_after_the_recipe():
    recipe = make_recipe("vnet", seed=3)
    assert recipe.run_name() == "vnet-dca-synthetic-seed3"
    control = {"channel_attention": False, "spatial_attention": False}
    recipe = dataclasses.replace(recipe, **control)
    assert recipe.run_name() == "vnet-dca_control-synthetic-seed3"
    recipe = dataclasses.replace(recipe, dca=False)
    assert recipe.run_name() == "vnet-synthetic-seed3"


def test_widths_are_for_architectures_that_have_them(monkeypatch):
    def my_net(
        input_shape=(224, 224, 3),
        num_classes=1,
        *,
        dca=True,
        activation="auto",
        name=None,
        dtype=None,
    ):
        """Nothing, as it is never built."""

    monkeypatch.setattr(_models, "_MODELS", Registry("model"))
    zoo.register_model(my_net)
    # The generated set's small widths are for our architectures.
    assert make_recipe("my_net", "synthetic").filters is None
    recipe = make_recipe("my_net", "synthetic", filters=(4, 8))
    with pytest.raises(ValueError, match="`filters` must be left out for my_n"):
        recipe.build_model()


def test_a_recipe_builds_over_a_backbone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe(
        "unet_with", "synthetic", backbone="vgg16", image_size=32, freeze=True
    )
    assert recipe.patch_size == 16
    assert recipe.filters is None
    model = recipe.build_model()
    assert model.name == "unet_with_vgg16_dca"
    assert recipe.freeze == "encoder"  # what True of earlier versions is
    words = recipe.command().split()
    assert words[words.index("--backbone") + 1] == "vgg16"
    assert words[words.index("--freeze") + 1] == "encoder"
    named = make_recipe("unet_with", backbone_weights="imagenet")
    assert named.backbone_weights == "imagenet"
    file = make_recipe("unet_with", backbone_weights="vgg.weights.h5")
    assert file.backbone_weights == str(tmp_path / "vgg.weights.h5")
    with pytest.raises(
        ValueError, match="`backbone` must be left out for unet"
    ):
        make_recipe("unet", backbone="vgg16").build_model()
