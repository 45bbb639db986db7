"""First ensembles: draws from the prior, draws around a point, draws of the last layer only.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", arXiv 2112.10663; the local
ensemble is a step of the preconditioned Crank-Nicolson proposal (Cotter, Roberts, Stuart, White 2013) from its centre. See
:mod:`scinn.inverse.ensembles.symmetry` for why a network's prior ensemble learns next to nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.random import RandomState, as_generator

__all__ = ["last_layer_ensemble", "local_ensemble", "prior_ensemble"]


def prior_ensemble(dim: int, n_members: int, rng: RandomState = None) -> np.ndarray:
    """Draw members from N(0, I).

    Parameters
    ----------
    dim, n_members : int
        d and J.
    rng : int, SeedSequence, Generator, Key or None

    Returns
    -------
    ndarray of float64, shape (J, d)

    Examples
    --------
    >>> prior_ensemble(3, 5, rng=0).shape
    (5, 3)
    """
    d, n = check_positive_int(dim, "dim", 0), check_positive_int(n_members, "n_members", 2)
    return as_generator(rng).standard_normal((n, d))


def local_ensemble(centre: Any, n_members: int, spread: float = 0.1, rng: RandomState = None) -> np.ndarray:
    """Draw members ``sqrt(1 - b^2) centre + b zeta_j`` around a point, with ``zeta_j ~ N(0, I)``.

    For a centre drawn from the prior each member has the prior's law, but they share their signs, so that the members'
    covariances see what the weights do.

    Parameters
    ----------
    centre : array-like, shape (d,)
        A draw from the prior, or a MAP estimate.
    n_members : int
        J.
    spread : float, default 0.1
        b in (0, 1].
    rng : int, SeedSequence, Generator, Key or None

    Returns
    -------
    ndarray of float64, shape (J, d)

    Raises
    ------
    ValueError
        For a spread outside (0, 1].

    Examples
    --------
    >>> local_ensemble([0.0, 10.0], 4, 0.01, rng=0).round(1)[:, 1].tolist()
    [10.0, 10.0, 10.0, 10.0]
    """
    point = as_float_array(centre, "centre", ndim=1, dtype=np.float64)
    b = check_in_range(spread, "spread", 0.0, 1.0, "right")
    n = check_positive_int(n_members, "n_members", 2)
    return np.sqrt(1.0 - b * b) * point + b * as_generator(rng).standard_normal((n, len(point)))


def last_layer_ensemble(centre: Any, n_hidden: int, n_members: int, rng: RandomState = None) -> np.ndarray:
    """Draw the coordinates of the last layer from N(0, I) and keep the others at a point.

    The features are then fixed, and with a Gaussian last layer the predictions are linear over the ensemble's span.

    Parameters
    ----------
    centre : array-like, shape (d,)
    n_hidden : int
        Number of coordinates below the last layer, which come first.
    n_members : int
        J.
    rng : int, SeedSequence, Generator, Key or None

    Returns
    -------
    ndarray of float64, shape (J, d)

    Raises
    ------
    ValueError
        Where there are no coordinates left for the last layer.

    Examples
    --------
    >>> last_layer_ensemble([7.0, 8.0, 9.0], 2, 3, rng=0)[:, :2].tolist()
    [[7.0, 8.0], [7.0, 8.0], [7.0, 8.0]]
    """
    point = as_float_array(centre, "centre", ndim=1, dtype=np.float64)
    hidden = check_positive_int(n_hidden, "n_hidden", 0)
    n = check_positive_int(n_members, "n_members", 2)
    if hidden >= len(point):
        raise ValueError(f"n_hidden is {hidden}; less than the {len(point)} coordinates of centre is wanted")
    out = np.tile(point, (n, 1))
    out[:, hidden:] = as_generator(rng).standard_normal((n, len(point) - hidden))
    return out
