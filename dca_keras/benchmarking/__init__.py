"""Time, memory and size of the models, measured side by side.

What is compared runs in one process each, by turns; while one runs, the
others are stopped. `scripts/benchmark.py` is the command over this package.
"""

from dca_keras.benchmarking.formats import measure_formats
from dca_keras.benchmarking.growth import measure_growth
from dca_keras.benchmarking.models import compare_models
from dca_keras.benchmarking.pipeline import measure_pipeline
from dca_keras.benchmarking.race import Command, run_race
from dca_keras.benchmarking.report import write_growth, write_report
from dca_keras.benchmarking.startup import measure_startup
from dca_keras.benchmarking.variant import Variant

__all__ = [
    "Command",
    "Variant",
    "compare_models",
    "measure_formats",
    "measure_growth",
    "measure_pipeline",
    "measure_startup",
    "run_race",
    "write_growth",
    "write_report",
]
