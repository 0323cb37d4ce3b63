"""A user's own modules: their models, data sets, losses and optimizers.

A plugin is a module that registers what it defines, such as by
`dca_keras.zoo.register_model`, when it is imported. Only those are imported
that the user names, and those that installed packages announce in the group
`dca_keras.plugins` of their entry points: never one because a file names it.
"""

import functools
import importlib
import os
import sys

GROUP = "dca_keras.plugins"


def load_plugins(names=()):
    """Import the plugins of installed packages, and those that are named.

    Args:
        names: Names of modules, in the current folder or installed.

    Raises:
        ValueError: If a name is no module's, or there is no such module.
        ImportError: If a plugin needs a module that is not there.
    """
    _load_installed()
    if isinstance(names, str):
        raise ValueError(
            "`plugins` must be names of modules in a list or tuple. "
            f"Received: {names!r}"
        )
    for name in names:
        _import(name)


@functools.cache
def _load_installed():
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        try:
            point.load()
        except ImportError as error:
            raise ImportError(
                f"The installed plugin {point.name} ({point.value}) can't be "
                f"imported: {error}"
            ) from error


def _import(name):
    words = name.split(".")
    if words[-1] == "py" or not all(word.isidentifier() for word in words):
        raise ValueError(
            "`plugins` must be names of modules: my_module for the file "
            f"my_module.py. Received: {name!r}"
        )
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"`plugins` {name} must be a module in the folder {folder} or "
                "of an installed package. There is none."
            ) from error
        raise ImportError(
            f"The plugin {name} can't be imported: {error}"
        ) from error
