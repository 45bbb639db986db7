"""The tapes of a network: one for each layer, filled and emptied together.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Both
halves of a layer's state share a tape, used last in, first out. Layers have tapes of their own, so that a block of
steps of one layer can be undone before the same block of the layer above, whose inputs it brings back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from scinn._files import read_npz, write_npz
from scinn.exceptions import StateRangeError, TapeError
from scinn.recurrent.tape import Tape, make_tape

__all__ = ["Tapes"]

_FORMAT = 1


class Tapes:
    """The bits that the layers of one network forgot, for one batch.

    Networks make them (``net.make_tapes(n_rows)``), callers own them. ``len(tapes)`` is the number of bits held.

    Parameters
    ----------
    tapes : iterable of Tape
        One for each layer, bottom to top.

    Examples
    --------
    >>> from scinn.recurrent import RevGRU
    >>> tapes = RevGRU(3, 4, rng=0).make_tapes(2)
    >>> len(tapes), tapes.n_rows
    (0, 2)
    """

    def __init__(self, tapes: Iterable[Tape]) -> None:
        self._tapes = tuple(tapes)
        #: Who filled the tapes: checksum of the weights, level of exactness and what else decides the bits.
        self.provenance: dict[str, Any] | None = None
        # Steps of each run on the tapes, as (steps, how many runs of so many in turn).
        self._runs: list[list[int]] = []
        self._damaged = False

    @classmethod
    def make(cls, coder: str, n_rows: int, n_layers: int) -> Tapes:
        """Return empty tapes.

        Parameters
        ----------
        coder : {"rans", "floor_digit", "planes"}
            How forgotten bits are packed.
        n_rows, n_layers : int

        Returns
        -------
        Tapes
        """
        return cls(make_tape(coder, n_rows) for _ in range(n_layers))

    def __len__(self) -> int:
        return sum(len(tape) for tape in self._tapes)

    def __getitem__(self, layer: int) -> Tape:
        return self._tapes[layer]

    def __iter__(self) -> Iterator[Tape]:
        return iter(self._tapes)

    @property
    def n_layers(self) -> int:
        """Number of tapes."""
        return len(self._tapes)

    @property
    def n_rows(self) -> int:
        """Rows of the batch that the tapes belong to."""
        return self._tapes[0].n_rows

    @property
    def coder(self) -> str:
        """How forgotten bits are packed."""
        return self._tapes[0].coder

    @property
    def is_empty(self) -> bool:
        """Whether everything that was put on the tapes was taken back."""
        return all(tape.is_empty for tape in self._tapes)

    @property
    def nbytes(self) -> int:
        """Memory that is allocated, in bytes."""
        return sum(tape.nbytes for tape in self._tapes)

    @property
    def n_steps(self) -> int:
        """Steps that are on the tapes, those that stored no bit among them."""
        return sum(steps * count for steps, count in self._runs)

    def put_run(self, n_steps: int) -> None:
        """Note that a run of so many steps was put on the tapes."""
        if self._runs and self._runs[-1][0] == n_steps:
            self._runs[-1][1] += 1
        elif n_steps:
            self._runs.append([n_steps, 1])

    def check_run(self, n_steps: int, *, whole: bool) -> None:
        """Refuse to undo what was not put on the tapes.

        Parameters
        ----------
        n_steps : int
            Steps to be undone.
        whole : bool
            Whether they must be one run: where bits depend on how steps are taken together.

        Raises
        ------
        TapeError
            Where fewer steps are on the tapes, or they were put there in other runs.
        """
        if n_steps > self.n_steps:
            raise TapeError(
                f"{n_steps} steps are to be undone, and {self.n_steps} are on the tapes; undo no more than was done"
            )
        if whole and n_steps and self._runs[-1][0] != n_steps:
            raise TapeError(
                f"{n_steps} steps are to be undone at once, and the last run took {self._runs[-1][0]}: at level A products "
                "of other numbers of steps have other bits; undo each run as it was made, or use exactness='B'"
            )

    @contextmanager
    def whole_or_damaged(self) -> Iterator[None]:
        """Mark the tapes as damaged where what happens inside breaks off, unless it has put them back in order."""
        try:
            yield
        except StateRangeError:
            raise
        except BaseException:
            self._damaged = True
            raise

    @property
    def is_damaged(self) -> bool:
        """Whether a run broke off, so that nothing can be undone any more."""
        return self._damaged

    def take_run(self, n_steps: int) -> None:
        """Note that so many steps were taken off."""
        while n_steps:
            steps, count = self._runs[-1]
            if steps > n_steps:
                self._runs[-1] = [steps, count - 1]
                rest = steps - n_steps
                if count == 1:
                    self._runs.pop()
                self._runs.append([rest, 1])
                return
            taken = min(count, n_steps // steps)
            n_steps -= taken * steps
            self._runs[-1][1] -= taken
            if self._runs[-1][1] == 0:
                self._runs.pop()

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        for tape in self._tapes:
            tape.reset()
        self.provenance, self._runs, self._damaged = None, [], False

    def copy(self) -> Tapes:
        """Return tapes with the same bits, which can be read apart from these."""
        new = Tapes(tape.copy() for tape in self._tapes)
        new.provenance = None if self.provenance is None else dict(self.provenance)
        new._runs, new._damaged = [list(run) for run in self._runs], self._damaged
        return new

    def __repr__(self) -> str:
        what = "damaged" if self._damaged else f"{len(self)} bits, {self.n_steps} steps"
        return f"<Tapes of {self.n_layers} layers: {what} of {self.n_rows} rows, coder {self.coder!r}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bits and where they come from to an ``.npz`` file.

        Parameters
        ----------
        path : path-like
            Replaced as a whole or not at all.

        Raises
        ------
        TapeError
            Where a run broke off and the tapes hold only a part of it.
        """
        if self._damaged:
            raise TapeError(
                "a run broke off and left the tapes in the middle of it; there is nothing worth saving"
            )
        arrays: dict[str, np.ndarray] = {}
        meta: list[Any] = []
        for i, tape in enumerate(self._tapes):
            own, description = tape.state_dict()
            arrays |= {f"{i}.{name}": value for name, value in own.items()}
            meta.append(description)
        write_npz(
            path,
            arrays,
            {"format": _FORMAT, "tapes": meta, "provenance": self.provenance, "runs": self._runs},
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tapes:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        Tapes

        Raises
        ------
        TapeError
            Where the file holds no tapes of this format.
        """
        try:
            arrays, meta = read_npz(path)
            if meta.get("format") != _FORMAT or not meta["tapes"]:
                raise ValueError(f"it does not hold tapes in format {_FORMAT}")
            tapes = []
            for i, description in enumerate(meta["tapes"]):
                prefix = f"{i}."
                own = {
                    name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)
                }
                tapes.append(Tape.from_state_dict(own, description))
            runs = [[int(steps), int(count)] for steps, count in meta["runs"]]
            if len({(tape.n_rows, tape.coder) for tape in tapes}) > 1 or any(min(run) < 1 for run in runs):
                raise ValueError("its layers or runs do not agree")
            provenance = meta["provenance"]
        except (ValueError, KeyError, TypeError) as error:
            raise TapeError(f"{os.fspath(path)!r} does not hold the tapes of a network: {error}") from error
        new = cls(tapes)
        new.provenance, new._runs = provenance, runs
        return new
