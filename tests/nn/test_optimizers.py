"""Optimisers against plain transcriptions of their formulas, and schedules against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.nn import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    Optimizer,
    ReduceLROnPlateau,
    RMSprop,
    StepDecay,
    Warmup,
)
from scinn.reference.layers import reduce_on_plateau


def plain(name: str, p: float, grads: list[float], decay: float) -> float:
    """One parameter, one number at a time, in Python floats."""
    m = v = u = 0.0
    for t, grad in enumerate(grads, start=1):
        g = grad + decay * p if name != "adamw" else grad
        if name == "sgd":
            p -= 0.1 * g
        elif name == "momentum":
            m = 0.9 * m + g
            p -= 0.1 * m
        elif name == "nesterov":
            m = 0.9 * m + g
            p -= 0.1 * (g + 0.9 * m)
        elif name in ("adam", "adamw"):
            if name == "adamw":
                p -= 0.1 * decay * p
            m = 0.8 * m + 0.2 * g
            v = 0.95 * v + 0.05 * g * g
            p -= 0.1 * (m / (1 - 0.8**t)) / (math.sqrt(v / (1 - 0.95**t)) + 1e-8)
        elif name == "adagrad":
            v += g * g
            p -= 0.1 * g / (math.sqrt(v) + 1e-10)
        elif name == "adadelta":
            v = 0.9 * v + 0.1 * g * g
            d = g * math.sqrt(u + 1e-6) / math.sqrt(v + 1e-6)
            u = 0.9 * u + 0.1 * d * d
            p -= 0.1 * d
        elif name in ("rmsprop", "rmsprop momentum"):
            v = 0.9 * v + 0.1 * g * g
            d = g / (math.sqrt(v) + 1e-8)
            m = 0.9 * m + d
            p -= 0.1 * (d if name == "rmsprop" else m)
    return p


def make(name: str, decay: float) -> Optimizer:
    return {
        "sgd": lambda: SGD(0.1, weight_decay=decay),
        "momentum": lambda: SGD(0.1, momentum=0.9, weight_decay=decay),
        "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=decay),
        "adam": lambda: Adam(0.1, betas=(0.8, 0.95), weight_decay=decay),
        "adamw": lambda: AdamW(0.1, betas=(0.8, 0.95), weight_decay=decay),
        "adagrad": lambda: Adagrad(0.1, weight_decay=decay),
        "adadelta": lambda: Adadelta(0.1, weight_decay=decay),
        "rmsprop": lambda: RMSprop(0.1, rho=0.9, weight_decay=decay),
        "rmsprop momentum": lambda: RMSprop(0.1, rho=0.9, momentum=0.9, weight_decay=decay),
    }[name]()


NAMES = [
    "sgd",
    "momentum",
    "nesterov",
    "adam",
    "adamw",
    "adagrad",
    "adadelta",
    "rmsprop",
    "rmsprop momentum",
]


@pytest.mark.parametrize("decay", [0.0, 0.03])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "tol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_five_steps_match_the_formulas(name: str, decay: float, dtype: type, tol: float) -> None:
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=(3, 2)).astype(dtype), rng.normal(size=(5, 3, 2)).astype(dtype)
    optimizer, params = make(name, decay), {"w": start.copy()}
    state = optimizer.init(params)
    array = params["w"]
    for grad in grads:
        grad.setflags(write=False)
        optimizer.step(params, {"w": grad}, state)
    assert params["w"] is array
    assert array.dtype == dtype
    expected = [
        plain(name, float(p), [float(g) for g in column], decay)
        for p, column in zip(start.ravel(), grads.reshape(5, -1).T)
    ]
    np.testing.assert_allclose(array.ravel(), expected, rtol=tol, atol=tol)
    assert int(state["step"]) == 5
    assert all(
        value.shape == (3, 2) and value.dtype == dtype for key, value in state.items() if key != "step"
    )


def test_the_first_step_of_adam_has_the_size_of_the_rate() -> None:
    params = {"w": np.zeros(4)}
    optimizer = Adam(0.01)
    optimizer.step(params, {"w": np.array([1e-3, -5.0, 1e5, 0.0])}, optimizer.init(params))
    np.testing.assert_allclose(params["w"], [-0.01, 0.01, -0.01, 0.0], rtol=1e-4)


def test_nesterov_is_momentum_seen_from_the_point_ahead() -> None:
    # With x = p - lr momentum v, Nesterov on p is the classical look-ahead scheme on x (quadratic f).
    a, rate, momentum = np.array([1.0, 3.0]), 0.1, 0.9
    params = {"p": np.array([1.0, -2.0])}
    optimizer = SGD(rate, momentum=momentum, nesterov=True)
    state = optimizer.init(params)
    x, v = params["p"].copy(), np.zeros(2)
    for _ in range(20):
        optimizer.step(params, {"p": a * params["p"]}, state)
        v = momentum * v + a * (x - rate * momentum * v)
        x = x - rate * v
        np.testing.assert_allclose(params["p"], x - rate * momentum * v, rtol=1e-12)


def test_a_missing_gradient_leaves_parameter_and_slots_alone() -> None:
    params = {"a": np.ones(2), "b": np.ones(2)}
    optimizer = SGD(0.1, momentum=0.9, weight_decay=0.1)
    state = optimizer.init(params)
    for _ in range(2):
        optimizer.step(params, {"a": np.ones(2)}, state)
    assert params["b"].tolist() == [1, 1]
    assert state["b/momentum"].tolist() == [0, 0]
    optimizer.step(params, {"b": np.zeros(2)}, state)
    assert params["b"][0] < 1


def test_state_is_flat_and_named_after_parameters() -> None:
    params = {"block1.conv2.weight": np.zeros((2, 3), np.float32)}
    assert list(SGD(0.1).init(params)) == ["step"]
    assert list(SGD(0.1, momentum=0.5).init(params)) == ["step", "block1.conv2.weight/momentum"]
    assert len(Adam().init(params)) == 3
    assert Adam().init(params)["step"].dtype == np.int64


def test_weight_decay_by_name() -> None:
    params = {"weight": np.ones(1), "bias": np.ones(1)}
    optimizer = SGD(1.0, weight_decay={"weight": 0.5})
    optimizer.step(params, {"weight": np.zeros(1), "bias": np.zeros(1)}, optimizer.init(params))
    assert (params["weight"][0], params["bias"][0]) == (0.5, 1.0)


def test_rate_of_one_step() -> None:
    params = {"w": np.zeros(1)}
    optimizer = SGD(1.0)
    optimizer.step(params, {"w": np.ones(1)}, optimizer.init(params), learning_rate=0.25)
    assert params["w"].tolist() == [-0.25]


def test_wrong_gradients() -> None:
    params = {"w": np.zeros(2)}
    optimizer = Adam()
    state = optimizer.init(params)
    with pytest.raises(ValueError, match=r"a gradient for 'v', which is no parameter; known: \['w'\]"):
        optimizer.step(params, {"v": np.zeros(2)}, state)
    with pytest.raises(ValueError, match=r"gradient of 'w' is float64 \(3,\), the parameter float64 \(2,\)"):
        optimizer.step(params, {"w": np.zeros(3)}, state)
    with pytest.raises(ValueError, match=r"gradient of 'w' is float32 \(2,\), the parameter float64"):
        optimizer.step(params, {"w": np.zeros(2, np.float32)}, state)
    assert int(state["step"]) == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SGD(-1), "learning_rate must be a finite number >= 0, got -1"),
        (lambda: SGD(float("inf")), "learning_rate must be"),
        (lambda: SGD(0.1, momentum=1.0), r"momentum must be in \[0, 1\)"),
        (lambda: SGD(0.1, nesterov=True), "nesterov=True needs momentum > 0"),
        (lambda: Adam(betas=(0.9, 1.0)), r"betas must be in \[0, 1\)"),
        (lambda: Adam(betas=(0.9,)), "betas must be two numbers"),
        (lambda: Adam(weight_decay=-1), "weight_decay must be"),
        (lambda: SGD(weight_decay={"a": -1}), "weight_decay must be"),
        (lambda: Adagrad(eps=-1), "eps must be"),
        (lambda: Adadelta(rho=2), "rho must be"),
        (lambda: RMSprop(momentum=2), "momentum must be"),
    ],
)
def test_bad_hyper_parameters(build, message) -> None:
    with pytest.raises(ValueError, match=message):
        build()


class TestSchedules:
    def test_closed_forms(self) -> None:
        steps = range(40)
        assert [Constant(0.3)(t) for t in steps] == [0.3] * 40
        assert [StepDecay(1.0, 7, 0.5)(t) for t in steps] == [0.5 ** (t // 7) for t in steps]
        assert [Exponential(2.0, 0.9)(t) for t in steps] == [2 * 0.9**t for t in steps]
        cosine = Cosine(1.0, 20, minimum=0.2)
        assert [cosine(t) for t in (0, 10, 20, 30)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
        assert all(cosine(t) >= cosine(t + 1) for t in steps)

    def test_warmup_counts_the_steps_of_its_schedule(self) -> None:
        warm = Warmup(Exponential(1.0, 0.5), 2)
        assert [warm(t) for t in range(4)] == [0.5, 0.5, 0.25, 0.125]

    @given(
        values=st.lists(st.integers(0, 6).map(float), max_size=25),
        patience=st.integers(0, 4),
    )
    def test_plateau_matches_its_definition(self, values: list[float], patience: int) -> None:
        schedule = ReduceLROnPlateau(1.0, factor=0.5, patience=patience, threshold=0.0)
        rates = [schedule(values[:epoch]) for epoch in range(len(values) + 1)]
        assert rates == reduce_on_plateau(values, 1.0, 0.5, patience)
        upward = ReduceLROnPlateau(1.0, factor=0.5, patience=patience, threshold=0.0, mode="max")
        assert [upward([-v for v in values[:epoch]]) for epoch in range(len(values) + 1)] == rates

    def test_plateau_cooldown_and_minimum(self) -> None:
        flat = [1.0] * 12
        assert ReduceLROnPlateau(1.0, factor=0.1, patience=0, minimum=0.05)(flat) == 0.05
        eager = ReduceLROnPlateau(1.0, factor=0.5, patience=1)
        patient = ReduceLROnPlateau(1.0, factor=0.5, patience=1, cooldown=3)
        assert patient(flat) > eager(flat)

    def test_plateau_ignores_nan(self) -> None:
        assert ReduceLROnPlateau(1.0, patience=1)([float("nan")] * 3) == pytest.approx(0.1)

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: Constant(-1.0), "learning_rate must be"),
            (lambda: StepDecay(1.0, 0), "every must be a positive integer"),
            (lambda: Exponential(1.0, 0.0), "factor must be"),
            (lambda: Cosine(1.0, 10, minimum=2.0), "minimum must be in"),
            (lambda: Warmup(Constant(1.0), -1), "n_steps must be"),
            (lambda: ReduceLROnPlateau(1.0, factor=1.5), r"factor must be in \(0, 1\)"),
            (lambda: ReduceLROnPlateau(1.0, patience=-1), "patience must not be negative"),
            (lambda: ReduceLROnPlateau(1.0, mode="up"), "mode must be 'min' or 'max'"),
        ],
    )
    def test_bad_arguments(self, build, message) -> None:
        with pytest.raises(ValueError, match=message):
            build()


@pytest.mark.parametrize("name", ["nesterov", "adam", "adagrad"])
def test_arrays_in_any_order_and_of_no_axis(name: str) -> None:
    rng = np.random.default_rng(0)
    start, grad = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    params = {"c": start.copy(), "f": np.asfortranarray(start), "number": np.array(start[0, 0])}
    arrays = dict(params)
    grads = {"c": grad, "f": np.asfortranarray(grad), "number": np.array(grad[0, 0])}
    optimizer = make(name, 0.01)
    state = optimizer.init(params)
    for _ in range(3):
        optimizer.step(params, grads, state)
    assert all(params[key] is arrays[key] for key in params)
    np.testing.assert_array_equal(params["f"], params["c"])
    assert params["number"] == params["c"][0, 0]
