"""Start a page, and stop it."""

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dca_keras.app._examples import (
    drawn_examples,
    held_out_examples,
    list_examples,
)
from dca_keras.app._models import Models
from dca_keras.app._uploads import Limits
from dca_keras.run import Run
from dca_keras.weights import list_weights

MAX_MEGABYTES = 500
MAX_PIXELS = 2**27  # 512×512×512
STYLE = Path(__file__).with_name("page.css")
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
SESSIONS = 32  # Browsers whose last image is kept in memory.


@contextlib.contextmanager
def running_page(
    runs: Sequence[str | Path] = (),
    *,
    examples: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    max_megabytes: int = MAX_MEGABYTES,
    max_pixels: int = MAX_PIXELS,
    browser: bool = False,
) -> Iterator[str]:
    """Serve a page while a block runs.

    Images stay in the memory of this process and in a folder for temporary
    files that is removed at the end; nothing is sent or fetched.

    Args:
        runs: Folders of runs, names of shipped weights, or "hf://USER/NAME",
            whose models the page shows; none is all shipped weights.
        examples: A folder of images to offer; `None` is images of the first
            run's test split where they are there and `host` is this computer,
            else drawn ones.
        host: The address to listen at. The page has no password.
        port: The port; `None` is the first free one from 7860.
        max_megabytes: Most megabytes of an image's files.
        max_pixels: Most pixels of an image, over all slices of a volume.
        browser: Whether to open the page in a browser.

    Yields:
        The page's address.

    Raises:
        ValueError: If a run can't be opened, a limit is not positive,
            `examples` holds no image, or `host` and `port` can't be had.
        ImportError: If Gradio is not installed.
    """
    limits = _check_limits(max_megabytes, max_pixels)
    models = Models(runs or _shipped())
    with tempfile.TemporaryDirectory(prefix="dca-keras-app-") as folder:
        # Where Gradio keeps uploads; a proxy never gets to see the page.
        own = {"GRADIO_TEMP_DIR": folder, "no_proxy": _no_proxy()}
        with _environment(own):
            offered = _examples(models, examples, host, Path(folder))
            shown = len(runs) or 1
            blocks = _make(models, offered, limits, folder, shown)
            try:
                _launch(blocks, host, port, limits, browser)
                yield blocks.local_url
            finally:
                blocks.close(verbose=False)


def is_loopback(host: str) -> bool:
    """Return whether only this computer can reach a host's pages."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _make(models, examples, limits, folder, shown):
    from dca_keras.app._page import make_page  # It imports Gradio.

    return make_page(models, examples, limits, folder, shown)


def _launch(blocks, host, port, limits, browser):
    from dca_keras.app._gradio import gradio

    theme = gradio.themes.Default(
        primary_hue="teal", font=FONTS, font_mono=("ui-monospace", "monospace")
    )
    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,  # A browser would keep images.
            footer_links=[],
            allowed_paths=[],
            max_file_size=limits.megabytes * 10**6,
            state_session_capacity=SESSIONS,
            theme=theme,
            css_paths=STYLE,
        )
    except OSError as error:
        raise ValueError(
            f"`host` and `port` must be free to listen at. Received: {host}, "
            f"{port or 'any port from 7860'}. Choose others."
        ) from error


def _examples(models, examples, host, folder):
    """Return what the page offers; patients' images only on this computer."""
    if examples is not None:
        return list_examples(examples, folder)
    runs = [models.run(name) for name in models.names]
    found = held_out_examples(runs[0], folder) if is_loopback(host) else []
    flat = any(_is_flat(run) for run in runs)
    return found or (drawn_examples(folder) if flat else [])


def _is_flat(run):
    """Return whether a run is of pictures, and not of volumes."""
    recipe = run.recipe
    return len(recipe.image_size) == 2 and recipe.channels in (1, 3)


def _shipped():
    """Return the names of all shipped weights, those of pictures first."""
    return sorted(list_weights(), key=lambda name: not _is_flat(Run.open(name)))


def _check_limits(max_megabytes, max_pixels):
    given = {"max_megabytes": max_megabytes, "max_pixels": max_pixels}
    for name, value in given.items():
        if value < 1:
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {value!r}"
            )
    return Limits(max_megabytes, max_pixels)


def _no_proxy():
    return ",".join(
        filter(None, (os.environ.get("no_proxy"), "localhost,127.0.0.1,::1"))
    )


@contextlib.contextmanager
def _environment(values):
    """Set environment variables while a block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
