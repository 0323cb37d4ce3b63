"""How time and memory grow with the image, the batch and the blocks."""

import numpy as np

from benchmarks.models import race_variants
from benchmarks.variant import Variant

# What is varied, one at a time. U-Net's tokens are (side / 8)²: 196 to 16384.
AXES = {
    "side": (112, 224, 448, 672, 1024),
    "batch": (1, 2, 4, 8, 16),
    "blocks": (1, 2, 3, 4),
}
# Of cubes, which give a 3-D U-Net (side / 4)³ tokens: 512 to 32,768.
VOLUME_AXES = {"side": (32, 64, 96, 128)}


def measure_growth(
    rounds=3, axes=None, model="unet", volume=False, progress=lambda label: None
):
    """Time and memory of predictions and training steps along some axes.

    Args:
        rounds: Steps that count at each point.
        axes: A mapping from "side", "batch" or "blocks" to its values; by
            default `AXES`, or `VOLUME_AXES`.
        model: One of `dca_keras.zoo.list_models()`.
        volume: Whether it is a narrow one in 3-D, see `Variant`.
        progress: As for `run_race`.

    Returns:
        `(rows, exponents)`: rows as of `compare_models`, with "axis" and
        "at" added; and for every axis, kind of step and measure the exponent
        p of the power law `at ** p` that fits best, of the plain and the
        attending model (blocks: the attending one's only).
    """
    rows = []
    axes = axes or (VOLUME_AXES if volume else AXES)
    for axis, values in axes.items():
        for training in (False, True):
            for at in values:
                variants = [
                    Variant(model, dca, training, volume=volume, **{axis: at})
                    for dca in ((True,) if axis == "blocks" else (False, True))
                ]
                found = race_variants(variants, rounds, (), progress)
                rows += [{**row, "axis": axis, "at": at} for row in found]
    return rows, _exponents(rows)


def curves(rows, measure):
    """`{(axis, training, dca): (places, values)}` of one measure."""
    found = {}
    for row in rows:
        key = row["axis"], row["training"], row["dca"]
        places, values = found.setdefault(key, ([], []))
        places.append(row["at"])
        values.append(row[measure])
    return found


def _exponents(rows):
    return [
        {
            "axis": axis,
            "training": training,
            "dca": dca,
            "measure": measure,
            "exponent": float(np.polyfit(np.log(x), np.log(y), 1)[0]),
        }
        for measure in ("seconds", "peak_memory")
        for (axis, training, dca), (x, y) in curves(rows, measure).items()
        if len(x) > 1
    ]
