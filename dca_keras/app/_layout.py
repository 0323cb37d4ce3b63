"""What is where on the page."""

from typing import NamedTuple

from dca_keras.app import _texts as texts
from dca_keras.app._gradio import gradio as gr
from dca_keras.app._view import KINDS, View
from dca_keras.data.formats import EXTENSIONS

SLOTS = 4  # Models side by side.
ALL_STAGES = -1
INTRODUCTION = """<h1>Dual Cross-Attention</h1>
<p>What trained models find in an image. Images stay on the computer that this
page runs on. For research, not for diagnosis.</p>"""
FIRST_HINT = "Drop an image or a volume, or pick an example."
# On a phone it lies below what is chosen.
SHOW_MESSAGE = """() => document.querySelector('#message').scrollIntoView(
    {behavior: 'smooth', block: 'nearest'})"""
NEXT_HINT = (
    "Click on a point of the picture, or type one below it, to see where the "
    "attention looks."
)


class Panel(NamedTuple):
    """What the page shows of one model."""

    column: gr.Column
    picture: gr.Image
    legend: gr.HTML
    download: gr.DownloadButton


class Parts(NamedTuple):
    """The parts of the page that are written or read."""

    case: gr.State
    upload: gr.File
    examples: list
    names: gr.CheckboxGroup
    message: gr.HTML
    results: gr.Column
    heading: gr.HTML
    kind: gr.Radio
    opacity: gr.Slider
    index: gr.Slider
    class_index: gr.Dropdown
    stage: gr.Dropdown
    panels: list
    x: gr.Number
    y: gr.Number
    look: gr.Button
    more: gr.Button
    figures: list


def lay_out(models, examples, limits, shown):
    """Lay out the page, empty, and return its `Parts`.

    Args:
        models: The page's `Models`.
        examples: Its `Example`s.
        limits: Its `Limits`.
        shown: How many models are chosen at first.
    """
    gr.HTML(INTRODUCTION, elem_classes="introduction")
    case = gr.State(None, time_to_live=3600)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=1, min_width=280):
            inputs = _inputs(models, examples, limits, shown)
        with gr.Column(scale=3, min_width=320):
            message = gr.HTML(texts.note(FIRST_HINT), elem_id="message")
            with gr.Column(visible=False) as results:
                outputs = _outputs(models)
    return Parts(
        case=case, message=message, results=results, **inputs, **outputs
    )


def _inputs(models, examples, limits, shown):
    upload = gr.File(
        file_count="multiple",
        label="Image or volume",
        height=150,
        elem_id="upload",
    )
    kinds = " ".join(EXTENSIONS)
    gr.HTML(
        f'<p class="limits">Up to {limits.megabytes} MB: {kinds}. Drop the '
        "channels of a volume, or the slices of a DICOM series, together.</p>"
    )
    if examples:
        gr.HTML("<h2>Examples</h2>")
    with gr.Row(elem_classes="examples"):
        buttons = [
            gr.Button(
                example.name, icon=example.thumbnail, elem_classes="example"
            )
            for example in examples
        ]
    names = gr.CheckboxGroup(
        list(models.names),
        value=list(models.names[:shown]),
        label="Models",
        info=f"{SLOTS} at most" if len(models.names) > SLOTS else None,
        visible=len(models.names) > 1,
    )
    return {"upload": upload, "examples": buttons, "names": names}


def _outputs(models):
    heading = gr.HTML()
    with gr.Row(elem_classes="controls"):
        kinds = KINDS if models.any_dca else KINDS[:-1]
        kind = gr.Radio(kinds, value=KINDS[0], label="Show", min_width=240)
        opacity = gr.Slider(
            0,
            1,
            View().opacity,
            step=0.05,
            label="Opacity",
            buttons=[],
            min_width=160,
        )
        index = gr.Slider(
            0, 1, 0, step=1, label="Slice", buttons=[], min_width=160
        )
        class_index = gr.Dropdown(
            [("class 1", 1)],
            value=1,
            label="Class",
            min_width=120,
            visible=False,
        )
        stage = gr.Dropdown(
            [("mean of all", ALL_STAGES)],
            value=ALL_STAGES,
            label="Stage",
            min_width=120,
            visible=False,
        )
    with gr.Row(elem_classes="panels"):
        panels = [_panel(i) for i in range(min(SLOTS, len(models.names)))]
    with gr.Row(equal_height=True, visible=models.any_dca):
        x = gr.Number(0, label="Point, x", precision=0, min_width=90)
        y = gr.Number(0, label="Point, y", precision=0, min_width=90)
        look = gr.Button("Show attention", size="md", min_width=160)
        more = gr.Button("Draw every stage and head", size="md", min_width=160)
    figures = [
        gr.Image(
            visible=False,
            interactive=False,
            format="png",
            buttons=["download", "fullscreen"],
            elem_classes="picture",
        )
        for _ in panels
    ]
    return {
        "heading": heading,
        "kind": kind,
        "opacity": opacity,
        "index": index,
        "class_index": class_index,
        "stage": stage,
        "panels": panels,
        "x": x,
        "y": y,
        "look": look,
        "more": more,
        "figures": figures,
    }


def _panel(number):
    with gr.Column(
        visible=number == 0, min_width=240, elem_classes="panel"
    ) as column:
        picture = gr.Image(
            interactive=False,
            format="png",  # The page shows the very pixels.
            buttons=["fullscreen"],
            elem_id=f"picture-{number}",
            elem_classes="picture",
        )
        legend = gr.HTML(elem_id=f"legend-{number}")
        download = gr.DownloadButton(
            "Download mask", size="md", elem_id=f"download-{number}"
        )
    return Panel(column, picture, legend, download)
