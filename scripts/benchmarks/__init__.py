"""Time, memory and size of the models, measured side by side.

What is compared runs in one process each, by turns; while one runs, the
others are stopped. `scripts/benchmark.py` is the command for it. Like all of
`scripts/`, this package is run from a clone and not installed.
"""

from benchmarks.formats import measure_formats
from benchmarks.growth import measure_growth
from benchmarks.models import compare_inserted, compare_models
from benchmarks.pipeline import measure_pipeline
from benchmarks.prediction import measure_prediction
from benchmarks.profile import measure_profile
from benchmarks.race import Command, run_race
from benchmarks.report import write_growth, write_report
from benchmarks.startup import measure_startup
from benchmarks.variant import Variant

__all__ = [
    "Command",
    "Variant",
    "compare_inserted",
    "compare_models",
    "measure_formats",
    "measure_growth",
    "measure_pipeline",
    "measure_prediction",
    "measure_profile",
    "measure_startup",
    "run_race",
    "write_growth",
    "write_report",
]
