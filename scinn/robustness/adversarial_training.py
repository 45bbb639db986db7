"""Training on attacked samples.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization", ICML
2021, PMLR 139:8880-8889, combine adversarial training with stabilisation: in every batch the samples that are classified
right are replaced by what an attack makes of them with the network as it is at that moment, where the l1 norm of the change
is within a budget. Their inner attack is that of Brendel and Bethge; here it is one of this package. The loss is the softmax
cross-entropy of the logits (the authors' program applies the softmax twice), its gradients are those of the layers of
:mod:`scinn.nn`, and the attack itself is not differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range, check_positive_int
from scinn.nn.history import History
from scinn.nn.losses import softmax_cross_entropy
from scinn.nn.optimizers import Adam
from scinn.nn.training import Batch, fit, minibatches
from scinn.random import Key, RandomState
from scinn.robustness.attacks import greedy_flips
from scinn.robustness.constraints import FeatureConstraints, resolve_constraints
from scinn.robustness.gradient_attacks import fmn_l1
from scinn.robustness.network import ShallowNetwork
from scinn.robustness.training import ADAM_EPS, as_key, held_out_pair

__all__ = ["AdversarialFit", "adversarial_fit"]

Attack = Callable[[ShallowNetwork, np.ndarray, np.ndarray], Any]


class AdversarialFit(NamedTuple):
    """A trained network and how its training went.

    Parameters
    ----------
    network : ShallowNetwork
    history : History
        For each epoch ``"train_loss"`` (on attacked samples) and ``"attacked"``, the share of samples that were replaced;
        with validation samples also ``"val_accuracy"`` and ``"val_robust_accuracy"``, the share of them that are
        classified right as they are and after the attack.
    """

    network: ShallowNetwork
    history: History


def _named_attack(name: str, budget: float, fmn_steps: int, constraints: FeatureConstraints) -> Attack:
    if name == "greedy":
        most = int(budget // 2)
        return lambda network, x, y: greedy_flips(
            network, x, y, constraints=constraints, max_flips=most, encoding="signs"
        )
    return lambda network, x, y: fmn_l1(
        network, x, y, constraints=constraints, n_steps=fmn_steps, encoding="signs"
    )


def _points_of(found: Any, x: np.ndarray, constraints: FeatureConstraints) -> np.ndarray:
    """Return the points that an attack found, checked, as floats."""
    points = as_float_array(getattr(found, "adversarial", found), "what attack returns", dtype=x.dtype)
    if points.shape != x.shape:
        raise ValueError(
            f"attack returned points of shape {points.shape} for samples of shape {x.shape}; return one point a sample"
        )
    held = np.where(points < x, ~constraints.may_add, (points > x) & ~constraints.may_remove)
    if held.any():
        feature = int(np.nonzero(held)[1][0])
        raise ValueError(
            f"attack changed feature {feature} in a way that constraints forbid; let it obey the same constraints"
        )
    return points


def _replace(
    attack: Attack,
    network: ShallowNetwork,
    x: np.ndarray,
    y: np.ndarray,
    budget: float,
    constraints: FeatureConstraints,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return samples with attacked ones in the place of those classified right, which were, and which are right."""
    right = network.logits_of_signs(x).argmax(axis=1) == y
    points = _points_of(attack(network, x.astype(np.int8), y), x, constraints)
    norms = np.abs(points.astype(np.float64) - x).sum(axis=1)
    # A few roundings of the norm are forgiven.
    replaced = right & (norms > 0) & (norms <= budget * (1 + 1e-6))
    return np.where(replaced[:, None], points, x), replaced, right


def adversarial_fit(
    network: ShallowNetwork,
    features: Any,
    labels: Any,
    *,
    attack: Any = "greedy",
    budget: float,
    n_epochs: int = 3,
    rng: RandomState = None,
    constraints: FeatureConstraints | None = None,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    fmn_steps: int = 40,
    validation: tuple[Any, Any] | None = None,
    encoding: str = "auto",
    callback: Callable[[dict[str, Any]], bool | None] | None = None,
) -> AdversarialFit:
    """Train a network on attacked samples; give it a network that classifies well already.

    In each batch the samples that are classified right are replaced by attacked ones whose l1 distance is within the budget;
    the others stay as they are. Then Adam takes a step on the batch.

    Parameters
    ----------
    network : ShallowNetwork
        Where training starts, for example from :func:`~scinn.robustness.train_detector`; not of sign neurons. It is left
        as it is.
    features : array_like or sparse matrix, shape (n_samples, n_features)
        Training samples, bits or signs.
    labels : array_like of int, shape (n_samples,)
    attack : {"greedy", "fmn"} or callable
        :func:`~scinn.robustness.greedy_flips`, :func:`~scinn.robustness.fmn_l1` within the hull of the cube, or
        ``attack(network, signs, labels)`` that returns points of shape (n_samples, n_features) or a result with such
        ``.adversarial``.
    budget : float
        Largest l1 norm of a change in units of signs: a flip is 2.
    n_epochs, batch_size : int
    rng : int, SeedSequence, Generator, Key or None
        Order of the samples.
    constraints : FeatureConstraints, optional
        What the attack may change.
    learning_rate : float, default 1e-3
        Of Adam.
    fmn_steps : int, default 40
        Steps of ``"fmn"``.
    validation : (features, labels), optional
        Samples to attack after each epoch; the network of best ``"val_robust_accuracy"`` is returned. Without it the last.
    encoding : {"auto", "bits", "signs"}
    callback : callable, optional
        Called with each epoch's record; a true answer stops.

    Returns
    -------
    AdversarialFit
        ``(network, history)``.

    Raises
    ------
    ValueError
        For sign neurons, labels out of range, a negative budget, or an attack that does not obey the constraints.

    References
    ----------
    Raviv et al. (2021), the experiments on adversarial training.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.robustness import train_detector
    >>> bits = np.random.default_rng(0).integers(0, 2, (300, 12))
    >>> labels = (bits.sum(axis=1) > 6).astype(int)
    >>> start = train_detector(bits, labels, n_hidden=4, n_epochs=20, learning_rate=0.01, rng=0)
    >>> trained, history = adversarial_fit(start, bits, labels, budget=2, n_epochs=2, rng=0)
    >>> trained, len(history)
    (ShallowNetwork(12 features, 4 scaled_logistic neurons, 2 classes, float32), 2)
    """
    if not isinstance(network, ShallowNetwork):
        raise TypeError(f"network is a {type(network).__name__}; a ShallowNetwork is wanted")
    if network.activation == "sign":
        raise ValueError("network has sign neurons, which have no gradient to train with")
    budget = check_in_range(budget, "budget", 0.0)
    check_in_range(learning_rate, "learning_rate", 0.0, inclusive="neither")
    steps = check_positive_int(fmn_steps, "fmn_steps")
    rules = resolve_constraints(constraints, network.n_features)
    if not callable(attack):
        attack = _named_attack(check_choice(attack, "attack", ("greedy", "fmn")), budget, steps, rules)
    x = network.signs(features, encoding=encoding).astype(network.dtype)
    y = network.known_labels(labels, len(x))
    held_out = held_out_pair(network, validation, encoding)
    trained = network.to_network()
    clean = minibatches(x, y, batch_size=batch_size)
    counts = {"replaced": 0, "seen": 0}

    def batches(key: Key) -> Iterable[Batch]:
        counts.update(replaced=0, seen=0)
        for batch in clean(key):
            # The generator goes on after the optimiser's step, so that every batch meets the newest parameters.
            current = ShallowNetwork.from_network(trained)
            points, replaced, _ = _replace(attack, current, batch.inputs[0], batch.target, budget, rules)
            counts["replaced"] += int(replaced.sum())
            counts["seen"] += len(replaced)
            yield Batch((points,), batch.target)

    def measure(_: Any) -> Mapping[str, float]:
        values = {"attacked": counts["replaced"] / counts["seen"]}
        if held_out is not None:
            current = ShallowNetwork.from_network(trained)
            points, _, right = _replace(attack, current, *held_out, budget, rules)
            still = right & (current.logits_of_signs(points).argmax(axis=1) == held_out[1])
            values |= {"val_accuracy": float(right.mean()), "val_robust_accuracy": float(still.mean())}
        return values

    history = fit(
        trained,
        softmax_cross_entropy,
        batches,
        optimizer=Adam(learning_rate, eps=ADAM_EPS),
        n_epochs=n_epochs,
        key=as_key(rng).child("adversarial"),
        validate=measure,
        monitor="train_loss" if held_out is None else "val_robust_accuracy",
        restore_best=held_out is not None,
        callback=callback,
    )
    return AdversarialFit(ShallowNetwork.from_network(trained), history)
