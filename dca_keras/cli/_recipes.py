"""From a command's options to a recipe, and what is said on the way."""

from rich.table import Table

from dca_keras.cli._options import err


def name_dataset(folder, given):
    """Return options with `data` and `data_dir`, which the folder says.

    Args:
        folder: The command's argument; None where it isn't given.
        given: The recipe's fields that are given.

    Raises:
        ValueError: If two folders are given, or it can't be read.
    """
    if folder is not None and "data_dir" in given:
        raise ValueError(
            "Give the folder once, as DIR or as `data_dir`. Received: "
            f"{folder} and {given['data_dir']}"
        )
    if folder is not None:
        given = given | {"data_dir": str(folder)}
    if "data" in given or "data_dir" not in given:
        return given
    from dca_keras.data import detect

    found = detect(given["data_dir"])
    err.print(
        f"{given['data_dir']} is read as {found.name}: {found.reason}.",
        **{"highlight": False, "markup": False, "soft_wrap": True},
    )
    return given | {"data": found.name}


def choose_recipe(resumed=None, **given):
    """Make a recipe of what is given and of what follows from the data.

    Args:
        resumed: The folder of the run that is resumed, if any. What isn't
            given is as it was there.
        **given: Fields of the recipe. With the `weights` of a run, the
            architecture is that run's where it isn't given.

    Returns:
        The `Recipe`, and the data set's `Fingerprint`, None if nothing was
        measured.
    """
    from dca_keras.planning import plan_recipe
    from dca_keras.recipe import follows_data, make_recipe
    from dca_keras.run import Run

    given = _start(given)
    if not follows_data(given.get("data", "synthetic")):
        return make_recipe(**given), None
    if resumed is not None and Run(resumed).path("recipe").is_file():
        before = Run(resumed).recipe.to_dict()
        return make_recipe(**(before | given)), None
    with err.status("measuring the images"):
        plan = plan_recipe(**given)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in plan.reasons.items():
        table.add_row(name, text)
    err.print(table, highlight=False, markup=False)
    return plan.recipe, plan.fingerprint


def _start(given):
    """Return options with the architecture of the weights to start from."""
    if "weights" not in given:
        return given
    from dca_keras.weights import architecture_of

    found = architecture_of(given["weights"])
    if given.get("model", found.get("model")) != found.get("model"):
        return given
    return found | given


def open_early(devices, *, strategy="single", data="synthetic", **_):
    """Open a strategy before planning builds a model, which is too late.

    Returns:
        The strategy; None for a single device, and where nothing is planned.
    """
    from dca_keras.recipe import follows_data

    if strategy not in ("mirrored", "multi_worker") or not follows_data(data):
        return None
    from dca_keras.training import strategies

    return strategies.open_strategy(strategy, devices)
