"""Validation of whole images, which the model sees in windows."""

import keras
import numpy as np
import tensorflow as tf

from dca_keras import losses
from dca_keras.metrics import DiceScore, IoU
from dca_keras.prediction import predict_rows
from dca_keras.training._replicas import predict_on_replicas

# Of a window's side, how much neighbours overlap: less than in prediction,
# as every epoch pays for it.
OVERLAP = 1 / 8
PIXELS = 2**18  # as many are scored together


class ValidateInWindows(keras.callbacks.Callback):
    """Scores whole validation images after every epoch of crops.

    It adds to the logs, for the callbacks after it, means over the images:
    `val_dice` and `val_iou` as `DiceScore` and `IoU` define them per image,
    and `val_loss`, the loss between an image's whole mask and the
    probabilities blended from its windows. A model's own penalties on its
    weights are not in it.

    Args:
        predictor: What `make_predictor` returns.
        crops: The `dca_keras.data.crops.Crops` of the validation samples.
        loss: What the model is trained with.
    """

    def __init__(self, predictor, crops, loss):
        super().__init__()
        self.predictor = predictor
        self.crops = crops
        self.loss = losses.get(loss)
        self.scores = DiceScore(per_image=True), IoU(per_image=True)

    def on_epoch_end(self, epoch, logs=None):
        found = [self._score(n) for n in range(len(self.crops.samples))]
        names = ["loss", *(score.name for score in self.scores)]
        means = np.mean(found, axis=0, dtype="float64").tolist()
        for name, value in zip(names, means, strict=True):
            logs[f"val_{name}"] = value

    def _score(self, index):
        """Return an image's loss and scores."""
        image, mask, _ = self.crops.grid(index)
        window = self.predictor.input_shape[1:-1]
        rows = predict_rows(
            self.predictor,
            image,
            window=True,
            overlap=[int(side * OVERLAP) for side in window],
        )
        masks = mask if len(window) == 3 else mask[None]
        if isinstance(self.loss, losses.DiceLoss):
            of_loss, counts = self._add_up(rows, masks)
            loss = self.loss.from_sums(of_loss)
        else:
            whole = np.stack(list(rows))
            counts = _add(None, self.scores[0].sums(masks, whole))
            loss = self.loss(masks[None], whole[None])
        scores = (score.from_sums(counts) for score in self.scores)
        return [float(value) for value in (loss, *scores)]

    def _add_up(self, rows, masks):
        """The sums of the loss and of the scores over an image's rows.

        All rows are of one size, so that a mean over pixels is the mean of
        the rows' means. The probabilities of a large volume are in memory
        for a few rows alone.
        """
        of_loss, counts, first = None, None, 0
        for block in _blocks(rows, masks[0].size):
            part = np.asarray(masks[first : first + len(block)])
            first += len(block)
            of_loss = _add(of_loss, self.loss.sums(part, block))
            counts = _add(counts, self.scores[0].sums(part, block))
        return of_loss, counts


def make_predictor(model, strategy):
    """Return what `predict` takes as a model, on a strategy's devices too.

    Args:
        model: A Keras model.
        strategy: Of `open_strategy`, or None.
    """
    if isinstance(strategy, tf.distribute.Strategy):
        return _OnReplicas(model, strategy)
    # A model of its own: `fit` keeps the state of the one it trains.
    return keras.Model(model.inputs, model.outputs, name=model.name)


class _OnReplicas:
    """A model, except that its replicas share the windows of a batch."""

    def __init__(self, model, strategy):
        self._model = model
        self._predict = predict_on_replicas(strategy, model)

    def predict_on_batch(self, images):
        return self._predict(images).numpy()

    def __getattr__(self, name):
        return getattr(self._model, name)


def _blocks(rows, size):
    """Stack rows of a size, as many as have some `PIXELS` together."""
    block = []
    for row in rows:
        block.append(row)
        if len(block) * size >= PIXELS:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def _add(total, sums):
    """Add sums over their first axis, and to what was added before."""
    parts = [
        keras.ops.convert_to_numpy(part).sum(axis=0, dtype="float64")
        for part in sums
    ]
    if total is not None:
        parts = [a + b for a, b in zip(total, parts, strict=True)]
    return parts
