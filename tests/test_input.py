"""The door: every accepted type gives the same bits, every refusal says what came, what is wanted and the way out."""

from __future__ import annotations

import networkx
import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scinn import _input

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
SHAPES = st.tuples(st.integers(0, 7), st.integers(0, 7))
SEEDS = st.integers(0, 2**32 - 1)


class OnlyDLPack:
    """A tensor of some other library, in host memory unless told otherwise."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


class OnlyArray:
    """Something with the array protocol and nothing else."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)


class NeedsGrad(OnlyArray):
    requires_grad = True


def frozen(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def dense_forms(x):
    """Yield the same numbers as users of different libraries hold them."""
    yield "ndarray", x
    yield "Fortran order", np.asfortranarray(x)
    yield "reversed view", x[::-1][::-1]
    yield "strided", np.repeat(x, 2, axis=0)[::2]
    yield "read-only", frozen(x)
    yield "big-endian", x.astype(x.dtype.newbyteorder(">"))
    yield "array protocol", OnlyArray(x)
    yield "DLPack", OnlyDLPack(x)
    if x.shape[1]:  # a frame without columns has no dtype to keep
        yield "data frame", pandas.DataFrame(x)
    if x.dtype == np.float64:
        yield "object frame", pandas.DataFrame(x).astype(object)
        if x.size:
            yield "list", x.tolist()
            yield "list of arrays", list(x)


@given(shape=SHAPES, dtype=st.sampled_from([np.float32, np.float64]), seed=SEEDS)
def test_every_dense_type_gives_the_same_bits(shape, dtype, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    for form, given_x in dense_forms(x):
        got = _input.as_float_array(given_x, "x", ndim=2)
        assert type(got) is np.ndarray, form
        assert (got.dtype, got.shape) == (dtype, shape), form
        assert got.dtype.isnative, form
        assert got.flags.c_contiguous, form
        assert got.tobytes() == x.tobytes(), form


@given(shape=SHAPES, seed=SEEDS)
def test_numbers_that_float64_holds_become_float64(shape, seed):
    whole = np.random.default_rng(seed).integers(0, 2, shape)
    want = whole.astype(np.float64).tobytes()
    for dtype in (np.int8, np.uint16, np.int64, np.bool_, np.longdouble):
        got = _input.as_float_array(whole.astype(dtype), "x")
        assert got.dtype == np.float64
        assert got.tobytes() == want
    assert _input.as_float_array(whole.astype(np.float16), "x").dtype == np.float32
    assert _input.as_float_array(whole, "x", dtype=np.float32).dtype == np.float32


def sparse_forms(dense):
    """Yield the same matrix in every format, as array and as matrix, with both widths of indices."""
    for form in FORMATS:
        array = sparse.coo_array(dense).asformat(form)
        yield f"{form}_array", array
        yield f"{form}_matrix", getattr(sparse, f"{form}_matrix")(array)
    yield "dense", dense
    if dense.shape[1]:
        yield "frame", pandas.DataFrame(dense)
    yield "numpy.matrix", np.asmatrix(dense)
    rows, columns = np.nonzero(dense)
    values = dense[rows, columns]
    order = np.random.default_rng(0).permutation(2 * len(rows))
    halves = np.concatenate([values, values])[order] / 2
    twice = (np.tile(rows, 2)[order], np.tile(columns, 2)[order])
    yield "duplicates", sparse.coo_array((halves, twice), shape=dense.shape)
    stored = sparse.csr_array(np.ones_like(dense))
    stored.data = dense.ravel().copy()
    yield "stored zeros", stored
    backwards = sparse.csr_array(dense)
    for first, last in zip(backwards.indptr[:-1], backwards.indptr[1:], strict=True):
        backwards.indices[first:last] = backwards.indices[first:last][::-1].copy()
        backwards.data[first:last] = backwards.data[first:last][::-1].copy()
    backwards.has_sorted_indices = False
    yield "unsorted", backwards


@given(shape=SHAPES, dtype=st.sampled_from([np.float32, np.float64]), seed=SEEDS)
def test_every_sparse_type_gives_the_same_bits(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    dense = (rng.integers(1, 9, shape) * (rng.random(shape) < 0.4)).astype(dtype)
    want = sparse.csr_array(dense)
    for form, matrix in sparse_forms(dense):
        before = matrix.copy()
        got = _input.as_csr(matrix, "adjacency")
        assert isinstance(got, sparse.csr_array), form
        assert (got.dtype, got.shape) == (dtype, shape), form
        assert got.has_canonical_format, form
        assert got.data.tobytes() == want.data.tobytes(), form
        assert np.array_equal(got.indices, want.indices), form
        assert np.array_equal(got.indptr, want.indptr), form
        if form == "unsorted":
            assert matrix.indices.tobytes() == before.indices.tobytes()
            assert matrix.data.tobytes() == before.data.tobytes()


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("form", [sparse.coo_array, sparse.coo_matrix])
def test_duplicates_of_narrow_types_add_up_without_wrapping(dtype, form):
    most = 1 if dtype is np.bool_ else min(np.iinfo(dtype).max, 2**50)
    pair = (np.array([0, 0, 1]), np.array([1, 1, 0]))
    matrix = form((np.array([most, most, most]).astype(dtype), pair), shape=(2, 2))
    assert _input.as_csr(matrix, "a").toarray().tolist() == [[0.0, 2.0 * most], [most, 0.0]]
    assert matrix.dtype == dtype
    assert matrix.nnz == 3


@pytest.mark.parametrize("width", [np.int32, np.int64])
@pytest.mark.parametrize("canonical", [True, False])
def test_the_width_of_sparse_indices_is_kept(width, canonical):
    matrix = sparse.csr_array((2, 2))
    columns = [0, 1] if canonical else [1, 1]
    matrix.data = np.array([1.0, 2.0])
    matrix.indices, matrix.indptr = np.array(columns, dtype=width), np.array([0, 2, 2], dtype=width)
    got = _input.as_csr(matrix, "a")
    assert got.indices.dtype == got.indptr.dtype == width
    assert got.nnz == (2 if canonical else 1)


@given(values=st.lists(st.integers(0, 9), max_size=6))
def test_every_index_type_gives_the_same_bits(values):
    want = np.array(values, dtype=np.int64)
    forms = [values, tuple(values), want[::-1][::-1], OnlyDLPack(want), OnlyArray(want), frozen(want)]
    forms += [pandas.Series(want), want.astype(np.uint8), want.astype(np.int32), want.astype(">i4")]
    for form in forms:
        for got in (_input.as_index_array(form, "nodes", n=10), _input.as_labels(form, "y", n_classes=10)):
            assert got.dtype == np.int64
            assert got.dtype.isnative
            assert got.tobytes() == want.tobytes()


def test_labels_may_be_unknown_or_boolean():
    assert _input.as_labels([0, -1, 2], "y").tolist() == [0, -1, 2]
    assert _input.as_labels([True, False], "y").tolist() == [1, 0]


def test_torch_tensors_are_taken():
    torch = pytest.importorskip("torch")
    x = torch.arange(6.0).reshape(2, 3)
    assert _input.as_float_array(x.T, "x").tolist() == x.T.tolist()
    with pytest.raises(TypeError, match=r"pass x\.detach\(\)"):
        _input.as_float_array(x.requires_grad_(), "x")


FLOAT_REFUSALS = [
    (OnlyDLPack(np.zeros(2), (2, 0)), {}, TypeError, r"x is a .*OnlyDLPack on a GPU; .* copy to host first: x\.cpu\(\)"),
    (NeedsGrad(np.zeros(2)), {}, TypeError, r"requires grad; pass x\.detach\(\)"),
    (np.asmatrix(np.eye(2)), {}, TypeError, r"x is a numpy\.matrix; .* pass numpy\.asarray\(x\)"),
    (np.ma.masked_equal([1.0, 2.0], 2.0), {}, TypeError, r"mask would be lost; .* pass x\.filled\(value\)"),
    (sparse.eye_array(2), {}, TypeError, r"x is a sparse matrix; .* pass x\.toarray\(\)"),
    (networkx.path_graph(2), {}, TypeError, r"networkx graph; .*Graph\.from_networkx"),
    (None, {}, TypeError, "x is None; an array of numbers is wanted"),
    ("abc", {}, TypeError, "x is a str; an array of numbers is wanted"),
    ({"a": 1}, {}, TypeError, "x is a dict"),
    ([[1, 2], [3]], {}, TypeError, r"x \(list\) cannot be read as an array"),
    ([1j], {}, TypeError, r"x is complex \(complex128\); .* pass x\.real"),
    (["a"], {}, TypeError, "x has dtype <U1; real numbers are wanted"),
    (np.array([[]], dtype="M8[s]"), {}, TypeError, "x has dtype datetime64"),
    (pandas.DataFrame({"a": ["u", 1]}), {}, TypeError, r"holds objects that are not numbers.*; convert its columns"),
    ([[1.0, np.nan], [np.inf, 0]], {}, ValueError, r"x holds 2 NaN or infinite values, the first at \(0, 1\)"),
    ([0.0, np.nan], {}, ValueError, "x holds 1 NaN or infinite value, the first at 1; .*nan_to_num"),
    ([1, None], {}, ValueError, "x holds 1 NaN"),
    (np.array(["1", "2"], dtype=object), {}, TypeError, r"not numbers, such as the text '1'; convert"),
    (pandas.DataFrame({"a": [1.0, 2.0], "b": [b"3", 4]}), {}, TypeError, r"such as the text b'3'"),
    ([1.0], {"ndim": 2}, ValueError, r"x has 1 dimensions \(shape \(1,\)\); 2 dimensions wanted; pass x\[:, None\]"),
    ([[1.0]], {"ndim": 1}, ValueError, r"pass x\.ravel\(\)"),
    (np.ones((3, 2)), {"shape": (2, 3)}, ValueError, r"shape \(3, 2\); \(2, 3\) is wanted; .* pass x\.T"),
    (np.ones((3, 2)), {"shape": (4, None)}, ValueError, r"shape \(3, 2\); \(4, any\) is wanted$"),
    (np.ones(3), {"shape": (4,)}, ValueError, r"x has shape \(3,\); \(4,\) is wanted$"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "options", "error", "message"), FLOAT_REFUSALS)
def test_float_arrays_are_refused_with_the_way_out(x, options, error, message):
    with pytest.raises(error, match=message):
        _input.as_float_array(x, "x", **options)


def test_nan_passes_where_it_is_allowed():
    assert np.isnan(_input.as_float_array([np.nan, np.inf], "x", allow_nan=True)[0])


def test_zero_dimensional_input_stays_so():
    assert _input.as_float_array(3, "x").shape == ()


def broken_csr(column):
    matrix = sparse.csr_array((2, 2))
    matrix.data, matrix.indices = np.ones(1), np.array([column], dtype=np.int32)
    matrix.indptr = np.array([0, 1, 1], dtype=np.int32)
    return matrix


OTHER_REFUSALS = [
    (lambda: _input.as_index_array([0.0, 1.0], "nodes"), TypeError, r"float64; .* pass nodes\.astype\(numpy\.int64\)"),
    (lambda: _input.as_index_array([True], "nodes"), TypeError, r"boolean mask; .* pass numpy\.flatnonzero\(nodes\)"),
    (lambda: _input.as_index_array([-1], "nodes"), ValueError, "negative index -1; indices count from 0"),
    (lambda: _input.as_index_array([5], "nodes", n=5), ValueError, r"index 5; indices must lie in 0\.\.4 .*not from 1"),
    (lambda: _input.as_index_array([0], "nodes", n=0), ValueError, "there is nothing to index"),
    (lambda: _input.as_index_array([[0]], "nodes"), ValueError, r"pass nodes\.ravel\(\)"),
    (lambda: _input.as_index_array(np.array([2**63], dtype=np.uint64), "nodes"), ValueError, "no 64-bit signed"),
    (lambda: _input.as_labels(np.eye(3), "y"), ValueError, r"one-hot rows pass y\.argmax\(axis=1\)"),
    (lambda: _input.as_labels(["a", "b"], "y"), TypeError, r"numpy\.unique\(y, return_inverse=True\)\[1\]"),
    (lambda: _input.as_labels([-2], "y"), ValueError, "label -2; labels are 0, 1, .*-1 for unknown"),
    (lambda: _input.as_labels([3], "y", n_classes=3), ValueError, "with 3 classes the largest is 2"),
    (lambda: _input.as_labels([0, 1], "y", n=3), ValueError, r"y has shape \(2,\); \(3,\) is wanted"),
    (lambda: _input.as_labels([0.5], "y"), TypeError, "y has dtype float64"),
    (lambda: _input.as_csr(np.ones((2, 3)), "a", square=True), ValueError, r"\(2, 3\); a square matrix is wanted"),
    (lambda: _input.as_csr(np.ones(3), "a"), ValueError, "a has 1 dimensions"),
    (lambda: _input.as_csr(sparse.coo_array(np.ones(3)), "a"), ValueError, "a has 1 dimensions; a matrix"),
    (lambda: _input.as_csr(networkx.path_graph(2), "a"), TypeError, r"networkx\.to_scipy_sparse_array\(a\)"),
    (lambda: _input.as_csr(sparse.csr_array([[np.nan]]), "a"), ValueError, "1 NaN .* among its stored entries"),
    (lambda: _input.as_csr(sparse.csr_array([[1j]]), "a"), TypeError, "complex128; real numbers"),
    (lambda: _input.as_csr(broken_csr(2), "a"), ValueError, "a is a damaged sparse matrix"),
    (lambda: _input.as_csr(broken_csr(-1), "a"), ValueError, "a is a damaged sparse matrix"),
    (lambda: _input.as_csr(np.broadcast_to(0.0, (10**4, 10**4)), "a"), ValueError, "pass a scipy.sparse matrix"),
    (lambda: _input.check_positive_int(0, "levels"), ValueError, "levels is 0; an integer >= 1 is wanted"),
    (lambda: _input.check_positive_int(2.0, "levels"), TypeError, r"levels is 2\.0 \(float\); .*: pass 2"),
    (lambda: _input.check_positive_int(2.5, "levels"), TypeError, "an integer >= 1 is wanted$"),
    (lambda: _input.check_positive_int(True, "levels"), TypeError, r"levels is True \(bool\)"),
    (lambda: _input.check_in_range(1, "dilation", 1, None, "neither"), ValueError, "finite number > 1 is wanted"),
    (lambda: _input.check_in_range(2, "rate", 0, 1, "left"), ValueError, "finite number >= 0 and < 1 is wanted"),
    (lambda: _input.check_in_range(np.nan, "rate"), ValueError, "rate is nan; a finite number is wanted"),
    (lambda: _input.check_in_range("1", "rate"), TypeError, r"rate is '1' \(str\); a number is wanted"),
    (lambda: _input.check_choice("har", "bank", ["haar", "linear"]), ValueError, "one of 'haar', 'linear' .* mean 'haar'"),
    (lambda: _input.check_choice("HAAR", "bank", ["haar"]), ValueError, r"did you mean 'haar'\?"),
    (lambda: _input.check_choice(1, "mode", [True, "x"]), ValueError, "one of True, 'x' is wanted$"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), OTHER_REFUSALS)
def test_everything_else_is_refused_with_the_way_out(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_checks_return_plain_values():
    assert type(_input.check_positive_int(np.int64(3), "n")) is int
    assert type(_input.check_in_range(np.float32(0.5), "p", 0, 1)) is float
    assert _input.check_in_range(np.array(1), "p", 0, 1) == 1.0
    assert _input.check_in_range(0, "p", 0, 1, "left") == 0.0
    assert _input.check_choice("a", "x", iter("ab")) == "a"
