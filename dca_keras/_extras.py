"""Packages that only some functions need, installed as extras."""

import importlib
from importlib import metadata
from types import ModuleType

PACKAGE = "dca-keras"
# Of these, the user of a model needs none.
FOR_DEVELOPERS = {"docs", "peers", "test"}


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
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
            f'"{PACKAGE}[{extra}]"'
        ) from error


def list_extras() -> dict[str, list[str]]:
    """Return the extras for users, each with what it lacks here.

    Returns:
        A dictionary of lists such as "nibabel>=5.2 (not installed)"; an empty
        list is an extra that is installed.

    Raises:
        importlib.metadata.PackageNotFoundError: If this package is not
            installed itself.
    """
    names = metadata.metadata(PACKAGE).get_all("Provides-Extra") or ()
    return {
        name: missing_requirements(name)
        for name in names
        if name not in FOR_DEVELOPERS
    }


def missing_requirements(extra: str = "") -> list[str]:
    """Return what this package, or one of its extras, asks for and lacks.

    Args:
        extra: The extra's name; none for what the package always needs.

    Returns:
        Requirements, each with the version that is installed, if any.

    Raises:
        importlib.metadata.PackageNotFoundError: If this package is not
            installed itself.
    """
    from packaging.requirements import Requirement

    missing = []
    for text in metadata.requires(PACKAGE) or ():
        wanted = Requirement(text)
        if extra and wanted.marker is None:
            continue  # What the package always needs.
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            missing.append(f"{wanted.name}{wanted.specifier} (not installed)")
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            missing.append(f"{wanted.name}{wanted.specifier} ({version})")
    return missing
