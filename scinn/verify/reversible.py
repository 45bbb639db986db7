"""The check of the reversible-map contract: bit-exact round trips that leave the tape empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from scinn.verify.arrays import fingerprint, frozen_copy, lock
from scinn.verify.result import CheckResult, replay_source

__all__ = ["ReversibleMap", "Tape", "check_reversible"]


class Tape(Protocol):
    """A last-in first-out store of bits; its own `push` and `pop` are between it and the map."""

    def __len__(self) -> int:
        """Return the number of bits held."""


class ReversibleMap(Protocol):
    """A map whose step can be undone exactly with the bits that it left on a tape."""

    def advance(self, state: Any, *x_and_tape: Any) -> Any:
        """Return the next state; called as ``advance(state, *x, tape)``."""

    def reverse(self, state: Any, *x_and_tape: Any) -> Any:
        """Return the state before; called as ``reverse(state, *x, tape)``."""


def check_reversible(
    f: Any, state: Any, inputs: Sequence[Any] = ((),), tape: Any = None, *, n_steps: int | None = None
) -> CheckResult:
    """Check that ``reverse`` undoes ``advance`` to the bit, step by step, and leaves the tape empty.

    Parameters
    ----------
    f : ReversibleMap
        With ``state = f.advance(state, *x, tape)`` and ``state = f.reverse(state, *x, tape)``.
    state : array, tuple, dict or number
        The first state; nested containers of arrays are welcome.
    inputs : sequence
        The inputs of each step: a tuple of arrays, or one array; repeated from the start where `n_steps` is
        larger than their number. ``((),)`` is a map without inputs.
    tape : Tape
        Empty; ``len(tape)`` is the number of bits it holds.
    n_steps : int, optional
        Steps forward, and back; by default one per entry of `inputs`.

    Returns
    -------
    CheckResult
        ``values`` holds ``n_steps`` and ``peak_bits``; a failed one names the first step that did not come back.
        The error counts the steps whose state was not restored, and the bits left on the tape.

    Raises
    ------
    TypeError
        Where `f` lacks ``advance`` or ``reverse``, or `tape` has no length.
    ValueError
        Where the tape is not empty at the start, or there are no inputs.

    Notes
    -----
    States and inputs are read-only: a step that writes into what it was given fails. Of each state only a digest
    is kept, so that long runs need little memory.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.verify import check_reversible
    >>> from scinn.verify.toys import BitTape, FixedPointDecay
    >>> map_, state = FixedPointDecay(7, 8), np.array([5, -3, 1000])
    >>> bool(check_reversible(map_, state, [np.array([1, 2, 3])], BitTape(), n_steps=100))
    True
    """
    for method in ("advance", "reverse"):
        if not callable(getattr(f, method, None)):
            raise TypeError(
                f"f is a {type(f).__name__} without {method!r}; a reversible map has both directions"
            )
    if not hasattr(tape, "__len__"):
        raise TypeError(f"tape is a {type(tape).__name__}; wanted an object whose len() is the bits it holds")
    if len(tape):
        raise ValueError(f"tape holds {len(tape)} bits; the check starts from an empty tape")
    steps = [frozen_copy(item if isinstance(item, tuple) else (item,)) for item in inputs]
    if not steps:
        raise ValueError("inputs is empty; for a map without inputs pass inputs=((),) and n_steps")
    total = len(steps) if n_steps is None else int(n_steps)
    start, first = frozen_copy(state), fingerprint(state)
    name = f"reversibility of {type(f).__name__}"
    script = _script(f, state, inputs, tape, total)

    digests, current, peak = [first], start, 0
    for step in range(total):
        x = steps[step % len(steps)]
        current, problem = _step(f.advance, current, x, tape, digests[-1], f"advance at step {step}")
        if problem:
            return _failure(name, float("inf"), problem, start, step, script)
        digests.append(fingerprint(current))
        peak = max(peak, len(tape))
    wrong, deepest = 0, None
    for step in reversed(range(total)):
        held = len(tape)
        seen = fingerprint(current)
        current, problem = _step(
            f.reverse, current, steps[step % len(steps)], tape, seen, f"reverse at step {step}"
        )
        if problem:
            return _failure(name, float("inf"), f"{problem} ({held} bits were left)", start, step, script)
        if fingerprint(current) != digests[step]:
            wrong += 1
            deepest = step if deepest is None else deepest
    left = len(tape)
    values = {"n_steps": float(total), "peak_bits": float(peak)}
    if not wrong and not left:
        return CheckResult(name, True, 0.0, 0.0, values=values)
    parts = []
    if wrong:
        parts.append(f"the state before step {deepest} did not come back ({wrong} of {total} steps differ)")
    if left:
        parts.append(f"{left} bits are left on the tape: advance pushed more than reverse popped")
    where = total if deepest is None else deepest
    return _failure(name, float(wrong + left), "; ".join(parts), start, where, script, values, current)


def _step(call: Any, state: Any, x: tuple[Any, ...], tape: Any, digest: str, what: str) -> tuple[Any, str]:
    """Return the next state, locked, and what went wrong."""
    try:
        result = call(state, *x, tape)
    except Exception as error:
        return state, f"{what} raised {type(error).__name__}: {error}"
    if fingerprint(state) != digest:
        return state, f"{what} wrote into the state it was given"
    return lock(result), ""


def _failure(
    name: str,
    error: float,
    detail: str,
    state: Any,
    step: int,
    script: str | None,
    values: dict[str, float] | None = None,
    returned: Any = None,
) -> CheckResult:
    example = {"state": state, "step": step}
    if returned is not None:
        example["returned"] = returned
    return CheckResult(name, False, error, 0.0, example, detail, values or {}, script)


def _script(f: Any, state: Any, inputs: Any, tape: Any, total: int) -> str | None:
    return replay_source(
        "check_reversible(f, state, inputs, tape, n_steps=n_steps)",
        ("from scinn.verify import check_reversible",),
        f=f,
        state=state,
        inputs=tuple(inputs),
        tape=tape,
        n_steps=total,
    )
