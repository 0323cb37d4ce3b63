"""Updates of the page's parts."""

from dca_keras.app._cases import Look
from dca_keras.app._gradio import gradio as gr
from dca_keras.app._layout import ALL_STAGES
from dca_keras.app._view import ATTENTION, PROBABILITY


def fill(panel, shown):
    """Return the updates of a panel; nothing is shown in those left over."""
    if shown is None:
        return {panel.column: gr.update(visible=False)}
    there = shown.picture is not None
    return {
        panel.column: gr.update(visible=True),
        panel.picture: gr.update(
            value=shown.picture,
            label=shown.name,
            alt_text=shown.says,
            visible=there,
        ),
        panel.legend: shown.legend,
        panel.download: gr.update(value=shown.mask_file, visible=there),
    }


def class_choice(view, classes):
    """Return the update of the choice of a class.

    Args:
        view: The `View`.
        classes: The names of each model's classes, by index.
    """
    names = max(classes, key=len)
    several = len(names) > 1 and view.kind == PROBABILITY
    choices = [(name, index) for index, name in names.items()]
    return gr.update(choices=choices, value=view.class_index, visible=several)


def stage_choice(view, case):
    """Return the update of the choice of a stage, of which a case has some."""
    looks = [look for look in case.looks.values() if isinstance(look, Look)]
    count = max((len(look.maps) for look in looks), default=0)
    stages = [(f"stage {i + 1}", i) for i in range(count)]
    return gr.update(
        choices=[("mean of all", ALL_STAGES), *stages],
        value=ALL_STAGES if view.stage is None else view.stage,
        visible=view.kind == ATTENTION and count > 1,
    )
