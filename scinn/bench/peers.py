"""Run a peer in an interpreter of its own: arrays out by ``.npz``, arrays and timings back by ``.npz``.

The other end is ``peer_worker.py``, which imports nothing of scinn. So PyTorch and PyGSP never enter this process, their
environment may have other versions of NumPy, and they are held to one thread from the start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from scinn._files import read_npz, write_npz
from scinn._input import check_choice
from scinn.bench.peer_worker import MISSING, TASKS

__all__ = ["PeerResult", "csr_parts", "peer_python", "run_peer"]

_WORKER = Path(__file__).resolve().parent / "peer_worker.py"
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True)
class PeerResult:
    """What a peer measured, or why it did not run.

    Parameters
    ----------
    arrays : dict of str to ndarray
        What the peer returned, for comparing answers.
    info : dict
        What it said: seconds, versions.
    reason : str
        Empty where it ran; otherwise one line.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


def peer_python() -> str:
    """Return the interpreter in which peers run: ``$SCINN_PEER_PYTHON``, or this one."""
    return os.environ.get("SCINN_PEER_PYTHON") or sys.executable


def csr_parts(name: str, matrix: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a CSR matrix under the names that the worker expects."""
    matrix = sparse.csr_array(matrix)
    parts = {part: getattr(matrix, part) for part in ("data", "indices", "indptr")}
    return {f"{name}_{part}": value for part, value in parts.items()} | {
        f"{name}_shape": np.array(matrix.shape)
    }


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def run_peer(
    task: str,
    arrays: Mapping[str, np.ndarray],
    options: Mapping[str, Any],
    *,
    python: str | None = None,
    timeout: float = 600.0,
) -> PeerResult:
    """Run one peer and return its answer.

    Parameters
    ----------
    task : str
        A name in :data:`scinn.bench.peer_worker.TASKS`.
    arrays : mapping of str to ndarray
        Input arrays.
    options : mapping
        Numbers and strings, as JSON.
    python : str, optional
        Interpreter; by default ``$SCINN_PEER_PYTHON``, or this one.
    timeout : float, default 600.0
        Seconds after which the peer is stopped.

    Returns
    -------
    PeerResult
        False in a condition, with the reason, where the peer is not installed, fails or takes too long.

    Raises
    ------
    ValueError
        For a task that does not exist.
    """
    check_choice(task, "task", tuple(TASKS))
    environment = os.environ | dict.fromkeys(_ONE_THREAD, "1") | {"MPLBACKEND": "Agg"}
    with tempfile.TemporaryDirectory(prefix="scinn-peer-") as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        write_npz(source, dict(arrays), {"format": 1, "options": dict(options)})
        # -I: the worker's folder does not become an import path, where its neighbours could hide a library.
        command = [python or peer_python(), "-I", str(_WORKER), task, str(source), str(target)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=timeout,
                cwd=folder,
                env=environment,
                check=False,
            )
        except FileNotFoundError:
            return PeerResult(reason=f"there is no interpreter {command[0]}")
        except subprocess.TimeoutExpired:
            return PeerResult(reason=f"took more than {timeout:.0f} s")
        if done.returncode == MISSING:
            return PeerResult(reason=_last_line(done.stderr))
        if done.returncode != 0 or not target.is_file():
            return PeerResult(reason=f"failed: {_last_line(done.stderr)}")
        try:
            out, meta = read_npz(target)
        except (OSError, ValueError, json.JSONDecodeError) as error:
            return PeerResult(reason=f"wrote something unreadable: {error}")
    return PeerResult(arrays=out, info=meta["info"])
