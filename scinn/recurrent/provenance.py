"""Who filled a tape: what decides the bits of a step, compared before steps are taken or undone with it.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Steps
are undone to the bit only where both directions find the same gates: by the same weights and rules, and at level A by
the same matrix products, whose bits depend on their shapes, on the number of threads, and on the library.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scinn.exceptions import TapeError
from scinn.recurrent.streaming import blas_controller
from scinn.recurrent.tapes import Tapes

if TYPE_CHECKING:
    from scinn.recurrent.network import ReversibleNetwork

__all__ = ["claim"]


def claim(net: ReversibleNetwork, tapes: Tapes, n_rows: int) -> None:
    """Compare what fills the tapes with who filled them before."""
    if not isinstance(tapes, Tapes) or tapes.n_layers != net.n_layers or tapes.n_rows != n_rows:
        raise ValueError(
            f"tapes must come from make_tapes({n_rows}) of a network of {net.n_layers} layers, got {type(tapes).__name__}"
        )
    if tapes.is_damaged or (len(tapes) and not tapes.n_steps):
        raise TapeError(
            "a run broke off and left the tapes in the middle of it; call tapes.reset() and begin anew"
        )
    if tapes.coder != net.coder:
        raise TapeError(f"the tapes pack bits by {tapes.coder!r}, the network by {net.coder!r}")
    ours: dict[str, Any] = {
        "weights": net.weights_checksum(),
        "cell": type(net).__name__,
        "limits": list(net.limits),
        "rule": net.rule,
        "exactness": net.exactness,
    }
    if net.exactness == "A":
        ours |= {
            "block": net.block,
            "threads": net.blas_threads,
            "machine": platform.machine(),
            "linear algebra": _blas_version(),
        }
    theirs = tapes.provenance
    if theirs is not None and tapes.n_steps:
        for name, value in ours.items():
            if theirs.get(name) != value:
                raise TapeError(
                    f"the tapes were filled with {name} {theirs.get(name)!r}, and the network has {value!r} now: its "
                    "steps would not come back to the bit; use the same weights and settings in both directions"
                )
    tapes.provenance = ours


def _blas_version() -> str:
    """Return what decides the bits of a matrix product besides the number of threads."""
    parts = (
        f"{info.get('internal_api')} {info.get('version')} {info.get('architecture', '')}"
        for info in blas_controller().info()
        # SciPy brings a library of its own, which makes none of these products, and need not be loaded yet.
        if "scipy" not in Path(info["filepath"]).parent.name
    )
    return "; ".join(sorted(set(parts)))
