"""The checks of the linear-operator contract: exact adjoints and tight frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scinn.random import RandomState
from scinn.verify.arrays import frozen_copy, lock
from scinn.verify.replay import seed_of
from scinn.verify.result import CheckResult, replay_source

__all__ = ["check_adjoint", "check_tight_frame"]

_DENSE_SIZE = 512
_DENSE_ENTRIES = 4_000_000
_LANCZOS_STEPS = 60
_LINEARITY = 1e-10


def check_adjoint(
    operator: Any,
    adjoint: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    domain_shape: int | tuple[int, ...] | None = None,
    dtype: Any = None,
    n_probes: int = 3,
    tol: float | None = None,
    rng: RandomState = 0,
) -> CheckResult:
    """Check ``<A x, y> = <x, A* y>`` on random vectors, and that A is linear.

    Parameters
    ----------
    operator : object, LinearOperator, pair of callables, or callable
        An object with ``analyze`` and ``synthesize``; anything with ``matvec``, ``rmatvec`` and ``shape``
        (SciPy, PyLops); a matrix; a tuple ``(forward, adjoint)``; or the forward callable, with `adjoint`
        given.
    adjoint : callable, optional
        The adjoint where `operator` is a callable.
    domain_shape : int or tuple of int, optional
        Shape of x. Needed for callables and for objects that do not tell it (``domain_shape`` attribute, or
        ``graph.n_nodes``).
    dtype : dtype, optional
        Of the probes; by default the operator's own, else float64.
    n_probes : int, default 3
        Pairs of vectors.
    tol : float, optional
        Largest ``|<Ax, y> - <x, A*y>| / max(|Ax||y|, |x||A*y|)``; 1e-12, and 1e-5 in single precision.
    rng : int, SeedSequence, Generator, Key or None
        Source of the probes.

    Returns
    -------
    CheckResult
        A failed one on a small operator names the entry of the matrix that differs most.

    Raises
    ------
    TypeError
        Where `operator` is none of the kinds above.
    ValueError
        Where the shape of x cannot be found out.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.verify import check_adjoint
    >>> bool(check_adjoint((np.cumsum, lambda y: np.cumsum(y[::-1])[::-1]), domain_shape=5))
    True
    >>> bool(check_adjoint((np.cumsum, np.diff), domain_shape=5))
    False
    """
    pair = _Pair.of(operator, adjoint, domain_shape, dtype)
    seed = seed_of(rng)
    single = np.finfo(pair.dtype).eps > 1e-10
    tolerance = tol if tol is not None else (1e-5 if single else 1e-12)
    worst, example = 0.0, None
    for probe in range(n_probes):
        generator = np.random.default_rng((seed, probe))
        x = pair.draw(generator, pair.domain_shape)
        image = pair.forward(x)
        y = pair.draw(generator, image.shape)
        back = pair.adjoint(y)
        problem = pair.misshaped(image, back) or _not_linear(pair, x, generator, single)
        if problem:
            return pair.failure("adjoint", np.inf, tolerance, {"x": x, "y": y}, problem, seed)
        scale = max(_norm(image) * _norm(y), _norm(x) * _norm(back), np.finfo(np.float64).tiny)
        error = abs(np.vdot(y, image) - np.vdot(back, x)) / scale
        error = float(error) if np.isfinite(error) else np.inf
        if error >= worst:
            worst, example = error, {"x": x, "y": y}
    if worst <= tolerance:
        return CheckResult(f"adjoint of {pair.name}", True, worst, tolerance)
    detail, where = _worst_entry(pair)
    return pair.failure("adjoint", worst, tolerance, {**where, **(example or {})}, detail, seed)


def check_tight_frame(
    transform: Any,
    adjoint: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    domain_shape: int | tuple[int, ...] | None = None,
    bound: float | None = 1.0,
    tol: float = 1e-10,
    n_probes: int = 3,
    rng: RandomState = 0,
) -> CheckResult:
    """Check that ``|W x|^2 = bound |x|^2`` for every x, and measure the frame bounds.

    Parameters
    ----------
    transform : object, LinearOperator, pair of callables, or callable
        As in :func:`check_adjoint`; the pair is (analysis, its adjoint).
    adjoint : callable, optional
        The adjoint where `transform` is a callable.
    domain_shape : int or tuple of int, optional
        Shape of x, where the transform does not tell it.
    bound : float or None, default 1.0
        The frame bound wanted; None accepts any, provided that the lower and the upper one agree.
    tol : float, default 1e-10
        Largest relative defect ``max(|lower - bound|, |upper - bound|) / bound``.
    n_probes : int, default 3
        Random vectors, and starts of the Lanczos iteration.
    rng : int, SeedSequence, Generator, Key or None
        Source of the probes.

    Returns
    -------
    CheckResult
        ``values`` holds ``lower_bound`` and ``upper_bound``, the smallest and largest eigenvalue of W* W; the
        counter-example is the eigenvector of the worse one.

    Raises
    ------
    TypeError, ValueError
        As in :func:`check_adjoint`.

    Notes
    -----
    The pair must pass the adjoint test first. Up to 512 unknowns the frame operator W* W is formed from the
    analysis alone and its eigenvalues are exact. Beyond, Lanczos iterations with W* W give inner estimates of
    the bounds, so that a reported defect is real.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.verify import check_tight_frame
    >>> mercedes = np.array([[0.0, 1.0], [-0.75**0.5, -0.5], [0.75**0.5, -0.5]])
    >>> result = check_tight_frame(mercedes, bound=1.5)
    >>> bool(result), round(result.values["upper_bound"], 12)
    (True, 1.5)
    """
    pair = _Pair.of(transform, adjoint, domain_shape, None)
    seed = seed_of(rng)
    matched = check_adjoint(
        (pair.forward, pair.adjoint),
        domain_shape=pair.domain_shape,
        dtype=pair.dtype,
        rng=seed,
        n_probes=n_probes,
    )
    if not matched:
        detail = f"synthesis is not the adjoint of analysis: {matched.detail}"
        return pair.failure(
            "tight frame", matched.worst_error, tol, matched.counter_example or {}, detail, seed, bound=bound
        )
    size = int(np.prod(pair.domain_shape))
    if size == 0:
        return CheckResult(f"tight frame of {pair.name}", True, 0.0, tol, detail="no unknowns")
    extremes = _dense_extremes(pair) if size <= _DENSE_SIZE else _lanczos_extremes(pair, seed, n_probes)
    (lower, low_vector), (upper, high_vector) = extremes
    wanted = bound if bound is not None else (lower + upper) / 2
    below, above = abs(lower - wanted), abs(upper - wanted)
    error = max(below, above) / wanted if wanted > 0 else np.inf
    values = {"lower_bound": float(lower), "upper_bound": float(upper)}
    if error <= tol:
        return CheckResult(f"tight frame of {pair.name}", True, float(error), tol, values=values)
    vector, eigenvalue = (low_vector, lower) if below > above else (high_vector, upper)
    detail = (
        f"the frame operator multiplies the vector x by {eigenvalue:.9g}, wanted {wanted:.9g}; "
        f"frame bounds {lower:.6g} and {upper:.6g}, condition {upper / max(lower, 1e-300):.4g}"
    )
    return pair.failure(
        "tight frame", float(error), tol, {"x": vector}, detail, seed, values=values, bound=bound
    )


@dataclass(frozen=True)
class _Pair:
    """Forward and adjoint as functions of arrays, with the shape and dtype of the domain."""

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    adjoint: Callable[[np.ndarray], np.ndarray]
    domain_shape: tuple[int, ...]
    dtype: np.dtype
    source: Any

    @classmethod
    def of(cls, operator: Any, adjoint: Any, domain_shape: Any, dtype: Any) -> _Pair:
        source = operator if adjoint is None else (operator, adjoint)
        shape = (domain_shape,) if isinstance(domain_shape, int | np.integer) else domain_shape
        name, own_dtype = type(operator).__name__, getattr(operator, "dtype", None)
        if adjoint is not None:
            forward, back = operator, adjoint
            name, own_dtype = getattr(operator, "__name__", name), None
        elif isinstance(operator, tuple | list) and len(operator) == 2 and all(map(callable, operator)):
            forward, back = operator
            name, own_dtype = getattr(forward, "__name__", name), None
        elif hasattr(operator, "analyze") and hasattr(operator, "synthesize"):
            forward, back = operator.analyze, operator.synthesize
            if shape is None:
                shape = getattr(operator, "domain_shape", None)
            if shape is None and hasattr(getattr(operator, "graph", None), "n_nodes"):
                shape = (operator.graph.n_nodes,)
        elif hasattr(operator, "matvec") and hasattr(operator, "rmatvec") and hasattr(operator, "shape"):
            forward, back = operator.matvec, operator.rmatvec
            shape = shape if shape is not None else (int(operator.shape[1]),)
        elif hasattr(operator, "shape") and hasattr(operator, "__matmul__") and len(operator.shape) == 2:
            forward, back = operator.__matmul__, operator.conj().T.__matmul__
            shape = shape if shape is not None else (int(operator.shape[1]),)
        else:
            raise TypeError(
                f"operator is a {name}; wanted analyze and synthesize, matvec and rmatvec with a shape, "
                "a matrix, or two callables"
            )
        if shape is None:
            raise ValueError(
                "domain_shape is needed: the operator does not tell the shape of x; pass domain_shape=n"
            )
        kind = np.dtype(dtype if dtype is not None else own_dtype if own_dtype is not None else np.float64)
        if kind.kind not in "fc":
            kind = np.dtype(np.float64)
        return cls(name, _on_frozen(forward), _on_frozen(back), tuple(int(n) for n in shape), kind, source)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = generator.standard_normal(shape)
        if self.dtype.kind == "c":
            values = values + 1j * generator.standard_normal(shape)
        return lock(np.asarray(values).astype(self.dtype))

    def misshaped(self, image: np.ndarray, back: np.ndarray) -> str:
        if back.shape != self.domain_shape:
            return f"the adjoint returned shape {back.shape}, x has {self.domain_shape}"
        if not np.all(np.isfinite(image)) or not np.all(np.isfinite(back)):
            return "the operator returned NaN or infinity for finite vectors"
        return ""

    def failure(
        self,
        what: str,
        error: float,
        tol: float,
        example: dict[str, Any],
        detail: str,
        seed: int,
        *,
        values: dict[str, float] | None = None,
        **options: Any,
    ) -> CheckResult:
        check = f"check_{what.replace(' ', '_')}"
        options = {"domain_shape": self.domain_shape, "tol": tol, "rng": seed, **options}
        replay = replay_source(
            f"{check}(operator, **options)",
            (f"from scinn.verify import {check}",),
            operator=self.source,
            options=options,
        )
        return CheckResult(
            f"{what} of {self.name}", False, error, tol, example, detail, values=values or {}, replay=replay
        )


def _on_frozen(function: Callable[[Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function on read-only copies, so that one that writes into its argument is found out."""

    def call(x: np.ndarray) -> np.ndarray:
        return np.asarray(function(frozen_copy(x)))

    call.__name__ = getattr(function, "__name__", type(function).__name__)
    return call


def _not_linear(pair: _Pair, x: np.ndarray, generator: np.random.Generator, single: bool) -> str:
    other = pair.draw(generator, pair.domain_shape)
    left = pair.forward(lock(x - 3 * other))
    first, second = pair.forward(x), pair.forward(other)
    gap = _norm(left - (first - 3 * second))
    limit = (1e-3 if single else _LINEARITY) * (_norm(first) + 3 * _norm(second))
    return "" if gap <= limit else f"the operator is not linear: A(x - 3z) is off A x - 3 A z by {gap:.3g}"


def _matrix(
    function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Return the matrix of a linear function, one column per unit vector."""
    columns = []
    for position in range(int(np.prod(shape))):
        unit = np.zeros(shape, dtype=dtype)
        unit.flat[position] = 1
        columns.append(function(unit).ravel())
    return np.stack(columns, axis=1)


def _worst_entry(pair: _Pair) -> tuple[str, dict[str, Any]]:
    size = int(np.prod(pair.domain_shape))
    image_shape = pair.forward(np.zeros(pair.domain_shape, dtype=pair.dtype)).shape
    rows = int(np.prod(image_shape))
    if size * rows > _DENSE_ENTRIES or max(size, rows) > 4 * _DENSE_SIZE:
        return "too large to name the entry; try a smaller operator of the same kind", {}
    forward = _matrix(pair.forward, pair.domain_shape, pair.dtype)
    back = _matrix(pair.adjoint, image_shape, pair.dtype).conj().T
    row, column = np.unravel_index(np.argmax(np.abs(forward - back)), forward.shape)
    text = (
        f"forward's matrix holds {forward[row, column]:.9g} at ({row}, {column}), "
        f"the adjoint's conjugate transpose {back[row, column]:.9g}"
    )
    support = np.abs(forward) > 1e-6 * np.max(np.abs(forward), initial=0.0)
    ratios = back[support] / forward[support]
    if ratios.size and np.ptp(ratios.real) <= 1e-9 * abs(np.mean(ratios)):
        text += f"\nevery entry is off by the same factor {np.mean(ratios):.6g}"
    return text, {"entry": (int(row), int(column))}


def _dense_extremes(pair: _Pair) -> tuple[tuple[float, np.ndarray], tuple[float, np.ndarray]]:
    matrix = _matrix(pair.forward, pair.domain_shape, pair.dtype)
    eigenvalues, vectors = np.linalg.eigh(matrix.conj().T @ matrix)
    shape = pair.domain_shape
    return (
        (float(eigenvalues[0]), vectors[:, 0].reshape(shape)),
        (float(eigenvalues[-1]), vectors[:, -1].reshape(shape)),
    )


def _lanczos_extremes(
    pair: _Pair, seed: int, n_starts: int
) -> tuple[tuple[float, np.ndarray], tuple[float, np.ndarray]]:
    """Return the extreme Ritz pairs of W* W over several random starts, with full reorthogonalisation."""
    lowest: tuple[float, np.ndarray] = (np.inf, np.empty(0))
    highest: tuple[float, np.ndarray] = (-np.inf, np.empty(0))
    for start in range(n_starts):
        vector = pair.draw(np.random.default_rng((seed, 1000 + start)), pair.domain_shape).ravel()
        basis = [vector / _norm(vector)]
        diagonal: list[float] = []
        off: list[float] = []
        for _ in range(min(_LANCZOS_STEPS, vector.size)):
            image = pair.adjoint(pair.forward(basis[-1].reshape(pair.domain_shape))).ravel()
            diagonal.append(float(np.vdot(basis[-1], image).real))
            for _ in range(2):
                for known in basis:
                    image = image - np.vdot(known, image) * known
            rest = _norm(image)
            # What is left after a tight frame's first step is rounding: another direction would be noise.
            if rest <= 1e-10 * abs(diagonal[0]) or len(diagonal) == _LANCZOS_STEPS:
                break
            off.append(rest)
            basis.append(image / rest)
        n = len(diagonal)
        ritz, weights = np.linalg.eigh(
            np.diag(diagonal) + np.diag(off[: n - 1], 1) + np.diag(off[: n - 1], -1)
        )
        directions = np.stack(basis[:n], axis=1)
        if ritz[0] < lowest[0]:
            lowest = (float(ritz[0]), (directions @ weights[:, 0]).reshape(pair.domain_shape))
        if ritz[-1] > highest[0]:
            highest = (float(ritz[-1]), (directions @ weights[:, -1]).reshape(pair.domain_shape))
    return lowest, highest


def _norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(np.ravel(x)))
