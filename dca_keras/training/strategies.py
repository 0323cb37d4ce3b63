"""Training on several devices, of one machine or of several.

Keras's own `fit` runs under `tf.distribute.MirroredStrategy`, but not under
`MultiWorkerMirroredStrategy`, and under neither does it weigh a last batch
correctly that does not divide. `fit_replicas` serves both, and computes what
one device computes on the whole batch. On the JAX backend Keras's own `fit`
does it all, by `keras.distribution`, once `make_even` has seen the batches.
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
    "open_strategy",
    "synchronize_batch_norm",
]


def open_strategy(name, devices=None):
    """The strategy of a name: of `tf.distribute`, or of Keras for JAX.

    Must be called before the backend computes anything.

    Args:
        name: `"mirrored"`, the devices of this machine; or `"multi_worker"`,
            those of all machines that the environment variable TF_CONFIG
            names, with one process a machine.
        devices: For `"mirrored"` names such as `["GPU:0", "GPU:1"]`; `None`
            is all GPUs, or the CPU where there is none. `["CPU:0", "CPU:1"]`
            splits the CPU in two, to try things out (not with JAX, which
            splits it by XLA_FLAGS=--xla_force_host_platform_device_count=2).

    Raises:
        ValueError: If Keras's backend can't do it (TensorFlow can, JAX has
            `"mirrored"` alone), a device does not exist, or TF_CONFIG is
            missing or wrong.
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
    """Batches for `keras.distribution`, which divide by the devices.

    Where they don't, each is repeated as often as there are devices: means
    over images stay what they were, pooled ones but for their smoothing. It
    costs what the devices would have saved.

    Args:
        batches: A tf.data.Dataset of images and masks.
        devices: Their number; divides all batches but the last of a pass.
        images: How many there are in a pass. `None` repeats only the batches
            that don't divide, for training: a mean over batches then gives
            such a batch more weight.
    """

    def repeat(*batch):
        count = tf.shape(batch[0])[0] if images is None else images
        times = tf.where(count % devices == 0, 1, devices)
        ones = [1] * (batch[0].shape.rank - 1)
        return tuple(tf.tile(part, [times, *ones]) for part in batch)

    return batches.map(repeat)


def count_devices(strategy):
    """How many devices a strategy's batches are spread over."""
    if isinstance(strategy, keras.distribution.DataParallel):
        return strategy.device_mesh.devices.size
    return strategy.num_replicas_in_sync


def is_chief(strategy):
    """Whether this process is the one that writes files."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    # As long as no worker is called so, the first one is.
    return resolver.task_type == "chief" or (
        resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().as_dict()
    )


def synchronize_batch_norm(model):
    """Let every batch norm take its statistics over all replicas.

    On JAX it always does, since a batch is one array over all devices.
    """
    if keras.backend.backend() == "jax":
        return
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def check_agreement(strategy, number):
    """Raises `ValueError` unless every worker calls this with one number."""

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
