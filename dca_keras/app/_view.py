"""What each model's panel shows."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dca_keras.app import _texts as texts
from dca_keras.app._cases import Finding, Look
from dca_keras.app._pictures import Canvas, find_reach

MASK, PROBABILITY, ATTENTION = KINDS = ("Mask", "Probability", "Attention")


class View(NamedTuple):
    """What a user chose to see.

    Args:
        kind: One of `KINDS`.
        opacity: Of what is drawn over the image, between 0 and 1.
        index: Of the slice.
        class_index: Whose probability, from 1.
        stage: Whose attention, from 0; None is the mean over all stages.
    """

    kind: str = MASK
    opacity: float = 0.4
    index: int = 0
    class_index: int = 1
    stage: int | None = None


class Shown(NamedTuple):
    """What the panel of one model shows.

    Args:
        name: The model's.
        picture: `(height, width, 3)`, uint8; None where it failed.
        says: What the picture shows, for those who can't see it.
        legend: What is below it, as HTML.
        mask_file: The file to download, or None.
    """

    name: str
    picture: np.ndarray | None
    says: str
    legend: str
    mask_file: Path | None


def show(case, name, class_names, view):
    """Return the `Shown` of one model.

    Args:
        case: The `Case`.
        name: The model's, after `case.segment(name)`.
        class_names: Of its classes, by index.
        view: The `View`.
    """
    finding = case.findings[name]
    if not isinstance(finding, Finding):
        return Shown(name, None, finding, texts.message(finding), None)
    canvas = Canvas(finding, view.index)
    if view.kind == MASK:
        picture = canvas.mask(view.opacity)
        legend = texts.mask_legend(finding, class_names)
    elif view.kind == PROBABILITY:
        index = min(view.class_index, max(class_names))
        picture = canvas.probability(index, view.opacity)
        legend = texts.probability_legend(finding, class_names[index])
    else:
        picture, legend = _show_attention(case, name, canvas, view)
    says = f"{view.kind} of {name} over {case.name}"
    if finding.is_stack:
        says += f", slice {canvas.index}"
    return Shown(name, picture, says, legend, finding.mask_file)


def fullest_slice(finding):
    """Return the index of the slice with the most foreground."""
    return int(np.argmax((finding.mask > 0).sum(axis=(1, 2))))


def _show_attention(case, name, canvas, view):
    look = case.looks.get(name)
    if look is None:
        return canvas.mask(0), texts.note("Click on a point of the image.")
    if not isinstance(look, Look):
        return canvas.mask(0), texts.note(look)
    # One scale for all models.
    looks = [look for look in case.looks.values() if isinstance(look, Look)]
    reach = find_reach(looks)
    stage = view.stage
    if stage is not None:
        stage = min(stage, len(look.maps) - 1)
    picture = canvas.attention(look, reach, view.opacity, stage)
    return picture, texts.attention_legend(case.findings[name], look, reach)
