"""The legacy reader admits arrays and nothing else; the assembled graph is the published one."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_array, csr_matrix

from scinn.datasets.planetoid import assemble, read_legacy_pickle


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8", "<i4", "<i8", "|u1", "|b1", ">i2"])
def test_arrays_come_through(dump, dtype):
    array = (np.arange(12).reshape(3, 4) % 5).astype(dtype)
    for value in (array, np.asfortranarray(array), array[:0]):
        found = read_legacy_pickle(dump(value))
        assert found.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(found, value)


def test_matrices_come_through(dump):
    dense = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], dtype=np.float32)
    found = read_legacy_pickle(dump(csr_matrix(dense)))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.toarray(), dense)


def test_explicit_zeros_and_duplicates_are_merged(dump):
    matrix = csr_matrix((np.array([1.0, 2.0, 0.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2))
    found = read_legacy_pickle(dump(matrix))
    assert found.nnz == 1
    np.testing.assert_array_equal(found.toarray(), [[0.0, 3.0]])


def test_graphs_come_through(dump):
    graph = defaultdict(list, {0: [1, np.int64(2)], 1: [0], 2: []})
    assert read_legacy_pickle(dump(graph)) == {0: [1, 2], 1: [0], 2: []}


class _Runs:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {0: [v]}, lambda v: [v]])
def test_programs_are_refused_and_do_not_run(tmp_path, protocol, wrap):
    marker = tmp_path / "ran"
    for function, argument in ((os.mkdir, str(marker)), (eval, f"__import__('os').mkdir({str(marker)!r})")):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            read_legacy_pickle(pickle.dumps(wrap(_Runs(function, argument)), protocol=protocol))
        assert not marker.exists()


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(),
        csc_matrix(np.eye(2)),
        np.array([object], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["text"]),
        np.array([1 + 2j]),
        np.datetime64("2001-01-01"),
        range(3),
        bytearray(b"x"),
    ],
    ids=lambda v: type(v).__name__ + str(getattr(v, "dtype", "")),
)
def test_every_other_type_is_refused(value):
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        read_legacy_pickle(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("value", [7, "text", [1, 2], None, {"a": [1]}, {0: [-1]}, {0: [True]}, {0: ["1"]}])
def test_plain_values_that_are_no_graph_are_refused(value):
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        read_legacy_pickle(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\nload\n.",
        b"c__builtin__\nbytes\n(I10\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n.",
        b"c__builtin__\neval\n(S'1+1'\ntR.",
        b"ccollections\ndefaultdict.__init__\n.",
        b"cscipy.sparse.csr\nos.system\n.",
        b"ccopy_reg\n_reconstructor\n.",
        b"Pouter\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"",
    ],
)
def test_handmade_programs_are_refused(program):
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        read_legacy_pickle(program)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damaged_bytes_never_fail_in_another_way(make_planetoid, data):
    files, _ = make_planetoid(0)
    content = bytearray(files[data.draw(st.sampled_from(["allx", "ally", "graph"]))])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        value = read_legacy_pickle(bytes(content))
    except pickle.UnpicklingError:
        return
    assert type(value) in (np.ndarray, csr_array, dict)


def test_inconsistent_content_is_refused(dump):
    matrix = csr_matrix(np.eye(3))
    matrix.indices = np.array([0, 1, 7], dtype=np.int32)
    with pytest.raises(pickle.UnpicklingError, match="contradict"):
        read_legacy_pickle(dump(matrix))
    for pointer in ([0, 3, 1, 3], [0, 1, 2, 4], [1, 1, 2, 3], [0, 1, 3]):
        for width in (np.int32, np.uint32, np.uint64):
            matrix = csr_matrix(np.eye(3))
            matrix.indptr = np.array(pointer, dtype=width)
            with pytest.raises(pickle.UnpicklingError, match="contradict"):
                read_legacy_pickle(dump(matrix))
    honest = dump(np.arange(6, dtype=np.int32))
    with pytest.raises(pickle.UnpicklingError):
        read_legacy_pickle(honest.replace(b"K\x06\x85", b"K\x07\x85"))


def test_truncated_files_are_refused(dump):
    whole = dump(csr_matrix(np.eye(4)))
    for size in range(0, len(whole) - 1, 7):
        with pytest.raises(pickle.UnpicklingError):
            read_legacy_pickle(whole[:size])


def test_the_old_dialect_is_really_old(make_planetoid):
    files, _ = make_planetoid(0)
    stream = io.StringIO()
    pickletools.dis(files["allx"], out=stream)
    text = stream.getvalue()
    assert "BINSTRING" in text
    assert "scipy.sparse.csr csr_matrix" in text
    assert "numpy.core.multiarray _reconstruct" in text


@pytest.mark.parametrize("seed", range(5))
def test_assembled_graph_is_the_written_one(make_planetoid, dump, seed):
    files, truth = make_planetoid(seed, dump)
    data = assemble("toy", files)
    assert data.name == "toy"
    assert data.n_classes == 3
    np.testing.assert_array_equal(data.features.toarray(), truth.words)
    np.testing.assert_array_equal(data.labels, truth.classes)
    n = data.n_nodes
    expected = np.array([[float(frozenset((i, j)) in truth.neighbours) for j in range(n)] for i in range(n)])
    np.testing.assert_array_equal(data.adjacency.toarray(), expected)
    assert np.flatnonzero(data.train_mask).tolist() == list(range(truth.n_train))
    assert np.flatnonzero(data.val_mask).tolist() == list(range(truth.n_train, 28))
    assert np.flatnonzero(data.test_mask).tolist() == truth.test
    for node in truth.absent:
        assert not any(mask[node] for mask in (data.train_mask, data.val_mask, data.test_mask))
    for matrix in (data.adjacency, data.features):
        matrix.check_format(full_check=True)
        assert matrix.has_canonical_format
        assert matrix.dtype == np.float64


def test_missing_and_contradicting_parts_are_named(make_planetoid, dump):
    files, _ = make_planetoid(1, dump)
    with pytest.raises(ValueError, match="part 'graph' of toy is missing"):
        assemble("toy", {k: v for k, v in files.items() if k != "graph"})
    with pytest.raises(ValueError, match="disagree"):
        assemble("toy", {**files, "test.index": files["test.index"] + b"39\n"})
    with pytest.raises(ValueError, match="already describes"):
        assemble("toy", {**files, "test.index": b"".join(b"%d\n" % i for i in range(11))})
    with pytest.raises(ValueError, match="CSR matrices"):
        assemble("toy", {**files, "allx": files["ally"]})
    with pytest.raises(ValueError, match="must be arrays"):
        assemble("toy", {**files, "ally": files["allx"]})
