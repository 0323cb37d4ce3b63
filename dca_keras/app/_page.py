"""What happens on the page."""

import itertools

from dca_keras.app import _texts as texts
from dca_keras.app._cases import Case, say
from dca_keras.app._gradio import gradio as gr
from dca_keras.app._layout import (
    ALL_STAGES,
    NEXT_HINT,
    SHOW_MESSAGE,
    SLOTS,
    lay_out,
)
from dca_keras.app._pictures import Canvas
from dca_keras.app._updates import class_choice, fill, stage_choice
from dca_keras.app._view import (
    ATTENTION,
    MASK,
    View,
    fullest_slice,
    show,
)

FORGOTTEN = "This page has forgotten the image. Drop it again."


def make_page(models, examples, limits, folder, shown):
    """Make the page.

    Args:
        models: The `Models` it shows.
        examples: The `Example`s it offers.
        limits: The `Limits` of what it takes.
        folder: Where it keeps files while it runs.
        shown: How many models are chosen at first.

    Returns:
        A `gradio.Blocks`.
    """
    blocks = gr.Blocks(
        title="Dual Cross-Attention",
        analytics_enabled=False,
        delete_cache=(600, 3600),
    )
    with blocks:
        parts = lay_out(models, examples, limits, shown)
        _Events(models, examples, limits, folder, parts).connect()
    return blocks


class _Events:
    """What a user does, and the updates of the page's parts that answer.

    Every answer takes the values of the parts that are read, by part, and
    returns the updates of those that change, by part.
    """

    def __init__(self, models, examples, limits, folder, parts):
        self.models, self.examples = models, examples
        self.limits, self.folder = limits, folder
        self.parts = parts

    def connect(self):
        """Let every event have its answer."""
        parts = self.parts
        shown = {parts.case, parts.kind, parts.opacity, parts.index}
        shown |= {parts.class_index, parts.stage}
        inputs = shown | {parts.upload, parts.names, parts.x, parts.y}
        outputs = inputs | {parts.message, parts.results, parts.heading}
        outputs |= {part for panel in parts.panels for part in panel}
        common = {
            "inputs": inputs,
            "outputs": outputs | set(parts.figures),
            "api_visibility": "private",
        }
        slow = common | {
            "concurrency_id": "model",  # One runs at a time.
            "concurrency_limit": 1,
            "show_progress_on": [parts.message],
        }
        takers = [(parts.upload.upload, self.take_files)]
        for button, example in zip(parts.examples, self.examples, strict=True):
            takers.append((button.click, self.example_taker(example)))
        for event, answer in takers:
            event(answer, **slow)
            event(None, js=SHOW_MESSAGE, api_visibility="private")
        parts.names.input(self.take_names, **slow)
        for slot, panel in enumerate(parts.panels):
            panel.picture.select(self.clicker(slot), **slow)
        parts.look.click(self.look, **slow)
        parts.more.click(self.draw_more, **slow)
        for part in shown - {parts.case}:
            part.input(
                self.show,
                show_progress="hidden",
                trigger_mode="always_last",
                **common,
            )

    def take_files(self, values, progress=gr.Progress()):  # noqa: B008
        """Take what was dropped."""
        files = values[self.parts.upload]
        return self._take(values, files, progress, uploaded=True)

    def example_taker(self, example):
        """Return the answer to picking an example."""

        def take_example(values, progress=gr.Progress()):  # noqa: B008
            return self._take(values, example.files, progress, uploaded=False)

        return take_example

    def take_names(self, values, progress=gr.Progress()):  # noqa: B008
        """Show the models that were chosen."""
        case = values[self.parts.case]
        return {} if case is None else self._segment(values, case, progress)

    def clicker(self, slot):
        """Return the answer to a click on the picture of a slot."""

        def click(values, event: gr.SelectData):
            case = values[self.parts.case]
            if case is None:
                return self._fail(FORGOTTEN)
            name = self._names(values)[slot]
            canvas = Canvas(case.findings[name], values[self.parts.index])
            return self._look(values, canvas.to_pixel(event.index))

        return click

    def look(self, values):
        """Look from the point that was typed."""
        return self._look(values, self._point(values))

    def show(self, values):
        """Show what was chosen."""
        case = values[self.parts.case]
        return {} if case is None else self._show(values, case)

    def draw_more(self, values):
        """Draw every stage and head, from the point that was typed."""
        case, updates = values[self.parts.case], {}
        if case is None:
            return self._fail(FORGOTTEN)
        at = (*self._point(values), values[self.parts.index])
        names = self._names(values)
        for name, part in zip(names, self.parts.figures, strict=False):
            drawn = case.draw_attention(name, at)
            if isinstance(drawn, str):
                updates[self.parts.message] = texts.message(drawn)
                continue
            updates[part] = gr.update(
                value=drawn,
                visible=True,
                label=f"{name}, every stage and head",
                alt_text=f"The attention of {name} from x {at[0]}, y {at[1]}",
            )
        return updates

    def _take(self, values, files, progress, uploaded):
        try:
            case = Case(self.models, self.limits, files, self.folder, uploaded)
        except (ValueError, OSError) as error:
            return self._fail(say(error))
        return self._segment(values, case, progress)

    def _segment(self, values, case, progress):
        names = self._names(values)
        for name in names:
            case.segment(name, lambda *done, name=name: progress(done, name))
        found = case.found(names)
        if not found:
            messages = [case.findings[name] for name in names]
            return self._fail(" ".join(dict.fromkeys(messages)))
        first = next(iter(found.values()))
        depth, height, width = first.mask.shape
        parts, index = self.parts, fullest_slice(first)
        start = {
            parts.kind: MASK,
            parts.index: index,
            parts.class_index: 1,
            parts.stage: ALL_STAGES,
        }
        return self._show(values | start, case) | {
            parts.case: case,
            parts.kind: MASK,
            parts.upload: None,
            parts.message: texts.note(NEXT_HINT) if self.models.any_dca else "",
            parts.results: gr.update(visible=True),
            parts.heading: texts.heading(case, first),
            parts.index: gr.update(
                value=index, maximum=max(depth - 1, 1), visible=depth > 1
            ),
            parts.x: gr.update(value=width // 2, maximum=width - 1),
            parts.y: gr.update(value=height // 2, maximum=height - 1),
            **{figure: gr.update(visible=False) for figure in parts.figures},
        }

    def _look(self, values, at):
        case = values[self.parts.case]
        names = self._names(values)
        if case is None:
            return self._fail(FORGOTTEN)
        for name in case.found(names):
            case.look(name, (*at, values[self.parts.index]))
        values = values | {self.parts.kind: ATTENTION}
        return self._show(values, case) | {
            self.parts.kind: ATTENTION,
            self.parts.x: at[0],
            self.parts.y: at[1],
        }

    def _show(self, values, case):
        """Return the updates of what depends on the choices of a view."""
        parts, names = self.parts, self._names(values)
        stage = values[parts.stage]
        view = View(
            values[parts.kind],
            values[parts.opacity],
            values[parts.index],
            values[parts.class_index],
            None if stage == ALL_STAGES else stage,
        )
        classes = {name: self.models.class_names(name) for name in names}
        shown = [show(case, name, classes[name], view) for name in names]
        updates = {
            parts.class_index: class_choice(view, classes.values()),
            parts.stage: stage_choice(view, case),
        }
        for panel, one in itertools.zip_longest(parts.panels, shown):
            updates |= fill(panel, one)
        return updates

    def _names(self, values):
        """Return the chosen models that have a place on the page."""
        chosen = values[self.parts.names]
        return [n for n in self.models.names if n in chosen][:SLOTS]

    def _point(self, values):
        return int(values[self.parts.x] or 0), int(values[self.parts.y] or 0)

    def _fail(self, text):
        return {
            self.parts.message: texts.message(text),
            self.parts.results: gr.update(visible=False),
            self.parts.upload: None,
            self.parts.case: None,
        }
