"""Attacks that flip binary features until a detector errs.

Notation of N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier
Stabilization", ICML 2021, PMLR 139:8880-8889: signs ``x in {-1, +1}^n`` (bit 1 is the sign -1), logits ``L(x)`` before the
softmax, the class is that of the largest logit, the lowest of equal ones. Three attacks:

* :func:`jsma`, the paper's: the saliency of a flip from true finite differences of the logits, not from a gradient;
* :func:`greedy_flips`: the flip that lowers the margin most for its cost, and a pass that undoes what was not needed;
* :func:`exhaustive_flips`: every set of up to a few flips, with a proof that no smaller one exists.

All obey :class:`~scinn.robustness.FeatureConstraints`. A :class:`~scinn.robustness.ShallowNetwork` is attacked by kernels
that update the hidden preactivations, ``z <- z - 2 x_i W[i, :]``; any other model is attacked through a function that
returns its logits, one sample at a time with all candidates of a step in one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from scinn._input import as_float_array, as_labels, check_positive_int
from scinn.nn.network import Network
from scinn.nn.prediction import predict
from scinn.reference import flips as definitions
from scinn.robustness.attack_results import AttackResult
from scinn.robustness.constraints import FeatureConstraints, resolve_constraints
from scinn.robustness.features import detect_encoding, to_signs
from scinn.robustness.network import ShallowNetwork

__all__ = ["AttackResult", "exhaustive_flips", "greedy_flips", "jsma"]

Logits = Callable[[np.ndarray], np.ndarray]
#: ``search(logits, signs, label, first_logits)`` on one sample: flips or None, and a lower bound of their number or None.
Search = Callable[[Logits, np.ndarray, int, np.ndarray], tuple["list[int] | None", "int | None"]]

#: Sets that are evaluated one by one where rounding decides an exhaustive search.
_MAX_SETS = 1_000_000


@dataclass(frozen=True, eq=False)
class _Problem:
    """Arguments of an attack after their check."""

    network: ShallowNetwork | None
    logits: Logits
    signs: np.ndarray
    labels: np.ndarray
    constraints: FeatureConstraints
    bits: bool
    first_logits: np.ndarray


def _black_box(logits: Logits) -> Logits:
    """Return the function with its answers checked."""

    def checked(signs: np.ndarray) -> np.ndarray:
        values = as_float_array(logits(signs.astype(np.float64)), "what network returns", ndim=2)
        if values.shape[0] != len(signs) or values.shape[1] < 2:
            raise ValueError(
                f"network returned an array of shape {values.shape} for {len(signs)} samples; ({len(signs)}, n_classes) "
                "is wanted, with at least 2 classes: write a single logit s as -s/2 and s/2"
            )
        return values

    return checked


def as_model(network: Any) -> tuple[ShallowNetwork | None, Logits]:
    """Return a shallow network where there is one, and the function from signs to logits.

    Examples
    --------
    >>> as_model(lambda signs: signs)[0] is None
    True
    """
    if isinstance(network, Network):
        try:
            network = ShallowNetwork.from_network(network)
        except ValueError:
            deep = network
            dtype = next((value.dtype for value in deep.params.values()), np.dtype(np.float64))
            return None, _black_box(lambda signs: predict(deep, signs.astype(dtype)))
    if isinstance(network, ShallowNetwork):
        return network, network.logits_of_signs
    if callable(network):
        return None, _black_box(network)
    hint = ": ShallowNetwork.from_mlp_classifier reads it" if hasattr(network, "coefs_") else ""
    raise TypeError(
        f"network is a {type(network).__name__}; a ShallowNetwork, a scinn.nn.Network of signs or a function from signs "
        f"(m, n_features) to logits (m, n_classes) is wanted{hint}"
    )


def _black_box_samples(features: Any, labels: Any, encoding: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features as signs (n_samples, n_features) and labels, none of them unknown."""
    signs = to_signs(features, encoding=encoding)
    signs = signs[None, :] if signs.ndim == 1 else signs
    if signs.ndim != 2 or signs.shape[1] == 0:
        raise ValueError(f"features has shape {signs.shape}; (n_samples, n_features) is wanted")
    known = as_labels(labels, "labels", n=len(signs))
    if known.size and known.min() < 0:
        raise ValueError(
            "labels holds -1; an attack needs the class of every sample: leave out those without one"
        )
    return signs, known


def _prepare(network: Any, features: Any, labels: Any, constraints: Any, encoding: str) -> _Problem:
    shallow, logits = as_model(network)
    if shallow is None:
        signs, known = _black_box_samples(features, labels, encoding)
    else:
        signs = shallow.signs(features, encoding=encoding)
        known = shallow.known_labels(labels, len(signs))
    rules = resolve_constraints(constraints, signs.shape[1])
    first = logits(signs) if len(signs) else np.zeros((0, 2))
    if len(signs):
        as_labels(known, "labels", n_classes=first.shape[1])
    bits = (detect_encoding(features) if encoding == "auto" else encoding) == "bits"
    return _Problem(shallow, logits, signs, known, rules, bits, first)


def _runner_up(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return others.argmax(axis=1)


def _limits(constraints: FeatureConstraints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return constraints.may_add, constraints.may_remove, constraints.costs


def _kernel_arguments(network: ShallowNetwork, signs: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Return the preactivations and the network as kernels take them.

    ``tanh(z / 2)`` is tanh of half the preactivations; halves are exact.
    """
    from scinn.kernels import flips as kernels

    slope = network.dtype.type(0.5 if network.activation == "scaled_logistic" else 1.0)
    kind = {"sign": kernels.SIGN, "relu": kernels.RELU}.get(network.activation, kernels.TANH)
    weights = np.ascontiguousarray(network.hidden_weights.T) * slope
    z = np.ascontiguousarray(network.preactivations(signs)) * slope
    return z, (weights, network.output_weights, network.output_bias, kind, network.tie)


def _attack(
    problem: _Problem,
    name: str,
    run_kernel: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray | None],
    search: Search,
    *,
    bounded: bool = False,
) -> AttackResult:
    """Attack what is classified right, confirm every success with the model itself, and put the result together.

    ``run_kernel(rows, changed, order, n_flips)`` fills these for the rows and returns lower bounds or None.
    """
    m, n = problem.signs.shape
    wrong = problem.first_logits.argmax(axis=1) != problem.labels
    rows = np.flatnonzero(~wrong)
    order = np.full((len(rows), n), -1, dtype=np.int32)
    n_flips, bound = np.full(len(rows), -1), np.zeros(m, dtype=np.int64)
    changed = problem.signs[rows]
    if problem.network is None:
        again = np.arange(len(rows))
    else:
        found = run_kernel(rows, changed, order, n_flips)
        bound[rows] = 0 if found is None else found
        again = np.flatnonzero((n_flips >= 0) & ~_confirmed(problem, rows, changed))
    # Kernels add up in another order than the network; where that decides, the definition is asked.
    for at in again:
        row = rows[at]
        flips, lower = search(
            problem.logits, problem.signs[row], int(problem.labels[row]), problem.first_logits[row]
        )
        bound[row] = bound[row] if lower is None else lower
        order[at], changed[at] = -1, problem.signs[row]
        n_flips[at] = -1 if flips is None else len(flips)
        if flips:
            order[at, : len(flips)] = flips
            changed[at, flips] *= -1
    n_flips[(n_flips >= 0) & ~_confirmed(problem, rows, changed)] = -1
    return _result(problem, name, wrong, rows, order, n_flips, bound if bounded else None)


def _confirmed(problem: _Problem, rows: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Tell which changed rows are misclassified, evaluated together with all samples, as a user would."""
    if not len(rows):
        return np.zeros(0, dtype=bool)
    everything = problem.signs.copy()
    everything[rows] = changed
    return (problem.logits(everything).argmax(axis=1) != problem.labels)[rows]


def _result(
    problem: _Problem,
    name: str,
    wrong: np.ndarray,
    rows: np.ndarray,
    order: np.ndarray,
    n_flips: np.ndarray,
    bound: np.ndarray | None,
) -> AttackResult:
    numbers = np.zeros(len(wrong), dtype=np.int64)
    numbers[rows] = n_flips
    features = np.full((len(wrong), max(int(numbers.max(initial=0)), 0)), -1, dtype=np.int64)
    features[rows] = np.where((n_flips >= 0)[:, None], order[:, : features.shape[1]], -1)
    adversarial = problem.signs.copy()
    row, column = np.nonzero(features >= 0)
    adversarial[row, features[row, column]] *= -1
    success = numbers >= 0
    cost = np.where(success, problem.constraints.cost(problem.signs, adversarial), np.inf)
    l1 = np.where(success, 2.0 * numbers, np.inf)
    if problem.bits:
        adversarial = (adversarial < 0).astype(np.int8)
    return AttackResult(adversarial, numbers, l1, cost, success, wrong, features, name, bound)


def jsma(
    network: Any,
    features: Any,
    labels: Any,
    *,
    constraints: FeatureConstraints | None = None,
    max_flips: int = 1000,
    encoding: str = "auto",
) -> AttackResult:
    """Attack by the saliency of single flips, as the paper does.

    The target t is the runner-up class at the start and stays fixed. As long as the class is the right one, the logits are
    computed with every feature flipped by itself: ``D_t`` is the change of the target's logit, ``D_o`` the sum of the
    changes of all others, and the saliency is ``-D_t D_o`` if ``D_t > 0`` and ``D_o < 0``, else 0. The feature of largest
    saliency that was not flipped yet is flipped, the lowest of equal ones. With costs the saliency is divided by the
    feature's cost, which is an addition of this package.

    Parameters
    ----------
    network : ShallowNetwork, scinn.nn.Network or callable
        What to attack. A :class:`scinn.nn.Network` must take signs (one of bits is read by
        ``ShallowNetwork.from_network(network, encoding="bits")``). A callable gets float64 signs of shape (m, n_features)
        and returns logits of shape (m, n_classes).
    features : array_like or sparse matrix, shape (n_samples, n_features)
        Bits or signs.
    labels : array_like of int, shape (n_samples,)
        The right classes.
    constraints : FeatureConstraints, optional
        What may change and at what cost; default everything at cost 1.
    max_flips : int
        Give up after as many flips.
    encoding : {"auto", "bits", "signs"}
        What the features are.

    Returns
    -------
    AttackResult

    Raises
    ------
    ValueError
        For labels out of range, features or constraints of another width, or a callable's answer of a wrong shape.

    References
    ----------
    Raviv et al. (2021), the attack of the experiments, as the authors' program computes it.

    Examples
    --------
    >>> from scinn.robustness import ShallowNetwork
    >>> network = ShallowNetwork([[1.0], [2.0], [1.0]], [0.0], [[1.0, -1.0]], [0.0, 0.0], activation="tanh")
    >>> result = jsma(network, [[0, 0, 0]], [0])
    >>> result.adversarial, result.l1
    (array([[1, 1, 0]], dtype=int8), array([4.]))
    """
    problem = _prepare(network, features, labels, constraints, encoding)
    most = min(check_positive_int(max_flips, "max_flips", 0), problem.signs.shape[1])
    limits = _limits(problem.constraints)
    targets = _runner_up(problem.first_logits, problem.labels)

    def run_kernel(rows: np.ndarray, changed: np.ndarray, order: np.ndarray, n_flips: np.ndarray) -> None:
        from scinn.kernels import flips as kernels

        assert problem.network is not None
        z, model = _kernel_arguments(problem.network, changed)
        kernels.jsma(changed, z, model, problem.labels[rows], targets[rows], limits, most, order, n_flips)

    def search(
        logits: Logits, signs: np.ndarray, label: int, first: np.ndarray
    ) -> tuple[list[int] | None, int]:
        target = int(_runner_up(first[None, :], np.array([label]))[0])
        return definitions.jsma(logits, signs, label, target, *limits, most), 0

    return _attack(problem, "JSMA", run_kernel, search)


def greedy_flips(
    network: Any,
    features: Any,
    labels: Any,
    *,
    constraints: FeatureConstraints | None = None,
    max_flips: int = 1000,
    prune: bool = True,
    encoding: str = "auto",
) -> AttackResult:
    """Attack by the flips that lower the margin most, then undo what was not needed.

    The margin is the right class's logit minus the largest other one. Each step makes the flip of largest decrease for its
    cost; where none lowers the margin, the one that raises it least. No feature is flipped twice, the lowest of equal ones
    is taken. When the class has changed, flips are undone one by one, the dearest first and the latest of equal cost, as
    long as the class stays wrong: of the flips that remain, none can be undone alone.

    Parameters
    ----------
    network, features, labels, constraints, encoding
        As for :func:`jsma`.
    max_flips : int
        Give up after as many flips (before pruning).
    prune : bool
        Whether to undo what was not needed.

    Returns
    -------
    AttackResult

    Raises
    ------
    ValueError
        As for :func:`jsma`.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> from scinn.robustness import FeatureConstraints, ShallowNetwork
    >>> network = ShallowNetwork([[1.0], [2.0], [4.0]], [0.0], [[1.0, -1.0]], [0.0, 0.0], activation="tanh")
    >>> greedy_flips(network, [[0, 0, 0]], [0]).n_flips
    array([1])
    >>> greedy_flips(network, [[0, 0, 0]], [0], constraints=FeatureConstraints(3, immutable=[2])).success
    array([False])
    """
    problem = _prepare(network, features, labels, constraints, encoding)
    most = min(check_positive_int(max_flips, "max_flips", 0), problem.signs.shape[1])
    limits = _limits(problem.constraints)

    def run_kernel(rows: np.ndarray, changed: np.ndarray, order: np.ndarray, n_flips: np.ndarray) -> None:
        from scinn.kernels import flips as kernels

        assert problem.network is not None
        z, model = _kernel_arguments(problem.network, changed)
        kernels.greedy_flips(
            changed, z, model, problem.labels[rows], limits, most, bool(prune), order, n_flips
        )

    def search(
        logits: Logits, signs: np.ndarray, label: int, first: np.ndarray
    ) -> tuple[list[int] | None, int]:
        return definitions.greedy_flips(logits, signs, label, *limits, most, bool(prune)), 0

    return _attack(problem, "greedy flips", run_kernel, search)


def exhaustive_flips(
    network: Any,
    features: Any,
    labels: Any,
    *,
    max_flips: int = 2,
    constraints: FeatureConstraints | None = None,
    max_nodes: int | None = None,
    encoding: str = "auto",
) -> AttackResult:
    """Find the cheapest set of a few flips that changes the class, or prove that there is none.

    All sets of 1, 2, ..., ``max_flips`` flips are tried, in lexicographic order within a size; the first of the cheapest
    ones is returned. Branches are left out where a bound shows that they fail: every neuron by itself moves as far as its
    own best flips bring it.

    Parameters
    ----------
    network, features, labels, constraints, encoding
        As for :func:`jsma`.
    max_flips : int
        Largest size of a set. At worst the work grows like ``n_features ** max_flips``. Where the neurons agree which
        features matter, as in the paper's networks, the bound leaves so little that 10 or 20 flips take milliseconds a
        sample. A callable is asked for every set, which is practical for 2.
    max_nodes : int, optional
        End the search of a sample after so many branches, each about as much work as a single flip of every feature;
        ``lower_bound`` is then the size that the search was at. Default: no limit. It does nothing for a callable.

    Returns
    -------
    AttackResult
        Its ``lower_bound`` says that all smaller sets fail: the smallest size of a success, or one more than the largest
        size tried. With equal costs a success has exactly so many flips: none has fewer. With other costs it is the
        cheapest unless ``max_nodes`` ended its search.

    Raises
    ------
    ValueError
        As for :func:`jsma`.

    Notes
    -----
    Logits are compared in the arithmetic of the network's dtype: sets whose logits tie up to rounding may count either way.
    What is returned as a success is one when the network itself is asked. Where it contradicts the search, all sets are
    evaluated one by one, up to a million; beyond that the sample is left without success, and its lower bound holds.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> from scinn.robustness import ShallowNetwork
    >>> network = ShallowNetwork([[1.0], [2.0], [2.0]], [0.5], [[1.0, -1.0]], [0.0, 0.0], activation="tanh")
    >>> result = exhaustive_flips(network, [[0, 0, 0]], [0])
    >>> result.order.tolist(), result.lower_bound.tolist()
    ([[0, 1]], [2])
    """
    problem = _prepare(network, features, labels, constraints, encoding)
    most = min(check_positive_int(max_flips, "max_flips"), problem.signs.shape[1])
    nodes = 2**62 if max_nodes is None else check_positive_int(max_nodes, "max_nodes")
    limits = _limits(problem.constraints)

    def run_kernel(
        rows: np.ndarray, changed: np.ndarray, order: np.ndarray, n_flips: np.ndarray
    ) -> np.ndarray:
        from scinn.kernels import flips as kernels

        assert problem.network is not None
        z, model = _kernel_arguments(problem.network, changed)
        known = problem.labels[rows]
        bound = np.zeros(len(rows), dtype=np.int64)
        # One sample at a time, so that a long search can be interrupted.
        for s in range(len(rows)):
            one = slice(s, s + 1)
            kernels.exhaustive_flips(
                changed[one],
                z[one],
                model,
                known[one],
                limits,
                most,
                nodes,
                order[one],
                n_flips[one],
                bound[one],
            )
        return bound

    def search(
        logits: Logits, signs: np.ndarray, label: int, first: np.ndarray
    ) -> tuple[list[int] | None, int | None]:
        n_allowed = int(problem.constraints.may_flip(signs).sum())
        n_sets = sum(comb(n_allowed, size) for size in range(1, most + 1))
        if problem.network is not None and n_sets > _MAX_SETS:
            return None, None
        return definitions.exhaustive_flips(logits, signs, label, *limits, most)

    return _attack(problem, "exhaustive flips", run_kernel, search, bounded=True)
