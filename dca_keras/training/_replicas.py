"""Training over replicas, each with its share of every batch."""

import keras
import tensorflow as tf

from dca_keras import _overlap

# What collectives raise where a worker is gone.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


def fit_replicas(
    strategy,
    model,
    train_data,
    *,
    metrics,
    validation_data,
    epochs,
    initial_epoch,
    steps_per_epoch,
    callbacks,
):
    """`keras.Model.fit` over the replicas of a strategy.

    Every replica computes its share of a batch; a batch of fewer images than
    replicas is computed whole by each of them. Losses, gradients and scores
    are those of the whole batch, pooled ones too. Batch norm sees the whole
    batch after `synchronize_batch_norm`, else its replica's share.

    Args:
        strategy: Of `open_strategy`.
        model: A model compiled with a `DiceLoss`, in the strategy's scope.
        train_data: A dataset of whole batches, the same ones on all workers,
            with all steps from `initial_epoch` on.
        metrics: Metrics with a method `values`, see `dca_keras.metrics`.
        validation_data: As `train_data`; one pass is an epoch.
        epochs, initial_epoch, steps_per_epoch, callbacks: As in Keras.

    Raises:
        ConnectionError: If another worker stops or can't be reached.
    """
    replicas = _Replicas(strategy, model, metrics)
    callbacks = keras.callbacks.CallbackList(callbacks, model=model)
    batches = iter(train_data)
    try:
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            callbacks.on_epoch_begin(epoch)
            total = 0.0
            for step in range(steps_per_epoch):
                callbacks.on_train_batch_begin(step)
                total = total + replicas.train_step(*next(batches)).numpy()
                logs = replicas.name(total)
                callbacks.on_train_batch_end(step, logs)
            scores = sum(
                replicas.test_step(*batch).numpy() for batch in validation_data
            )
            logs |= {
                f"val_{name}": value
                for name, value in replicas.name(scores).items()
            }
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        callbacks.on_train_end()
    except _LOST as error:
        raise ConnectionError(
            "Another worker stopped or can't be reached, so this one stops "
            "too. Start all of them again with `--resume`. TensorFlow says: "
            f"{str(error).splitlines()[0]}"
        ) from error


class _Replicas:
    """One step of training or validation on all replicas at once.

    A step returns sums over the images of the batch: of the loss, of every
    metric, and last the number of images.
    """

    def __init__(self, strategy, model, metrics):
        self.strategy = strategy
        self.model = model
        self.metrics = metrics
        self.count = strategy.num_replicas_in_sync
        # Any number of images, so that a last batch is no new trace.
        image = tf.TensorSpec((None, *model.input_shape[1:]), "float32")
        mask = tf.TensorSpec((None, *model.output_shape[1:-1], 1), "int32")
        compiled = tf.function(input_signature=[image, mask])
        self.train_step = compiled(self._on_all(self._train))
        self.test_step = compiled(self._on_all(self._test))

    def name(self, sums):
        """The sums as means, by the names that Keras gives them."""
        names = ["loss", *(metric.name for metric in self.metrics)]
        means = sums[:-1] / sums[-1]
        return dict(zip(names, means.tolist(), strict=True))

    def _on_all(self, step):
        return lambda *batch: self.strategy.reduce(
            "SUM", self.strategy.run(step, args=batch), axis=None
        )

    def _train(self, images, masks):
        share, weight, images_in_all = self._share(images)
        with tf.GradientTape() as tape:
            predictions = self.model(images[share], training=True)
            loss = self._loss(masks[share], predictions, weight, images_in_all)
        weights = self.model.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        # Sums them over the replicas.
        self.model.optimizer.apply_gradients(
            zip(gradients, weights, strict=True)
        )
        return self._sums(
            loss, masks[share], predictions, weight, images_in_all
        )

    def _test(self, images, masks):
        share, weight, images_in_all = self._share(images)
        predictions = self.model(images[share], training=False)
        loss = self._loss(masks[share], predictions, weight, images_in_all)
        return self._sums(
            loss, masks[share], predictions, weight, images_in_all
        )

    def _share(self, images):
        """This replica's slice of the batch, its weight, and all images."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        images_in_all = tf.shape(images)[0]
        first = images_in_all * replica // self.count
        last = images_in_all * (replica + 1) // self.count
        # No share may be empty: statistics of nothing are no numbers.
        few = images_in_all < self.count
        share = slice(
            tf.where(few, 0, first), tf.where(few, images_in_all, last)
        )
        return share, tf.where(few, 1 / self.count, 1.0), images_in_all

    def _loss(self, masks, predictions, weight, images_in_all):
        """This replica's part of the loss; the parts' sum is the loss."""
        loss = self.model.loss
        sums = _overlap.overlap_sums(
            masks,
            _overlap.to_probabilities(predictions, loss.from_logits),
            per_image=True,
            include_background=loss.include_background,
        )
        weight = tf.cast(weight, sums[0].dtype)
        if loss.per_image:
            values = 1 - _overlap.dice(*sums, loss.smooth)  # (images,)
            total = tf.cast(images_in_all, values.dtype)
            return tf.reduce_sum(values) * weight / total
        pooled = tf.distribute.get_replica_context().all_reduce(
            "SUM",
            [tf.reduce_sum(part, 0, keepdims=True) * weight for part in sums],
        )  # each (1, classes)
        return (1 - _overlap.dice(*pooled, loss.smooth)[0]) / self.count

    def _sums(self, loss, masks, predictions, weight, images_in_all):
        scores = [
            tf.reduce_sum(metric.values(masks, predictions))
            for metric in self.metrics
        ]
        images = tf.cast(tf.shape(masks)[0], "float64")
        weight = tf.cast(weight, "float64")
        sums = [tf.cast(loss, "float64") * tf.cast(images_in_all, "float64")]
        sums += [tf.cast(score, "float64") * weight for score in scores]
        return tf.stack([*sums, images * weight])
