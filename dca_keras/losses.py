"""The loss the published models were trained with."""

import keras

from dca_keras import _overlap


@keras.saving.register_keras_serializable(package="dca_keras")
class DiceLoss(keras.losses.Loss):
    """One minus the Dice coefficient, for one class or for many.

    With `p` the probabilities and `t` the mask of a class, it is the mean
    over the classes of

        1 - (2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)

    The sums run over the whole batch, as published, or over each image.
    Either way there is one value a sample (the pooled one repeated), which
    distribution strategies and sample weights rely on. On several replicas
    the pooled loss is each replica's own, pooled over its share of the batch;
    `per_image=True` is the same on any number of replicas.

    A class that neither mask nor prediction holds has loss 0. With
    `smooth=0` that is a definition (gradient 0), and any prediction of an
    absent class has loss 1, however small, and no gradient either: a positive
    `smooth` teaches the model to leave empty masks empty.

    Args:
        from_logits: whether `y_pred` are logits, which then go through a
            sigmoid (one channel) or a softmax (more), or probabilities.
        per_image: whether the sums run over each image or over the batch.
        smooth: zero or positive; added to both sides of the fraction.
        include_background: whether class 0 is in the mean when there are
            several. Without effect on one class.
        reduction: as in `keras.losses.Loss`.
        name: name of the loss.
        dtype: dtype of the loss; the sums are taken in float32 at least.

    Input shapes:
        y_true: `(batch, *spatial, 1)` or `(batch, *spatial)`, of any dtype:
            {0, 1} for one channel, class indices for more.
        y_pred: `(batch, *spatial, channels)`.

    Raises:
        ValueError: for a negative `smooth`, or shapes that don't match.

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
        from_logits=False,
        per_image=False,
        smooth=1.0,
        include_background=True,
        reduction="sum_over_batch_size",
        name="dice_loss",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits
        self.per_image = per_image
        self.smooth = _overlap.check_smooth(smooth)
        self.include_background = include_background

    def call(self, y_true, y_pred):
        sums = _overlap.overlap_sums(
            y_true,
            _overlap.to_probabilities(y_pred, self.from_logits),
            per_image=self.per_image,
            include_background=self.include_background,
        )
        return 1 - _overlap.dice(*sums, self.smooth)  # (batch,)

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "per_image": self.per_image,
            "smooth": self.smooth,
            "include_background": self.include_background,
            "dtype": self.dtype,
        }
