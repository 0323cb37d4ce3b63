"""What is no run is refused, and runs no code."""

import json
import random
import shutil
import zipfile

import keras
import numpy as np
import pytest

import dca_keras
from dca_keras._files import write_json
from dca_keras.prediction import load_run
from tests.tiny_run import tiny_recipe, write_images, write_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data_dir = write_images(folder / "data")
    return write_run(folder / "run", tiny_recipe(data_dir))


@pytest.fixture
def run(tmp_path, whole):
    return shutil.copytree(whole, tmp_path / "run")


def test_loads_a_run(run):
    model, recipe, samples = load_run(run)
    assert model.input_shape[1:] == (*recipe.image_size, recipe.channels)
    assert samples["test"] == ["test-0", "test-1", "test-2"]


def test_a_run_knows_what_is_in_it(run):
    found = dca_keras.Run(run)
    assert found.recipe.model == "unet"
    assert found.samples["val"] == ["val-0", "val-1", "val-2"]
    assert list(found.history["val_dice"]) == [0.5, 0.75, 0.7]
    assert found.best_epoch["epoch"] == 2
    assert found.load_model().count_params() > 0
    assert repr(found).splitlines() == [
        f"Run({str(run)!r})",
        "  model   unet, 32×32×3",
        "  data    image_folder: 3 train, 3 val, 3 test",
        "  epochs  3 of 2, best 2: val_dice 0.7500",
    ]
    write_json(run / "metrics_val.json", {"part": "val", "dice": 0.5, "iou": 1})
    assert found.scores("val") == {"split": "val", "dice": 0.5, "iou": 1}
    assert repr(found).endswith("  scores  val: Dice 0.5000, IoU 1.0000")


# What the version before losses and optimizers had names wrote.
OLD = {
    "recipe": {
        "model": "unet",
        "data": "image_folder",
        "data_dir": "/somewhere/else",
        "partial": False,
        "empty_masks": True,
        "skip_broken": False,
        "cache": "memory",
        "protocol": "held_out",
        "dca": False,
        "patch_size": 8,
        "blocks": 1,
        "channel_heads": 1,
        "spatial_heads": 4,
        "channel_attention": True,
        "spatial_attention": True,
        "token_activation": False,
        "image_size": [32, 32],
        "channels": 3,
        "num_classes": 1,
        "filters": [4, 4, 8],
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.001,
        "schedule": "polynomial",
        "patience": None,
        "per_image_loss": True,
        "augment": True,
        "seed": 0,
        "dtype": "float32",
        "strategy": "single",
        "sync_batch_norm": False,
    },
    "samples": {"train": ["a"], "val": ["b"], "test": ["c"]},
    "versions": {"dca_keras": "0.1.0"},
}


def test_reads_a_run_of_an_earlier_version(run):
    write_json(run / "recipe.json", OLD)
    found = dca_keras.Run(run)
    assert found.recipe.loss == {
        "class_name": "DiceLoss",
        "config": {"per_image": True},
    }
    assert (found.recipe.optimizer, found.recipe.monitor) == (
        "adam",
        "val_dice",
    )
    assert found.best_epoch["epoch"] == 2
    assert found.load_model().input_shape == (None, 32, 32, 3)
    assert '--loss \'{"class_name": "DiceLoss"' in found.recipe.command()


def test_a_run_names_its_paths(tmp_path):
    run = dca_keras.Run(tmp_path)
    assert run.path("model") == tmp_path / "model.keras"
    assert run.path("report") == tmp_path / "report.html"
    assert run.path("metrics", "val") == tmp_path / "metrics_val.json"
    with pytest.raises(ValueError, match="`kind` must be one of 'recipe'"):
        run.path("weights")
    with pytest.raises(ValueError, match="`split` must be one of 'train'"):
        run.path("metrics", "all")


def test_a_run_without_scores_says_how_to_make_them(run):
    found = dca_keras.Run(run)
    with pytest.raises(ValueError, match="is missing. `dca-keras evaluate"):
        found.scores()
    with pytest.raises(ValueError, match="--split val` writes it"):
        found.scores("val")
    for text in ("", "[1]", "[" * 100_000):
        (run / "metrics.json").write_text(text)
        with pytest.raises(ValueError, match=r"metrics\.json is no run's"):
            found.scores()
    assert "metrics.json is no run's metrics" in repr(found)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "epoch\nx\n"])
def test_names_a_broken_history(run, text):
    (run / "history.csv").write_text(text)
    with pytest.raises(ValueError, match=r"history\.csv is not a run's"):
        dca_keras.Run(run).history  # noqa: B018


def test_a_folder_without_a_run_can_be_shown(tmp_path):
    assert "recipe.json is missing" in repr(dca_keras.Run(tmp_path))


RECIPES = {
    "empty": b"",
    "text": b"not a recipe",
    "bytes": b"\xff\xfe\xfa",
    "list": b"[]",
    "nothing": b"{}",
    "deep": b"[" * 100_000,
    "foreign": b'{"recipe": {"optimizer": "sgd"}, "samples": {}}',
}


@pytest.mark.parametrize("name", RECIPES)
def test_names_a_broken_recipe(run, name):
    (run / "recipe.json").write_bytes(RECIPES[name])
    with pytest.raises(ValueError, match=r"recipe\.json is not a run's recipe"):
        load_run(run)


@pytest.mark.parametrize("part", ["recipe", "samples"])
def test_names_half_a_recipe(run, part):
    record = json.loads((run / "recipe.json").read_text())
    del record[part]
    write_json(run / "recipe.json", record)
    with pytest.raises(ValueError, match=f"not a run's recipe.*{part}"):
        load_run(run)


@pytest.mark.parametrize("name", ["recipe.json", "model.keras"])
def test_names_what_is_missing(run, name):
    (run / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing, so .*/run is"):
        load_run(run)
    (run / name).mkdir()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        load_run(run)


def test_names_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"gone/recipe\.json is missing"):
        load_run(tmp_path / "gone")


def conv(layer=None, size=32, classes=1):
    inputs = keras.Input((size, size, 3))
    x = inputs if layer is None else layer(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(classes, 1)(x))


FOREIGN = {
    "size": (lambda: conv(size=16), "maps .16, 16, 3. to 1 classes"),
    "classes": (lambda: conv(classes=2), "to 2 classes and"),
    "two inputs": (
        lambda: keras.Model(
            inputs := [keras.Input((32, 32, 3)), keras.Input((32, 32, 3))],
            keras.layers.Add()(inputs),
        ),
        "they are not of one run",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_refuses_the_model_of_another_run(run, name):
    make, message = FOREIGN[name]
    make().save(run / "model.keras")
    with pytest.raises(ValueError, match=message):
        load_run(run)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_names_a_truncated_model(run, keep):
    path = run / "model.keras"
    content = path.read_bytes()
    size = keep if isinstance(keep, int) else int(keep * len(content))
    path.write_bytes(content[:size])
    with pytest.raises(ValueError, match=r"model\.keras can't be loaded"):
        load_run(run)


def replace_config(path, change):
    """Rewrite what an archive says its model consists of."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def a_lambda(path, ran):
    ran = str(ran)
    conv(keras.layers.Lambda(lambda x: open(ran, "w") and x)).save(path)


def insert_call(path, module, name, argument):
    call = {"module": module, "class_name": name, "config": argument}
    conv().save(path)
    replace_config(
        path, lambda c: c["config"]["layers"].insert(1, call | {"args": []})
    )


def a_foreign_class(path, ran):
    insert_call(path, "pathlib", "Path", {"path": str(ran)})


def a_keras_function(path, ran):
    name = "enable_unsafe_deserialization"
    insert_call(path, "keras.config", "function", name)


@keras.saving.register_keras_serializable(package="test_run")
def harmless(x):
    return x


def a_lambda_by_another_name(path, ran):
    """What Keras looks up first is not all that it may read."""
    a_lambda(path, ran)

    def rename(config):
        for layer in config["config"]["layers"]:
            layer["registered_name"] = "test_run>harmless"

    replace_config(path, rename)


def a_function_by_another_name(path, ran):
    insert_call(
        path, "keras.config", "function", "enable_unsafe_deserialization"
    )
    replace_config(
        path,
        lambda c: c["config"]["layers"][1].update(
            registered_name="test_run>harmless"
        ),
    )


ARCHIVES = [
    a_lambda,
    a_foreign_class,
    a_keras_function,
    a_lambda_by_another_name,
    a_function_by_another_name,
]


@pytest.mark.parametrize("write", ARCHIVES)
def test_runs_no_code_from_an_archive(run, tmp_path, write):
    ran = tmp_path / "ran"
    write(run / "model.keras", ran)
    ran.unlink(missing_ok=True)  # Saving traces the model, and so runs it.
    with pytest.raises(ValueError, match=r"(?s)model\.keras .* It was not run"):
        load_run(run)
    assert not ran.exists()


def test_loads_what_an_imported_module_registered(run):
    activation = keras.layers.Activation(harmless)
    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.Conv2D(1, 1)(activation(inputs))
    model = keras.Model(inputs, outputs)
    model.save(run / "model.keras")
    loaded = dca_keras.Run(run).load_model()
    assert loaded.layers[1].activation is harmless


def test_finds_damage_in_a_model(run):
    path = run / "model.keras"
    whole = path.read_bytes()
    expected = dca_keras.Run(run).load_model().get_weights()
    moment, found = random.Random(0), 0
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(4):
            content[moment.randrange(len(content))] ^= moment.randrange(1, 256)
        path.write_bytes(content)
        try:
            weights = dca_keras.Run(run).load_model().get_weights()
        except ValueError as error:
            assert "model.keras can't be loaded" in str(error)
            found += 1
        else:  # Such as the time of a file in the archive.
            for array, one in zip(weights, expected, strict=True):
                np.testing.assert_array_equal(array, one)
    assert found > 30


def test_the_lambda_would_have_run(tmp_path):
    ran = tmp_path / "ran"
    a_lambda(tmp_path / "model.keras", ran)
    ran.unlink()
    keras.saving.load_model(tmp_path / "model.keras", safe_mode=False)
    assert ran.exists()
