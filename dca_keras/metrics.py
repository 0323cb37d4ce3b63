"""Metrics for segmentation: Dice coefficient and IoU."""

import keras
from keras import ops

from dca_keras import _overlap


class _OverlapScore(keras.metrics.Mean):
    """Compute the mean over images of an overlap score."""

    default_name = None
    score = None  # of sums, by the subclass

    def __init__(
        self,
        from_logits: bool = False,
        per_image: bool = False,
        smooth: float = 1.0,
        include_background: bool = True,
        threshold: float = 0.5,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name or self.default_name, dtype=dtype)
        if not 0 < threshold < 1:
            raise ValueError(
                "`threshold` must be a probability between 0 and 1, both "
                f"excluded. Received: {threshold}. For logits keep it one and "
                "pass `from_logits=True`."
            )
        self.from_logits = from_logits
        self.per_image = per_image
        self.smooth = _overlap.check_smooth(smooth)
        self.include_background = include_background
        self.threshold = threshold
        self._direction = "up"  # for EarlyStopping's mode="auto"

    @property
    def pooled(self) -> bool:
        """Whether `sums` are added over the batch before they are scored."""
        return not self.per_image

    def sums(self, y_true, y_pred):
        """Count each image's pixels that are in both masks, predicted, true.

        Returns:
            Three tensors `(batch, classes)`.
        """
        y_pred = _overlap.to_probabilities(y_pred, self.from_logits)
        channels = y_pred.shape[-1]
        masks, wrong = _overlap.read_masks(y_true, y_pred)
        return _overlap.overlap_sums(
            _overlap.class_maps(masks, channels),
            wrong,
            self._decide(y_pred, channels),
            self.include_background,
        )

    def from_sums(self, sums):
        """Return the score of sums, each `(classes,)` or `(…, classes)`."""
        return self.score(*sums, self.smooth)

    def update_state(self, y_true, y_pred, sample_weight=None):
        sums = self.sums(y_true, y_pred)
        sums = _overlap.pool(sums) if self.pooled else sums
        return super().update_state(self.from_sums(sums), sample_weight)

    def _decide(self, y_pred, channels):
        if channels == 1:
            return ops.cast(y_pred > self.threshold, y_pred.dtype)
        winners = ops.argmax(y_pred, axis=-1, keepdims=True)
        return _overlap.class_maps(ops.cast(winners, y_pred.dtype), channels)

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "per_image": self.per_image,
            "smooth": self.smooth,
            "include_background": self.include_background,
            "threshold": self.threshold,
        }


@keras.saving.register_keras_serializable(package="dca_keras")
class DiceScore(_OverlapScore):
    """Compute the Dice coefficient (DSC, F1), averaged over images.

    With `P` and `T` the pixels of a class in the predicted and in the true
    mask and `I` those in both, it is the mean over the classes of

        (2 * I + smooth) / (P + T + smooth)

    As published, the pixels of a batch are pooled and every image gets the
    score of its batch: the result depends on the batch size, and under
    `tf.distribute` Keras's own `fit` pools over each replica's share. With
    `per_image=True` every image has its own score, and the result is the same
    for any batch size and any number of replicas. A class absent from both
    masks scores 1.

    Args:
        from_logits: Whether `y_pred` are logits or probabilities.
        per_image: Whether images are scored one by one or pooled by batch.
        smooth: Zero or positive; added to both sides of the fraction.
        include_background: Whether class 0 is in the mean when there are
            several. Without effect on one class.
        threshold: Between 0 and 1; one channel is positive where its
            probability is above. Of several channels the largest wins.
        name: Name of the metric; None is "dice".
        dtype: Dtype of the result; pixels are counted in float32 at least.

    Call arguments:
        y_true: Masks as for `dca_keras.losses.DiceLoss`: `(batch, *spatial,
            1)` or `(batch, *spatial)`, or one-hot. An image whose mask holds
            values that are no class scores NaN where no error can be raised.
        y_pred: Predictions `(batch, *spatial, channels)`.
        sample_weight: `(batch,)`, one weight for each image.

    Raises:
        ValueError: For a negative `smooth`, a `threshold` outside of (0, 1),
            or shapes that don't match. In eager use also for masks with
            values that are no class.

    Reference:
        [Dual Cross-Attention for Medical Image Segmentation](
        https://arxiv.org/abs/2303.17696), after its published code.

    Example:

    >>> metric = DiceScore(per_image=True, smooth=0.0)
    >>> metric.update_state([[[1], [1], [0]]], [[[0.9], [0.2], [0.1]]])
    >>> metric.result()  # 2 / 3
    0.6666667
    """

    default_name = "dice"
    score = staticmethod(_overlap.dice)


@keras.saving.register_keras_serializable(package="dca_keras")
class IoU(_OverlapScore):
    """Compute intersection over union (Jaccard index), averaged over images.

    With the symbols of `DiceScore` it is the mean over the classes of

        (I + smooth) / (P + T - I + smooth)

    Pooling, empty masks, call arguments and errors are those of `DiceScore`.

    Args:
        from_logits: Whether `y_pred` are logits or probabilities.
        per_image: Whether images are scored one by one or pooled by batch.
        smooth: Zero or positive; added to both sides of the fraction.
        include_background: Whether class 0 is in the mean when there are
            several. Without effect on one class.
        threshold: Between 0 and 1; one channel is positive where its
            probability is above. Of several channels the largest wins.
        name: Name of the metric; None is "iou".
        dtype: Dtype of the result; pixels are counted in float32 at least.

    Reference:
        [Dual Cross-Attention for Medical Image Segmentation](
        https://arxiv.org/abs/2303.17696), after its published code.

    Example:

    >>> metric = IoU(per_image=True, smooth=0.0)
    >>> metric.update_state([[[1], [1], [0]]], [[[0.9], [0.2], [0.1]]])
    >>> metric.result()  # 1 / 2
    0.5
    """

    default_name = "iou"
    score = staticmethod(_overlap.iou)
