import keras
import numpy as np
import pytest

from dca_keras.data import Sample
from dca_keras.training import _tensorboard


@pytest.mark.parametrize("size", [(8, 12), (6, 8, 12)])
def test_draws_the_window_around_the_foreground(tmp_path, monkeypatch, size):
    pytest.importorskip("tensorboardX")
    sides = (9, 30, 12)[-len(size) :]
    mask = np.zeros((*sides, 1), "int32")
    mask[..., 20:24, 4:8, :] = 1
    if len(size) == 3:  # Only the last slice shows all of it.
        mask[:8, ..., 5:, :] = 0
    image = np.float32(mask)
    samples = [Sample(str(n), "", lambda: (image, mask)) for n in range(2)]
    inputs = keras.Input((*size, 1))
    model = keras.Model(inputs, inputs * 1)  # predicts the mask itself
    drawn = []
    monkeypatch.setattr(
        _tensorboard,
        "draw_outlines",
        lambda *parts: drawn.append(parts) or np.zeros((4, 4, 3), "uint8"),
    )
    board = _tensorboard.TensorBoard(tmp_path, model, samples, size, "crop")
    board.on_epoch_end(0, {"val_dice": 0.5})
    board.on_train_end()
    assert len(drawn) == 2
    for image, truth, found in drawn:
        assert image.shape == (*size[-2:], 3)
        assert truth.sum() == found.sum() == image[..., 0].sum() == 16
    assert any(tmp_path.iterdir())
