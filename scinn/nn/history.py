"""What a training run leaves behind: one record per epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["History", "best_epoch"]


def best_epoch(values: Sequence[float], mode: str) -> int | None:
    """Return the first epoch with the best value, or None where there is none.

    Parameters
    ----------
    values : sequence of float
        One value per epoch; NaN never is the best.
    mode : {"min", "max"}

    Returns
    -------
    int or None

    Examples
    --------
    >>> best_epoch([3.0, 1.0, 1.0], "min"), best_epoch([float("nan")], "max")
    (1, None)
    """
    signed = values if mode == "min" else [-value for value in values]
    known = [(value, epoch) for epoch, value in enumerate(signed) if not math.isnan(value)]
    return min(known)[1] if known else None


@dataclass(frozen=True)
class History:
    """The records of a training run.

    Parameters
    ----------
    records : tuple of dict
        One per epoch: ``"epoch"``, ``"train_loss"``, ``"learning_rate"`` and what the validation returned.
    monitor : str or None
        The value by which epochs are compared.
    mode : {"min", "max"}
        Whether small or large values of it are good.
    stopped : str
        Why training ended: ``"finished"``, ``"patience"`` or ``"callback"``.
    seconds : float
        Wall time of this call, epochs restored from a checkpoint not included.

    Examples
    --------
    >>> history = History(({"epoch": 0, "train_loss": 2.0}, {"epoch": 1, "train_loss": 1.0}), "train_loss")
    >>> history["train_loss"].tolist(), history.best["epoch"]
    ([2.0, 1.0], 1)
    """

    records: tuple[dict[str, Any], ...]
    monitor: str | None = None
    mode: str = "min"
    stopped: str = "finished"
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one column as a float64 array; NaN where an epoch lacks it."""
        if self.records and not any(name in record for record in self.records):
            raise KeyError(f"no epoch recorded {name!r}; recorded: {list(self.records[-1])}")
        return np.array([record.get(name, math.nan) for record in self.records], dtype=np.float64)

    @property
    def best(self) -> dict[str, Any]:
        """The record of the best epoch by ``monitor``; of the last where nothing was monitored."""
        if not self.records:
            raise ValueError("there is no best epoch: no epoch was run")
        if self.monitor is None:
            return self.records[-1]
        epoch = best_epoch([record[self.monitor] for record in self.records], self.mode)
        return self.records[-1 if epoch is None else epoch]

    def __repr__(self) -> str:
        if not self.records:
            return "History(0 epochs)"
        best = self.best
        shown = ", ".join(f"{name}={best[name]:.4g}" for name in best if name != "epoch")
        return f"History({len(self)} epochs, {self.stopped}; best epoch {best['epoch']}: {shown})"

    def to_dict(self) -> dict[str, Any]:
        """Return the history as JSON values."""
        return {
            "records": [dict(record) for record in self.records],
            "monitor": self.monitor,
            "mode": self.mode,
            "stopped": self.stopped,
            "seconds": self.seconds,
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses, and the monitored value, against the epoch.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.0, 3.2), layout="constrained").subplots()
        names = [name for name in ("train_loss", "val_loss") if any(name in r for r in self.records)]
        if self.monitor is not None and self.monitor not in names:
            names.append(self.monitor)
        epochs = np.arange(len(self))
        for name in names:
            ax.plot(epochs, self[name], label=name.replace("_", " "))
        if self.monitor is not None and self.records:
            ax.axvline(self.best["epoch"], color="0.6", linewidth=0.8, linestyle=":", label="best epoch")
        ax.set_xlabel("epoch")
        if names:
            ax.legend(frameon=False)
        return ax
