"""The operator checks accept what is right and name what is wrong."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from scinn.verify import CheckFailedError, check_adjoint, check_tight_frame


class Frame:
    """Analysis and synthesis with a matrix, on (n,) arrays."""

    def __init__(self, matrix, back=None):
        self.matrix = matrix
        self.back = matrix.T if back is None else back
        self.domain_shape = (matrix.shape[1],)

    def analyze(self, x):
        return (self.matrix @ x).reshape(2, -1)

    def synthesize(self, c):
        return self.back @ c.ravel()


class Laps:
    """The duck type of matrix-free operator libraries."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.shape = matrix.shape
        self.dtype = matrix.dtype

    def matvec(self, x):
        return self.matrix @ x

    def rmatvec(self, y):
        return self.matrix.conj().T @ y


@pytest.fixture
def matrix():
    return np.random.default_rng(0).standard_normal((8, 5))


def test_accepts_every_kind_of_operator(matrix):
    complex_matrix = matrix + 1j * matrix[::-1]
    assert check_adjoint(Frame(matrix))
    assert check_adjoint(aslinearoperator(matrix))
    assert check_adjoint(aslinearoperator(complex_matrix))
    assert check_adjoint(Laps(complex_matrix))
    assert check_adjoint(matrix)
    assert check_adjoint(sparse.csr_array(matrix))
    assert check_adjoint(lambda x: matrix @ x, lambda y: matrix.T @ y, domain_shape=5)
    assert check_adjoint((lambda x: x[1:], lambda y: np.pad(y, ((1, 0), (0, 0)))), domain_shape=(4, 3))


def test_single_precision_has_its_own_tolerance(matrix):
    result = check_adjoint(aslinearoperator(matrix.astype(np.float32)))
    assert result
    assert result.tolerance == 1e-5


def test_names_a_wrong_factor(matrix):
    result = check_adjoint(Frame(matrix, 2 * matrix.T))
    assert not result
    assert "same factor 2" in result.detail


def test_names_the_wrong_entry(matrix):
    back = matrix.T.copy()
    back[3, 6] += 1e-8
    result = check_adjoint(Frame(matrix, back))
    assert not result
    assert result.counter_example["entry"] == (6, 3)


def test_finds_a_missing_conjugate(matrix):
    complex_matrix = matrix + 1j * matrix[::-1]
    operator = LinearOperator(
        complex_matrix.shape,
        matvec=lambda x: complex_matrix @ x,
        rmatvec=lambda y: complex_matrix.T @ y,
        dtype=complex,
    )
    assert not check_adjoint(operator)


def test_finds_an_affine_operator(matrix):
    result = check_adjoint(lambda x: matrix @ x + 1.0, lambda y: matrix.T @ y, domain_shape=5)
    assert not result
    assert "not linear" in result.detail


def test_finds_a_wrong_shape_and_nan(matrix):
    assert "shape" in check_adjoint(lambda x: x, lambda y: y[:-1], domain_shape=5).detail
    nan = check_adjoint(lambda x: np.full_like(x, np.nan), lambda y: y, domain_shape=2)
    assert not nan
    assert "NaN" in nan.detail


def test_an_operator_that_writes_into_its_argument_is_refused():
    def double(x):
        x *= 2
        return x

    with pytest.raises(ValueError, match="read-only"):
        check_adjoint(double, double, domain_shape=3)


def test_says_what_is_wanted():
    with pytest.raises(TypeError, match="analyze and synthesize"):
        check_adjoint("nothing")
    with pytest.raises(ValueError, match="domain_shape=n"):
        check_adjoint(lambda x: x, lambda y: y)


@pytest.mark.parametrize("n", [1, 40, 700])
def test_tight_frame_and_its_bounds(n):
    columns = np.linalg.qr(np.random.default_rng(n).standard_normal((n + n % 2 + 2, n)))[0]
    result = check_tight_frame(Frame(columns))
    assert result, result
    assert result.worst_error < 1e-12
    assert check_tight_frame(Frame(3 * columns), bound=None)
    assert not check_tight_frame(Frame(3 * columns))


@pytest.mark.parametrize("n", [40, 700])
def test_finds_a_frame_that_is_not_tight(n):
    columns = np.linalg.qr(np.random.default_rng(n).standard_normal((n + 2, n)))[0]
    columns[:, 7] *= 1 + 1e-4
    result = check_tight_frame(Frame(columns))
    assert not result
    assert result.values["upper_bound"] == pytest.approx((1 + 1e-4) ** 2, abs=1e-9)
    assert np.argmax(np.abs(result.counter_example["x"])) == 7


def test_a_dual_that_is_not_the_adjoint_is_no_tight_frame(matrix):
    result = check_tight_frame(Frame(matrix, np.linalg.pinv(matrix)))
    assert not result
    assert "not the adjoint" in result.detail


def test_readable_and_replayable(matrix, tmp_path):
    result = check_tight_frame(matrix, rng=np.random.default_rng(5))
    with pytest.raises(CheckFailedError, match="frame operator multiplies"):
        result.raise_if_failed()
    script = result.save_script(tmp_path / "case.py")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    assert repr(result).splitlines()[0] in run.stdout
    assert len(script.read_text().splitlines()) <= 14
