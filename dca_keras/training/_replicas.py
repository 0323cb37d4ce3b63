"""Training over replicas, each with its share of every batch."""

import math

import keras
import tensorflow as tf

from dca_keras import losses

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
    """Fit a model over the replicas of a strategy, as `keras.Model.fit` does.

    Every replica computes its share of a batch; a batch of fewer images than
    replicas is computed whole by each of them. Losses, gradients and scores
    are those of the whole batch, and clipping sees the whole batch's
    gradient. Batch norm sees the whole batch after `synchronize_batch_norm`,
    else its replica's share.

    A loss with `pooled` true is computed from the sums that its `sums` and
    `from_sums` describe. Any other is a mean over the images if it has one
    value for each; one that has not gets the whole batch's predictions, which
    the replicas exchange for it.

    Args:
        strategy: Of `open_strategy`.
        model: A model compiled with optimizer and loss, in the strategy's
            scope.
        train_data: A dataset of whole batches, the same ones on all workers,
            with all steps from `initial_epoch` on.
        metrics: Keras metrics whose variables add up over images, as those of
            all of Keras's own do; pooled ones as in `dca_keras.metrics`.
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
                logs = replicas.describe(total)
                callbacks.on_train_batch_end(step, logs)
            scores = sum(
                replicas.test_step(*batch).numpy() for batch in validation_data
            )
            logs |= {
                f"val_{name}": value
                for name, value in replicas.describe(scores).items()
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

    A step returns numbers that add up over batches, in one vector: the loss
    times the images, the images, and the variables of every metric.
    """

    def __init__(self, strategy, model, metrics):
        self.strategy = strategy
        self.model = model
        self.loss = losses.get(model.loss)
        self.metrics = metrics
        self.count = strategy.num_replicas_in_sync
        # Any number of images, so that a last batch is no new trace.
        image = tf.TensorSpec((None, *model.input_shape[1:]), "float32")
        mask = tf.TensorSpec((None, *model.output_shape[1:-1], 1), "int32")
        compiled = tf.function(input_signature=[image, mask])
        self.train_step = compiled(self._on_all(self._train))
        self.test_step = compiled(self._on_all(self._test))

    def describe(self, sums):
        """Return the loss and the scores, by the names Keras gives them."""
        logs = {"loss": float(sums[0] / sums[1])}
        place = 2
        for metric in self.metrics:
            state = []
            for variable in metric.variables:
                size = math.prod(variable.shape)
                part = sums[place : place + size].reshape(variable.shape)
                state.append(tf.cast(part, variable.dtype))
                place += size
            logs[metric.name] = float(metric.stateless_result(state))
        return logs

    def _on_all(self, step):
        return lambda *batch: self.strategy.reduce(
            "SUM", self.strategy.run(step, args=batch), axis=None
        )

    def _train(self, images, masks):
        share = _Share(tf.shape(images)[0], self.count)
        with tf.GradientTape() as tape:
            predictions = self.model(images[share.slice], training=True)
            loss = self._loss(masks, predictions, share)
        weights = self.model.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        self._apply(gradients, weights)
        return self._sums(loss, masks[share.slice], predictions, share)

    def _test(self, images, masks):
        share = _Share(tf.shape(images)[0], self.count)
        predictions = self.model(images[share.slice], training=False)
        loss = self._loss(masks, predictions, share)
        return self._sums(loss, masks[share.slice], predictions, share)

    def _apply(self, gradients, weights):
        pairs = zip(gradients, weights, strict=True)
        pairs = [pair for pair in pairs if pair[0] is not None]
        gradients, weights = zip(*pairs, strict=True)
        optimizer = self.model.optimizer
        clips = "clipnorm", "global_clipnorm", "clipvalue"
        if any(getattr(optimizer, clip) for clip in clips):
            # Keras clips before it adds the replicas' gradients up, so they
            # are added here; it leaves a share of what is clipped alone.
            gradients = _add_up(list(gradients))
            gradients = optimizer._clip_gradients(gradients)
            gradients = [gradient / self.count for gradient in gradients]
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    def _loss(self, masks, predictions, share):
        """Return this replica's part of the loss; the parts add up to it."""
        # In the loss's dtype, as `Loss.__call__` has them.
        masks = tf.cast(masks, self.loss.dtype)
        predictions = tf.cast(predictions, self.loss.dtype)
        loss = self._loss_of_predictions(masks, predictions, share)
        if penalties := self.model.losses:
            loss += tf.cast(tf.add_n(penalties), loss.dtype) / self.count
        return loss

    def _loss_of_predictions(self, masks, predictions, share):
        loss, own = self.loss, masks[share.slice]
        of_sum = loss.reduction == "sum"
        if getattr(loss, "pooled", False):
            value = loss.from_sums(share.pool(loss.sums(own, predictions)))
            times = tf.cast(share.images, value.dtype) if of_sum else 1
            return value * times / self.count
        values = getattr(loss, "compute", loss.call)(own, predictions)
        if _is_one_a_sample(values):
            value = share.weigh(tf.reduce_sum(values))
            size = tf.size(values) // tf.shape(values)[0] * share.images
            return value if of_sum else value / tf.cast(size, value.dtype)
        values = loss.call(masks, share.gather(predictions))
        counted = _mask_of(values)
        counted = 1.0 if counted is None else counted
        counted = tf.cast(counted, values.dtype) * tf.ones_like(values)
        value = tf.reduce_sum(values * counted)
        if not of_sum:
            value = tf.math.divide_no_nan(value, tf.reduce_sum(counted))
        return value / self.count

    def _sums(self, loss, masks, predictions, share):
        images = tf.cast(share.images, "float64") / self.count
        sums = [tf.cast(loss, "float64") * images * self.count, images]
        for metric in self.metrics:
            if getattr(metric, "pooled", False):
                pooled = share.pool(metric.sums(masks, predictions))
                score = tf.cast(metric.from_sums(pooled), "float64")
                sums += [score * images, images]  # as a mean keeps them
                continue
            empty = [tf.zeros(v.shape, v.dtype) for v in metric.variables]
            sums += [
                share.weigh(tf.cast(state, "float64"))
                for state in metric.stateless_update_state(
                    empty, masks, predictions
                )
            ]
        return tf.concat([tf.reshape(part, [-1]) for part in sums], axis=0)


class _Share:
    """What a replica has of a batch: a slice, and how much it counts."""

    def __init__(self, images, count):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # No share may be empty: statistics of nothing are no numbers.
        few = images < count
        self.images = images  # of the whole batch
        self.first = tf.where(few, 0, images * replica // count)
        self.last = tf.where(few, images, images * (replica + 1) // count)
        self.slice = slice(self.first, self.last)
        self.weight = tf.where(few, 1 / count, 1.0)

    def weigh(self, part):
        return part * tf.cast(self.weight, part.dtype)

    def pool(self, sums):
        """Add each of the sums over the images of the whole batch."""
        return _add_up([self.weigh(tf.reduce_sum(part, 0)) for part in sums])

    def gather(self, part):
        """Return the whole batch, of which this replica has its share."""
        around = [[self.first, self.images - self.last]]
        around += [[0, 0]] * (part.shape.rank - 1)
        return _add_up([tf.pad(self.weigh(part), around)])[0]


def _add_up(tensors):
    """Add over the replicas, also in the backward pass."""
    return tf.distribute.get_replica_context().all_reduce("SUM", tensors)


def _is_one_a_sample(values):
    """Whether the first axis is the batch, the only one of unknown size."""
    if _mask_of(values) is not None:  # a mean over some of the pixels
        return False
    return bool(values.shape.rank) and values.shape[0] is None


def _mask_of(values):
    """Return which values Keras counts; None is all."""
    return getattr(values, "_keras_mask", None)
