"""Scores and pictures for TensorBoard."""

import keras
import numpy as np

from dca_keras._extras import import_extra
from dca_keras.data import resize_image, resize_mask
from dca_keras.plotting import draw_outlines
from dca_keras.prediction import predict, to_mask

SHOWN = 4  # images


class TensorBoard(keras.callbacks.Callback):
    """Writes the scores of every epoch, and true and predicted outlines.

    Args:
        folder: The folder to write to, TensorBoard's `--logdir`.
        model: The model that is trained.
        samples: Of these the first few are drawn.
        image_size: `(height, width)` that they are resized to.

    Raises:
        ImportError: If the extra `tensorboard` is not installed.
    """

    def __init__(self, folder, model, samples, image_size):
        super().__init__()
        module = import_extra(
            "tensorboardX", extra="tensorboard", purpose="TensorBoard"
        )
        self.writer = module.SummaryWriter(str(folder))
        self.shown_model = model
        self.shown = []
        for sample in samples[:SHOWN]:
            image, mask = sample.load()
            mask = resize_mask(mask, image_size)[..., 0]
            self.shown.append((resize_image(image, image_size), mask))

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            split = "validation" if name.startswith("val_") else "training"
            tag = f"{name.removeprefix('val_')}/{split}"
            self.writer.add_scalar(tag, float(value), epoch + 1)
        self.writer.add_image(
            "validation", self._draw(), epoch + 1, dataformats="HWC"
        )
        self.writer.flush()

    def on_train_end(self, logs=None):
        self.writer.close()

    def _draw(self):
        pictures = []
        for image, truth in self.shown:
            found = to_mask(predict(self.shown_model, image))
            pictures.append(draw_outlines(image, truth, found))
        return np.concatenate(pictures, axis=1)  # (height, width, 3)
