"""A sparse matrix times a block of columns: our kernel beside SciPy's, in one process."""

from __future__ import annotations

import operator
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np
from scipy import sparse

from scinn import datasets
from scinn.bench.rows import Benchmark, Callback, Row, size
from scinn.bench.timing import measure
from scinn.kernels.sparse import csr_matmat

__all__ = ["SPMM", "random_matrix", "run_spmm"]


def random_matrix(n: int, per_row: int, rng: int = 0) -> sparse.csr_array:
    """Return a square CSR array of float64 with about `per_row` entries in each row, at random places."""
    generator = np.random.default_rng(rng)
    columns = np.sort(generator.integers(n, size=(n, per_row)), axis=1).astype(np.int32)
    indptr = np.arange(0, n * per_row + 1, per_row, dtype=np.int32)
    matrix = sparse.csr_array((generator.standard_normal(n * per_row), columns.ravel(), indptr), shape=(n, n))
    matrix.sum_duplicates()
    return matrix


def _matrices(quick: bool) -> dict[str, sparse.csr_array]:
    cases = {"random 20 000, 8 a row": random_matrix(20_000, 8)}
    if datasets.available("cora"):
        cora: Any = datasets.load("cora")
        cases["Cora adjacency"] = cora.adjacency
    if not quick:
        cases["geometric graph 100 000"] = datasets.random_geometric_graph(
            100_000, mean_degree=20, rng=0
        ).adjacency
    return cases


def run_spmm(quick: bool, callback: Callback) -> list[Row]:
    """Time ``A @ x`` for several matrices and numbers of columns."""
    rows = []
    peer = f"SciPy {metadata.version('scipy')}"
    for name, matrix in _matrices(quick).items():
        for n_columns in (16, 64) if quick else (1, 16, 64, 128):
            callback(f"spmm: {name}, {n_columns} columns")
            x = np.random.default_rng(1).standard_normal((matrix.shape[1], n_columns))
            out = np.empty((matrix.shape[0], n_columns))
            ours = measure(partial(csr_matmat, matrix.data, matrix.indices, matrix.indptr, x, out))
            theirs = measure(partial(operator.matmul, matrix, x))
            worst = float(np.abs(out - matrix @ x).max())
            moved = matrix.nnz * 12 + 2 * out.nbytes
            note = f"largest difference {worst:.1e}; at least {size(moved)} moved"
            rows.append(
                Row(
                    f"{name}, {n_columns} columns",
                    ours.seconds,
                    peer,
                    theirs.seconds,
                    note,
                    {"nnz": int(matrix.nnz), "n_columns": n_columns, "difference": worst, "bytes": moved},
                )
            )
    return rows


SPMM = Benchmark(
    "spmm",
    "Sparse matrix times dense columns",
    "One thread, float64. SciPy allocates its result at each call, and ours writes into an array it is given.",
    run_spmm,
)
