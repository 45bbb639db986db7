"""Files are written whole or not at all, and read back as they were."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scinn import _files

DTYPES = st.sampled_from(["f4", "f8", "i4", "i8", "u1", "?", "U5", "c16"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_./]{0,8}", fullmatch=True).filter(lambda name: name != "meta"),
        DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)),
        max_size=4,
    ),
    note=st.text(max_size=10),
)
def test_arrays_and_description_round_trip(tmp_path_factory, arrays, note):
    path = tmp_path_factory.mktemp("npz") / "model.npz"
    _files.write_npz(path, arrays, {"format": 1, "note": note})
    back, meta = _files.read_npz(path)
    assert meta == {"format": 1, "note": note}
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == array.tobytes()


def test_names_that_numpy_takes_for_options_are_kept(tmp_path):
    path = tmp_path / "a.npz"
    _files.write_npz(path, {"file": np.zeros(1), "allow_pickle": np.ones(2)}, {"format": 3})
    assert list(_files.read_npz(path)[0]) == ["file", "allow_pickle"]


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        _files.write_npz(tmp_path / name, {"x": np.arange(5)}, {"format": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("arrays", "meta", "error", "message"),
    [
        ({"meta": np.zeros(1)}, {"format": 1}, ValueError, "rename the array"),
        ({"x": np.zeros(1)}, {}, ValueError, "'format' number, got None"),
        ({"x": np.zeros(1)}, {"format": True}, ValueError, "'format' number, got True"),
        ({"x": np.array([None])}, {"format": 1}, TypeError, r"arrays\['x'\] holds Python objects"),
        ({}, {"format": 1, "f": open}, TypeError, "cannot write a builtin_function_or_method as JSON"),
        ({}, {"format": 1, "f": float("nan")}, ValueError, "JSON"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_leaves_nothing(tmp_path, arrays, meta, error, message):
    with pytest.raises(error, match=message):
        _files.write_npz(tmp_path / "a.npz", arrays, meta)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    _files.write_json(path, {"old": 1})

    def fail(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk is full"):
        _files.write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_json_takes_numpy_values_and_makes_folders(tmp_path):
    path = tmp_path / "deep" / "er" / "a.json"
    _files.write_json(path, {"b": np.float64(0.1), "a": np.arange(2), "c": np.bool_(True), "p": tmp_path})
    assert json.loads(path.read_text()) == {"b": 0.1, "a": [0, 1], "c": True, "p": str(tmp_path)}
    assert list(json.loads(path.read_text())) == ["b", "a", "c", "p"]


def test_text_is_utf8_with_unchanged_line_ends(tmp_path):
    _files.write_text(tmp_path / "a.txt", "é\r\nx\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\r\nx\n".encode()


@pytest.mark.skipif(os.name != "posix", reason="permission bits are a matter of POSIX")
def test_files_get_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    _files.write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_foreign_files_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError):
        _files.read_npz(tmp_path / "absent.npz")
    np.savez(tmp_path / "foreign.npz", x=np.zeros(2))
    np.save(tmp_path / "single.npy", np.zeros(2))
    np.savez(tmp_path / "pickled.npz", x=np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npz").write_text("hello")
    _files.write_npz(tmp_path / "cut.npz", {"x": np.zeros(100)}, {"format": 1})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:300])
    for name in ("foreign.npz", "single.npy", "pickled.npz", "text.npz", "cut.npz"):
        with pytest.raises(ValueError, match=rf"{name}' is not a file saved by scinn, or is damaged"):
            _files.read_npz(tmp_path / name)
