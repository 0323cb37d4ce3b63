"""Charts of scores, as PNG files in memory.

Drawn on matplotlib's `Figure`, without pyplot, as in `plotting`.
"""

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_LINE, _DOT = "#0b5394", "#5b9bd5"
_CURVES = {
    "loss": {"loss": "training", "val_loss": "validation"},
    "dice": {"dice": "training", "val_dice": "validation"},
}


def draw_distribution(rows):
    """Draw every image's Dice as a dot, under a box of the quartiles.

    Args:
        rows: The values to draw by the name of their class: from 0 to 1, at
            least one for each.

    Returns:
        The bytes of a PNG file.
    """
    figure, axis = _figure(0.55 * len(rows) + 0.9)
    rng = np.random.default_rng(0)  # Only so that dots don't hide dots.
    for place, values in enumerate(rows.values()):
        heights = place + rng.uniform(-0.25, 0.25, len(values))
        axis.plot(values, heights, "o", color=_DOT, alpha=0.6, markersize=4)
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        axis.barh(place, high - low, 0.6, low, fill=False, edgecolor="0.3")
        axis.plot([median] * 2, [place - 0.3, place + 0.3], color=_LINE)
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    axis.set(xlabel="Dice", xlim=(-0.02, 1.02))
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    return _to_png(figure)


def draw_history(history, best_epoch=None):
    """Draw loss and Dice over the epochs of a training.

    Args:
        history: Columns by their names, such as a DataFrame: `epoch` and any
            of `loss`, `val_loss`, `dice` and `val_dice`; floats.
        best_epoch: The epoch whose weights were kept, to be marked.

    Returns:
        The bytes of a PNG file.
    """
    drawn = {
        title: [name for name in names if name in history]
        for title, names in _CURVES.items()
    }
    drawn = {title: names for title, names in drawn.items() if names}
    figure = Figure(figsize=(7.2, 2.6), dpi=120, layout="constrained")
    axes = figure.subplots(1, max(1, len(drawn)), squeeze=False)[0]
    styles = {"training": {"color": "0.6"}, "validation": {"color": _LINE}}
    for axis, (title, names) in zip(axes, drawn.items(), strict=False):
        for name in names:
            label = _CURVES[title][name]
            mark = "o" if len(history["epoch"]) == 1 else ""
            axis.plot(
                history["epoch"],
                history[name],
                label=label,
                marker=mark,
                **styles[label],
            )
        if best_epoch is not None:
            axis.axvline(
                best_epoch, color=_DOT, linestyle=":", label="best epoch"
            )
        axis.set(xlabel="epoch", title={"loss": "loss", "dice": "Dice"}[title])
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False)
        _tidy(axis)
    return _to_png(figure)


def draw_differences(rows, xlabel):
    """Draw differences with their intervals, and a line at no difference.

    Args:
        rows: The `mean` difference and its `interval`, which may be None, in
            a dictionary by name.
        xlabel: What the differences are of, and which way they point.

    Returns:
        The bytes of a PNG file.
    """
    figure, axis = _figure(0.4 * len(rows) + 0.9)
    axis.axvline(0, color="0.5", linewidth=1)
    for place, row in enumerate(rows.values()):
        if row["interval"] is not None:
            axis.plot(row["interval"], [place, place], color=_LINE, linewidth=2)
        axis.plot(row["mean"], place, "o", color=_LINE)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel(xlabel)
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    return _to_png(figure)


def _figure(height):
    figure = Figure(figsize=(7.2, height), dpi=120, layout="constrained")
    axis = figure.subplots()
    _tidy(axis)
    return figure, axis


def _tidy(axis):
    axis.spines[["top", "right"]].set_visible(False)


def _to_png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
