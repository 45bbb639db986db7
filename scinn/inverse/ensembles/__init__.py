"""Ensemble approximations of posteriors: Kalman smoothers, optimisers and a sampler, and deep last-layer ensembles.

Names are loaded at their first use, so that importing this package loads no more than what is used of it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.inverse.ensembles.eki import eki_update, run_eki
    from scinn.inverse.ensembles.eks import eks_update, run_eks
    from scinn.inverse.ensembles.esmda import esmda_update, run_esmda
    from scinn.inverse.ensembles.etki import etki_update, run_etki
    from scinn.inverse.ensembles.ies import ies_update, run_ies
    from scinn.inverse.ensembles.initial import last_layer_ensemble, local_ensemble, prior_ensemble
    from scinn.inverse.ensembles.kalman import EnsembleKalman
    from scinn.inverse.ensembles.last_layer import LastLayerMixture, last_layer_mixture
    from scinn.inverse.ensembles.result import EnsembleResult, Iteration
    from scinn.inverse.ensembles.steps import data_misfit_step
    from scinn.inverse.ensembles.symmetry import SymmetryReport, symmetry_report
    from scinn.inverse.ensembles.teki import run_teki, teki_update

_HOME = {
    "EnsembleKalman": "kalman",
    "EnsembleResult": "result",
    "Iteration": "result",
    "LastLayerMixture": "last_layer",
    "SymmetryReport": "symmetry",
    "data_misfit_step": "steps",
    "eki_update": "eki",
    "eks_update": "eks",
    "esmda_update": "esmda",
    "etki_update": "etki",
    "ies_update": "ies",
    "last_layer_ensemble": "initial",
    "last_layer_mixture": "last_layer",
    "local_ensemble": "initial",
    "prior_ensemble": "initial",
    "run_eki": "eki",
    "run_eks": "eks",
    "run_esmda": "esmda",
    "run_etki": "etki",
    "run_ies": "ies",
    "run_teki": "teki",
    "symmetry_report": "symmetry",
    "teki_update": "teki",
}
_SUBMODULES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))

__all__ = [
    "EnsembleKalman",
    "EnsembleResult",
    "Iteration",
    "LastLayerMixture",
    "SymmetryReport",
    "data_misfit_step",
    "eki_update",
    "eks_update",
    "esmda_update",
    "etki_update",
    "ies_update",
    "last_layer_ensemble",
    "last_layer_mixture",
    "local_ensemble",
    "prior_ensemble",
    "run_eki",
    "run_eks",
    "run_esmda",
    "run_etki",
    "run_ies",
    "run_teki",
    "symmetry_report",
    "teki_update",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        globals()[name] = getattr(importlib.import_module(f"scinn.inverse.ensembles.{_HOME[name]}"), name)
        return globals()[name]
    if name in _SUBMODULES:
        return importlib.import_module(f"scinn.inverse.ensembles.{name}")
    raise AttributeError(f"module 'scinn.inverse.ensembles' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
