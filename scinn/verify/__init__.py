"""The checks of the package's contracts, for its own tests and for its users' code.

Each contract has exactly one check: layers :func:`check_gradient`, linear operators :func:`check_adjoint` and
:func:`check_tight_frame`, reversible maps :func:`check_reversible`, samplers :func:`check_invariance`,
network surgery :func:`check_surgery`. Each returns a :class:`CheckResult`. The theorems of the papers are
executable properties in :mod:`scinn.verify.registry`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.verify.gradient import check_gradient
    from scinn.verify.operators import check_adjoint, check_tight_frame
    from scinn.verify.registry import Property, PropertyReport, run_property, verify_papers
    from scinn.verify.result import CheckFailedError, CheckResult
    from scinn.verify.reversible import check_reversible
    from scinn.verify.sampler import check_invariance
    from scinn.verify.surgery import check_surgery

_HOMES = {
    "CheckFailedError": "result",
    "CheckResult": "result",
    "Property": "registry",
    "PropertyReport": "registry",
    "check_adjoint": "operators",
    "check_gradient": "gradient",
    "check_invariance": "sampler",
    "check_reversible": "reversible",
    "check_surgery": "surgery",
    "check_tight_frame": "operators",
    "run_property": "registry",
    "verify_papers": "registry",
}

__all__ = [
    "CheckFailedError",
    "CheckResult",
    "Property",
    "PropertyReport",
    "check_adjoint",
    "check_gradient",
    "check_invariance",
    "check_reversible",
    "check_surgery",
    "check_tight_frame",
    "run_property",
    "verify_papers",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"scinn.verify.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'scinn.verify' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
