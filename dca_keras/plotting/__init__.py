"""Pictures of predicted masks, and of what a model looks at.

Drawn on matplotlib's `Figure`, without pyplot: its global state, and so the
user's own figures and backend, stay as they are.
"""

from dca_keras.plotting._attention import Attention, look_inside
from dca_keras.plotting._attention_figure import attention
from dca_keras.plotting._grad_cam import grad_cam
from dca_keras.plotting._masks import (
    OUTLINE_COLOURS,
    Case,
    cut_planes,
    draw_outlines,
    draw_overlay,
    find_structure,
    pick_cases,
    save_predictions,
)

__all__ = [
    "OUTLINE_COLOURS",
    "Attention",
    "Case",
    "attention",
    "cut_planes",
    "draw_outlines",
    "draw_overlay",
    "find_structure",
    "grad_cam",
    "look_inside",
    "pick_cases",
    "save_predictions",
]
