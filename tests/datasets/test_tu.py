"""Archives of graph collections are read back as they were written, however they are packed."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from scinn.datasets import GraphCollection
from scinn.datasets.store import content_checksum
from scinn.datasets.tu import read_zip


def assert_same(a: GraphCollection, b: GraphCollection):
    for field in a._fields:
        x, y = getattr(a, field), getattr(b, field)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y, err_msg=field)
        else:
            assert x == y, field


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("prefix", ["SET/SET", "SET", "deep/er/SET"])
@pytest.mark.parametrize("raw_shift", [0, 1, -1])
def test_round_trip(toy, make_zip, repeat, prefix, raw_shift):
    found = read_zip("toy", make_zip(toy, repeat=repeat, prefix=prefix, raw_shift=raw_shift))
    assert_same(toy, found)
    assert content_checksum(found) == content_checksum(toy)


def test_optional_files_may_be_absent(toy, make_zip):
    found = read_zip("toy", make_zip(toy, skip=("node_labels", "node_attributes", "edge_labels")))
    assert found.node_labels is None
    assert found.node_attributes is None
    assert found.edge_labels is None
    assert found.n_node_labels == 0
    assert content_checksum(found) != content_checksum(toy)


def test_damage_is_named(toy, make_zip):
    with pytest.raises(ValueError, match="no zip file"):
        read_zip("toy", b"nothing of the kind")
    with pytest.raises(ValueError, match=r"0 files named \*_A.txt"):
        read_zip("toy", make_zip(toy, skip=("A",)))


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        ("A", "1, 4\n", "leaves its graph"),
        ("A", "0, 1\n", "does not exist"),
        ("A", "1, 99\n", "does not exist"),
        ("A", "1, two\n", "not a table of numbers"),
        ("A", "1\n", "two columns"),
        ("graph_indicator", "2\n1\n", "must rise"),
        ("graph_indicator", "1\n9\n", "must rise"),
    ],
)
def test_contradictions_are_named(toy, make_zip, member, text, message):
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(make_zip(toy))) as source, zipfile.ZipFile(stream, "w") as target:
        for info in source.infolist():
            changed = info.filename.endswith(f"_{member}.txt")
            target.writestr(info.filename, text if changed else source.read(info))
    with pytest.raises(ValueError, match=message):
        read_zip("toy", stream.getvalue())
