"""Training on several replicas, each with its share of every batch."""

import math

import keras
import tensorflow as tf

from dca_keras import losses

# What collectives raise if a worker stops.
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
    replicas is computed by all of them. Loss, scores and gradient, which
    clipping is applied to, are those of the whole batch. Batch norm uses the
    whole batch after `synchronize_batch_norm`, else its replica's share.

    A loss whose attribute `pooled` is true is computed by its `from_sums`
    from its `sums`, added over all images. Any other loss with one value for
    each image is averaged. One with a single value for the batch, such as
    `keras.losses.Tversky`, gets the predictions of the whole batch, which the
    replicas exchange for that.

    Args:
        strategy: Of `open_strategy`.
        model: A model compiled with optimizer and loss, in the strategy's
            scope.
        train_data: A dataset of whole batches, the same ones on all workers,
            with all steps from `initial_epoch` on.
        metrics: Keras metrics whose variables are sums over images or
            pixels, as those of Keras's own metrics are; pooled ones as in
            `dca_keras.metrics`.
        validation_data: As `train_data`; one pass is an epoch. `None` where
            a callback validates.
        epochs: As in `keras.Model.fit`.
        initial_epoch: As in `keras.Model.fit`.
        steps_per_epoch: As in `keras.Model.fit`.
        callbacks: As in `keras.Model.fit`.

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
            if validation_data is not None:
                logs |= replicas.validate(validation_data)
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


def predict_on_replicas(strategy, model):
    """Return a function from images to predictions, shared by all replicas."""
    count = strategy.num_replicas_in_sync

    def step(images):
        share = _Share(tf.shape(images)[0], count)
        return share.gather(model(images[share.slice], training=False))

    @tf.function(
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]))]
    )
    def predict(images):
        found = strategy.run(step, args=(images,))
        return strategy.experimental_local_results(found)[0]

    return predict


class _Replicas:
    """A step of training or of validation on all replicas at once.

    It returns a vector of numbers that add up over batches: loss times
    images, images, and the variables of every metric.
    """

    def __init__(self, strategy, model, metrics):
        self.strategy = strategy
        self.model = model
        self.loss = losses.get(model.loss)
        self.metrics = metrics
        self.count = strategy.num_replicas_in_sync
        # Any number of images, so that the last batch is not traced again.
        image = tf.TensorSpec((None, *model.input_shape[1:]), "float32")
        mask = tf.TensorSpec((None, *model.output_shape[1:-1], 1), "int32")
        compiled = tf.function(input_signature=[image, mask])
        self.train_step = compiled(self._on_all(self._train))
        self.test_step = compiled(self._on_all(self._test))

    def describe(self, sums):
        """Return loss and scores by the names that Keras gives them."""
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

    def validate(self, batches):
        """Return the scores of a pass, by the names that Keras gives them."""
        scores = sum(self.test_step(*batch).numpy() for batch in batches)
        return {
            f"val_{name}": value
            for name, value in self.describe(scores).items()
        }

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
            # Keras clips each replica's gradient before it adds them up. So
            # add and clip them here, and give every replica an equal part,
            # which is too small to be clipped again.
            gradients = _add_up(list(gradients))
            gradients = optimizer._clip_gradients(gradients)
            gradients = [gradient / self.count for gradient in gradients]
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    def _loss(self, masks, predictions, share):
        """Return this replica's part of the loss; the parts add up to it."""
        # `Loss.__call__` converts them to its dtype, `call` does not.
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
    """A replica's share of a batch: a slice and its weight."""

    def __init__(self, images, count):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # No share may be empty, or batch norm would divide by zero.
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
    """Add tensors over the replicas; gradients are added in turn."""
    return tf.distribute.get_replica_context().all_reduce("SUM", tensors)


def _is_one_a_sample(values):
    """Return whether values have the batch, of unknown size, as first axis."""
    if _mask_of(values) is not None:  # so their mean is over some pixels only
        return False
    return bool(values.shape.rank) and values.shape[0] is None


def _mask_of(values):
    """Return which of a loss's values count, as Keras keeps it, or None."""
    return getattr(values, "_keras_mask", None)
