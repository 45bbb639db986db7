"""Inversion with heavy-tailed network priors: priors, forward operators, posteriors, MAP estimates, samplers, ensembles.

Names are loaded at their first use, so that importing this package loads no more than what is used of it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.inverse.besov import BesovPrior
    from scinn.inverse.cauchy_difference import CauchyDifferencePrior
    from scinn.inverse.chains import Chains
    from scinn.inverse.ensembles import EnsembleKalman
    from scinn.inverse.gaussian_process import GaussianProcessPrior
    from scinn.inverse.grids import Grid, uniform_grid
    from scinn.inverse.inverse_problem import InverseProblem
    from scinn.inverse.laws import Law, as_law
    from scinn.inverse.map_estimation import MapMinimum, MapResult, map_estimate
    from scinn.inverse.network_prior import StableNNPrior
    from scinn.inverse.operators import Convolution1D, Convolution2D, Identity, Integration, MatrixOperator
    from scinn.inverse.posterior import CollapsedPosterior, Posterior
    from scinn.inverse.problems import Deconvolution1D, Deconvolution2D, deconvolution_1d, deconvolution_2d
    from scinn.inverse.samplers import (
        GPCN,
        HMC,
        MALA,
        PCN,
        PCNL,
        SMC,
        AdaptivePCN,
        CollapsedInfHMC,
        CollapsedPCN,
        EllipticalSlice,
        InfHMC,
        InfMALA,
        ParallelTempering,
        RandomWalk,
    )
    from scinn.inverse.sampling import sample
    from scinn.inverse.total_variation import tv_map

_HOME = {
    "AdaptivePCN": "samplers",
    "BesovPrior": "besov",
    "CauchyDifferencePrior": "cauchy_difference",
    "Chains": "chains",
    "CollapsedInfHMC": "samplers",
    "CollapsedPCN": "samplers",
    "CollapsedPosterior": "posterior",
    "Convolution1D": "operators",
    "Convolution2D": "operators",
    "Deconvolution1D": "problems",
    "Deconvolution2D": "problems",
    "EllipticalSlice": "samplers",
    "EnsembleKalman": "ensembles",
    "GPCN": "samplers",
    "GaussianProcessPrior": "gaussian_process",
    "Grid": "grids",
    "HMC": "samplers",
    "Identity": "operators",
    "InfHMC": "samplers",
    "InfMALA": "samplers",
    "Integration": "operators",
    "InverseProblem": "inverse_problem",
    "Law": "laws",
    "MALA": "samplers",
    "MapMinimum": "map_estimation",
    "MapResult": "map_estimation",
    "MatrixOperator": "operators",
    "PCN": "samplers",
    "PCNL": "samplers",
    "ParallelTempering": "samplers",
    "Posterior": "posterior",
    "RandomWalk": "samplers",
    "SMC": "samplers",
    "StableNNPrior": "network_prior",
    "as_law": "laws",
    "deconvolution_1d": "problems",
    "deconvolution_2d": "problems",
    "map_estimate": "map_estimation",
    "sample": "sampling",
    "tv_map": "total_variation",
    "uniform_grid": "grids",
}
_SUBMODULES = (
    *sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")),
    "ensembles",
    "samplers",
)

__all__ = [
    "GPCN",
    "HMC",
    "MALA",
    "PCN",
    "PCNL",
    "SMC",
    "AdaptivePCN",
    "BesovPrior",
    "CauchyDifferencePrior",
    "Chains",
    "CollapsedInfHMC",
    "CollapsedPCN",
    "CollapsedPosterior",
    "Convolution1D",
    "Convolution2D",
    "Deconvolution1D",
    "Deconvolution2D",
    "EllipticalSlice",
    "EnsembleKalman",
    "GaussianProcessPrior",
    "Grid",
    "Identity",
    "InfHMC",
    "InfMALA",
    "Integration",
    "InverseProblem",
    "Law",
    "MapMinimum",
    "MapResult",
    "MatrixOperator",
    "ParallelTempering",
    "Posterior",
    "RandomWalk",
    "StableNNPrior",
    "as_law",
    "deconvolution_1d",
    "deconvolution_2d",
    "map_estimate",
    "sample",
    "tv_map",
    "uniform_grid",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        globals()[name] = getattr(importlib.import_module(f"scinn.inverse.{_HOME[name]}"), name)
        return globals()[name]
    if name in _SUBMODULES:
        return importlib.import_module(f"scinn.inverse.{name}")
    raise AttributeError(f"module 'scinn.inverse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
