"""Draw the picture on the front of the documentation.

    python scripts/front_picture.py run/model.keras

Takes a model with DCA that was trained on the drawn images: that of the
notebook *Your own images*. To be seen are an image that it never saw, the true
mask, what the model found, and where one square looks.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import typer

from dca_keras._model_files import load_model_file
from dca_keras.data import resize_image, resize_mask
from dca_keras.data.synthetic import draw_tissue
from dca_keras.plotting import draw_overlay, look_inside
from dca_keras.prediction import predict, to_mask

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "front.png"
SEED = (2023, 17696)
LARGE = (480, 480)  # pixels, so that outlines are thin
MARK = "#55e0ff"


def draw(model, at, path=PICTURE):
    """Write the picture.

    Args:
        model: A model with DCA, of square images and one class.
        at: The point, `(x, y)` in pixels of the image.
        path: A PNG file.
    """
    image, mask = draw_tissue(SEED, model.input_shape[1])
    found = to_mask(predict(model, image))[..., None]
    inside = look_inside(model, image)[-1]
    token = inside.token_at(at, image.shape[:2])
    large = resize_image(image, LARGE).clip(0, 1)
    true, found = (
        draw_overlay(large, resize_mask(part.astype("int32"), LARGE)[..., 0])
        for part in (mask, found)
    )
    titles = ("image", "true mask", "predicted mask", "where one square looks")
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title)
        axis.axis("off")
    for axis, panel in zip(axes, (large, true, found), strict=False):
        axis.imshow(panel)
    looks = inside.spatial_maps(token).mean(axis=(0, 1))
    _draw_looks(axes[-1], large, np.log2(looks), token)
    figure.savefig(path, dpi=100)


def _draw_looks(axis, image, looks, token):
    """Draw a map over a pale image; orange is more than an even look."""
    most = np.abs(looks).max()
    side = LARGE[0] / len(looks)
    axis.imshow(image.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
    axis.imshow(
        looks,
        cmap="PuOr_r",
        vmin=-most,
        vmax=most,
        alpha=0.7,
        extent=(0, LARGE[1], LARGE[0], 0),
    )
    corner = token[1] * side, token[0] * side
    square = plt.Rectangle(corner, side, side, fill=False, color=MARK, lw=2)
    axis.add_patch(square)


def main(model: Path, x: int = 48, y: int = 48):
    draw(load_model_file(model), (x, y))


if __name__ == "__main__":
    typer.run(main)
