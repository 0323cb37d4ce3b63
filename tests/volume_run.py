"""Volumes with a known structure, and a run whose model finds it."""

import keras
import nibabel
import numpy as np

from dca_keras._files import write_json
from dca_keras.recipe import make_recipe

# From an array's indices to millimetres, as scanners and tools leave it.
AFFINES = {
    "isotropic": np.diag([1.0, 1.0, 1.0, 1.0]),
    "anisotropic": np.diag([0.7, 0.7, 5.0, 1.0]),
    "flipped": np.diag([-0.8, 1.2, -3.0, 1.0]),
    "axes permuted": np.array(
        [[0, 0, 2, 9], [-0.7, 0, 0, 5], [0, 0.6, 0, 1], [0, 0, 0, 1.0]]
    ),
    "oblique": np.array(
        [
            [0.9, -0.3, 0.2, -12],
            [0.3, 0.9, 0.1, 30],
            [-0.4, 0.1, 1.9, 7],
            [0, 0, 0, 1.0],
        ]
    ),
}
STEP = 100  # Of the values from one class to the next.


def draw_structures(shape, classes=3):
    """Class indices of boxes, one above the other, without symmetry."""
    mask = np.zeros(shape, "uint8")
    depth, *sides = shape
    inner = [slice(side // 4, 1 + 2 * side // 3) for side in sides]
    for index in range(1, max(2, classes)):
        first, last = (depth * n // classes for n in (index - 1, index))
        mask[first + 1 : last, *inner] = index
        mask[first + 1 : first + 3, inner[0].start, inner[1].start] = 0
    return mask


def save_case(path, mask, affine, channels=1, values=None):
    """Write an image of which `oracle` finds the mask, and return its path.

    Channels after the first are noise, in files as nnU-Net names them.
    """
    image = STEP * mask.astype("int16") - 50 if values is None else values
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for channel in range(channels):
        if channel:
            image = rng.integers(-50, 50, mask.shape).astype("int16")
        nifti = nibabel.Nifti1Image(image, affine)
        nifti.header["descrip"] = b"a scan"
        file = path.with_name(f"{path.name}_{channel:04}.nii.gz")
        nibabel.save(nifti, file)
    return path


def oracle(sides, channels=1, classes=3):
    """A model that finds the class whose value the first channel is next to."""
    levels = np.arange(classes) / (classes - 1)
    kernel = np.zeros((channels, classes), "float32")
    kernel[0] = 2 * levels
    inputs = keras.Input((*sides, channels))
    convolution = keras.layers.Conv3D(
        classes, 1, activation="softmax", name="levels"
    )
    outputs = convolution(inputs)
    model = keras.Model(inputs, outputs, name="oracle")
    kernel = kernel.reshape(1, 1, 1, channels, classes)
    convolution.set_weights([500 * kernel, -500 * levels**2])
    return model


def write_volume_run(folder, data_dir=None, sides=(8, 16, 16), **options):
    """What training on volumes leaves, with `oracle` for a model."""
    channels = options.pop("channels", 1)
    classes = options.pop("num_classes", 3)
    preprocessing = {
        "spacing": options.pop("spacing", None),
        "intensities": [[-50, STEP * (classes - 1) - 50]] + [[-50, 50]] * 15,
    }
    preprocessing["intensities"] = preprocessing["intensities"][:channels]
    recipe = make_recipe(
        data="nnunet",
        data_dir=data_dir,
        image_size=sides,
        sampling="crop",
        channels=channels,
        num_classes=classes,
        **options,
    )
    folder.mkdir(parents=True)
    oracle(sides, channels, classes).save(folder / "model.keras")
    samples = {split: [] for split in ("train", "val", "test")}
    if data_dir is not None:
        splits = recipe.read_dataset()
        samples = {
            split: [sample.name for sample in getattr(splits, split)]
            for split in samples
        }
    write_json(
        folder / "recipe.json",
        {"recipe": recipe.to_dict(), "samples": samples},
    )
    write_json(
        folder / "fingerprint.json",
        {"fingerprint": {}, "preprocessing": preprocessing},
    )
    (folder / "history.csv").write_text(
        "epoch,val_dice,seconds\n1,0.5,2.0\n2,0.75,1.0\n"
    )
    return folder


def write_dataset(folder, count=6, affine=AFFINES["anisotropic"], shift=0):
    """A raw data set of nnU-Net's, with labels some slices too low."""
    for index in range(count):
        mask = draw_structures((17 + index, 22, 14))
        save_case(folder / "imagesTr" / f"case{index}", mask, affine)
        label = nibabel.Nifti1Image(np.roll(mask, -shift, axis=2), affine)
        (folder / "labelsTr").mkdir(exist_ok=True)
        nibabel.save(label, folder / "labelsTr" / f"case{index}.nii.gz")
    about = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "front": 1, "back": 2},
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
    write_json(folder / "dataset.json", about)
    return folder
