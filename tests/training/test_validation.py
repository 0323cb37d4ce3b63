import keras
import numpy as np
import pytest

from dca_keras import losses
from dca_keras.data import Sample
from dca_keras.data.crops import Crops, load_grid
from dca_keras.metrics import DiceScore, IoU
from dca_keras.prediction import predict
from dca_keras.training._validation import ValidateInWindows, make_predictor

WINDOW = {2: (16, 16), 3: (8, 8, 8)}


def make_samples(rank, count=3):
    rng = np.random.default_rng(0)
    samples = []
    for number in range(count):
        sides = [*rng.integers(6, 14, rank)]
        sides[-1] = 40 + number  # longer than a window
        image = rng.random((*sides, 2), "float32")
        mask = np.digitize(image[..., :1], [0.5, 0.8]).astype("int32")
        load = lambda image=image, mask=mask: (image, mask)  # noqa: E731
        samples.append(Sample(str(number), "", load))
    return samples


def make_model(rank):
    inputs = keras.Input((*WINDOW[rank], 2))
    conv = getattr(keras.layers, f"Conv{rank}D")
    x = conv(3, 3, padding="same", activation="softmax")(inputs)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize(
    "loss",
    [
        "DiceCrossEntropy",
        {"class_name": "DiceLoss", "config": {"per_image": True}},
        "Tversky",
    ],
)
def test_scores_whole_images(monkeypatch, rank, loss):
    monkeypatch.setattr("dca_keras.training._validation.PIXELS", 300)
    samples, model = make_samples(rank), make_model(rank)
    loss = losses.get(loss)
    loads = [lambda sample=sample: load_grid(sample) for sample in samples]
    crops = Crops(samples, loads, WINDOW[rank])
    predictor = make_predictor(model, None)
    logs = {"loss": 0.25}
    ValidateInWindows(predictor, crops, loss).on_epoch_end(0, logs)
    metrics, values = [DiceScore(per_image=True), IoU(per_image=True)], []
    for sample in samples:
        image, mask = sample.load()
        overlap = [side // 8 for side in WINDOW[rank]]
        found = predict(model, image, window=True, overlap=overlap)
        assert found.shape[:-1] == mask.shape[:-1]
        for metric in metrics:
            metric.update_state(mask[None], found[None])
        values.append(float(loss(mask[None], found[None])))
    expected = {
        "loss": 0.25,
        "val_loss": np.mean(values),
        "val_dice": float(metrics[0].result()),
        "val_iou": float(metrics[1].result()),
    }
    assert list(logs) == list(expected)
    assert logs == pytest.approx(expected, abs=2e-6)
