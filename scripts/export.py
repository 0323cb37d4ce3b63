"""Exports a run in every format: python scripts/export.py runs/NAME

Each file is run in its own runtime; a line for each format has its size and the
largest difference from the model. A format whose extra is not installed, or
that can't hold the model, has the reason there.
"""

import sys

from dca_keras.export import FORMATS, export_run

LINE = "{:<12} {:>9} {:>11}  {}"

if __name__ == "__main__":
    print(LINE.format("format", "megabytes", "difference", "path"))
    for run in sys.argv[1:]:
        for name in FORMATS:
            try:
                done = export_run(run, name)
            except (ImportError, ValueError) as error:
                print(LINE.format(name, "-", "-", error))
                continue
            megabytes = f"{done.size / 1e6:.1f}"
            difference = f"{done.difference:.1e}"
            print(LINE.format(name, megabytes, difference, done.path))
