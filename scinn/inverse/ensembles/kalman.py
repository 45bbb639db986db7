"""All ensemble Kalman methods behind one door: which ensemble to begin with, and which update to repeat.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", arXiv 2112.10663, name
ensemble-based approximations of the posterior; which they use could not be read. See
:mod:`scinn.inverse.ensembles.algebra` for the notation.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range, check_positive_int
from scinn.exceptions import ScinnWarning
from scinn.inverse.ensembles.eki import run_eki
from scinn.inverse.ensembles.eks import run_eks
from scinn.inverse.ensembles.esmda import run_esmda
from scinn.inverse.ensembles.etki import run_etki
from scinn.inverse.ensembles.ies import run_ies
from scinn.inverse.ensembles.initial import last_layer_ensemble, local_ensemble, prior_ensemble
from scinn.inverse.ensembles.result import EnsembleResult
from scinn.inverse.ensembles.symmetry import is_network
from scinn.inverse.ensembles.teki import run_teki
from scinn.random import RandomState, as_generator

__all__ = ["METHODS", "EnsembleKalman"]

METHODS: dict[str, Callable[..., EnsembleResult]] = {
    "esmda": run_esmda,
    "etki": run_etki,
    "eki": run_eki,
    "teki": run_teki,
    "ies": run_ies,
    "eks": run_eks,
}
INITS = ("local", "prior", "last_layer")


class EnsembleKalman:
    """An ensemble method on a posterior.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`; data and predictions are whitened.
    n_members : int, default 100
        J, at least 2.
    method : {"esmda", "etki", "eki", "teki", "ies", "eks"}, default "esmda"
        Smoothers from prior to posterior with perturbed data, by square roots, and iterated in the ensemble's subspace
        (``"esmda"``, ``"etki"``, ``"ies"``); optimisers (``"eki"`` to the noise level, ``"teki"`` to the MAP estimate);
        a sampler (``"eks"``).
    init : {"local", "prior", "last_layer"} or array-like, shape (J, dim), default "local"
        The first ensemble. It is what the smoothers take for the prior: with "local" their spread at the end is that of
        a narrower prior.
    centre : array-like, shape (dim,), optional
        For "local" and "last_layer": a MAP estimate or another point; default: a draw from the prior.
    spread : float, default 0.1
        b of "local".
    **options
        Of the method, for example ``inflation=8``: see :func:`scinn.inverse.ensembles.run_esmda` and its neighbours.

    Raises
    ------
    ValueError
        For an unknown method or init, shapes that do not fit, and options that the method has not.

    Warns
    -----
    ScinnWarning
        For ``init="prior"`` on a network, whose symmetries hide the data from the ensemble.

    References
    ----------
    C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022.

    Examples
    --------
    >>> from scinn.inverse import Deconvolution1D, EnsembleKalman, Posterior, StableNNPrior
    >>> problem = Deconvolution1D(dim=65, PSF="gaussian", PSF_param=0.05, noise_std=0.05, rng=0)
    >>> prior = StableNNPrior([1, 10, 10, 1], law=("cauchy", "cauchy", "gaussian"), weight_scale=(10, 3, 1))
    >>> result = EnsembleKalman(Posterior(prior, problem), 100, method="etki", inflation="adaptive").run(1)
    >>> result.fields().shape
    (100, 65)
    """

    def __init__(
        self,
        posterior: Any,
        n_members: int = 100,
        *,
        method: str = "esmda",
        init: Any = "local",
        centre: Any = None,
        spread: float = 0.1,
        **options: Any,
    ) -> None:
        self.posterior = posterior
        self.n_members = check_positive_int(n_members, "n_members", 2)
        self.method = check_choice(method, "method", METHODS)
        self.init = check_choice(init, "init", INITS) if isinstance(init, str) else self._given(init)
        self.centre = None
        if centre is not None:
            self.centre = as_float_array(centre, "centre", shape=(posterior.dim,), dtype=np.float64)
        self.spread = check_in_range(spread, "spread", 0.0, 1.0, "right")
        known = list(inspect.signature(METHODS[method]).parameters)[3:]
        for name in options:
            if name not in known:
                raise ValueError(f"method {method!r} has no option {name!r}; it has {', '.join(known)}")
        self.options = options
        named = init if isinstance(init, str) else "given"
        if named == "last_layer" and not is_network(posterior):
            raise ValueError("init is 'last_layer', and the posterior's prior is no network: use 'local'")
        if named == "prior" and is_network(posterior):
            self._warn()

    def __repr__(self) -> str:
        init = self.init if isinstance(self.init, str) else "given"
        return f"EnsembleKalman({self.n_members} members, method={self.method!r}, init={init!r}, {self.posterior!r})"

    def first_ensemble(self, rng: RandomState = None) -> np.ndarray:
        """Return the ensemble that a run begins with.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None

        Returns
        -------
        ndarray of float64, shape (J, dim)
        """
        generator = as_generator(rng)
        if not isinstance(self.init, str):
            return self.init
        if self.init == "prior":
            return prior_ensemble(self.posterior.dim, self.n_members, generator)
        centre = generator.standard_normal(self.posterior.dim) if self.centre is None else self.centre
        if self.init == "local":
            return local_ensemble(centre, self.n_members, self.spread, generator)
        return last_layer_ensemble(centre, self.posterior.prior.hidden_dim, self.n_members, generator)

    def run(self, rng: RandomState = None) -> EnsembleResult:
        """Draw the first ensemble and run the method.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
            One stream, first for the ensemble and then for the method.

        Returns
        -------
        EnsembleResult
        """
        generator = as_generator(rng)
        return METHODS[self.method](self.posterior, self.first_ensemble(generator), generator, **self.options)

    def _given(self, init: Any) -> np.ndarray:
        return as_float_array(init, "init", shape=(self.n_members, self.posterior.dim), dtype=np.float64)

    def _warn(self) -> None:
        odd = getattr(self.posterior.prior, "activation", "tanh") in ("tanh", "sign", "erf", "sin")
        learned = "the output's bias" if odd else "the last layer"
        warnings.warn(
            f"init is 'prior' and the prior is a network: by its symmetries every coordinate but those of {learned} is "
            "uncorrelated with the data over draws from the prior, so that the first update follows sampling noise; "
            "smoothers end there, and EKI leaves it only by the chance that its members contract to one side. Use "
            "init='local', around a MAP estimate (centre=) or one draw; scinn.inverse.ensembles.symmetry_report shows the "
            "correlations",
            ScinnWarning,
            stacklevel=3,
        )
