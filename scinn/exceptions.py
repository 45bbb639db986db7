"""Warnings and errors that callers may want to catch by class."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = [
    "ChecksumError",
    "ConvergenceWarning",
    "DataUnavailableError",
    "MissingExtraError",
    "OutputLockedError",
    "ScinnWarning",
    "require",
]


class ScinnWarning(UserWarning):
    """Base class of every warning that scinn raises."""


class ConvergenceWarning(ScinnWarning):
    """An iteration stopped before it reached its tolerance; the result says so too."""


class DataUnavailableError(RuntimeError):
    """A data set is neither in ``$SCINN_DATA`` nor in the cache, and could not be downloaded."""


class ChecksumError(RuntimeError):
    """A data file does not have the checksum that the registry records."""


class OutputLockedError(RuntimeError):
    """Another process is writing into the output folder; the message names it."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message says what to install."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say in one line how to get it.

    Parameters
    ----------
    module : str
        Name to import, for example ``"hypothesis"``.
    extra : str
        The extra of scinn that brings it, for example ``"verify"``.
    purpose : str
        What needs it, for the message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        Where the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {module}, which is not installed: pip install 'scinn[{extra}]'"
        ) from error
