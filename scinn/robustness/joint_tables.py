"""Joint law of a neuron and of the integer that another neuron on a lattice depends on.

Notation of :mod:`scinn.robustness.joint_law`: g = sgn(<v,x> - mu) with v a multiple of integers a is a function of
``r = (<a,x> + A)/2``, ``A = ||a||_1``, so that Pr[g != h] for every threshold follows from Pr[r = j], alone and with h.

References
----------
Derived here. The neurons are those of N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural
Networks through Fourier Stabilization, ICML, PMLR 139.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scinn.robustness import joint_methods as methods
from scinn.robustness import joint_points as points
from scinn.robustness.joint_methods import LARGEST_LATTICE, Plane
from scinn.robustness.spectral import RETURNS, lattice_error

__all__ = [
    "MOST_POINTS",
    "MOST_STATES",
    "LatticeTable",
    "affordable_pair",
    "lattice_table",
    "lattice_values",
    "pair_table",
    "series_table",
]

#: Inputs up to which all points are tried.
MOST_POINTS = 24
#: States of groups, about a second.
MOST_STATES = 1e7
# Additions of a dynamic programme, and cosines of a series, that take about a second.
_MOST_ADDITIONS = 1e9
_MOST_COSINES = 2e9
_EPS = float(np.finfo(np.float64).eps)


class LatticeTable(NamedTuple):
    """Joint law of h and of the integer r of a neuron on a lattice: Pr[r = j], and with h = 1 and h = -1."""

    law: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    error: float
    kind: str
    method: str


def affordable_pair(h: Plane, g: Plane) -> bool:
    if not (h.lattice and g.lattice):
        return False
    return len(h.weights) * (h.total + 1.0) * (g.total + 1.0) <= _MOST_ADDITIONS


def lattice_values(plane: Plane) -> np.ndarray:
    """Return the values of <a,x> in the order of r."""
    return -float(plane.total) + 2.0 * np.arange(plane.total + 1)


def pair_table(h: Plane, g: Plane, tie: int) -> LatticeTable:
    law = methods.lattice_pair_law(h.weights, g.weights)
    signs = methods.signs_of(lattice_values(h) - h.threshold, tie)
    plus, minus = law @ (signs == 1), law @ (signs == -1)
    return LatticeTable(law.sum(axis=1), plus, minus, len(h.weights) * _EPS, "exact", "dynamic programming")


def lattice_table(h: Plane, g: Plane, tie: int) -> LatticeTable | None:
    """Return the joint law of h and the integer of g, or None where it takes too long."""
    if len(h.weights) <= MOST_POINTS and g.total <= LARGEST_LATTICE:
        plus, minus, law = np.zeros((3, g.total + 1))
        for signs, _, margins in points.enumerated_signs(h, g, tie):
            r = np.round(0.5 * (margins + g.threshold + g.total)).astype(np.int64)
            law += np.bincount(r, minlength=len(law))
            plus += np.bincount(r[signs == 1], minlength=len(law))
            minus += np.bincount(r[signs == -1], minlength=len(law))
        share = math.ldexp(1.0, -len(h.weights))
        return LatticeTable(law * share, plus * share, minus * share, 0.0, "exact", "enumeration")
    if affordable_pair(h, g):
        return pair_table(h, g, tie)
    groups = points.Groups(h, g)
    if groups.n_states <= MOST_STATES and g.total <= LARGEST_LATTICE:
        return _grouped_table(groups, g, tie)
    if h.lattice:
        return None
    return series_table(h, g)


def _grouped_table(groups: points.Groups, g: Plane, tie: int) -> LatticeTable:
    plus, minus, law = np.zeros((3, g.total + 1))
    for share, signs, _, margins in groups.states(tie):
        r = np.round(0.5 * (margins + g.threshold + g.total)).astype(np.int64)
        law += np.bincount(r, share, len(law))
        plus += np.bincount(r, share * (signs == 1), len(law))
        minus += np.bincount(r, share * (signs == -1), len(law))
    return LatticeTable(law, plus, minus, groups.error, "exact", "groups")


def series_table(h: Plane, g: Plane) -> LatticeTable | None:
    size = math.sqrt(float(h.weights @ h.weights)) / float(np.abs(h.weights).max())
    rows = int(min(4096.0, _MOST_COSINES / (2.0 * (g.total + 1.0) * len(h.weights))))
    # Enough for the Gaussian range and the first returns of nearly equal weights.
    if g.total > LARGEST_LATTICE or rows < 64.0 + 25.0 * size:
        return None
    moments, tail = methods.lattice_moments(h, g.weights, most_rows=rows)
    second, _ = methods.lattice_moments(h, g.weights, stretch=1.1, most_rows=rows)
    law = methods.lattice_law(g.weights)
    atoms = lattice_error(h.weights, RETURNS * math.pi / float(np.abs(h.weights).max()))
    error = 0.5 * (float(np.sum(np.abs(moments - second))) + tail + atoms) + 16.0 * _EPS
    error += points.atom_mass(h)
    return LatticeTable(law, 0.5 * (law + moments), 0.5 * (law - moments), error, "series", "lattice series")
