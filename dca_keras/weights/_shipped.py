"""The weights that come with the package, each in a folder of its name."""

from pathlib import Path

from dca_keras._run_files import PATHS

SHIPPED = Path(__file__).with_name("shipped")
WEIGHTS = PATHS["shared_model"]


def list_weights() -> tuple[str, ...]:
    """Return the names of the shipped weights, sorted.

    A name stands wherever weights do, `unet(weights="nuclei")`, and in
    `dca-keras predict` wherever a run does. The folder
    `dca_keras/weights/shipped/NAME` has the model's card.
    """
    return tuple(
        sorted(path.parent.name for path in SHIPPED.glob(f"*/{WEIGHTS}"))
    )


def shipped_folder(name):
    """Return the folder of shipped weights, or None if no such are there."""
    return SHIPPED / name if name in list_weights() else None
