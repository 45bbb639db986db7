"""Scaling without hidden digits: a step with a tape computes what a step without one does.

In the scheme of M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv
1810.10999, the low bits of a new state are a digit of what was forgotten before, a perturbation below 2^-13. Here
``h' = floor(h z / 1024)`` exactly. Its sources are consecutive integers, ``floor(1024 / z)`` or one more; which of
them ``h`` was goes on the lane of its row. That costs the binary logarithm of their number on average, up to 1.4
times ``-log2(z / 1024)`` where z is near 1024, and nothing more where ``1024 / z`` is an integer.
"""

from __future__ import annotations

from typing import Any, ClassVar

from scinn.recurrent.rans import LaneTape
from scinn.recurrent.tape import load_kernels

__all__ = ["FloorDigitTape"]


class FloorDigitTape(LaneTape):
    """Exact floors of scaled states, with and without a tape the same.

    Parameters
    ----------
    n_rows : int
        Rows of the batch.

    Examples
    --------
    >>> FloorDigitTape(2)
    <FloorDigitTape: 0 bits of 2 rows>
    """

    coder: ClassVar[str] = "floor_digit"
    _whole: ClassVar[bool] = True

    def _kernel(self, undo: bool) -> Any:
        kernels = load_kernels()
        return kernels.floor_digit_divide if undo else kernels.floor_digit_multiply
