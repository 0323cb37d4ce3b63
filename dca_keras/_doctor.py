"""What is installed here, and whether it works."""

import importlib
import shutil
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from dca_keras._extras import list_extras, missing_requirements

GPU_PACKAGES = {"tensorflow": "tensorflow[and-cuda]", "jax": "jax[cuda12]"}


def examine() -> dict:
    """Look at versions, devices and extras, and train a tiny model.

    Returns:
        A dictionary that JSON can hold, with "versions", "hardware",
        "extras" (what each lacks), "self_test" (its seconds), "notes" and
        "problems" (texts; no problems if all is well). What could not be
        found out is absent.
    """
    found: dict = {"notes": [], "problems": []}
    for look in (_look_at_packages, _look_at_backend, _test_a_model):
        try:
            look(found)
        except Exception as error:  # Of any kind: it is what was looked for.
            text = f"{type(error).__name__}: {error}"
            found["problems"].append(text)
            break
    return found


def _look_at_packages(found):
    try:
        found["extras"] = list_extras()
        found["problems"] += [
            f"The package needs {text}" for text in missing_requirements()
        ]
    except metadata.PackageNotFoundError:
        found["notes"].append(
            "dca-keras is imported from a folder and not installed, so its "
            "extras are not known."
        )


def _look_at_backend(found):
    from dca_keras._environment import environment

    found |= environment()
    backend = found["versions"]["backend"]
    version = importlib.import_module(backend).__version__
    found["versions"].setdefault(backend, version)
    devices = found["hardware"]["devices"]
    if shutil.which("nvidia-smi") and all("cpu" in name for name in devices):
        package = GPU_PACKAGES.get(backend, backend)
        found["notes"].append(
            f"There is an NVIDIA GPU that {backend} does not see. Its package "
            f'for GPUs: pip install "{package}"'
        )


def _test_a_model(found):
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        _train_save_and_load(Path(folder, "model.keras"))
    found["self_test"] = {"seconds": round(time.perf_counter() - start, 1)}


def _train_save_and_load(path):
    import keras

    from dca_keras.losses import DiceLoss
    from dca_keras.zoo import unet

    rng = np.random.default_rng(0)
    images = rng.uniform(size=(2, 16, 16, 3)).astype("float32")
    masks = (images[..., :1] > 0.5).astype("int32")
    model = unet((16, 16, 3), filters=(4, 8, 8), dca=True)
    model.compile("sgd", DiceLoss())
    # Otherwise TensorFlow traces the step twice, which takes seconds.
    model.optimizer.build(model.trainable_variables)
    before = [np.array(weight) for weight in model.trainable_weights]
    loss = float(model.train_on_batch(images, masks))
    after = [np.array(weight) for weight in model.trainable_weights]
    if not np.isfinite(loss) or all(map(np.array_equal, before, after)):
        raise RuntimeError(f"A training step did not work. Its loss: {loss}")
    model.save(path)
    expected = np.array(model(images))
    loaded = keras.saving.load_model(path, compile=False)
    difference = np.abs(np.array(loaded(images)) - expected).max()
    if not difference < 1e-5:
        raise RuntimeError(
            "A model that was saved and loaded predicts something else. "
            f"Largest difference: {difference}"
        )
