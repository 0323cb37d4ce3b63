"""Scores and pictures for TensorBoard."""

import keras
import numpy as np

from dca_keras._drawing import to_rgb
from dca_keras._extras import import_extra
from dca_keras.data import resize_image, resize_mask
from dca_keras.data.affine import cut
from dca_keras.data.crops import start_window
from dca_keras.plotting import draw_outlines
from dca_keras.prediction import predict, to_mask

SHOWN = 4  # images


class TensorBoard(keras.callbacks.Callback):
    """Writes the scores of every epoch, and true and predicted outlines.

    Of a volume the slice with the most foreground is drawn, as the model sees
    it in one window around its foreground.

    Args:
        folder: The folder to write to, TensorBoard's `--logdir`.
        model: The model that is trained, or what `make_predictor` returns.
        samples: Of these the first few are drawn.
        image_size: `(height, width)` that they are resized to, or the sides
            of the window that is cut out of them.
        sampling: "resize" or "crop", as the model is trained.
        channels: Three channels that are shown, counted from 0; None for the
            first three.

    Raises:
        ImportError: If the extra `tensorboard` is not installed.
    """

    def __init__(
        self,
        folder,
        model,
        samples,
        image_size,
        sampling="resize",
        channels=None,
    ):
        super().__init__()
        module = import_extra(
            "tensorboardX", extra="tensorboard", purpose="TensorBoard"
        )
        self.writer = module.SummaryWriter(str(folder))
        self.shown_model, self.channels = model, channels
        show = _resize if sampling == "resize" else _cut_window
        self.shown = [show(*s.load(), image_size) for s in samples[:SHOWN]]

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
        for image, truth, row in self.shown:
            found = to_mask(predict(self.shown_model, image))
            if row is not None:
                image, truth, found = image[row], truth[row], found[row]
            image = to_rgb(image, self.channels)
            pictures.append(draw_outlines(image, truth, found))
        return np.concatenate(pictures, axis=1)  # (height, width, 3)


def _resize(image, mask, size):
    return resize_image(image, size), resize_mask(mask, size)[..., 0], None


def _cut_window(image, mask, size):
    """The window around a sample's foreground, and which slice to draw."""
    sides = mask.shape[:-1]
    pixels = np.argwhere(mask[..., 0])
    if len(pixels) and len(sides) == 3:
        largest = np.bincount(pixels[:, 0]).argmax()
        pixels = pixels[pixels[:, 0] == largest]
    middle = np.floor_divide(sides, 2)
    if len(pixels):
        middle = pixels.mean(axis=0).astype(int)
    starts = start_window(middle, sides, size)
    row = middle[0] - starts[0] if len(sides) == 3 else None
    image, mask = (cut(part, starts, size) for part in (image, mask))
    return image, mask[..., 0], row
