"""What a result was computed with."""

import importlib
import os
import platform
from pathlib import Path

import keras


def environment() -> dict:
    """Versions and hardware, with nothing that tells whose machine it is."""
    modules = ("dca_keras", "keras", "tensorflow", "numpy")
    backend = keras.backend.backend()
    hardware = {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "devices": _list_devices(backend),
    }
    return {
        "versions": {
            "python": platform.python_version(),
            **{m: importlib.import_module(m).__version__ for m in modules},
            "backend": backend,
        },
        "hardware": hardware,
    }


def _list_devices(backend):
    if backend != "torch":
        return keras.distribution.list_devices()
    import torch  # There, Keras can't list devices.

    gpus = range(torch.cuda.device_count())
    return [f"cuda:{index}" for index in gpus] or ["cpu:0"]


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # Not Linux.
        return platform.processor()
    names = [line for line in lines if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()
