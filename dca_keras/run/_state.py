"""The state of a training, from which it can be resumed."""

import typing

from dca_keras._checkpoint import read_checkpoint


class Checkpoint(typing.NamedTuple):
    """The state of a training after an epoch.

    Attributes:
        epochs: The finished epochs, a dictionary of scores each.
        arrays: The values of all variables; `None` if no epoch was finished.
        damage: What is wrong with the newest checkpoint if this is the one
            before it, else `None`.
    """

    epochs: list
    arrays: list | None = None
    damage: str | None = None


def read_state(run):
    """Return the `Checkpoint` of a run, see `Run.read_checkpoint`."""
    damage = None
    for kind in ("checkpoint", "previous_checkpoint"):
        path = run.path(kind)
        if path.exists():
            try:
                arrays, epochs = read_checkpoint(path)
                return Checkpoint(epochs, arrays, damage)
            except ValueError as error:
                damage = damage or str(error)
    if damage is not None:
        raise ValueError(
            f"{damage} There is no earlier one to go on with: start again "
            "with `--overwrite`."
        )
    return Checkpoint([])
