"""Typical uses of the package, for mypy; never run.

A comment `type: ignore` marks a mistake that mypy must find.
"""

from pathlib import Path
from typing import assert_type

import numpy as np

import dca_keras
from dca_keras.data import make_dataset, read_dataset, read_image
from dca_keras.evaluation import evaluate_run
from dca_keras.losses import DiceLoss
from dca_keras.metrics import DiceScore
from dca_keras.prediction import predict, to_mask
from dca_keras.weights import load_weights
from dca_keras.zoo import list_models, unet

splits = read_dataset("image_folder", Path("my/folder"), fold="0/5")
train = make_dataset(splits.train, (96, 96), 8, shuffle=True)
read_dataset("image_folder", channels="3")  # type: ignore[arg-type]
make_dataset(splits.train, 96, 8)  # type: ignore[arg-type]

config = dca_keras.DCAConfig(patch_size=4, spatial_heads=2)
dca_keras.DCAConfig(blocks="two")  # type: ignore[arg-type]
model = unet((None, None, 1), dca=config, weights="runs/unet")
model.compile("adam", DiceLoss(per_image=True), metrics=[DiceScore()])
DiceLoss(smooth="1")  # type: ignore[arg-type]

print(dca_keras.find_skips(model))
model = dca_keras.insert_dca(model, ["a", "b"], start="identity")
dca_keras.insert_dca(model, confg=config)  # type: ignore[call-arg]
layer = dca_keras.DualCrossAttention(patch_sizes=(8, 4), fast=False)
load_weights(model, "weights.h5")

image = read_image("cell.png")
assert_type(image, np.ndarray)
assert_type(to_mask(predict(model, image, window=True)), np.ndarray)
predict(model, image, overlap="48")  # type: ignore[arg-type]

run = dca_keras.Run("runs/unet")
assert_type(run.path("report"), Path)
assert_type(run.scores(), dict)
assert_type(evaluate_run(run.folder, data_dir="moved"), dict)
assert_type(list_models(), list[str])
