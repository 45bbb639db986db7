"""The cells that models choose among by name, with the options that each of them has.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. An option
that a cell does not have is refused, rather than dropped: a comparison of cells would be one of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scinn._input import check_choice
from scinn.random import RandomState
from scinn.recurrent.ordinary import OrdinaryNetwork
from scinn.recurrent.reversible import RevGRU, RevLSTM

__all__ = ["CELLS", "build_cell", "is_reversible", "memory_options"]

#: Names of the cells: reversible ones, and ordinary ones to compare with.
CELLS = ("rev_gru", "rev_lstm", "gru", "lstm")

_REVERSIBLE = ("rev_gru", "rev_lstm")
# Options that not all cells have: the cells that have them, and the value that is no choice.
_OPTIONS: dict[str, tuple[tuple[str, ...], Any]] = {
    "max_forget_bits": (_REVERSIBLE, 3.0),
    "coder": (_REVERSIBLE, "rans"),
    "exactness": (_REVERSIBLE, "A"),
    "arithmetic": (_REVERSIBLE, "fixed"),
    "forget": (_REVERSIBLE, True),
    "bounded": (("rev_lstm",), None),
    "compat": (("rev_gru",), False),
}


def is_reversible(cell: str) -> bool:
    """Return whether the steps of a cell can be undone.

    Parameters
    ----------
    cell : {"rev_gru", "rev_lstm", "gru", "lstm"}

    Returns
    -------
    bool
    """
    return cell in _REVERSIBLE


def build_cell(
    cell: str,
    n_in: int,
    n_hidden: int | Sequence[int],
    n_layers: int = 1,
    *,
    dropout: float = 0.0,
    weight_drop: float = 0.0,
    block: int = 8,
    dtype: Any = np.float32,
    rng: RandomState = None,
    **options: Any,
) -> RevGRU | RevLSTM | OrdinaryNetwork:
    """Return a new network of a cell.

    Parameters
    ----------
    cell : {"rev_gru", "rev_lstm", "gru", "lstm"}
        :class:`~scinn.recurrent.RevGRU`, :class:`~scinn.recurrent.RevLSTM`, or the ordinary cells of :mod:`scinn.nn`
        as :class:`~scinn.recurrent.OrdinaryNetwork`.
    n_in, n_hidden, n_layers, dropout, weight_drop, block, dtype, rng
        As for these, which all of them have.
    **options
        ``max_forget_bits``, ``coder``, ``exactness``, ``arithmetic`` and ``forget`` of the reversible cells,
        ``bounded`` of ``"rev_lstm"`` and ``compat`` of ``"rev_gru"``. Other cells take none but the default of these.

    Returns
    -------
    RevGRU, RevLSTM or OrdinaryNetwork

    Raises
    ------
    TypeError, ValueError
        For an unknown cell, arguments that do not fit, or an option of other cells.

    Examples
    --------
    >>> build_cell("rev_lstm", 3, 4, bounded=4, rng=0).bounded
    4
    >>> build_cell("gru", 3, 4, bounded=4)
    Traceback (most recent call last):
    ...
    ValueError: bounded=4 is an option of cell='rev_lstm', and cell is 'gru'; leave it out, or choose another cell
    """
    check_choice(cell, "cell", CELLS)
    own: dict[str, Any] = {}
    for name, value in options.items():
        owners, default = _OPTIONS[check_choice(name, "option", _OPTIONS)]
        if cell in owners:
            own[name] = value
        elif value != default:
            wanted = " or ".join(f"cell={owner!r}" for owner in owners)
            raise ValueError(
                f"{name}={value!r} is an option of {wanted}, and cell is {cell!r}; leave it out, or choose another cell"
            )
    own |= {"dropout": dropout, "weight_drop": weight_drop, "block": block, "dtype": dtype, "rng": rng}
    if cell == "rev_gru":
        return RevGRU(n_in, n_hidden, n_layers, **own)
    if cell == "rev_lstm":
        return RevLSTM(n_in, n_hidden, n_layers, **own)
    return OrdinaryNetwork(cell, n_in, n_hidden, n_layers, **own)


def memory_options(
    cell: str, memory: str | None, segment: int | None, budget_bytes: int | None, monitor: bool
) -> dict[str, Any]:
    """Return how the pass forward of a cell is to remember.

    Parameters
    ----------
    cell : {"rev_gru", "rev_lstm", "gru", "lstm"}
    memory : {"reverse", "store", "checkpoint", "hybrid", "auto"} or None
        None is ``"reverse"`` for reversible cells. Ordinary ones know ``"store"`` alone.
    segment, budget_bytes, monitor
        As for :meth:`~scinn.recurrent.RevGRU.forward_pass`; ordinary cells have none of them.

    Returns
    -------
    dict
        Keyword arguments of ``forward_pass``.

    Raises
    ------
    ValueError
        For an ordinary cell that is asked for more than storing its states.

    Examples
    --------
    >>> memory_options("rev_gru", None, None, None, False)["memory"], memory_options("gru", None, None, None, False)
    ('reverse', {})
    """
    given: dict[str, Any] = {"segment": segment, "budget_bytes": budget_bytes, "monitor": bool(monitor)}
    if is_reversible(cell):
        return {"memory": "reverse" if memory is None else memory, **given}
    asked = {name: value for name, value in given.items() if value is not None and value is not False}
    if memory not in (None, "store"):
        asked = {"memory": memory, **asked}
    if asked:
        came = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        raise ValueError(
            f"cell {cell!r} stores all its states: memory must be 'store' or None, without segment, budget_bytes and "
            f"monitor; got {came}. Build the model with cell='rev_{cell}' for less memory"
        )
    return {}
