"""The jit decorator: its cache notices every change, works where it cannot be written, and across thread counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numba
import numpy as np
import pytest

import scinn
from scinn.kernels import _jit

SOURCES = Path(scinn.__file__).parent


@pytest.fixture
def package(tmp_path):
    """Copy what the kernels need, so that a test may change it."""
    root = tmp_path / "site" / "scinn"
    (root / "kernels").mkdir(parents=True)
    for name in ("__init__.py", "_version.py", "exceptions.py", "kernels/__init__.py", "kernels/_jit.py"):
        shutil.copy(SOURCES / name, root / name)
    (root / "kernels" / "callee.py").write_text(
        "from scinn.kernels._jit import jit\n\n\n@jit\ndef double(x):\n    return 2 * x\n"
    )
    (root / "kernels" / "caller.py").write_text(
        "from scinn.kernels._jit import jit, prange\nfrom scinn.kernels.callee import double\n\n\n"
        "def _body(x, out):\n    for i in prange(x.size):\n        out[i] = double(x[i])\n\n\n"
        "serial = jit(_body)\nparallel = jit(_body, parallel=True)\n"
    )
    return root


CALL = """
import json, warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from scinn.kernels import caller, callee
    out = np.empty(1000)
    caller.{which}(np.ones(1000), out)
stats = caller.{which}.stats
print(json.dumps({{
    "value": out.sum() / 1000,
    "hits": sum(stats.cache_hits.values()),
    "misses": sum(stats.cache_misses.values()),
    "warnings": [f"{{w.category.__name__}}: {{w.message}}" for w in caught],
}}))
"""


@pytest.fixture
def call(package, run_python):
    """Return a function that calls the copied kernel in a new process and returns what happened."""

    def run(which="serial", **env):
        env = {"PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": None, "NUMBA_DISABLE_JIT": None, **env}
        result = run_python(CALL.format(which=which), cwd=package.parent, **env)
        return json.loads(result.stdout.splitlines()[-1])

    return run


def test_a_change_in_a_called_file_recompiles_the_caller(package, call):
    assert call() == {"value": 2.0, "hits": 0, "misses": 1, "warnings": []}
    assert call() == {"value": 2.0, "hits": 1, "misses": 0, "warnings": []}
    callee = package / "kernels" / "callee.py"
    callee.write_text(callee.read_text().replace("2 * x", "3 * x"))
    assert call() == {"value": 3.0, "hits": 0, "misses": 1, "warnings": []}
    stale = list((package / "kernels" / "__pycache__").glob("*caller._body*.nbc"))
    assert len(stale) == 1


def test_bounds_checked_code_is_not_mixed_with_unchecked_code(call):
    assert call()["misses"] == 1
    assert call(NUMBA_BOUNDSCHECK="1")["misses"] == 1
    assert call()["hits"] == 1


def test_code_compiled_at_two_threads_loads_at_one_and_three(call):
    first = call("parallel", NUMBA_NUM_THREADS="2")
    assert (first["value"], first["misses"]) == (2.0, 1)
    for n_threads in ("1", "3"):
        again = call("parallel", NUMBA_NUM_THREADS=n_threads)
        assert (again["value"], again["hits"]) == (2.0, 1)


def test_serial_and_parallel_twins_do_not_share_an_entry(call):
    assert call("serial")["misses"] == 1
    assert call("parallel")["misses"] == 1


def test_nowhere_to_write_compiles_with_one_warning(package, tmp_path, call):
    pycache = package / "kernels" / "__pycache__"
    shutil.rmtree(pycache, ignore_errors=True)
    pycache.write_text("a file, not a folder")
    no_home = tmp_path / "no_home"
    no_home.write_text("a file, not a folder")
    result = call(HOME=str(no_home), XDG_CACHE_HOME=str(no_home / "cache"), PYTHONDONTWRITEBYTECODE="1")
    assert result["value"] == 2.0
    assert len(result["warnings"]) == 1
    assert result["warnings"][0].startswith("ScinnWarning: scinn compiles its kernels anew")
    assert "NUMBA_CACHE_DIR" in result["warnings"][0]


def test_a_home_is_used_where_the_package_is_read_only(package, tmp_path, call):
    (package / "kernels" / "__pycache__").write_text("a file, not a folder")
    env = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert call(**env) == {"value": 2.0, "hits": 0, "misses": 1, "warnings": []}
    assert call(**env)["hits"] == 1


def test_a_damaged_entry_is_compiled_again(package, call):
    call()
    for path in (package / "kernels" / "__pycache__").glob("*.nbc"):
        path.write_bytes(path.read_bytes()[:100])
    assert call() == {"value": 2.0, "hits": 0, "misses": 1, "warnings": []}
    assert call()["hits"] == 1


def test_compilation_can_be_switched_off(run_python):
    code = """
import numpy as np
from scinn.kernels import sparse
from scinn.kernels._jit import jit
assert not hasattr(sparse.csr_matmat, "py_func")
out = np.empty((2, 3))
sparse.csr_matmat(np.array([2.0]), np.array([1]), np.array([0, 0, 1]), np.ones((2, 3)), out)
print(out.tolist())
"""
    result = run_python(code, NUMBA_DISABLE_JIT="1")
    assert result.stdout.strip() == "[[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]"


def test_fastmath_true_is_refused():
    with pytest.raises(TypeError, match="set of flags"):
        _jit.jit(lambda x: x, fastmath=True)


def test_signatures_are_lazy_and_nan_is_seen():
    @_jit.jit
    def ratio(x, out):
        for i in range(x.size):
            out[i] = 1.0 / x[i] if not np.isnan(x[i]) else -1.0

    if not numba.config.DISABLE_JIT:
        assert ratio.signatures == []
    out = np.empty(3)
    with np.errstate(divide="ignore"):
        ratio(np.array([0.0, np.nan, 2.0]), out)
    assert out.tolist() == [np.inf, -1.0, 0.5]


def test_the_place_and_size_of_the_cache_are_told():
    info = _jit.warm_cache_info()
    assert set(info) == {"path", "writable", "n_files", "n_bytes"}
    assert info["path"] is None or Path(info["path"]).is_dir()
    assert info["n_bytes"] >= info["n_files"]
