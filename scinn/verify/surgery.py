"""The check of the surgery contract: a compacted network computes what the masked one computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scinn.random import RandomState
from scinn.verify.arrays import fingerprint, frozen_copy, walk
from scinn.verify.replay import seed_of
from scinn.verify.result import CheckResult, replay_source

__all__ = ["check_surgery"]

_PROBE = "check_surgery_index"


def check_surgery(
    network: Any,
    plan: Any,
    compact: Callable[..., tuple[Any, dict[str, np.ndarray], Any]],
    inputs: Any,
    *,
    slots: Mapping[str, np.ndarray] | None = None,
    mask: Callable[[Any, Any], Any] | None = None,
    exact: bool = True,
    tol: float = 1e-12,
    rng: RandomState = 0,
    **context: Any,
) -> CheckResult:
    """Check that removing what a plan names equals masking it, and that all that is indexed alike was cut alike.

    Parameters
    ----------
    network : Network
        With flat ``params`` (and ``state``), ``astype`` and ``__call__``.
    plan : object
        What to remove; only `compact` reads it.
    compact : callable
        ``small, slots, index_map = compact(network, plan, slots)``.
    inputs : array, or tuple of arrays
        Inputs of the network; `exact` rounds floating-point ones to integers.
    slots : mapping of str to ndarray, optional
        Arrays indexed like parameters, named ``"<parameter>/<what>"`` as optimisers do.
    mask : callable, optional
        ``mask(network, plan)`` returns the masked network. Without it the entries that `compact` removed are
        set to zero, which cannot tell whether they are the ones that the plan names.
    exact : bool, default True
        Whether masked and small must also agree to the bit with small integer weights. False for networks whose
        activations leave the integers (tanh, batch normalisation), where sums may round differently.
    tol : float, default 1e-12
        Largest difference of the outputs in float64, relative to the largest output.
    rng : int, SeedSequence, Generator, Key or None
        Source of the weights.
    **context
        Passed to the networks, for example ``graph=...``.

    Returns
    -------
    CheckResult

    Raises
    ------
    TypeError
        Where `compact` does not return three values.

    Notes
    -----
    Every parameter is given a slot that holds the numbers of its own entries. What comes back tells which
    entries were kept: the masked network is the original with all other entries zero, the small parameters must
    be exactly the kept entries, and every slot must have been cut by the same numbers. The original must be
    untouched, and the small network must not keep its memory alive.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.nn import Dense, Network
    >>> from scinn.verify import check_surgery
    >>> def keep_inputs(network, plan, slots):
    ...     keep = [i for i in range(4) if i not in plan]
    ...     small = Network.sequential(only=Dense(4, 4 - len(plan), dtype=np.float64))
    ...     cut = {name: value[..., keep] for name, value in {**network.params, **slots}.items()}
    ...     small.layers["only"].params = {key: cut[f"only.{key}"] for key in ("weight", "bias")}
    ...     return small, {name: cut[name] for name in slots}, keep
    >>> network = Network.sequential(only=Dense(4, 4, rng=0))
    >>> result = check_surgery(network, [1], keep_inputs, np.ones((2, 4)))
    >>> result.detail
    'outputs have shapes (2, 3) (small) and (2, 4) (masked)'
    """
    seed = seed_of(rng)
    case = {"plan": plan, "rng": seed}
    name = f"surgery on {type(network).__name__}"
    x = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    replay = replay_source(
        "check_surgery(network, plan, compact, inputs, **options)",
        ("from scinn.verify import check_surgery",),
        network=network,
        plan=plan,
        compact=compact,
        inputs=x,
        options={
            "slots": dict(slots or {}),
            "mask": mask,
            "exact": exact,
            "tol": tol,
            "rng": seed,
            **context,
        },
    )

    def failed(error: float, detail: str, **more: Any) -> CheckResult:
        return CheckResult(name, False, error, tol, {**case, **more}, detail, replay=replay)

    worst = 0.0
    for integers in (False, True) if exact else (False,):
        generator = np.random.default_rng((seed, int(integers)))
        big = _with_weights(network, generator, integers)
        values = tuple(_input(item, integers) for item in x)
        given = _slots_for(big, slots, generator)
        before = fingerprint((dict(big.params), dict(getattr(big, "state", {})), given))
        outcome = compact(big, plan, dict(given))
        if not isinstance(outcome, tuple) or len(outcome) != 3:
            raise TypeError("compact must return (small, slots, index_map)")
        small, small_slots, _ = outcome
        if fingerprint((dict(big.params), dict(getattr(big, "state", {})), given)) != before:
            return failed(np.inf, "compact changed the network or the slots it was given")
        problem = _cut_differently(big, small, given, small_slots) or _shares_memory(
            big, small, given, small_slots
        )
        if problem:
            return failed(np.inf, problem)
        masked = _masked(big, small_slots) if mask is None else mask(big, plan)
        wanted, got = masked(*values, **context), small(*values, **context)
        pairs = list(zip(walk(wanted), walk(got)))
        for (_, y), (_, z) in pairs:
            if y.shape != z.shape:
                return failed(np.inf, f"outputs have shapes {z.shape} (small) and {y.shape} (masked)")
            scale = max(float(np.max(np.abs(y), initial=0.0)), 1.0)
            error = float(np.max(np.abs(y - z), initial=0.0)) / scale
            worst = max(worst, error)
            if integers and error > 0.0:
                return failed(error, "masked and small differ in bits on integer weights", masked=y, small=z)
            if not error <= tol:
                return failed(error, "masked and small differ", masked=y, small=z)
    return CheckResult(name, True, worst, tol)


def _with_weights(network: Any, generator: np.random.Generator, integers: bool) -> Any:
    """Return a float64 copy, with small integer weights if asked for."""
    big = network.astype(np.float64) if hasattr(network, "astype") else copy.deepcopy(network)
    if integers:
        for value in big.params.values():
            value[...] = generator.integers(-3, 4, size=value.shape)
    return big


def _input(item: Any, integers: bool) -> Any:
    item = frozen_copy(np.asarray(item), dtype=np.float64)
    return frozen_copy(np.rint(4 * item)) if integers and item.dtype.kind == "f" else item


def _slots_for(
    big: Any, slots: Mapping[str, np.ndarray] | None, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return copies of the caller's slots, and one per parameter that numbers its entries."""
    given = {name: np.array(value) for name, value in (slots or {}).items()}
    for name, value in big.params.items():
        given[f"{name}/{_PROBE}"] = np.arange(value.size, dtype=np.float64).reshape(value.shape)
        if slots is None:
            given[f"{name}/momentum"] = generator.standard_normal(value.shape)
    return given


def _kept(name: str, small_slots: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.asarray(small_slots[f"{name}/{_PROBE}"]).astype(np.int64)


def _cut_differently(
    big: Any, small: Any, given: Mapping[str, np.ndarray], small_slots: Mapping[str, np.ndarray]
) -> str:
    """Return what was not an index selection by the numbers of its parameter."""
    for name, value in big.params.items():
        if f"{name}/{_PROBE}" not in small_slots:
            return f"the slots of {name!r} were not cut: they are missing afterwards"
        kept = _kept(name, small_slots)
        if name not in small.params:
            if kept.size:
                return f"parameter {name!r} is missing from the small network"
            continue
        new = small.params[name]
        if new.shape != kept.shape:
            return f"parameter {name!r} has shape {new.shape}, its slots {kept.shape}: cut by different rules"
        if not np.array_equal(new, np.ravel(value)[kept]):
            return f"parameter {name!r} does not hold the entries that its slots say were kept"
    for name, value in given.items():
        owner, _, what = name.rpartition("/")
        if owner not in big.params or what == _PROBE:
            continue
        if name not in small_slots:
            return f"slot {name!r} is missing afterwards"
        if value.shape != big.params[owner].shape:
            continue
        kept, new = _kept(owner, small_slots), np.asarray(small_slots[name])
        if new.shape != kept.shape or not np.array_equal(new, np.ravel(value)[kept]):
            return f"slot {name!r} was not cut like its parameter {owner!r}"
    return ""


def _shares_memory(
    big: Any, small: Any, given: Mapping[str, np.ndarray], small_slots: Mapping[str, np.ndarray]
) -> str:
    old = [*big.params.values(), *getattr(big, "state", {}).values(), *given.values()]
    new = {**small.params, **getattr(small, "state", {}), **small_slots}
    for name, value in new.items():
        if any(np.may_share_memory(value, other) for other in old):
            return f"{name!r} of the small network keeps the memory of the original alive"
    return ""


def _masked(big: Any, small_slots: Mapping[str, np.ndarray]) -> Any:
    """Return a copy of the network in which every removed entry is zero."""
    masked = copy.deepcopy(big)
    for name, value in masked.params.items():
        mask = np.zeros(value.size, dtype=bool)
        mask[_kept(name, small_slots).ravel()] = True
        value[...] = np.where(mask.reshape(value.shape), value, 0.0)
    return masked
