"""Robustness of detectors on binary features: exact Chow parameters, stabilised neurons, attacks, certificates.

Names are loaded at their first use, so that importing this package loads no more than what is used of it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.robustness.accuracy_drop import AccuracyDropBound, accuracy_drop_bound
    from scinn.robustness.adversarial_training import AdversarialFit, adversarial_fit
    from scinn.robustness.attack_results import ContinuousAttackResult
    from scinn.robustness.attacks import AttackResult, exhaustive_flips, greedy_flips, jsma
    from scinn.robustness.certificates import (
        RadiusResult,
        certified_radius,
        exact_radius,
        gain_bound,
        halfspace_radius,
        hoelder_lower_bound,
    )
    from scinn.robustness.chow import chow_parameters
    from scinn.robustness.chow_result import ChowResult
    from scinn.robustness.classifier import FourierStabilizedClassifier
    from scinn.robustness.constraints import FeatureConstraints
    from scinn.robustness.features import detect_encoding, to_bits, to_signs
    from scinn.robustness.fourier_stabilization import (
        StabilizedLayer,
        StabilizedNeuron,
        stabilize,
        stabilize_layer,
    )
    from scinn.robustness.gradient_attacks import fmn_l1, pgd_l1
    from scinn.robustness.joint_law import (
        ChangeProbability,
        ThresholdProfile,
        change_probability,
        match_threshold,
        threshold_profile,
    )
    from scinn.robustness.network import ShallowNetwork
    from scinn.robustness.selection import SelectionResult, select_neurons
    from scinn.robustness.training import retrain_biases, train_detector
    from scinn.robustness.voting import PowerIndexResult, power_index
    from scinn.robustness.walsh import degree_one_coefficients, walsh_hadamard_transform

_HOME = {
    "AccuracyDropBound": "accuracy_drop",
    "AdversarialFit": "adversarial_training",
    "AttackResult": "attacks",
    "ChangeProbability": "joint_law",
    "ChowResult": "chow_result",
    "ContinuousAttackResult": "attack_results",
    "FeatureConstraints": "constraints",
    "FourierStabilizedClassifier": "classifier",
    "PowerIndexResult": "voting",
    "RadiusResult": "certificates",
    "SelectionResult": "selection",
    "ShallowNetwork": "network",
    "StabilizedLayer": "fourier_stabilization",
    "StabilizedNeuron": "fourier_stabilization",
    "ThresholdProfile": "joint_law",
    "accuracy_drop_bound": "accuracy_drop",
    "adversarial_fit": "adversarial_training",
    "certified_radius": "certificates",
    "change_probability": "joint_law",
    "chow_parameters": "chow",
    "degree_one_coefficients": "walsh",
    "detect_encoding": "features",
    "exact_radius": "certificates",
    "exhaustive_flips": "attacks",
    "fmn_l1": "gradient_attacks",
    "gain_bound": "certificates",
    "greedy_flips": "attacks",
    "halfspace_radius": "certificates",
    "hoelder_lower_bound": "certificates",
    "jsma": "attacks",
    "match_threshold": "joint_law",
    "pgd_l1": "gradient_attacks",
    "power_index": "voting",
    "retrain_biases": "training",
    "select_neurons": "selection",
    "stabilize": "fourier_stabilization",
    "stabilize_layer": "fourier_stabilization",
    "threshold_profile": "joint_law",
    "to_bits": "features",
    "to_signs": "features",
    "train_detector": "training",
    "walsh_hadamard_transform": "walsh",
}
_SUBMODULES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))

__all__ = [
    "AccuracyDropBound",
    "AdversarialFit",
    "AttackResult",
    "ChangeProbability",
    "ChowResult",
    "ContinuousAttackResult",
    "FeatureConstraints",
    "FourierStabilizedClassifier",
    "PowerIndexResult",
    "RadiusResult",
    "SelectionResult",
    "ShallowNetwork",
    "StabilizedLayer",
    "StabilizedNeuron",
    "ThresholdProfile",
    "accuracy_drop_bound",
    "adversarial_fit",
    "certified_radius",
    "change_probability",
    "chow_parameters",
    "degree_one_coefficients",
    "detect_encoding",
    "exact_radius",
    "exhaustive_flips",
    "fmn_l1",
    "gain_bound",
    "greedy_flips",
    "halfspace_radius",
    "hoelder_lower_bound",
    "jsma",
    "match_threshold",
    "pgd_l1",
    "power_index",
    "retrain_biases",
    "select_neurons",
    "stabilize",
    "stabilize_layer",
    "threshold_profile",
    "to_bits",
    "to_signs",
    "train_detector",
    "walsh_hadamard_transform",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        # Kept, so that a function stays visible beside a submodule of the same name.
        globals()[name] = getattr(importlib.import_module(f"scinn.robustness.{_HOME[name]}"), name)
        return globals()[name]
    if name in _SUBMODULES:
        return importlib.import_module(f"scinn.robustness.{name}")
    raise AttributeError(f"module 'scinn.robustness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
