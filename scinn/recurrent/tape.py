"""What a layer forgets, kept so that its steps can be undone to the last bit: the interface of all ways to pack it.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
3.2. States ``h`` are integers with the value ``h 2^-23``, gates ``z`` integers from 1 to 1024 with the value
``z / 1024``. Scaling by a gate loses ``-log2(z / 1024)`` bits; a tape keeps these and gives them back, last in, first
out. The coders differ in room and in what a scaled state is:

* ``rans``: ``floor(h / 1024) z`` and a digit below ``z``. Bits are in one entropy coder for each row, an asymmetric
  numeral system (ANS), within 0.1 % of the bound.
* ``floor_digit``: ``floor(h z / 1024)``, as without a tape. Bits are in such coders too, and take up to 1.4 times the
  bound where gates are near 1.
* ``planes``: ``floor(h / 1024) z`` and a digit below ``z``. The layout of the paper: a number for each unit, all of
  them pushed when one is full.
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar, NoReturn, Self

import numpy as np

from scinn._files import read_npz, write_npz
from scinn._input import check_choice, check_positive_int
from scinn.exceptions import TapeError

__all__ = ["CODERS", "Tape", "make_tape"]

_FORMAT = 1
_HOME = {"rans": "RansTape", "floor_digit": "FloorDigitTape", "planes": "PlaneTape"}
#: Names of the ways to pack forgotten bits.
CODERS = tuple(_HOME)


@functools.cache
def load_kernels() -> ModuleType:
    """Return the kernels, which are slow to import."""
    return importlib.import_module("scinn.kernels.bit_tape")


class Tape(ABC):
    """The forgotten bits of one layer, for a batch of rows. :func:`make_tape` makes them.

    Parameters
    ----------
    n_rows : int
        Rows of the batch.

    Attributes
    ----------
    n_rows : int
    coder : str
        How bits are packed.
    provenance : dict or None
        Where the bits come from, as JSON values; whoever fills the tape writes it, and it is saved with the bits.

    Notes
    -----
    Arrays of :meth:`multiply` and :meth:`divide` are C-contiguous, (n_rows, n), with any n: int32 states and updates,
    uint16 gates, float32 or float64 values. What is undone must be undone in the opposite order, with the same gates,
    updates and rows.

    Examples
    --------
    >>> tape = make_tape("rans", 1)
    >>> h, z, update = np.array([[1500, -7]], np.int32), np.array([[512, 1024]], np.uint16), np.ones((1, 2), np.int32)
    >>> alive, new, value = np.ones(1, bool), np.empty((1, 2), np.int32), np.empty((1, 2), np.float32)
    >>> tape.multiply(h, z, update, alive, new, value), len(tape)
    (-1, 64)
    >>> back = np.empty_like(h)
    >>> tape.divide(new, z, update, alive, back, value)
    >>> back.tolist(), len(tape), tape.is_empty
    ([[1500, -7]], 0, True)
    """

    coder: ClassVar[str]
    #: Whether a scaled state is ``floor(h z / 1024)``.
    _whole: ClassVar[bool] = False

    def __init__(self, n_rows: int) -> None:
        self.n_rows = check_positive_int(n_rows, "n_rows", 0)
        self.provenance: dict[str, Any] | None
        self.reset()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} bits of {self.n_rows} rows>"

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of bits held: 0 in the start state, otherwise everything that would have to be saved."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory that is allocated, in bytes."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether everything that was put on the tape was taken back, to the last bit."""

    def reset(self) -> None:
        """Forget everything, as if newly made."""
        self.provenance = None
        self._clear()

    @abstractmethod
    def _clear(self) -> None:
        """Drop all bits."""

    @abstractmethod
    def _multiply(
        self,
        h: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        new: np.ndarray,
        value: np.ndarray,
    ) -> int:
        """Do :meth:`multiply` with checked shapes; the answer may be the kernels' BAD_GATE."""

    @abstractmethod
    def _divide(
        self,
        new: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        h: np.ndarray,
        value: np.ndarray,
    ) -> int:
        """Do :meth:`divide` with checked shapes; the answer may be the kernels' BAD_GATE."""

    def multiply(
        self,
        h: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        new: np.ndarray,
        value: np.ndarray,
    ) -> int:
        """Fill ``new`` with ``h z / 1024 + update`` in integers, and keep what that forgets.

        Parameters
        ----------
        h : ndarray of int32, shape (n_rows, n)
            States.
        z : ndarray of uint16, shape (n_rows, n)
            Gates from 1 to 1024; 1024 keeps ``h`` and takes no room.
        update : ndarray of int32, shape (n_rows, n)
        alive : ndarray of bool, shape (n_rows,)
            Rows that take part; the others are copied and touch nothing.
        new : ndarray of int32, shape (n_rows, n)
            Filled; must not overlap ``h``.
        value : ndarray of float, shape (n_rows, n)
            Filled with ``new * 2^-23``.

        Returns
        -------
        int
            -1, or the flat index of the first unit whose result might leave int32 (by at most 1024, what is hidden
            in the low bits being unknown); then the tape is as it was.

        Raises
        ------
        ValueError
            For shapes that differ, arrays that are not C-contiguous, and gates outside 1 to 1024.
        """
        self._check(h, z, update, alive, new, value)
        answer = self._multiply(h, z, update, alive, new, value)
        if answer == load_kernels().BAD_GATE:
            _refuse_gates(z)
        return answer

    def divide(
        self,
        new: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        h: np.ndarray,
        value: np.ndarray,
    ) -> None:
        """Undo :meth:`multiply`.

        Parameters
        ----------
        new : ndarray of int32, shape (n_rows, n)
            What :meth:`multiply` has filled.
        z, update : ndarray of uint16 and of int32, shape (n_rows, n)
            As they were then.
        alive : ndarray of bool, shape (n_rows,)
            As it was then.
        h : ndarray of int32, shape (n_rows, n)
            Filled; must not overlap ``new``.
        value : ndarray of float, shape (n_rows, n)
            Filled with ``h * 2^-23``.

        Raises
        ------
        TapeError
            Where the tape does not hold what is asked for. Neither the tape nor the filled arrays are of use then.
        ValueError
            For shapes that differ, arrays that are not C-contiguous, and gates outside 1 to 1024.
        """
        self._check(new, z, update, alive, h, value)
        if self._divide(new, z, update, alive, h, value) == load_kernels().BAD_GATE:
            _refuse_gates(z)

    @classmethod
    def multiply_plain(
        cls,
        h: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        new: np.ndarray,
        value: np.ndarray,
    ) -> int:
        """Scale and update without keeping anything, as in evaluation.

        Parameters
        ----------
        h, z, update, alive, new, value : ndarray
            As for :meth:`multiply`.

        Returns
        -------
        int
            As :meth:`multiply`.

        Raises
        ------
        ValueError
            As :meth:`multiply`.
        """
        cls._check_shapes(h, z, update, alive, new, value)
        answer = int(load_kernels().plain_multiply(h, z, update, alive, cls._whole, new, value))
        if answer == load_kernels().BAD_GATE:
            _refuse_gates(z)
        return answer

    def _check(
        self,
        h: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        new: np.ndarray,
        value: np.ndarray,
    ) -> None:
        if len(alive) != self.n_rows:
            raise ValueError(f"alive has {len(alive)} rows, but the tape was made for n_rows = {self.n_rows}")
        self._check_shapes(h, z, update, alive, new, value)

    @staticmethod
    def _check_shapes(
        h: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        new: np.ndarray,
        value: np.ndarray,
    ) -> None:
        shape = h.shape
        if not (shape == z.shape == update.shape == new.shape == value.shape and shape[:1] == alive.shape):
            shapes = [array.shape for array in (h, z, update, alive, new, value)]
            raise ValueError(
                "states, gates, updates and what is filled must have one shape (n_rows, n), and alive (n_rows,); "
                f"got h, z, update, alive, new, value of shapes {', '.join(map(str, shapes))}"
            )
        if not all(array.flags.c_contiguous for array in (h, z, update, new)):
            raise ValueError(
                "states, gates and updates must be C-contiguous: pass numpy.ascontiguousarray(...)"
            )

    @abstractmethod
    def copy(self) -> Self:
        """Return a tape with the same bits, which can be read apart from this one."""

    @abstractmethod
    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the bits and their description, to embed in a file.

        Returns
        -------
        arrays : dict of str to ndarray
        description : dict
            JSON values.
        """

    def _describe(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "coder": self.coder,
            "n_rows": self.n_rows,
            "provenance": self.provenance,
        }

    @abstractmethod
    def _restore(self, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` of a tape with the same rows gave; any error means damage."""

    @classmethod
    def from_state_dict(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return the tape that :meth:`state_dict` was taken of.

        Parameters
        ----------
        arrays : mapping of str to ndarray
        description : mapping

        Returns
        -------
        Tape
            Of the class that was saved.

        Raises
        ------
        TapeError
            Where these are not the bits of a tape, or of one of another class than asked for.
        """
        try:
            coder, number = description["coder"], description["format"]
            if number != _FORMAT or coder not in _HOME:
                raise ValueError(f"it has format {number!r} and coder {coder!r}")
            kind = _coder_class(coder)
            if not issubclass(kind, cls):
                raise ValueError(f"it was filled by coder {coder!r}, but a {cls.__name__} is wanted")
            # Rows are believed once the arrays have as many: a wrong number must not ask for memory.
            tape = kind(0)
            tape.n_rows = check_positive_int(description["n_rows"], "n_rows", 0)
            tape._restore(arrays, description)
            provenance = description["provenance"]
            tape.provenance = None if provenance is None else dict(provenance)
        except (KeyError, IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
            raise TapeError(f"this is not a tape that can be read, or it is damaged: {error}") from error
        return tape

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tape to an ``.npz`` file.

        Parameters
        ----------
        path : path-like
            Replaced as a whole or not at all.
        """
        arrays, description = self.state_dict()
        write_npz(path, arrays, description)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        Tape
            Of the class that was saved.

        Raises
        ------
        FileNotFoundError
            Where there is no such file.
        TapeError
            Where the file holds no tape, or is damaged.
        """
        try:
            arrays, description = read_npz(path)
        except ValueError as error:
            raise TapeError(str(error)) from error
        except (RuntimeError, OSError) as error:
            # Changed bits can make an archive ask for passwords, for other compression, or for places before its start.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise TapeError(
                f"{os.fspath(path)!r} is not a tape saved by scinn, or is damaged: {error}"
            ) from error
        return cls.from_state_dict(arrays, description)


def _refuse_gates(z: np.ndarray) -> NoReturn:
    wrong = z[(z < 1) | (z > 1024)][0]
    raise ValueError(f"z holds the gate {wrong}; integers from 1 to 1024 are wanted, for z / 1024")


def _coder_class(coder: str) -> Any:
    return getattr(importlib.import_module(f"scinn.recurrent.{coder}"), _HOME[coder])


def make_tape(coder: str, n_rows: int) -> Tape:
    """Return an empty tape.

    Parameters
    ----------
    coder : {"rans", "floor_digit", "planes"}
        How bits are packed, as the module's introduction tells.
    n_rows : int
        Rows of the batch.

    Returns
    -------
    Tape

    Raises
    ------
    ValueError
        For another coder, or a number of rows below 0.

    Examples
    --------
    >>> make_tape("planes", 3)
    <PlaneTape: 0 bits of 3 rows>
    """
    tape: Tape = _coder_class(check_choice(coder, "coder", CODERS))(n_rows)
    return tape
