"""The command `dca-keras app`."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from dca_keras.cli._options import optional, print_line, print_warning


def app(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders that `train` made, or names of shipped weights, to "
            "see side by side; all shipped weights by default.",
            metavar="[RUN|NAME…]",
        ),
    ] = None,
    examples: optional(
        Path,
        "Folder of images to offer; by default those of the first run's test "
        "split that are still there, on this computer only, or drawn ones.",
    ) = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at; by default only this computer "
            "reaches the page, which has no password."
        ),
    ] = "127.0.0.1",
    port: optional(int, "Port; the first free one from 7860.") = None,
    max_megabytes: Annotated[
        int, typer.Option(help="Most megabytes of an image's files.")
    ] = 500,
    max_pixels: Annotated[
        int,
        typer.Option(
            help="Most pixels of an image, over all slices of a volume."
        ),
    ] = 2**27,
    browser: Annotated[
        bool, typer.Option("--browser", help="Open the page in a browser.")
    ] = False,
):
    """Open a page that shows what models find in an image.

    Drop an image or a volume on the page to see its mask, the probabilities,
    and where the attention looks from a point; download the mask in the
    image's own format. Images stay on this computer. Ctrl-C stops the page.
    """
    from dca_keras.app import is_loopback, running_page

    if not is_loopback(host):
        print_warning(
            f"Everyone who reaches this computer at {host} can use the page. "
            "It has no password."
        )
    # A page that is ended removes its files too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_page(
        runs or (),
        examples=examples,
        host=host,
        port=port,
        max_megabytes=max_megabytes,
        max_pixels=max_pixels,
        browser=browser,
    ) as address:
        print_line(f"page: {address}")
        print_line("Ctrl-C stops it.")
        _wait()


def _wait():
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print_line("The page is closed; its files are removed.")
