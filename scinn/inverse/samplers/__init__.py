"""Samplers of posteriors with density ``exp(-Phi(xi))`` with respect to ``N(0, I)``, one a file, all of one shape.

``sampler = PCN(target, beta=0.2)``, ``state = sampler.init(position)``, ``state, info = sampler.step(rng, state)``;
``run`` makes many steps, ``warmup`` many that adapt the step size. Names are loaded at their first use.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.inverse.samplers.adaptive_pcn import AdaptivePCN, AdaptivePCNState
    from scinn.inverse.samplers.base import GradientState
    from scinn.inverse.samplers.collapsed_inf_hmc import CollapsedInfHMC
    from scinn.inverse.samplers.collapsed_pcn import CollapsedPCN
    from scinn.inverse.samplers.contract import GradientTarget, Info, RunInfo, Sampler, Target
    from scinn.inverse.samplers.elliptical_slice import EllipticalSlice, EllipticalSliceState
    from scinn.inverse.samplers.gpcn import GPCN, likelihood_informed_directions
    from scinn.inverse.samplers.hmc import HMC
    from scinn.inverse.samplers.inf_hmc import InfHMC
    from scinn.inverse.samplers.inf_mala import InfMALA
    from scinn.inverse.samplers.mala import MALA
    from scinn.inverse.samplers.parallel_tempering import ParallelTempering
    from scinn.inverse.samplers.pcn import PCN, PCNState
    from scinn.inverse.samplers.pcnl import PCNL
    from scinn.inverse.samplers.rwm import RandomWalk, RandomWalkState
    from scinn.inverse.samplers.smc import SMC

_HOME = {
    "AdaptivePCN": "adaptive_pcn",
    "AdaptivePCNState": "adaptive_pcn",
    "CollapsedInfHMC": "collapsed_inf_hmc",
    "CollapsedPCN": "collapsed_pcn",
    "EllipticalSlice": "elliptical_slice",
    "EllipticalSliceState": "elliptical_slice",
    "GPCN": "gpcn",
    "GradientState": "base",
    "GradientTarget": "contract",
    "HMC": "hmc",
    "InfHMC": "inf_hmc",
    "InfMALA": "inf_mala",
    "Info": "contract",
    "MALA": "mala",
    "PCN": "pcn",
    "PCNL": "pcnl",
    "PCNState": "pcn",
    "ParallelTempering": "parallel_tempering",
    "RandomWalk": "rwm",
    "RandomWalkState": "rwm",
    "RunInfo": "contract",
    "SMC": "smc",
    "Sampler": "contract",
    "Target": "contract",
    "likelihood_informed_directions": "gpcn",
}
_SUBMODULES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))

__all__ = [
    "GPCN",
    "HMC",
    "MALA",
    "PCN",
    "PCNL",
    "SMC",
    "AdaptivePCN",
    "AdaptivePCNState",
    "CollapsedInfHMC",
    "CollapsedPCN",
    "EllipticalSlice",
    "EllipticalSliceState",
    "GradientState",
    "GradientTarget",
    "InfHMC",
    "InfMALA",
    "Info",
    "PCNState",
    "ParallelTempering",
    "RandomWalk",
    "RandomWalkState",
    "RunInfo",
    "Sampler",
    "Target",
    "likelihood_informed_directions",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        # Kept, so that a class stays visible beside a submodule of the same name.
        globals()[name] = getattr(importlib.import_module(f"scinn.inverse.samplers.{_HOME[name]}"), name)
        return globals()[name]
    if name in _SUBMODULES:
        return importlib.import_module(f"scinn.inverse.samplers.{name}")
    raise AttributeError(f"module 'scinn.inverse.samplers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
