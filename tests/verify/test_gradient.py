"""The gradient check passes right layers and names each planted bug."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse

from scinn import nn
from scinn.nn.layer import Layer
from scinn.verify import check_gradient


class AffineSaved(NamedTuple):
    x: np.ndarray


class Affine(Layer):
    """y = x W + b, the plain layer into which the bugs are planted."""

    def __init__(self, n_in=4, n_out=3, seed=0):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.params = {"weight": rng.standard_normal((n_in, n_out)), "bias": rng.standard_normal(n_out)}

    def forward(self, x, *, train=False, key=None):
        return x @ self.params["weight"] + self.params["bias"], AffineSaved(x)

    def backward(self, saved, dy):
        grads = {"weight": saved.x.T @ dy, "bias": dy.sum(axis=0)}
        return dy @ self.params["weight"].T, grads


class WrongFactor(Affine):
    def backward(self, saved, dy):
        dx, grads = super().backward(saved, dy)
        return dx, {**grads, "weight": grads["weight"] / len(dy)}


class TransposedWeight(Affine):
    def __init__(self):
        super().__init__(3, 3)

    def backward(self, saved, dy):
        return dy @ self.params["weight"], super().backward(saved, dy)[1]


class MissingTerm(Affine):
    def forward(self, x, *, train=False, key=None):
        y, saved = super().forward(x)
        return y + 1e-3 * np.sum(x**2, axis=1, keepdims=True), saved


class WrongEntry(Affine):
    def backward(self, saved, dy):
        dx, grads = super().backward(saved, dy)
        grads["bias"][2] += 1e-4
        return dx, grads


class StashOnSelf(Affine):
    def forward(self, x, *, train=False, key=None):
        self.x = x
        return super().forward(x)

    def backward(self, saved, dy):
        return super().backward(AffineSaved(self.x), dy)


class StashInClosure(Affine):
    stash: dict = {}

    def forward(self, x, *, train=False, key=None):
        StashInClosure.stash["x"] = x
        return super().forward(x)

    def backward(self, saved, dy):
        return super().backward(AffineSaved(StashInClosure.stash["x"]), dy)


class WritesIntoInput(Affine):
    def forward(self, x, *, train=False, key=None):
        x += 0.0
        return super().forward(x)


class WritesIntoUpstream(Affine):
    def backward(self, saved, dy):
        dy *= 1.0
        return super().backward(saved, dy)


class WritesIntoSaved(Affine):
    def backward(self, saved, dy):
        result = super().backward(saved, dy)
        saved.x[...] = 0.0
        return result


class Accumulates(Affine):
    total = 0.0

    def backward(self, saved, dy):
        dx, grads = super().backward(saved, dy)
        Accumulates.total = Accumulates.total + grads["bias"]
        return dx, {**grads, "bias": Accumulates.total}


class Impure(Affine):
    calls = 0

    def forward(self, x, *, train=False, key=None):
        Impure.calls += 1
        y, saved = super().forward(x)
        return y + Impure.calls, saved


class WrongShape(Affine):
    def backward(self, saved, dy):
        dx, grads = super().backward(saved, dy)
        return dx, {**grads, "bias": grads["bias"][None]}


class WrongKeys(Affine):
    def backward(self, saved, dy):
        dx, grads = super().backward(saved, dy)
        return dx, {"weight": grads["weight"], "b": grads["bias"]}


class SinglePrecisionGradient(Affine):
    def backward(self, saved, dy):
        dx, grads = super().backward(saved, dy)
        return dx.astype(np.float32), grads


class StateInForward(Affine):
    def __init__(self):
        super().__init__()
        self.state = {"mean": np.zeros(4)}

    def forward(self, x, *, train=False, key=None):
        self.state = {"mean": x.mean(axis=0)}
        return super().forward(x)


BUGS = {
    WrongFactor: "same factor 0.2",
    TransposedWeight: "x0 at index",
    MissingTerm: "x0 at index",
    WrongEntry: r"params\['bias'\] at index \(2,\)",
    StashOnSelf: "forward changed the layer",
    StashInClosure: "latest forward",
    WritesIntoInput: "writes into an array",
    WritesIntoUpstream: "writes into an array",
    WritesIntoSaved: "writes into an array",
    Accumulates: "accumulates",
    Impure: "not pure",
    WrongShape: "shape",
    WrongKeys: "gradients are named",
    SinglePrecisionGradient: "dtype float32",
    StateInForward: "forward changed the layer",
}


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((5, 4))


def test_the_layer_without_a_bug_passes(x):
    result = check_gradient(Affine(), x)
    assert result, result
    assert 0 < result.worst_error < 1e-7


@pytest.mark.parametrize("bug", BUGS, ids=lambda cls: cls.__name__)
def test_every_planted_bug_is_named(bug, x):
    layer = bug()
    result = check_gradient(layer, x[:, : layer.params["weight"].shape[0]])
    assert not result
    assert result.worst_error > result.tolerance
    with pytest.raises(AssertionError, match=BUGS[bug]):
        result.raise_if_failed()


def test_a_bug_in_a_large_array_is_found_and_located():
    class Large(Affine):
        def __init__(self):
            super().__init__(30, 20)

        def backward(self, saved, dy):
            dx, grads = super().backward(saved, dy)
            grads["weight"][17, 3] *= 1.5
            return dx, grads

    result = check_gradient(Large(), np.random.default_rng(0).standard_normal((6, 30)))
    assert not result
    assert result.counter_example["index"] == (17, 3)


def test_neither_layer_nor_inputs_are_changed(x):
    layer = nn.Dense(4, 3, rng=0)
    weight, given = layer.params["weight"].copy(), x.copy()
    assert check_gradient(layer, x)
    assert layer.params["weight"].dtype == np.float32
    np.testing.assert_array_equal(layer.params["weight"], weight)
    np.testing.assert_array_equal(x, given)
    assert x.flags.writeable
    assert layer.params["weight"].flags.writeable


def test_a_failed_check_can_be_replayed_from_its_script(x, tmp_path):
    class_source = (
        "from tests_planted import Halved\nfrom scinn.verify import check_gradient\nimport numpy as np\n"
        f"check_gradient(Halved(4, 3, dtype=np.float64, rng=0), np.array({x.tolist()})).save_script('case.py')\n"
    )
    (tmp_path / "tests_planted.py").write_text(
        "from scinn.nn import Dense\n\n\nclass Halved(Dense):\n"
        "    def backward(self, saved, dy):\n"
        "        dx, grads = super().backward(saved, dy)\n"
        "        return dx / 2, grads\n"
    )
    subprocess.run([sys.executable, "-c", class_source], cwd=tmp_path, check=True)
    run = subprocess.run(
        [sys.executable, "case.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr
    assert "same factor 0.5" in run.stdout
    lines = (tmp_path / "case.py").read_text().splitlines()
    assert len(lines) <= 14
    # The same seed draws the same weights: the script meets the very error that was reported.
    assert lines[0].split("worst error ")[1].split(",")[0][:4] in run.stdout


def test_no_script_for_a_class_of_the_running_script(x, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom scinn.nn import Dense\nfrom scinn.verify import check_gradient\n\n\n"
        "class Halved(Dense):\n"
        "    def backward(self, saved, dy):\n"
        "        dx, grads = super().backward(saved, dy)\n"
        "        return dx / 2, grads\n\n\n"
        f"result = check_gradient(Halved(4, 3, dtype=np.float64, rng=0), np.array({x.tolist()}))\n"
        "assert not result\n"
        "result.save_script('case.py')\n"
    )
    run = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "ValueError: no script" in run.stderr
    assert "the class Halved is defined in __main__" in run.stderr
    assert "top level of a module" in run.stderr
    assert not (tmp_path / "case.py").exists()


def test_no_script_for_what_has_no_source_form(x):
    class Local(WrongFactor):
        pass

    with pytest.raises(
        ValueError, match=r"no script.*the class Local is defined inside a function.*top level of a"
    ):
        check_gradient(Local(), x).save_script("never.py")
    with pytest.raises(ValueError, match="the check passed"):
        check_gradient(Affine(), x).save_script("never.py")


def test_points_on_a_kink_are_moved_or_pass_one_sided(x):
    assert check_gradient(nn.ReLU(), np.zeros((4, 3)))
    single = np.ones((1, 5))
    single[0, 2] = 0.0
    assert check_gradient(nn.ReLU(), single)

    class WrongBranch(nn.ReLU):
        def backward(self, saved, dy):
            return 0.5 * super().backward(saved, dy)[0], {}

    result = check_gradient(WrongBranch(), np.where(x > 0, x, 0.0))
    assert not result


def test_a_straight_through_estimator_is_checked_against_its_surrogate(x):
    class Sign(Layer):
        surrogate = True

        def forward(self, x, *, train=False, key=None):
            return np.where(x >= 0, 1.0, -1.0), AffineSaved(x)

        def surrogate_forward(self, x, *, train=False, key=None):
            return np.tanh(x)

        def backward(self, saved, dy):
            return dy * (1 - np.tanh(saved.x) ** 2), {}

    assert check_gradient(Sign(), x)
    assert not check_gradient(Sign(), x, surrogate=False)


def test_several_inputs_and_outputs_integers_and_sparse_rows(x):
    class Gather(Layer):
        n_inputs = 2

        def forward(self, values, index, *, train=False, key=None):
            return (values[index], np.tanh(values)), (values, index)

        def backward(self, saved, dy):
            values, index = saved
            dx = dy[1] * (1 - np.tanh(values) ** 2)
            np.add.at(dx, index, dy[0])
            return (dx, None), {}

    index = np.array([0, 2, 2, 4])
    assert check_gradient(Gather(), x, index)

    class WithGradientOfIntegers(Gather):
        def backward(self, saved, dy):
            (dx, _), grads = super().backward(saved, dy)
            return (dx, np.zeros(4)), grads

    assert "must be None" in check_gradient(WithGradientOfIntegers(), x, index).detail
    assert check_gradient(nn.Dense(4, 3, rng=0), sparse.csr_array(np.where(x > 0, x, 0.0)))


def test_train_and_key_reach_the_layer(x):
    assert check_gradient(nn.Dropout(0.5), x, train=True)
    assert check_gradient(nn.BatchNorm(4), x, train=True)
    assert check_gradient(nn.BatchNorm(4), x, train=False)


def test_an_exactly_zero_gradient_passes():
    class Constant(Affine):
        def forward(self, x, *, train=False, key=None):
            y = x - x.mean(axis=0) + 0.0 * self.params["bias"][:1]
            return y, AffineSaved(x)

        def backward(self, saved, dy):
            grads = {name: np.zeros_like(value) for name, value in self.params.items()}
            return dy - dy.mean(axis=0), grads

    assert check_gradient(Constant(), 1e3 * np.random.default_rng(0).standard_normal((5, 4)))


def test_says_what_is_wanted(x):
    with pytest.raises(TypeError, match="without 'forward'"):
        check_gradient(object(), x)
    with pytest.raises(TypeError, match="wanted floats"):
        check_gradient(Affine(), np.array(["a"]))
