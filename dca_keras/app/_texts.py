"""What a page says below its pictures, as HTML."""

import html
from itertools import cycle

import numpy as np

from dca_keras._drawing import CLASS_COLOURS
from dca_keras.app._pictures import HEAT, LOOKS, gradient


def heading(case, finding):
    """Return the image's name and size."""
    depth, height, width = finding.mask.shape
    sides = f"{width}×{height}"
    size = f"{sides} voxels, {depth} slices"
    if not finding.is_stack:
        size = f"{sides} pixels"
    return f"<h2>{html.escape(case.name)}</h2><p>{size}</p>"


def message(text):
    """Return an error, which a screen reader reads as soon as it is there."""
    return f'<p role="alert" class="error">{html.escape(text)}</p>'


def note(text):
    """Return a remark."""
    return f'<p role="status" class="note">{html.escape(text)}</p>'


def mask_legend(finding, class_names):
    """Return the colours of the classes, and how much each covers."""
    counts = np.bincount(finding.mask.ravel(), minlength=256)
    items = [
        f'<li><span class="swatch" style="background: {colour}"></span>'
        f"{html.escape(name)}: {_amount(finding, counts[index])}</li>"
        for (index, name), colour in zip(
            class_names.items(), cycle(CLASS_COLOURS), strict=False
        )
    ]
    return f'<ul class="legend">{"".join(items)}</ul>{_plan(finding)}'


def probability_legend(finding, class_name):
    """Return the colours of the probabilities."""
    bar = _bar(HEAT, ("0", "0.5", "1"))
    return f"<p>Probability of {html.escape(class_name)}</p>{bar}" + _plan(
        finding
    )


def attention_legend(finding, look, reach):
    """Return the colours of the attention."""
    names = ("x", "y", "slice") if finding.is_stack else ("x", "y")
    point = ", ".join(
        f"{name} {value}" for name, value in zip(names, look.at, strict=False)
    )
    bar = _bar(LOOKS, [f"{2**i:.3g}" for i in (-reach, 0, reach)])
    return (
        f"<p>How much the point at {point} draws from each place. 1 is an "
        f"even look.</p>{bar}"
    )


def _plan(finding):
    return f'<p class="plan">The model saw the image {finding.plan}.</p>'


def _amount(finding, count):
    share = f"{100 * count / finding.mask.size:.2f} %"
    if finding.spacing is None:
        return share
    millilitres = count * float(np.prod(finding.spacing)) / 1000
    return f"{millilitres:.2f} mL, {share}"


def _bar(colours, ticks):
    labels = "".join(f"<span>{tick}</span>" for tick in ticks)
    return (
        f'<div class="bar" style="background: {gradient(colours)}"></div>'
        f'<div class="ticks">{labels}</div>'
    )
