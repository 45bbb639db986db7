"""Which way of remembering fits into a given memory, and what each costs.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Notation:
``T`` steps, ``B`` rows, ``H`` units over all layers, ``S`` numbers in each unit's state (1 in a RevGRU, 2 in a
RevLSTM), each of 32 bits, of which a step forgets ``b`` bits on average.

Storing all states takes ``32 S H B (T + 1)`` bits. Reversal takes ``b S H B T`` bits and no more than 64 for each
lane of the coder. Checkpoints, a state every ``s`` steps, take ``32 S H B (T / s + s + 1)`` bits, least at
``s = sqrt(T)``. Both together, a state every ``s`` steps and the tapes of one segment, take ``S H B (32 T / s + b s)``,
least at ``s = sqrt(32 T / b)``. Checkpoints need less than reversal from about ``T = (64 / b)^2`` on, and both
together need less than either. Checkpoints follow T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training Deep Nets with
Sublinear Memory Cost", 2016, arXiv 1604.06174.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import check_choice, check_in_range, check_positive_int
from scinn._plot import axes_or_new
from scinn.recurrent.memory import WORD, draw_bars, format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MemoryOption", "MemoryPlan", "plan_memory"]

#: Bytes of a lane beside its words: the coder's 64 bits, where its words begin and end, and room to go back.
_LANE_BYTES = 72
#: Words are allocated up to an eighth beyond what they hold.
_SPARE = 9 / 8

_TITLES = {
    "store": "all states are stored",
    "reverse": "steps are undone from tapes",
    "checkpoint": "checkpoints, then the states of one segment",
    "hybrid": "checkpoints, then the tapes of one segment",
}


@dataclass(frozen=True)
class MemoryOption:
    """One way of remembering, and what it costs.

    Attributes
    ----------
    mode : {"reverse", "store", "checkpoint", "hybrid"}
    segment : int
        Steps between checkpoints; all steps where there are none.
    state_bytes, tape_bytes, workspace_bytes : int
        Checkpoints, stored states and checksums; tapes as they are allocated, up to an eighth larger than what they
        hold; working arrays of a block.
    extra_forwards : float
        Passes forward beyond the one that gives the loss, of a pass that keeps states and gates.
    """

    mode: str
    segment: int
    state_bytes: int
    tape_bytes: int
    workspace_bytes: int
    extra_forwards: float

    @property
    def bytes(self) -> int:
        """All together."""
        return self.state_bytes + self.tape_bytes + self.workspace_bytes

    @property
    def n_passes(self) -> int:
        """Extra passes in whole numbers; a part of a pass counts as one."""
        return math.ceil(self.extra_forwards)

    def __repr__(self) -> str:
        return (
            f"{self.mode:<11}{format_bytes(self.bytes):>10}   {self.extra_forwards:.2f} extra forward passes"
            + (f", segments of {self.segment} steps" if self.mode in ("checkpoint", "hybrid") else "")
        )


@dataclass(frozen=True)
class MemoryPlan:
    """Which way of remembering to use, and why.

    Attributes
    ----------
    mode : {"reverse", "store", "checkpoint", "hybrid"}
        For ``forward_pass(memory=...)``.
    segment : int
        For ``forward_pass(segment=...)``.
    bytes : int
        What it will take, working arrays included.
    extra_forwards : float
        Passes forward beyond the first.
    why : str
        The reason, in words.
    budget_bytes : int or None
        What there was.
    options : tuple of MemoryOption
        All ways, the chosen one first, in order of preference.
    """

    mode: str
    segment: int
    bytes: int
    extra_forwards: float
    why: str
    budget_bytes: int | None
    options: tuple[MemoryOption, ...]

    def __repr__(self) -> str:
        lines = [f"Plan: {self.mode}. {self.why}"]
        for option in self.options:
            over = self.budget_bytes is not None and option.bytes > self.budget_bytes
            lines.append(f"  {option!r}{', too much' if over else ''}")
        return "\n".join(lines)

    def option(self, mode: str) -> MemoryOption:
        """Return what one way of remembering costs.

        Parameters
        ----------
        mode : {"reverse", "store", "checkpoint", "hybrid"}

        Returns
        -------
        MemoryOption
        """
        check_choice(mode, "mode", _TITLES)
        return next(option for option in self.options if option.mode == mode)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python values, for JSON.

        Returns
        -------
        dict
        """
        options = [asdict(option) | {"bytes": option.bytes} for option in self.options]
        return {
            "mode": self.mode,
            "segment": self.segment,
            "bytes": self.bytes,
            "extra_forwards": self.extra_forwards,
            "why": self.why,
            "budget_bytes": self.budget_bytes,
            "options": options,
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the memory of each way of remembering, with the budget as a line.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes
        """
        ax = axes_or_new(ax)
        chosen = [option.mode == self.mode for option in self.options]
        passes = {1: "1 extra pass", 2: "2 extra passes"}
        names = [f"{option.mode}\n({passes[option.n_passes]})" for option in self.options]
        draw_bars(ax, names, [option.bytes for option in self.options], chosen)
        if self.budget_bytes is not None:
            ax.axvline(self.budget_bytes / 2**20, color="0.3", ls="--", label="budget")
            ax.legend(fontsize=8)
        return ax


def plan_memory(
    n_steps: int,
    n_rows: int,
    n_units: int,
    *,
    budget_bytes: int | None = None,
    bits_per_unit: float = 2.0,
    states_per_unit: int = 1,
    n_layers: int = 1,
    block: int = 8,
    itemsize: int = 4,
    workspace_bytes: int | None = None,
) -> MemoryPlan:
    """Choose how a pass over a sequence should remember what it needs to go back.

    Of the ways that fit into the budget the one with the fewest extra passes forward is taken, and among those the one
    with the fewest bytes. Costs are those of :class:`~scinn.recurrent.RevGRU` and :class:`~scinn.recurrent.RevLSTM`,
    whose pass back computes the gates of every step once more (one extra pass, in every mode) and runs all segments
    but the last again where there are checkpoints (nearly one more).

    Parameters
    ----------
    n_steps, n_rows : int
        Steps and rows of the batch.
    n_units : int
        Units of all layers together.
    budget_bytes : int, optional
        The most that may be remembered, working arrays included; default: no limit.
    bits_per_unit : float, default 2
        Bits that a step forgets of each number of the state: assumed, or ``report.forgotten_per_unit_step`` of a
        :class:`MemoryReport` that was measured.
    states_per_unit : {1, 2}
        Numbers in a unit's state: 1 for a GRU, 2 for an LSTM.
    n_layers : int, default 1
        Layers, each of which has a tape with one lane for each row.
    block : int, default 8
        Steps that are taken together; segments are a multiple of it.
    itemsize : int, default 4
        Bytes of a floating-point number of the network.
    workspace_bytes : int, optional
        Working arrays as they were measured (``report.workspace_bytes``); default: estimated.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    TypeError, ValueError
        For sizes that are not positive integers, or where nothing fits into the budget; the message says how much is
        needed.

    References
    ----------
    MacKay et al. (2018), section 3; Chen et al. (2016), section 4 (checkpoints).

    Examples
    --------
    >>> plan_memory(70, 20, 650).mode
    'reverse'
    >>> plan = plan_memory(100_000, 20, 650, budget_bytes=100 * 2**20)
    >>> plan.mode, plan.segment
    ('hybrid', 1192)
    """
    n_steps, n_rows = check_positive_int(n_steps, "n_steps"), check_positive_int(n_rows, "n_rows", 0)
    n_units, n_layers = check_positive_int(n_units, "n_units"), check_positive_int(n_layers, "n_layers")
    block, itemsize = check_positive_int(block, "block"), check_positive_int(itemsize, "itemsize")
    bits = check_in_range(bits_per_unit, "bits_per_unit", 0.0, float(WORD))
    states = check_choice(states_per_unit, "states_per_unit", (1, 2))
    if budget_bytes is not None:
        budget_bytes = check_positive_int(budget_bytes, "budget_bytes", 0)
    if workspace_bytes is not None:
        workspace_bytes = check_positive_int(workspace_bytes, "workspace_bytes", 0)
    options = _options(n_steps, n_rows, n_units, bits, states, n_layers, block, itemsize, workspace_bytes)
    fitting = [option for option in options if budget_bytes is None or option.bytes <= budget_bytes]
    if not fitting:
        least = min(options, key=lambda option: option.bytes)
        raise ValueError(
            f"budget_bytes is {budget_bytes}, and no way of remembering {n_steps} steps of {n_rows} rows and {n_units} "
            f"units fits into it; the least is {least.bytes} bytes with memory={least.mode!r}, of which "
            f"{least.workspace_bytes} are working arrays: raise the budget, use fewer rows or steps, or a smaller block"
        )
    # Sorting keeps the order above among equals, so that the simpler way comes first.
    ranked = sorted(options, key=lambda option: (option not in fitting, option.n_passes, option.bytes))
    best = ranked[0]
    why = _reason(best, ranked[1:], budget_bytes, bits)
    return MemoryPlan(
        best.mode, best.segment, best.bytes, best.extra_forwards, why, budget_bytes, tuple(ranked)
    )


# Arrays that a pass works with, in numbers for each unit and row: floats for each step of a block, floats, and bytes beside
# them. Back over a block: values, gates, input sums and their gradients; before it, where a segment is run again:
# values and input sums. By numbers in a unit's state.
_BACK = {1: (12, 2, 11), 2: (20, 4, 22)}
_AGAIN = {1: (4, 6, 11), 2: (7, 10, 22)}


def _options(
    n_steps: int,
    n_rows: int,
    n_units: int,
    bits: float,
    states: int,
    n_layers: int,
    block: int,
    itemsize: int,
    workspace_bytes: int | None,
) -> list[MemoryOption]:
    """Return what each way costs, the simpler ones first."""
    numbers = n_units * n_rows
    back, again = (
        numbers * (by_step * block * itemsize + floats * itemsize + beside)
        for by_step, floats, beside in (_BACK[states], _AGAIN[states])
    )
    if workspace_bytes is not None:
        back, again = workspace_bytes, round(again * workspace_bytes / max(back, 1))
    state = WORD // 8 * numbers * states
    # What a layer's step needs at most is made free at once: about a byte for each number.
    lanes = _LANE_BYTES * n_rows * n_layers + numbers

    def tape(length: int) -> int:
        return math.ceil(length * _SPARE * numbers * states * bits / 8) + lanes

    def checks(length: int) -> int:
        # A checksum of the inputs and of each layer's state, for each block of the segment that is held.
        return WORD // 8 * (1 + n_layers) * -(-length // block)

    options = [
        MemoryOption("reverse", n_steps, checks(n_steps), tape(n_steps), back, 1.0),
        MemoryOption("store", n_steps, (n_steps + 1) * state + checks(n_steps), 0, back, 1.0),
    ]
    if n_steps <= block:
        short = [replace(option, mode=mode) for option, mode in zip(options, ("hybrid", "checkpoint"))]
        return options + short
    segments = block * np.arange(1, -(-n_steps // block), dtype=np.int64)
    counts = -(-n_steps // segments)
    of_step = {"checkpoint": float(state), "hybrid": _SPARE * numbers * states * bits / 8}
    for mode, step_bytes in of_step.items():
        step_bytes += checks(block) / block
        at = int(np.argmin(counts * float(state) + segments * step_bytes))
        segment, count = int(segments[at]), int(counts[at])
        held = (
            count * (state + WORD // 8 * n_layers)
            + ((segment + 1) * state if mode == "checkpoint" else 0)
            + checks(segment)
        )
        repeated = (count - 1) * segment / n_steps
        options.append(
            MemoryOption(
                mode, segment, held, tape(segment) if mode == "hybrid" else 0, back + again, 1.0 + repeated
            )
        )
    return options


def _reason(best: MemoryOption, others: Sequence[MemoryOption], budget_bytes: int | None, bits: float) -> str:
    what = _TITLES[best.mode] + (f" ({best.segment} steps)" if best.mode in ("checkpoint", "hybrid") else "")
    room = "" if budget_bytes is None else f" of {format_bytes(budget_bytes)}"
    reason = f"{what[0].upper()}{what[1:]}: {format_bytes(best.bytes)}{room}, at {bits:.3g} bits a number and step."
    quicker = [o.mode for o in others if o.n_passes < best.n_passes]
    if quicker:
        reason += f" Quicker ways ({', '.join(quicker)}) do not fit."
    same = [o for o in others if o.n_passes == best.n_passes and o.bytes > best.bytes]
    if same:
        factor = same[0].bytes / max(best.bytes, 1)
        reason += f" As quick as {same[0].mode}, which takes {factor:.3g} times as much."
    smaller = [o for o in others if o.n_passes > best.n_passes and o.bytes < best.bytes]
    if smaller:
        least = min(smaller, key=lambda o: o.bytes)
        reason += (
            f" {least.mode.capitalize()} would take {format_bytes(least.bytes)} and one more pass forward."
        )
    return reason
