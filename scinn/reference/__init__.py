"""The oracle: slow, obvious transcriptions of the definitions that the fast kernels are compared with.

Nothing here shares code with :mod:`scinn.kernels`; every function returns new arrays. Modules load at first use.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

_MODULES = tuple(
    sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
)

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"scinn.reference.{name}")
    raise AttributeError(f"module 'scinn.reference' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
