"""How much memory there is for a training."""

import os
from pathlib import Path

# Where a container's limit stands, by the version of control groups.
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# Where it can't be found out, and of a GPU, which is not asked.
USUAL = 8 * 2**30


def memory():
    """Return the bytes of memory that this process may have at most."""
    found = [int(text) for text in map(_read, LIMITS) if text.isdigit()]
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        found.append(pages * size)
    except (AttributeError, ValueError, OSError):
        pass  # Not every system says it.
    return min(found, default=USUAL)


def accelerators():
    """Return the names of the GPUs and TPUs that Keras can use."""
    import keras

    return [
        device
        for device in keras.distribution.list_devices()
        if not device.startswith("cpu")
    ]


def _read(path):
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
