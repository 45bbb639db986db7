"""Neural-network papers as transparent, fast, verified CPU reference implementations.

Importing this package loads NumPy at most: every subpackage is loaded at its first use (PEP 562), so that
``import scinn`` and ``scinn --help`` answer at once.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from scinn._version import __version__

if TYPE_CHECKING:
    from scinn import (
        bench,
        datasets,
        graphs,
        inverse,
        nn,
        random,
        recurrent,
        reference,
        reproduce,
        robustness,
        verify,
    )
    from scinn.papers import cite

_SUBPACKAGES = (
    "bench",
    "datasets",
    "graphs",
    "inverse",
    "nn",
    "papers",
    "random",
    "recurrent",
    "reference",
    "reproduce",
    "robustness",
    "verify",
)

__all__ = [
    "__version__",
    "bench",
    "cite",
    "datasets",
    "graphs",
    "inverse",
    "nn",
    "random",
    "recurrent",
    "reference",
    "reproduce",
    "robustness",
    "verify",
]

logging.getLogger("scinn").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"scinn.{name}")
    if name == "cite":
        return importlib.import_module("scinn.papers").cite
    raise AttributeError(f"module 'scinn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
