"""Forgotten bits in the layout of the paper: one number for each unit and row, pushed as a whole plane when one is full.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
3.2, and the authors' code, which pushes where any entry of a row that takes part has reached 2^53, and records this
in one bit for each multiplication. Thus the most forgetful unit of the batch decides how often all are pushed: three
to four bits are stored for each of about 1.5 that are forgotten. It is here to be compared with; arrays of another
width have a plane of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from scinn.exceptions import TapeError
from scinn.recurrent.tape import Tape, load_kernels

__all__ = ["PlaneTape"]


class _Planes:
    """The plane of one width, those that were pushed, and a bit for each multiplication: whether it pushed one."""

    def __init__(self, n_rows: int, width: int) -> None:
        self.plane = np.zeros((n_rows, width), dtype=np.int64)
        self.pushed: list[np.ndarray] = []
        self.flags = bytearray()
        self.n_flags = 0

    def push(self) -> None:
        self.pushed.append(self.plane)
        self.plane = np.zeros_like(self.plane)

    def record(self, pushed: bool) -> None:
        byte, bit = divmod(self.n_flags, 8)
        if bit == 0:
            self.flags.append(0)
        self.flags[byte] |= pushed << bit
        self.n_flags += 1

    def take_flag(self) -> bool:
        self.n_flags -= 1
        byte, bit = divmod(self.n_flags, 8)
        pushed = bool(self.flags[byte] >> bit & 1)
        self.flags[byte] &= (1 << bit) - 1
        if bit == 0:
            self.flags.pop()
        return pushed

    def copy(self) -> _Planes:
        new = _Planes(0, 0)
        new.plane, new.pushed = self.plane.copy(), [plane.copy() for plane in self.pushed]
        new.flags, new.n_flags = self.flags.copy(), self.n_flags
        return new


class PlaneTape(Tape):
    """The layout of the paper: a number below 2^63 for each unit.

    Parameters
    ----------
    n_rows : int
        Rows of the batch.

    Examples
    --------
    >>> PlaneTape(2)
    <PlaneTape: 0 bits of 2 rows>
    """

    coder: ClassVar[str] = "planes"
    _by_width: dict[int, _Planes]

    def __len__(self) -> int:
        used = [planes for planes in self._by_width.values() if planes.n_flags]
        return sum(64 * p.plane.size * (len(p.pushed) + 1) + 8 * len(p.flags) for p in used)

    @property
    def nbytes(self) -> int:
        """Memory that is allocated, in bytes."""
        return sum(p.plane.nbytes * (len(p.pushed) + 1) + len(p.flags) for p in self._by_width.values())

    @property
    def is_empty(self) -> bool:
        """Whether everything that was put on the tape was taken back, to the last bit."""
        return all(p.n_flags == 0 and not p.plane.any() for p in self._by_width.values())

    def _clear(self) -> None:
        self._by_width = {}

    def _multiply(
        self,
        h: np.ndarray,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        new: np.ndarray,
        value: np.ndarray,
    ) -> int:
        kernels, width = load_kernels(), h.shape[1]
        if h.size == 0:
            return int(kernels.DONE)
        planes = self._by_width.get(width) or _Planes(self.n_rows, width)
        answer = kernels.planes_multiply(h, z, update, alive, planes.plane, new, value)
        full = answer == kernels.NO_ROOM
        if full:
            planes.push()
            answer = kernels.planes_multiply(h, z, update, alive, planes.plane, new, value)
        if answer == kernels.DONE:
            planes.record(full)
            self._by_width[width] = planes
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
        kernels = load_kernels()
        if new.size == 0:
            return int(kernels.DONE)
        planes = self._by_width.get(new.shape[1])
        if planes is None or planes.n_flags == 0:
            raise TapeError(f"nothing is left on the tape that could be undone in {new.shape[1]} units")
        answer = kernels.planes_divide(new, z, update, alive, planes.plane, h, value)
        if answer == kernels.BAD_GATE:
            return int(answer)
        pushed = answer == kernels.DONE and planes.take_flag()
        if answer == kernels.DAMAGED or ((pushed or planes.n_flags == 0) and planes.plane.any()):
            raise TapeError(
                "the tape does not hold what is to be undone: it is taken back in another order, with other gates or "
                "updates, or the tape is damaged"
            )
        if pushed:
            planes.plane = planes.pushed.pop()
        return int(answer)

    def copy(self) -> Self:
        """Return a tape with the same bits, which can be read apart from this one."""
        new = type(self)(self.n_rows)
        new._by_width = {width: planes.copy() for width, planes in self._by_width.items()}
        new.provenance = None if self.provenance is None else dict(self.provenance)
        return new

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the bits and their description, to embed in a file.

        Returns
        -------
        arrays : dict of str to ndarray
            For each width ``planes{width}``, the pushed ones and then the current one, (number, n_rows, width) int64,
            and ``flags{width}``, eight bits to a byte.
        description : dict
            JSON values, with the number of bits for each width.
        """
        arrays: dict[str, np.ndarray] = {}
        used = {width: planes for width, planes in self._by_width.items() if planes.n_flags}
        for width, planes in used.items():
            arrays[f"planes{width}"] = np.stack([*planes.pushed, planes.plane])
            arrays[f"flags{width}"] = np.frombuffer(bytes(planes.flags), dtype=np.uint8)
        n_flags = {str(width): planes.n_flags for width, planes in used.items()}
        return arrays, self._describe() | {"n_flags": n_flags}

    def _restore(self, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
        for text, n_flags in description["n_flags"].items():
            width, stack, flags = int(text), arrays[f"planes{text}"], arrays[f"flags{text}"]
            if (
                stack.dtype != np.int64
                or stack.ndim != 3
                or stack.shape[1:] != (self.n_rows, width)
                or not len(stack)
            ):
                raise ValueError(f"planes{text} has shape {stack.shape} and dtype {stack.dtype}")
            if flags.dtype != np.uint8 or flags.shape != (-(-n_flags // 8),) or n_flags < 1:
                raise ValueError(f"flags{text} has shape {flags.shape} and dtype {flags.dtype}")
            bits = np.unpackbits(flags, bitorder="little")
            if int(bits.sum()) != len(stack) - 1 or bits[n_flags:].any() or (stack < 0).any():
                raise ValueError(f"planes{text} and flags{text} contradict each other")
            planes = _Planes(0, 0)
            *planes.pushed, planes.plane = (np.array(plane) for plane in stack)
            planes.flags, planes.n_flags = bytearray(flags.tobytes()), int(n_flags)
            self._by_width[width] = planes
