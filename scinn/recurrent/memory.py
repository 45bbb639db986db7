"""What a pass over a sequence remembers.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Notation:
``T`` steps, ``B`` rows, ``H`` units over all layers, ``S`` numbers in each unit's state (1 in a RevGRU, 2 in a
RevLSTM), each of 32 bits, of which a step forgets ``b`` bits on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import check_positive_int
from scinn._plot import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["WORD", "MemoryReport", "draw_bars", "format_bytes"]

#: Bits of a number in a state.
WORD = 32


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
        Of each layer (n_steps, n_units * states_per_unit): the bits that a step forgot of each number of the state,
        ``h1, h2`` or ``h1, h2, c1, c2`` side by side; the mean over the rows that have the step. None where it was not
        counted.

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
    #: Steps of all rows together; None where every row has all steps.
    n_row_steps: int | None = None

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
        """Bits of the states of all steps, which training without reversal stores at the very least.

        Steps behind a row's end are not counted.
        """
        steps = self.n_steps * self.n_rows if self.n_row_steps is None else self.n_row_steps
        return WORD * self.n_units * self.states_per_unit * steps

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
            f"{_times(self.ratio)}",
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
            "n_row_steps": self.n_row_steps,
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
        draw_bars(ax, list(rows), [bits / 8 for bits in rows.values()])
        ax.set_title(f"remembered: {_times(self.ratio)} than all states")
        return ax


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


def draw_bars(ax: Any, names: Sequence[str], n_bytes: Sequence[float], chosen: Sequence[bool] = ()) -> None:
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


def _times(ratio: float) -> str:
    """Say how many times less, or more."""
    return f"{ratio:.3g} times less" if ratio >= 1.0 else f"{1.0 / ratio:.3g} times more"
