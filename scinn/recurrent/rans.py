"""Forgotten bits in ANS coders, one for each row: the numerics of the paper at the room that information asks for.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
3.2, whose number per unit becomes one number per row, an asymmetric numeral system (ANS; J. Duda, arXiv 1311.2540)
over a stack of words. Ten bits of the state go in, a digit below ``z`` comes out:
``h' = floor(h / 1024) z + digit``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from scinn.exceptions import TapeError
from scinn.recurrent.tape import Tape, load_kernels

__all__ = ["LaneTape", "RansTape"]

_START = 1 << 31
_X, _TOP, _FIRST, _END, _UNITS = range(5)
#: Positions that every lane has beyond its words, so that undoing never needs more room.
_SPARE = 8


class LaneTape(Tape):
    """A tape with one lane for each row: a number in [2^31, 2^63) over a stack of 32-bit words."""

    _lanes: np.ndarray
    _words: np.ndarray

    def __len__(self) -> int:
        n_words = int((self._lanes[:, _TOP] - self._lanes[:, _FIRST]).sum())
        if n_words == 0 and bool((self._lanes[:, _X] == _START).all()):
            return 0
        return 32 * n_words + 64 * self.n_rows

    @property
    def nbytes(self) -> int:
        """Memory that is allocated, in bytes."""
        return int(self._words.nbytes + self._lanes.nbytes)

    @property
    def is_empty(self) -> bool:
        """Whether everything that was put on the tape was taken back, to the last bit."""
        return len(self) == 0 and not self._lanes[:, _UNITS].any()

    def _clear(self) -> None:
        self._lanes = np.zeros((self.n_rows, 5), dtype=np.int64)
        self._lanes[:, _X] = _START
        self._set_words([np.empty(0, np.uint32)] * self.n_rows, np.full(self.n_rows, _SPARE))

    def _set_words(self, words: list[np.ndarray], room: np.ndarray) -> None:
        """Lay out the words of all lanes, with room for so many more after each."""
        sizes = np.array([len(own) for own in words], dtype=np.int64)
        ends = 1 + np.cumsum(sizes + room)
        # Position 0 belongs to no lane: kernels look at the word below an empty stack.
        new = np.empty(1 + int((sizes + room).sum()), dtype=np.uint32)
        new[0] = 0
        for own, end, size, more in zip(words, ends, sizes, room, strict=True):
            new[end - more - size : end - more] = own
        self._words = new
        self._lanes[:, _FIRST], self._lanes[:, _TOP], self._lanes[:, _END] = (
            ends - room - sizes,
            ends - room,
            ends,
        )

    def _own_words(self) -> list[np.ndarray]:
        return [self._words[first:top] for first, top in self._lanes[:, [_FIRST, _TOP]]]

    def _grow(self, n_units: int, alive: np.ndarray) -> None:
        """Make room for so many units in the rows that take part, and an eighth more than they hold."""
        words = self._own_words()
        sizes = np.array([len(own) for own in words], dtype=np.int64)
        self._set_words(words, _SPARE + np.where(alive, n_units // 3 + sizes // 8, 0))

    @abstractmethod
    def _kernel(self, undo: bool) -> Any: ...

    def _multiply(
        self,
        h: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        new: np.ndarray,
        value: np.ndarray,
    ) -> int:
        kernel, no_room = self._kernel(undo=False), load_kernels().NO_ROOM
        answer = kernel(h, z, update, alive, self._lanes, self._words, new, value)
        if answer == no_room:
            self._grow(h.shape[1], alive)
            answer = kernel(h, z, update, alive, self._lanes, self._words, new, value)
        return int(answer)

    def _divide(
        self,
        new: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        h: np.ndarray,
        value: np.ndarray,
    ) -> int:
        kernel, no_room = self._kernel(undo=True), load_kernels().NO_ROOM
        answer = kernel(new, z, update, alive, self._lanes, self._words, h, value)
        if answer == no_room:
            self._grow(0, alive)
            answer = kernel(new, z, update, alive, self._lanes, self._words, h, value)
        if answer >= 0:
            raise TapeError(
                f"the tape does not hold what is to be undone in row {answer}: more is taken back than was put there, in "
                "another order, with other gates or updates, or the tape is damaged"
            )
        return int(answer)

    def copy(self) -> Self:
        """Return a tape with the same bits, which can be read apart from this one."""
        new = type(self)(self.n_rows)
        new._lanes = self._lanes.copy()
        new._set_words(self._own_words(), np.full(self.n_rows, _SPARE))
        new.provenance = None if self.provenance is None else dict(self.provenance)
        return new

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the bits and their description, to embed in a file.

        Returns
        -------
        arrays : dict of str to ndarray
            ``numbers`` (n_rows,) uint64, ``sizes`` (n_rows,) and ``units`` (n_rows,) int64, ``words`` of all lanes
            uint32.
        description : dict
            JSON values.
        """
        arrays = {
            "numbers": self._lanes[:, _X].astype(np.uint64),
            "sizes": self._lanes[:, _TOP] - self._lanes[:, _FIRST],
            "units": self._lanes[:, _UNITS].copy(),
            "words": np.concatenate([np.empty(0, np.uint32), *self._own_words()]),
        }
        return arrays, self._describe()

    def _restore(self, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
        numbers, sizes, units, words = (arrays[name] for name in ("numbers", "sizes", "units", "words"))
        for name, array, kind in (("numbers", numbers, "u8"), ("sizes", sizes, "i8"), ("units", units, "i8")):
            if array.shape != (self.n_rows,) or array.dtype != np.dtype(kind):
                raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}")
        # Sizes are compared one by one as well, because their sum may wrap around.
        wrong = (sizes < 0) | (sizes > words.size)
        if words.dtype != np.uint32 or wrong.any() or words.shape != (int(sizes.sum()),):
            raise ValueError(f"words has shape {words.shape} and dtype {words.dtype}")
        if ((numbers < _START) | (numbers >= 1 << 63)).any() or (units < 0).any():
            raise ValueError("a lane is outside of its range")
        self._lanes = np.zeros((self.n_rows, 5), dtype=np.int64)
        self._lanes[:, _X], self._lanes[:, _UNITS] = numbers.astype(np.int64), units
        self._set_words(
            np.split(words, np.cumsum(sizes)[:-1]) if len(sizes) else [], np.full(len(sizes), _SPARE)
        )


class RansTape(LaneTape):
    """The numerics of the paper, within 0.1 % of the bits that they must keep.

    Parameters
    ----------
    n_rows : int
        Rows of the batch.

    Examples
    --------
    >>> RansTape(2)
    <RansTape: 0 bits of 2 rows>
    """

    coder: ClassVar[str] = "rans"

    def _kernel(self, undo: bool) -> Any:
        kernels = load_kernels()
        return kernels.rans_divide if undo else kernels.rans_multiply
