"""What TensorFlow says while it starts is kept from the terminal."""

import contextlib
import os
import subprocess
import sys
from importlib.machinery import PathFinder

# Importing one of these starts a backend.
STARTING = ("keras", "tensorflow")
# Collects what it is sent, and shows it unless it is stopped before the end.
# As a process of its own, it also shows what a crash leaves.
COLLECTOR = "import sys; sys.stderr.buffer.write(sys.stdin.buffer.read())"


def quiet_imports():
    """Hide what native code writes to stderr while Keras is imported.

    It is shown if the import fails, and always if the user has asked for
    such lines by `TF_CPP_MIN_LOG_LEVEL` 0 or 1. Whatever Python writes,
    errors and warnings too, is not touched.
    """
    # Read when TensorFlow is imported; its notes would bury ours.
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if level not in ("0", "1"):
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder:
    """Finds the modules that start a backend, and imports them quietly."""

    def __init__(self):
        self.importing = False

    def find_spec(self, name, path=None, target=None):
        if name not in STARTING or self.importing:
            return None
        spec = PathFinder.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = self._quiet(spec.loader.exec_module)
        return spec

    def _quiet(self, exec_module):
        def exec_quietly(module):
            self.importing = True
            try:
                with native_stderr_hidden():
                    exec_module(module)
                    _list_devices()
            finally:
                self.importing = False

        return exec_quietly


def _list_devices():
    """Let TensorFlow look for GPUs now; it says what it did not find."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        tensorflow.config.list_physical_devices()


@contextlib.contextmanager
def native_stderr_hidden():
    """Hide what is written to file descriptor 2, unless an error follows.

    `sys.stderr` goes on to write where that descriptor did.
    """
    try:
        # Stays open: log handlers that are made meanwhile write to it.
        terminal = os.dup(2)
        collector = _start_collector()
    except OSError:  # No standard error, or no process can be started.
        yield
        return
    python_stderr = sys.stderr
    sys.stderr = _stream_on(terminal, python_stderr)
    os.dup2(collector.stdin.fileno(), 2)
    collector.stdin.close()
    try:
        yield
    except BaseException:
        os.dup2(terminal, 2)  # That ends the collector's input.
        with contextlib.suppress(subprocess.TimeoutExpired):
            collector.wait(timeout=5)
        raise
    else:
        collector.kill()
        collector.wait()
        os.dup2(terminal, 2)
    finally:
        sys.stderr = python_stderr


def _start_collector():
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", COLLECTOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not for it.
    )


def _stream_on(descriptor, stream):
    """Return a stream on a descriptor in place of one on descriptor 2."""
    try:
        if stream.fileno() != 2:
            return stream
    except (AttributeError, OSError, ValueError):
        return stream
    stream.flush()
    return open(
        descriptor, "w", 1, stream.encoding, stream.errors, closefd=False
    )
