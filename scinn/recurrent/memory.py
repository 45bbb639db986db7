"""What a pass over a sequence remembers, and which way of remembering fits into a given memory.

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

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MemoryOption", "MemoryPlan", "MemoryReport", "plan_memory"]

#: Bits of a number in a state.
WORD = 32
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


@dataclass(frozen=True, eq=False)
class MemoryReport:
    """What one pass over a sequence remembered so that it could go back.

    Attributes
    ----------
    n_steps, n_rows : int
        Steps and rows of the batch.
    widths : tuple of int
        Units of each layer.
    states_per_unit : int
        Numbers in the state of a unit: 1 in a GRU, 2 in an LSTM.
    stored_bits : int
        Most bits that the tapes held at once.
    ideal_bits : float or None
        What all gates together forgot, ``sum of -log2(z)``: no tape over all steps can be shorter on average. None
        where it was not counted (``monitor=False``).
    kept_bits : int
        Bits kept outside the tapes: slices, checkpoints, stored states.
    workspace_bytes : int
        Working arrays of a block of steps, the same at any number of steps; 0 before the pass back.
    forgotten : list of ndarray, or None
        Of each layer (n_steps, n_units * states_per_unit): the mean over rows of the bits that a step forgot of each
        number of the state, ``h1, h2`` or ``h1, h2, c1, c2`` side by side. None where it was not counted.

    References
    ----------
    MacKay et al. (2018), sections 3.3 and 5: "normal", "used" and "optimal" bits.

    Examples
    --------
    >>> report = MemoryReport(100, 20, (64,), 1, 260_000, 256_000.0, kept_bits=0, workspace_bytes=0)
    >>> round(report.ratio, 2), report.ideal_ratio, report.bits_per_unit_step
    (15.75, 16.0, 2.03125)
    """

    n_steps: int
    n_rows: int
    widths: tuple[int, ...]
    states_per_unit: int
    stored_bits: int
    ideal_bits: float | None
    kept_bits: int
    workspace_bytes: int
    forgotten: Sequence[np.ndarray] | None = None

    @property
    def n_units(self) -> int:
        """Units of all layers."""
        return sum(self.widths)

    @property
    def state_bits(self) -> int:
        """Bits of one state of all rows, which every way of remembering holds."""
        return WORD * self.n_units * self.n_rows * self.states_per_unit

    @property
    def naive_bits(self) -> int:
        """Bits of the states of all steps, which training without reversal stores at the very least."""
        return self.state_bits * self.n_steps

    @property
    def ratio(self) -> float:
        """How many times less was remembered than ``naive_bits``; infinite where nothing was."""
        return _over(self.naive_bits, self.stored_bits + self.kept_bits)

    @property
    def ideal_ratio(self) -> float | None:
        """The ratio with tapes of no waste; None where ``ideal_bits`` was not counted."""
        return None if self.ideal_bits is None else _over(self.naive_bits, self.ideal_bits + self.kept_bits)

    @property
    def bits_per_unit_step(self) -> float:
        """Bits remembered for each number of the state and step; 32 is what storing states takes."""
        return _over((self.stored_bits + self.kept_bits) * WORD, self.naive_bits, 0.0)

    @property
    def forgotten_per_unit_step(self) -> float | None:
        """Bits forgotten of each number of the state in a step; None where it was not counted."""
        return None if self.ideal_bits is None else _over(self.ideal_bits * WORD, self.naive_bits, 0.0)

    def histogram(self, n_bins: int = 40, *, layer: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Count how often so many bits were forgotten of a number in a step (mean over rows).

        Parameters
        ----------
        n_bins : int, default 40
        layer : int, optional
            Of one layer; default: of all.

        Returns
        -------
        counts : ndarray of int64, shape (n_bins,)
        edges : ndarray of float64, shape (n_bins + 1,)
            In bits, from 0 on.

        Raises
        ------
        ValueError
            Where it was not counted what is forgotten, or there is no such layer.
        """
        n_bins = check_positive_int(n_bins, "n_bins")
        chosen = self._of_layers(layer)
        values = np.concatenate([bits.ravel() for bits in chosen])
        top = float(values.max()) if values.size else 0.0
        counts, edges = np.histogram(values, bins=n_bins, range=(0.0, top or 1.0))
        return counts.astype(np.int64), edges

    def forgotten_by_step(self, *, layer: int | None = None) -> np.ndarray:
        """Return the bits forgotten in each step, mean over numbers of the state and rows, shape (n_steps,).

        Parameters
        ----------
        layer : int, optional
            Of one layer; default: of all.

        Returns
        -------
        ndarray of float64

        Raises
        ------
        ValueError
            As :meth:`histogram`.
        """
        joined = np.concatenate(self._of_layers(layer), axis=1)
        return np.asarray(joined.mean(axis=1), dtype=np.float64)

    def forgotten_by_unit(self, *, layer: int = 0) -> np.ndarray:
        """Return the bits that a step forgets of each number of a layer's state, mean over steps and rows.

        Parameters
        ----------
        layer : int, default 0

        Returns
        -------
        ndarray of float64, shape (n_units * states_per_unit,)

        Raises
        ------
        ValueError
            As :meth:`histogram`.
        """
        return np.asarray(self._of_layers(layer)[0].mean(axis=0), dtype=np.float64)

    def _of_layers(self, layer: int | None) -> list[np.ndarray]:
        if self.forgotten is None:
            raise ValueError("what is forgotten was not counted; pass monitor=True to the pass forward")
        if layer is None:
            return list(self.forgotten)
        if not 0 <= layer < len(self.forgotten):
            raise ValueError(
                f"layer is {layer}, and the network has {len(self.forgotten)} layers, counted from 0"
            )
        return [self.forgotten[layer]]

    def __repr__(self) -> str:
        widths = " + ".join(str(width) for width in self.widths)
        cell = "" if self.states_per_unit == 1 else f" of {self.states_per_unit} numbers"
        lines = [
            f"Memory of {self.n_steps} steps, {self.n_rows} rows, {widths} units{cell}",
            f"  storing all states        {format_bytes(self.naive_bits / 8)}",
            f"  remembered                {format_bytes((self.stored_bits + self.kept_bits) / 8)}, "
            f"{self.ratio:.3g} times less",
            f"    on tapes                {format_bytes(self.stored_bits / 8)}",
            f"    slices, states          {format_bytes(self.kept_bits / 8)}",
        ]
        if self.ideal_bits is not None:
            lines.append(
                f"  forgotten                 {format_bytes(self.ideal_bits / 8)}, "
                f"{self.forgotten_per_unit_step:.3g} bits of each number in a step"
            )
        lines.append(f"  one state                 {format_bytes(self.state_bits / 8)}")
        if self.workspace_bytes:
            lines.append(f"  working arrays            {format_bytes(self.workspace_bytes)}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python values, for JSON.

        Returns
        -------
        dict
            An infinite ratio is None.
        """
        ratios = {"ratio": self.ratio, "ideal_ratio": self.ideal_ratio}
        forgotten = None if self.forgotten is None else [np.asarray(bits).tolist() for bits in self.forgotten]
        return {
            "n_steps": self.n_steps,
            "n_rows": self.n_rows,
            "widths": list(self.widths),
            "states_per_unit": self.states_per_unit,
            "stored_bits": int(self.stored_bits),
            "ideal_bits": None if self.ideal_bits is None else float(self.ideal_bits),
            "kept_bits": int(self.kept_bits),
            "state_bits": self.state_bits,
            "naive_bits": self.naive_bits,
            "workspace_bytes": int(self.workspace_bytes),
            "bits_per_unit_step": self.bits_per_unit_step,
            "forgotten_per_unit_step": self.forgotten_per_unit_step,
            **{k: v if v is None or math.isfinite(v) else None for k, v in ratios.items()},
            "forgotten": forgotten,
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how many bits a step forgets: each number of the state by time; or, if not counted, the bits in all.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes
        """
        ax = axes_or_new(ax)
        if self.forgotten is None:
            return self._plot_bits(ax)
        joined = np.concatenate(list(self.forgotten), axis=1)
        # Numbers of the state are sorted within each layer, since their order in memory means nothing.
        order, first = [], 0
        for bits in self.forgotten:
            order.append(first + np.argsort(bits.mean(axis=0), kind="stable"))
            first += bits.shape[1]
            if first < joined.shape[1]:
                ax.axhline(first - 0.5, color="white", lw=1)
        image = ax.imshow(
            joined[:, np.concatenate(order)].T,
            aspect="auto", origin="lower", interpolation="nearest", cmap="viridis", vmin=0.0,
        )  # fmt: skip
        ax.figure.colorbar(image, ax=ax, label="bits forgotten (mean over rows)")
        what = "unit" if self.states_per_unit == 1 else "number of the state"
        within = ", sorted within each layer" if len(self.widths) > 1 else ", sorted"
        ax.set(xlabel="time step", ylabel=what + within)
        ax.set_title(f"{self.forgotten_per_unit_step:.3g} of {WORD} bits forgotten in a step, on average")
        return ax

    def _plot_bits(self, ax: Axes) -> Axes:
        rows = {
            "storing all states": self.naive_bits,
            "on tapes": self.stored_bits,
            "slices, states": self.kept_bits,
        }
        _bars(ax, list(rows), [bits / 8 for bits in rows.values()])
        ax.set_title(f"remembered: {self.ratio:.3g} times less than all states")
        return ax


@dataclass(frozen=True)
class MemoryOption:
    """One way of remembering, and what it costs.

    Attributes
    ----------
    mode : {"reverse", "store", "checkpoint", "hybrid"}
    segment : int
        Steps between checkpoints; all steps where there are none.
    state_bytes, tape_bytes, workspace_bytes : int
        Checkpoints and stored states; tapes as they are allocated, up to an eighth larger than what they hold; working
        arrays of a block.
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
        _bars(ax, names, [option.bytes for option in self.options], chosen)
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

    options = [
        MemoryOption("reverse", n_steps, 0, tape(n_steps), back, 1.0),
        MemoryOption("store", n_steps, (n_steps + 1) * state, 0, back, 1.0),
    ]
    if n_steps <= block:
        short = [replace(option, mode=mode) for option, mode in zip(options, ("hybrid", "checkpoint"))]
        return options + short
    segments = block * np.arange(1, -(-n_steps // block), dtype=np.int64)
    counts = -(-n_steps // segments)
    of_step = {"checkpoint": float(state), "hybrid": _SPARE * numbers * states * bits / 8}
    for mode, step_bytes in of_step.items():
        at = int(np.argmin(counts * float(state) + segments * step_bytes))
        segment, count = int(segments[at]), int(counts[at])
        held = count * state + ((segment + 1) * state if mode == "checkpoint" else 0)
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


def format_bytes(n_bytes: float) -> str:
    """Return a size as a person reads it.

    Parameters
    ----------
    n_bytes : float

    Returns
    -------
    str

    Examples
    --------
    >>> format_bytes(3 * 2**20), format_bytes(100)
    ('3 MiB', '100 B')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.4g} TiB"


def _bars(ax: Any, names: Sequence[str], n_bytes: Sequence[float], chosen: Sequence[bool] = ()) -> None:
    """Draw sizes as horizontal bars, the first on top."""
    at = np.arange(len(names))[::-1]
    colors = ["C0" if not chosen or picked else "0.7" for picked in (chosen or [True] * len(names))]
    bars = ax.barh(at, [value / 2**20 for value in n_bytes], color=colors)
    ax.bar_label(bars, [f" {format_bytes(value)}" for value in n_bytes], fontsize=8)
    ax.set_yticks(at, names)
    ax.margins(x=0.2)
    ax.set_xlabel("memory (MiB)")


def _over(a: float, b: float, empty: float = math.inf) -> float:
    return a / b if b else empty
