"""Training on several devices, of one machine or of several.

Keras's own `fit` runs under `tf.distribute.MirroredStrategy`, but not under
`MultiWorkerMirroredStrategy`, and under neither does it weight a last batch
correctly that the replicas don't divide. `fit_replicas` serves both, and
computes what one device computes on the whole batch. On JAX Keras's own `fit`
does so with `keras.distribution`, if `make_even` has prepared the batches.
"""

import json
import os

import keras
import tensorflow as tf

__all__ = [
    "check_agreement",
    "count_devices",
    "is_chief",
    "make_even",
    "mean_of_workers",
    "open_strategy",
    "synchronize_batch_norm",
]


def open_strategy(name, devices=None):
    """Return a strategy of `tf.distribute`, or of `keras.distribution` on JAX.

    Call it before the backend computes anything.

    Args:
        name: `"mirrored"`, the devices of this machine; or `"multi_worker"`,
            those of all machines that the environment variable TF_CONFIG
            names, with one process a machine.
        devices: For `"mirrored"`, names such as `["GPU:0", "GPU:1"]`; `None`
            is all GPUs, or the CPU where there is none. `["CPU:0", "CPU:1"]`
            splits the CPU in two, to try things out (JAX splits it by
            XLA_FLAGS=--xla_force_host_platform_device_count=2 instead).

    Raises:
        ValueError: If Keras's backend does not support the strategy
            (TensorFlow supports both, JAX `"mirrored"` only), a device does
            not exist, or TF_CONFIG is missing or wrong.
    """
    backend = keras.backend.backend()
    if backend == "jax" and name == "mirrored":
        return _open_data_parallel(devices)
    if backend != "tensorflow":
        raise ValueError(
            f"`strategy` {name} needs Keras's TensorFlow backend"
            f"{' or JAX' if name == 'mirrored' else ''}. "
            f"Received: KERAS_BACKEND={backend}"
        )
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_find_devices(devices))
    if devices:
        raise ValueError("`devices` are for `strategy` mirrored alone.")
    _check_cluster(os.environ.get("TF_CONFIG", ""))
    return tf.distribute.MultiWorkerMirroredStrategy()


def make_even(batches, devices, images):
    """Repeat batches that the devices don't divide, for `keras.distribution`.

    Such a batch is repeated once for every device, which costs what the
    devices would have saved. A mean over its images stays the same, and a
    pooled loss too except for its smoothing; a loss with `reduction="sum"`
    is multiplied.

    Args:
        batches: A tf.data.Dataset of images and masks.
        devices: Number of devices. It divides all batches but the last of a
            pass.
        images: Number of images in a pass. If the devices don't divide it,
            all batches are repeated, so that means over a pass weight every
            image alike, as validation needs. `None`, for training, repeats
            only the batches that need it.
    """

    def repeat(*batch):
        count = tf.shape(batch[0])[0] if images is None else images
        times = tf.where(count % devices == 0, 1, devices)
        ones = [1] * (batch[0].shape.rank - 1)
        return tuple(tf.tile(part, [times, *ones]) for part in batch)

    return batches.map(repeat)


def count_devices(strategy):
    """Return the number of devices that share a strategy's batches."""
    if isinstance(strategy, keras.distribution.DataParallel):
        return strategy.device_mesh.devices.size
    return strategy.num_replicas_in_sync


def is_chief(strategy):
    """Return whether this process is the one that writes files."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    # Without a worker of that name the first one is the chief.
    return resolver.task_type == "chief" or (
        resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().as_dict()
    )


def synchronize_batch_norm(model):
    """Make every batch norm compute its statistics over all replicas.

    On JAX it does so already: there a batch is one array on all devices.
    """
    if keras.backend.backend() == "jax":
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def check_agreement(strategy, number):
    """Raise ValueError unless all workers call this with the same number."""

    def spread():
        context = tf.distribute.get_replica_context()
        mean = context.all_reduce("MEAN", tf.cast(number, "float64"))
        return context.all_reduce("SUM", tf.abs(number - mean))

    spreads = strategy.run(tf.function(spread))
    if float(strategy.experimental_local_results(spreads)[0]):
        raise ValueError(
            "The workers found different states of the run. `--output` must "
            "be a folder that all of them see."
        )


def mean_of_workers(strategy, number):
    """Return the mean of the numbers that all workers call this with.

    Where there is one process, it is the number itself.
    """
    if getattr(strategy, "cluster_resolver", None) is None:
        return number

    def mean():
        context = tf.distribute.get_replica_context()
        return context.all_reduce("MEAN", tf.cast(number, "float64"))

    means = strategy.run(tf.function(mean))
    return float(strategy.experimental_local_results(means)[0])


def _find_devices(names):
    if not names:
        return None
    cpus = [name for name in names if name.upper().startswith("CPU:")]
    if len(cpus) > 1:
        _split_cpu(len(cpus))
    found = [
        device.name.removeprefix("/device:")
        for device in tf.config.list_logical_devices()
    ]
    if missing := [name for name in names if name.upper() not in found]:
        raise ValueError(
            f"`devices` must be of this machine, {', '.join(found)}. "
            f"Received: {', '.join(missing)}"
        )
    return [name.upper() for name in names]


def _open_data_parallel(names):
    found = keras.distribution.list_devices()
    wanted = [name.lower() for name in names or found]
    if missing := [name for name in wanted if name not in found]:
        raise ValueError(
            f"`devices` must be of this machine, {', '.join(found)}. "
            f"Received: {', '.join(missing)}"
        )
    return keras.distribution.DataParallel(
        devices=wanted, auto_shard_dataset=False
    )


def _split_cpu(parts):
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(parts)]
    if tf.config.get_logical_device_configuration(cpu) is None:
        try:
            tf.config.set_logical_device_configuration(cpu, logical)
        except RuntimeError as error:
            raise ValueError(
                "`devices` must be chosen before TensorFlow computes anything."
            ) from error


def _check_cluster(text):
    example = (
        '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    try:
        config = json.loads(text)
        addresses = config["cluster"][config["task"]["type"]]
        addresses[int(config["task"]["index"])]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            "`strategy` multi_worker needs the environment variable TF_CONFIG "
            f"with the addresses of all workers, such as {example}. "
            f"Received: {text!r}"
        ) from error
