from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import sparse

from scinn.bench import peer_worker
from scinn.bench.peers import csr_parts, peer_python, run_peer
from scinn.graphs import FrameletTransform, Graph


def script(tmp_path, text):
    """An interpreter that runs `text` whatever it is asked to run."""
    path = tmp_path / "python"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_peers_run_in_the_named_interpreter(monkeypatch):
    monkeypatch.setenv("SCINN_PEER_PYTHON", "elsewhere")
    assert peer_python() == "elsewhere"
    monkeypatch.delenv("SCINN_PEER_PYTHON")
    assert peer_python() == sys.executable


def test_a_missing_interpreter_is_reported_and_not_raised(tmp_path):
    result = run_peer("torch_ufg", {}, {}, python=str(tmp_path / "none"))
    assert not result
    assert "there is no interpreter" in result.reason


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in interpreter is a script with a #! line")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "import sys; print('torch is not installed here', file=sys.stderr); sys.exit(3)",
            "torch is not installed here",
        ),
        ("raise ValueError('bad luck')", "failed: ValueError: bad luck"),
        ("pass", "failed: no message"),
        ("import sys; open(sys.argv[-1], 'w').write('no archive')", "wrote something unreadable"),
        ("import time; time.sleep(60)", "took more than"),
    ],
)
def test_a_peer_that_goes_wrong_gives_a_reason(tmp_path, text, reason):
    result = run_peer("torch_ufg", {}, {}, python=script(tmp_path, text), timeout=1.5)
    assert not result
    assert reason in result.reason


def test_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="torch_ufg"):
        run_peer("torch_ugf", {}, {})


def test_worker_says_which_library_is_missing(capsys):
    with pytest.raises(SystemExit) as stop:
        peer_worker.need("a_library_that_nobody_has")
    assert stop.value.code == peer_worker.MISSING
    assert "a_library_that_nobody_has is not installed" in capsys.readouterr().err


def path_transform(n_coefficients):
    graph = Graph.from_edges(9, [(i, i + 1) for i in range(8)])
    return graph, FrameletTransform(graph, levels=2, n_coefficients=n_coefficients)


@pytest.mark.parametrize("n_coefficients", [2, 3, 6])
def test_materialised_operators_of_the_peer_are_our_transform(n_coefficients):
    graph, transform = path_transform(n_coefficients)
    options = {"n_coefficients": n_coefficients, "levels": 2, "dilation": 2.0}
    laplacian = sparse.csr_matrix(graph.laplacian())
    blocks = peer_worker.materialized_blocks(laplacian, transform.lambda_max, options)
    for block, ours in zip(blocks, transform.analyze(np.eye(9)), strict=True):
        np.testing.assert_allclose(block.toarray(), ours, atol=1e-13)


def test_kernels_of_the_peer_are_our_bands():
    graph = Graph.from_edges(9, [(i, i + 1) for i in range(8)])
    transform = FrameletTransform(graph, levels=3, dilation=2.5, method="exact")
    eigenvalues = np.linspace(0, transform.lambda_max, 50)
    theirs = [kernel(eigenvalues) for kernel in peer_worker.haar_kernels(transform.lambda_max, 3, 2.5)]
    np.testing.assert_allclose(theirs, transform.evaluate(eigenvalues), atol=1e-14)


def test_sparse_matrices_survive_the_crossing():
    matrix = sparse.random_array((5, 7), density=0.4, rng=0, format="csr")
    back = peer_worker.sparse_input(csr_parts("m", matrix), "m")
    np.testing.assert_array_equal(back.toarray(), matrix.toarray())


@pytest.mark.parametrize("n_signals", [1, 3])
def test_pygsp_gives_the_same_coefficients_where_it_is_installed(n_signals):
    graph, transform = path_transform("auto")
    x = np.random.default_rng(0).standard_normal((9, n_signals))
    options = {
        "lambda_max": transform.lambda_max,
        "levels": 2,
        "dilation": 2.0,
        "target": 1e-7,
        "n_repeats": 1,
        "n_sample": 9,
    }
    answer = run_peer("pygsp_framelets", csr_parts("adjacency", graph.adjacency) | {"x": x}, options)
    if not answer and "not installed" in answer.reason:
        pytest.skip(answer.reason)
    assert answer.reason == ""
    np.testing.assert_allclose(answer.arrays["coefficients"], transform.analyze(x), atol=1e-6)
    assert answer.info["error"] < 1e-6
