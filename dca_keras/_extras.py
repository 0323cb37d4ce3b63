"""Packages that only some functions need, installed as extras."""

import importlib


def import_extra(module, *, extra, purpose):
    """Import a module that an extra of this package installs.

    Args:
        module: The module's full name.
        extra: The extra's name.
        purpose: What the module is needed for, as the error's first words:
            "Reading NIfTI".

    Returns:
        The module.

    Raises:
        ImportError: If the module is not installed. The message names the
            extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {module.partition('.')[0]}: pip install "
            f'"dca-keras[{extra}]"'
        ) from error
