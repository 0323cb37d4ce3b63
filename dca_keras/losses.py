"""Losses for segmentation masks: ours, and Keras's own by `get`."""

import keras
from keras import ops

from dca_keras import _overlap
from dca_keras._mask_loss import MaskLoss, get

__all__ = ["DiceCrossEntropy", "DiceLoss", "MaskLoss", "get"]


@keras.saving.register_keras_serializable(package="dca_keras")
class DiceLoss(keras.losses.Loss):
    """Compute one minus the Dice coefficient, for one class or for many.

    With `p` the probabilities and `t` the mask of a class, it is the mean
    over the classes of

        1 - (2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)

    The sums run over the whole batch, as published, or over each image.
    Either way there is one value a sample (the pooled one repeated), which
    distribution strategies and sample weights rely on. Keras's own `fit`
    pools over each replica's share of the batch under `tf.distribute`;
    `dca-keras train` and `keras.distribution` pool over the whole batch.
    `per_image=True` is the same on any number of replicas.

    A class that neither mask nor prediction holds has loss 0. With
    `smooth=0` that is a definition (gradient 0), and any prediction of an
    absent class has loss 1, however small, and no gradient either: a positive
    `smooth` teaches the model to leave empty masks empty.

    Args:
        from_logits: Whether `y_pred` are logits, which then go through a
            sigmoid (one channel) or a softmax (more), or probabilities.
        per_image: Whether the sums run over each image or over the batch.
        smooth: Zero or positive; added to both sides of the fraction.
        include_background: Whether class 0 is in the mean when there are
            several. Without effect on one class.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the loss; the sums are taken in float32 at least.

    Call arguments:
        y_true: Masks `(batch, *spatial, 1)` or `(batch, *spatial)`, of any
            dtype. Of one class any nonzero pixel is foreground, be it 1, 255
            or True; of several they hold class indices, or are one-hot,
            `(batch, *spatial, channels)`. If a mask holds anything else, the
            loss is NaN where no error can be raised, as in a compiled
            function.
        y_pred: Predictions `(batch, *spatial, channels)`.

    Raises:
        ValueError: For a negative `smooth`, or shapes that don't match. In
            eager use also for masks with values that are no class.

    Reference:
        [Dual Cross-Attention for Medical Image Segmentation](
        https://arxiv.org/abs/2303.17696), after its published code.

    Example:

    >>> loss = DiceLoss()
    >>> loss(np.ones((1, 2, 2, 1)), np.full((1, 2, 2, 1), 0.5))  # 1 - 5 / 7
    0.2857143
    """

    def __init__(
        self,
        from_logits: bool = False,
        per_image: bool = False,
        smooth: float = 1.0,
        include_background: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits
        self.per_image = per_image
        self.smooth = _overlap.check_smooth(smooth)
        self.include_background = include_background

    @property
    def pooled(self) -> bool:
        """Whether `sums` are added over the batch before `from_sums`."""
        return not self.per_image

    def sums(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return each image's sums: tensors whose first axis is the batch.

        `from_sums` makes the loss of them, added over the batch; several
        devices add what their shares of the batch have.
        """
        y_pred = _overlap.to_float(y_pred)
        masks, wrong = _overlap.read_masks(y_true, y_pred)
        target = _overlap.class_maps(masks, y_pred.shape[-1])
        return self._sums(target, wrong, y_pred)

    def from_sums(self, sums: keras.KerasTensor) -> keras.KerasTensor:
        """Return the loss of sums; a scalar if they have no batch axis."""
        return 1 - _overlap.dice(*sums, self.smooth)

    def call(self, y_true, y_pred):
        sums = self.sums(y_true, y_pred)
        sums = _overlap.pool(sums) if self.pooled else sums
        return self.from_sums(sums)  # (batch,)

    def _sums(self, target, wrong, y_pred):
        y_pred = _overlap.to_probabilities(y_pred, self.from_logits)
        return _overlap.overlap_sums(
            target, wrong, y_pred, self.include_background
        )

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "per_image": self.per_image,
            "smooth": self.smooth,
            "include_background": self.include_background,
            "dtype": self.dtype,
        }


@keras.saving.register_keras_serializable(package="dca_keras")
class DiceCrossEntropy(DiceLoss):
    """Compute a weighted sum of Dice loss and cross-entropy.

        dice_weight * DiceLoss + cross_entropy_weight * cross_entropy

    The cross-entropy is the mean over all pixels: binary for one channel,
    categorical over all classes, the background included, for more. nnU-Net
    trains with this sum, its Dice with `include_background=False` and
    `smooth=1e-5`.

    From probabilities the cross-entropy is computed between 1e-7 and
    1 - 1e-7 as Keras does, beyond which it has no gradient; from logits it is
    exact.

    Args:
        from_logits: Whether `y_pred` are logits or probabilities.
        dice_weight: Weight of the Dice loss, zero or positive.
        cross_entropy_weight: Weight of the cross-entropy, zero or positive.
        per_image: As in `DiceLoss`, of the Dice loss.
        smooth: As in `DiceLoss`.
        include_background: As in `DiceLoss`, of the Dice loss.
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the loss; the sums are taken in float32 at least.

    Call arguments:
        y_true: Masks as for `DiceLoss`.
        y_pred: Predictions `(batch, *spatial, channels)`.

    Raises:
        ValueError: As `DiceLoss`; for a negative weight, or two of 0.

    Reference:
        [nnU-Net: Self-adapting Framework for U-Net-Based Medical Image
        Segmentation](https://arxiv.org/abs/1809.10486)

    Example:

    >>> loss = DiceCrossEntropy()
    >>> masks, halves = np.ones((1, 2, 2, 1)), np.full((1, 2, 2, 1), 0.5)
    >>> loss(masks, halves)  # 2 / 7 + log(2)
    0.9788615
    """

    def __init__(
        self,
        from_logits: bool = False,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        per_image: bool = False,
        smooth: float = 1.0,
        include_background: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice_cross_entropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            from_logits,
            per_image,
            smooth,
            include_background,
            reduction=reduction,
            name=name,
            dtype=dtype,
        )
        weights = dice_weight, cross_entropy_weight
        if not all(weight >= 0 for weight in weights) or not any(weights):
            raise ValueError(
                "`dice_weight` and `cross_entropy_weight` must be zero or "
                f"positive, and one of them positive. Received: {weights}."
            )
        self.dice_weight, self.cross_entropy_weight = weights

    def from_sums(self, sums: keras.KerasTensor) -> keras.KerasTensor:
        *overlap, entropy, images = sums
        dice_loss = super().from_sums(overlap)
        entropy = entropy / images
        return (
            self.dice_weight * dice_loss + self.cross_entropy_weight * entropy
        )

    def _sums(self, target, wrong, y_pred):
        if y_pred.shape[-1] == 1:
            entropy = ops.binary_crossentropy(target, y_pred, self.from_logits)
        else:
            entropy = ops.categorical_crossentropy(
                target, y_pred, self.from_logits
            )
        axes = tuple(range(1, len(entropy.shape)))
        entropy = ops.mean(entropy, axis=axes)  # (batch,)
        overlap = super()._sums(target, wrong, y_pred)
        return *overlap, entropy, ops.ones_like(entropy)

    def get_config(self):
        return {
            **super().get_config(),
            "dice_weight": self.dice_weight,
            "cross_entropy_weight": self.cross_entropy_weight,
        }
