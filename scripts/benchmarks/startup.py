"""How long it takes until something can be done."""

import statistics
import subprocess
import sys
import time

from benchmarks.models import race_variants
from benchmarks.variant import Variant

PROGRAMS = {
    "import keras": ("-c", "import keras"),
    "import keras, dca_keras, its zoo": (
        "-c",
        "import keras, dca_keras, dca_keras.zoo",
    ),
    "dca-keras --help": ("-m", "dca_keras.cli", "--help"),
}


def measure_startup(models, rounds=5, progress=lambda label: None):
    """Seconds to import, to answer `--help`, and to build and trace models.

    Args:
        models: Names of `dca_keras.zoo.list_models()`.
        rounds: How often each program is run, by turns.
        progress: Called with the name of what is measured next.

    Returns:
        `(programs, rows)`: the programs' median seconds by name; and rows as
        of `compare_models`, whose "seconds_to_build" and
        "seconds_of_first_step" (tracing and one step) count here.
    """
    times = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, arguments in PROGRAMS.items():
            progress(name)
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments], check=True, capture_output=True
            )
            times[name].append(time.perf_counter() - start)
    rows = []
    for model in models:
        for dca in (False, True):
            rows += race_variants([Variant(model, dca)], 1, (), progress)
    return {n: statistics.median(t) for n, t in times.items()}, rows
