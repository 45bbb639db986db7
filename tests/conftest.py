"""Settings shared by all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# No test waits for a network; those about downloads unset it.
os.environ.setdefault("SCINN_OFFLINE", "1")

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def compiled_kernels() -> None:
    """Start Numba and compile the kernels that most tests need, outside of any test's own time."""
    from scinn.kernels import losses, segments, sparse

    indptr = np.array([0, 1], dtype=np.int32)
    indices = np.zeros(1, dtype=np.int32)
    for dtype in (np.float32, np.float64):
        one = np.ones((1, 1), dtype=dtype)
        sparse.csr_matmat(one[0], indices, indptr, one, one.copy())
        segments.segment_sum(one, indptr, one.copy())
        losses.softmax_cross_entropy(one, np.zeros(1, np.int64), one[0], 0.0, one.copy())


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return ``$SCINN_DATA``, or skip."""
    folder = os.environ.get("SCINN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SCINN_DATA names no folder of data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def needs_data(data_folder: Path) -> Callable[[str], Path]:
    """Return a function that gives the path of a file or folder below ``$SCINN_DATA``, or skips."""

    def path_of(name: str) -> Path:
        path = data_folder / name
        if not path.exists():
            pytest.skip(f"{name} is not in SCINN_DATA")
        return path

    return path_of


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs code in a new interpreter, with environment variables set or (None) removed."""

    def run(
        code: str, *, cwd: Path | None = None, check: bool = True, **env: str | None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **{k: v for k, v in env.items() if v is not None}}
        for name in [k for k, v in env.items() if v is None]:
            environment.pop(name, None)
        result = subprocess.run(
            [sys.executable, "-c", code],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check and result.returncode:
            raise AssertionError(f"the child process failed:\n{result.stdout}\n{result.stderr}")
        return result

    return run
