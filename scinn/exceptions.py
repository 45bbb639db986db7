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
    "ReversibilityError",
    "ScinnWarning",
    "StateRangeError",
    "TapeError",
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


class ReversibilityError(RuntimeError):
    """A reversed computation did not arrive at the bits where it began; its results must not be used."""


class TapeError(ReversibilityError):
    """A tape of bits was read in the wrong order, by another network, or is damaged."""


class StateRangeError(ValueError):
    """A state left the range of its fixed-point numbers; the message names the unit and the step."""


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
