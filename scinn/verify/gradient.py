"""The check of the Layer contract: hand-derived gradients against differences, and the contract's rules."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from scinn.random import Key, RandomState
from scinn.verify.arrays import fingerprint, frozen_copy, lock, same_bits, walk
from scinn.verify.differences import Slope, compare_slope
from scinn.verify.replay import seed_of
from scinn.verify.result import CheckResult, replay_source

__all__ = ["check_gradient"]

_DIRECTIONS = 3
_FULL_SIZE = 200
_NAMING_SIZE = 2000
_REDRAWS = 6


def check_gradient(
    layer: Any,
    *x: Any,
    rng: RandomState = 0,
    train: bool = True,
    tol: float = 1e-6,
    surrogate: bool | None = None,
    **context: Any,
) -> CheckResult:
    """Check a layer's backward against central differences, and that the layer keeps the contract's rules.

    The check works in float64 on copies, with every array read-only, and requires in this order: a pure
    forward (equal bits twice, nothing left on the layer, nothing written into an array that was given or
    returned), a backward that depends on ``saved`` alone and gives equal bits twice, gradients with the shapes, dtypes and
    names of inputs and parameters (None for integer and sparse inputs), and for every input and parameter the
    derivative along three random directions. Arrays of at most 200 entries are also checked entry by entry.

    Parameters
    ----------
    layer : Layer
        Anything with ``forward``, ``backward``, ``params``, ``state`` and ``astype``.
    *x : ndarray or CSR array
        The inputs; floating-point ones are converted to float64.
    rng : int, SeedSequence, Generator, Key or None
        Source of the output weights, the directions, and the random key that every forward is given.
    train : bool, default True
        Passed to ``forward``.
    tol : float, default 1e-6
        Largest relative error of a directional derivative.
    surrogate : bool, optional
        Whether the backward belongs to ``layer.surrogate_forward`` (a straight-through estimator is not the
        gradient of the forward); by default the layer's attribute ``surrogate`` decides.
    **context
        Passed to ``forward``, for example ``graph=...``.

    Returns
    -------
    CheckResult
        A failed one names array, index, analytic and numeric value, and their ratio where it is constant.

    Raises
    ------
    TypeError
        Where `layer` lacks one of the contract's methods, or an input is neither array nor CSR array.

    Notes
    -----
    With dy ~ N(0, 1) and f = sum(y dy) the slope along a unit vector u is (f(t + h u) - f(t - h u)) / 2h with
    h = eps^(1/3) max(1, scale). A slope that disagrees is tried again at 10 h and h / 10 with Richardson's
    extrapolation, and the smallest error counts: a wrong gradient fails at every step, a bad step does not.
    A difference below the rounding error of f, 32 eps sum|y dy| / h, is no disagreement. Where one-sided
    differences keep apart, the point lies on a kink: it passes if the layer returned one of the one-sided
    derivatives, else inputs and parameters are moved a little and the check starts again.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.nn import Dense
    >>> from scinn.verify import check_gradient
    >>> bool(check_gradient(Dense(3, 2, rng=0), np.ones((4, 3))))
    True
    """
    for method in ("forward", "backward", "params"):
        if not hasattr(layer, method):
            raise TypeError(
                f"layer is a {type(layer).__name__} without {method!r}; a Layer has forward, backward, params"
            )
    case = _Case.prepare(layer, x, rng, train, surrogate, context)
    name = f"gradient of {type(layer).__name__}"
    problem = case.broken_rule()
    if problem:
        return _failure(name, case, tol, np.inf, problem, {})
    redrawn = 0
    for attempt in range(_REDRAWS):
        outcome = _compare_all(case, tol)
        if not outcome.failed or not outcome.on_kink:
            break
        redrawn = attempt + 1
        case = case.moved()
    note = f"moved {redrawn} times off a kink" if redrawn else ""
    if not outcome.failed:
        return CheckResult(name, True, outcome.worst, tol, detail=note)
    detail, where = outcome.describe(case, tol)
    return _failure(name, case, tol, outcome.worst, "\n".join(filter(None, [detail, note])), where)


@dataclass
class _Case:
    """A float64 copy of everything, frozen, with one weighting of the outputs."""

    layer: Any
    x: tuple[Any, ...]
    seed: int
    train: bool
    surrogate: bool
    context: dict[str, Any]
    draws: np.random.Generator
    weights: Any = None
    magnitude: float = 0.0
    dx: tuple[Any, ...] = ()
    grads: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls,
        layer: Any,
        x: tuple[Any, ...],
        rng: RandomState,
        train: bool,
        surrogate: bool | None,
        context: dict[str, Any],
    ) -> _Case:
        seed = seed_of(rng)
        draws = np.random.default_rng(seed)
        inputs = []
        for position, item in enumerate(x):
            if not sparse.issparse(item):
                item = np.asarray(item)
                if item.dtype.kind not in "fiub":
                    raise TypeError(
                        f"input {position} has dtype {item.dtype}; wanted floats, integers or booleans"
                    )
            inputs.append(frozen_copy(item, dtype=np.float64))
        layer64 = layer.astype(np.float64) if hasattr(layer, "astype") else copy.deepcopy(layer)
        if surrogate is None:
            surrogate = bool(getattr(layer, "surrogate", False))
        context = {
            name: frozen_copy(item) if isinstance(item, np.ndarray) else item
            for name, item in context.items()
        }
        return cls(layer64, tuple(inputs), seed, train, surrogate, context, draws)

    def moved(self) -> _Case:
        """Return the case with inputs and parameters moved by about a thousandth of their size."""
        inputs = tuple(
            lock(item + 1e-3 * _scale(item) * self.draws.standard_normal(item.shape))
            if _smooth(item)
            else item
            for item in self.x
        )
        layer = copy.deepcopy(self.layer)
        for value in layer.params.values():
            value.setflags(write=True)
            value += _jitter(value, self.draws)
        moved = _Case(layer, inputs, self.seed, self.train, self.surrogate, self.context, self.draws)
        problem = moved.broken_rule()
        if problem:
            raise RuntimeError(f"after moving off a kink: {problem}")
        return moved

    def forward(self, x: tuple[Any, ...]) -> tuple[Any, Any]:
        return self.layer.forward(*x, train=self.train, key=Key(self.seed), **self.context)

    def value(self, x: tuple[Any, ...]) -> float:
        """Return the weighted sum of the outputs."""
        if self.surrogate:
            y = self.layer.surrogate_forward(*x, train=self.train, key=Key(self.seed), **self.context)
        else:
            y = self.forward(x)[0]
        return float(sum(np.sum(part * weight) for part, weight in zip(_tuple(y), _tuple(self.weights))))

    def broken_rule(self) -> str:
        """Run forward and backward under the contract's rules; return what was broken, or an empty string."""
        for value in (*self.layer.params.values(), *getattr(self.layer, "state", {}).values()):
            value.setflags(write=False)
        try:
            return self._broken_rule()
        except Exception as error:
            if self._runs_with_writable_arrays():
                return (
                    "fails on read-only arrays, so it writes into an array that was given or returned: "
                    f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                )
            raise
        finally:
            for value in self.layer.params.values():
                value.setflags(write=True)

    def _broken_rule(self) -> str:
        before = fingerprint((vars(self.layer), self.x))
        y, saved = self.forward(self.x)
        if fingerprint((vars(self.layer), self.x)) != before:
            return "forward changed the layer or an input: what backward needs belongs in saved, and " + (
                "running statistics are written by update_state alone"
            )
        if not same_bits(y, self.forward(self.x)[0]):
            return "forward is not pure: the same inputs and key gave other bits"
        for part in _tuple(y):
            if not isinstance(part, np.ndarray):
                return f"forward returned a {type(part).__name__}, wanted an array or a tuple of arrays"
            if part.dtype != np.float64:
                return f"forward returned {part.dtype} for a float64 layer and float64 inputs"
        weights = [frozen_copy(self.draws.standard_normal(part.shape)) for part in _tuple(y)]
        self.weights = tuple(weights) if isinstance(y, tuple) else weights[0]
        self.magnitude = float(sum(np.sum(np.abs(part * w)) for part, w in zip(_tuple(y), weights)))
        lock((y, saved))
        kept = fingerprint((y, saved))
        dx, grads = self.layer.backward(saved, self.weights)
        first = fingerprint((dx, grads))
        if fingerprint((vars(self.layer), self.x)) != before:
            return "backward changed the layer, its parameters or an input"
        again = fingerprint(self.layer.backward(saved, self.weights))
        if again != first:
            return (
                "backward is not pure: called twice with the same saved it gave other bits (it accumulates?)"
            )
        if fingerprint((y, saved)) != kept:
            return "backward wrote into saved or into the output"
        self.forward(tuple(item * 1.25 if _smooth(item) else item for item in self.x))
        if fingerprint(self.layer.backward(saved, self.weights)) != first:
            return (
                "backward depends on the latest forward, not on the saved it was given: state is kept on self"
            )
        return self._accept(dx, grads)

    def _accept(self, dx: Any, grads: Any) -> str:
        """Check shapes, dtypes and names of the gradients and keep them."""
        if len(self.x) == 1 and isinstance(dx, tuple | list):
            return "backward returned a tuple of input gradients for one input, wanted the array itself"
        parts = (dx,) if len(self.x) == 1 else dx
        if not isinstance(parts, tuple | list) or len(parts) != len(self.x):
            return f"backward returned {_brief(dx)} as dx, wanted a tuple of {len(self.x)}, one per input"
        for position, (item, gradient) in enumerate(zip(self.x, parts)):
            wanted = item if _smooth(item) else None
            problem = _mismatch(f"dx of input {position}", wanted, gradient)
            if problem:
                return problem
        if set(grads) != set(self.layer.params):
            return f"gradients are named {sorted(grads)}, parameters {sorted(self.layer.params)}"
        for key, value in self.layer.params.items():
            problem = _mismatch(f"gradient of {key!r}", value, grads[key])
            if problem:
                return problem
        self.dx, self.grads = tuple(parts), dict(grads)
        return ""

    def _runs_with_writable_arrays(self) -> bool:
        layer = copy.deepcopy(self.layer)
        for value in (*layer.params.values(), *getattr(layer, "state", {}).values()):
            value.setflags(write=True)
        x = tuple(item.copy() for item in self.x)
        try:
            y, saved = layer.forward(*x, train=self.train, key=Key(self.seed), **self.context)
            dy = tuple(np.ones_like(part) for part in y) if isinstance(y, tuple) else np.ones_like(y)
            layer.backward(saved, dy)
        except Exception:
            return False
        return True

    def variables(self) -> list[tuple[str, np.ndarray, np.ndarray, Callable[[np.ndarray], float]]]:
        """Return name, value, gradient, and f as a function of that one array, for inputs and parameters."""
        found = []
        for position, item in enumerate(self.x):
            if _smooth(item):
                found.append((f"x{position}", item, self.dx[position], self._of_input(position)))
        for key, value in self.layer.params.items():
            found.append((f"params[{key!r}]", value.copy(), self.grads[key], self._of_parameter(value)))
        return found

    def _of_input(self, position: int) -> Callable[[np.ndarray], float]:
        def f(changed: np.ndarray) -> float:
            return self.value((*self.x[:position], lock(changed), *self.x[position + 1 :]))

        return f

    def _of_parameter(self, value: np.ndarray) -> Callable[[np.ndarray], float]:
        original = value.copy()

        def f(changed: np.ndarray) -> float:
            value[...] = changed
            try:
                return self.value(self.x)
            finally:
                value[...] = original

        return f


@dataclass
class _Outcome:
    worst: float = 0.0
    failed: tuple[str, np.ndarray, np.ndarray, Callable[[np.ndarray], float]] | None = None
    on_kink: bool = False
    entries: dict[int, Slope] = field(default_factory=dict)

    def describe(self, case: _Case, tol: float) -> tuple[str, dict[str, Any]]:
        """Name the worst entry of the failing array, and a constant ratio where there is one."""
        assert self.failed is not None
        name, value, gradient, f = self.failed
        order = np.arange(value.size)
        if value.size > _NAMING_SIZE:
            order = case.draws.permutation(value.size)[:_FULL_SIZE]
        slopes = {int(i): _entry(f, value, gradient, int(i), case.magnitude, tol) for i in order}
        if not slopes:
            return f"{name} fails", {"array": name}
        worst = max(slopes, key=lambda i: slopes[i].error)
        index = tuple(int(i) for i in np.unravel_index(worst, value.shape))
        analytic, numeric = float(gradient.flat[worst]), slopes[worst].numeric
        where = {"array": name, "index": index, "analytic": analytic, "numeric": numeric}
        text = f"{name} at index {index}: backward gives {analytic:.9g}, differences give {numeric:.9g}"
        if self.on_kink:
            text += "; the point stays on a kink"
        size = max((abs(slope.numeric) for slope in slopes.values()), default=0.0)
        ratios = np.array(
            [
                gradient.flat[i] / slope.numeric
                for i, slope in slopes.items()
                if abs(slope.numeric) > 1e-3 * size
            ]
        )
        if ratios.size and np.ptp(ratios) <= 1e-3 * abs(np.mean(ratios)) and abs(np.mean(ratios) - 1) > 1e-3:
            where["ratio"] = float(np.mean(ratios))
            text += f"\nevery entry is off by the same factor {np.mean(ratios):.6g}"
        return text, where


def _compare_all(case: _Case, tol: float) -> _Outcome:
    outcome = _Outcome()
    for name, value, gradient, f in case.variables():
        if not value.size:
            continue
        for slope in _slopes(f, value, gradient, case, tol):
            if slope.error <= tol or slope.one_sided:
                if not slope.one_sided:
                    outcome.worst = max(outcome.worst, slope.error)
                continue
            first = outcome.failed is None
            # A plain disagreement outweighs a kink: moving the point cannot mend it.
            if first or (outcome.on_kink and not slope.kinked) or slope.error > outcome.worst:
                outcome.on_kink = slope.kinked and (first or outcome.on_kink)
                outcome.failed = (name, value, gradient, f)
            outcome.worst = max(outcome.worst, slope.error)
    return outcome


def _slopes(
    f: Callable[[np.ndarray], float], value: np.ndarray, gradient: np.ndarray, case: _Case, tol: float
) -> list[Slope]:
    scale = _scale(value)
    slopes = []
    for _ in range(_DIRECTIONS):
        direction = case.draws.standard_normal(value.shape)
        direction /= np.linalg.norm(direction)

        def along(t: float, direction: np.ndarray = direction) -> float:
            return f(value + t * direction)

        analytic = float(np.sum(gradient * direction))
        slopes.append(compare_slope(along, analytic, scale=scale, magnitude=case.magnitude, tol=tol))
    if value.size <= _FULL_SIZE and all(slope.error <= tol for slope in slopes):
        slopes.extend(_entry(f, value, gradient, i, case.magnitude, tol) for i in range(value.size))
    return slopes


def _entry(
    f: Callable[[np.ndarray], float],
    value: np.ndarray,
    gradient: np.ndarray,
    position: int,
    magnitude: float,
    tol: float,
) -> Slope:
    def along(t: float) -> float:
        changed = value.copy()
        changed.flat[position] += t
        return f(changed)

    analytic = float(gradient.flat[position])
    return compare_slope(along, analytic, scale=_scale(value), magnitude=magnitude, tol=tol)


def _failure(
    name: str, case: _Case, tol: float, error: float, detail: str, where: dict[str, Any]
) -> CheckResult:
    example = dict(where)
    example.update({f"x{i}": item for i, item in enumerate(case.x)})
    example.update({f"params[{key!r}]": value for key, value in case.layer.params.items()})
    options = {"rng": case.seed, "train": case.train, "tol": tol, **case.context}
    arguments = ", ".join([f"x{i}" for i in range(len(case.x))] + ["**options"])
    replay = replay_source(
        f"check_gradient(layer, {arguments})",
        ("from scinn.verify import check_gradient",),
        layer=case.layer,
        **{f"x{i}": item for i, item in enumerate(case.x)},
        options=options,
    )
    return CheckResult(name, False, error, tol, example, detail, replay=replay)


def _mismatch(what: str, wanted: np.ndarray | None, gradient: Any) -> str:
    if wanted is None:
        return (
            "" if gradient is None else f"{what} must be None: integers and sparse matrices have no gradient"
        )
    if not isinstance(gradient, np.ndarray):
        return f"{what} is {_brief(gradient)}, wanted an array of shape {wanted.shape}"
    if gradient.shape != wanted.shape:
        return f"{what} has shape {gradient.shape}, wanted {wanted.shape}"
    if gradient.dtype != wanted.dtype:
        return f"{what} has dtype {gradient.dtype}, wanted {wanted.dtype}"
    if not np.all(np.isfinite(gradient)):
        return f"{what} holds NaN or infinity"
    return ""


def _smooth(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype.kind == "f"


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _jitter(value: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    return 1e-3 * _scale(value) * draws.standard_normal(value.shape)


def _scale(value: np.ndarray) -> float:
    """Return the root mean square of an array, 1 where it is empty or zero."""
    size = float(np.sqrt(np.mean(np.square(value)))) if value.size else 0.0
    return size if size > 0 and np.isfinite(size) else 1.0


def _brief(value: Any) -> str:
    arrays = [f"{path or 'array'} {array.shape}" for path, array in walk(value)]
    return f"{type(value).__name__}({', '.join(arrays)})" if arrays else type(value).__name__
