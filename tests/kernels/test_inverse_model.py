"""Misfits, gradients and derivatives of network and linear models against their twins, integrals and differences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scinn.inverse.laws import as_law
from scinn.kernels import collapsed_model, inverse_model, network_field
from scinn.reference import collapsed_model as collapsed_reference
from scinn.reference import inverse_model as reference
from scinn.reference import network_field as field_reference

LAWS = {
    0: as_law("gaussian"),
    1: as_law("cauchy"),
    2: as_law("laplace"),
    3: as_law("student_t(3)"),
    4: as_law("stable(1.5)"),
}
TANH, SIGN, ERF, RELU, LEAKY, SIN = range(6)
CAUCHY3, LAST_GAUSSIAN = (1, 1, 1), (1, 1, 0)


def make_model(widths, laws, *, n=7, m=5, seed=0, activation=TANH, collapsed=0, separable=None, noise=0.5):
    """Return a network model with a random operator; ``separable`` gives n_a, n_b, m_a, m_b."""
    rng = np.random.default_rng(seed)
    n_layers = len(widths) - 1
    if separable:
        n_a, n_b, m_a, m_b = separable
        n, m = n_a * n_b, m_a * m_b
        left, right = rng.standard_normal((m_a, n_a)) / n_a, rng.standard_normal((m_b, n_b)) / n_b
    else:
        left, right = rng.standard_normal((m, n)) / n, np.zeros((0, 0))
    tables = [LAWS[code].table for code in laws]
    stacked = np.zeros((n_layers, max(len(t) for t in tables), max(t.shape[1] for t in tables)))
    for own, table in zip(stacked, tables):
        own[: len(table), : table.shape[1]] = table
    return inverse_model.Model(
        kind=1,
        collapsed=collapsed,
        widths=np.array(widths, dtype=np.int64),
        laws=np.array(laws, dtype=np.int64),
        law_parameters=np.array([LAWS[code].parameter for code in laws], dtype=np.float64),
        tables=stacked,
        weight_scales=rng.uniform(0.5, 1.5, n_layers),
        bias_scales=rng.uniform(0.5, 1.5, n_layers),
        activation=activation,
        points=rng.uniform(-1, 1, (widths[0], n)),
        left=left,
        right=right,
        inverse_sd=rng.uniform(0.5, 1.5, m) / noise,
        data=rng.standard_normal(m) / noise,
    )


def make_linear(sizes, laws, m, seed=0):
    rng = np.random.default_rng(seed)
    network = make_model([1] * (len(sizes) + 1), laws, seed=seed)
    return network._replace(
        kind=0,
        widths=np.array(sizes, dtype=np.int64),
        points=np.zeros((0, 0)),
        left=rng.standard_normal((m, sum(sizes))),
        inverse_sd=rng.uniform(0.5, 1.5, m),
        data=rng.standard_normal(m),
    )


def models():
    """Return models of all kinds, activations, laws and awkward sizes, by name."""
    found = {
        "one of each": make_model([1, 1, 1], (1, 1), n=1, m=1),
        "no hidden layer": make_model([2, 1], (1,), n=3, m=2),
        "deep": make_model([1, 3, 2, 5, 1], (1, 0, 2, 1), n=17, m=9),
        "uneven": make_model([3, 9, 4, 1], CAUCHY3, n=33, m=17),
        "one row": make_model([1, 2, 1], (1, 1), n=8, m=1),
        "separable": make_model([2, 5, 3, 1], CAUCHY3, separable=(4, 9, 3, 5)),
        "separable, tiny": make_model([2, 2, 1], (1, 1), separable=(1, 1, 1, 1)),
        "separable, blocks": make_model([2, 2, 1], (1, 1), separable=(5, 11, 9, 10)),
        "no data": make_model([1, 2, 1], (1, 1), n=3, m=0),
        "linear": make_linear([3, 7], (1, 2), 4),
        "linear, one": make_linear([1], (0,), 1),
        "linear, stable": make_linear([2, 3], (4, 1), 21),
        "collapsed": make_model([1, 4, 3, 1], LAST_GAUSSIAN, n=17, m=9, collapsed=1),
        "collapsed, few data": make_model([1, 4, 7, 1], LAST_GAUSSIAN, n=17, m=3, collapsed=1),
        "collapsed, square": make_model([1, 2, 1], (1, 0), n=5, m=3, collapsed=1),
        "collapsed, one": make_model([1, 1, 1], (1, 0), n=1, m=1, collapsed=1),
        "collapsed, separable": make_model([2, 3, 4, 1], LAST_GAUSSIAN, separable=(4, 3, 3, 5), collapsed=1),
        "collapsed, separable, few data": make_model([2, 9, 1], (2, 0), separable=(4, 3, 2, 2), collapsed=1),
    }
    for activation in range(6):
        found[f"activation {activation}"] = make_model([1, 3, 4, 1], CAUCHY3, activation=activation)
        found[f"collapsed, activation {activation}"] = make_model(
            [1, 3, 4, 1], LAST_GAUSSIAN, activation=activation, collapsed=1
        )
    for law in range(5):
        found[f"law {law}"] = make_model([1, 3, 2, 1], (law, 1, law))
    return found


MODELS = models()
COLLAPSED = [name for name in MODELS if name.startswith("collapsed")]
FIELDS = [name for name in MODELS if MODELS[name].kind == 1 and not MODELS[name].collapsed]
WITH_DATA = [name for name in MODELS if name not in COLLAPSED]


def white(model, seed=1):
    return np.random.default_rng(seed).standard_normal(inverse_model.n_coordinates(model))


def tolerance(model):
    # The table of Student's law is as good as its own test says; the rest is a few roundings of well-conditioned sums.
    return 1e-10 if (model.laws == 3).any() else 1e-12


def assert_close(got, want, rtol):
    """Compare arrays relative to the largest entry: single entries may be differences of larger numbers."""
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * max(np.abs(want).max(initial=0.0), 1e-300))


def all_results(model, xi, directions):
    """Return what every kernel gives, by name, with one workspace whose contents others have used."""
    work = inverse_model.workspace(model)
    (d, n, m), size = directions, len(xi)
    out = {}
    gradient = np.full(size, np.nan)
    out["misfit"] = inverse_model.misfit(model, xi, work, math.inf)
    out["misfit again"] = inverse_model.misfit_gradient(model, xi, work, gradient)
    out["misfit_gradient"] = gradient.copy()
    if model.collapsed:
        return out
    for name, length, arguments in [
        ("predict", len(m), (xi,)),
        ("vector_jacobian", size, (xi, m)),
        ("jacobian_vector", len(m), (xi, d)),
    ]:
        filled = np.full(length, np.nan)
        getattr(inverse_model, name)(model, *arguments, work, filled)
        out[name] = filled
    out["jacobian"] = np.full((len(m), size), np.nan)
    inverse_model.jacobian(model, xi, work, out["jacobian"])
    if model.kind == 0:
        return out
    for name, length, arguments in [
        ("field", len(n), (xi,)),
        ("field_vjp", size, (xi, n)),
        ("field_jvp", len(n), (xi, d)),
    ]:
        filled = np.full(length, np.nan)
        getattr(inverse_model, name)(model, *arguments, work, filled)
        out[name] = filled
    return out


def all_references(model, xi, directions):
    d, n, m = directions
    value, gradient = reference.misfit_gradient(model, xi)
    out = {"misfit": reference.misfit(model, xi), "misfit again": value, "misfit_gradient": gradient}
    if model.collapsed:
        return out
    jacobian = reference.jacobian(model, xi)
    out["predict"] = reference.predict(model, xi)
    out |= {"jacobian": jacobian, "vector_jacobian": jacobian.T @ m, "jacobian_vector": jacobian @ d}
    if model.kind == 0:
        return out
    jacobian = reference.field_jacobian(model, xi)
    return out | {"field": reference.field(model, xi), "field_vjp": jacobian.T @ n, "field_jvp": jacobian @ d}


@pytest.mark.parametrize("name", MODELS)
def test_the_twins_agree(name):
    model = MODELS[name]
    rng = np.random.default_rng(2)
    xi = white(model)
    directions = tuple(
        rng.standard_normal(size) for size in (len(xi), model.points.shape[1], len(model.data))
    )
    got, want = all_results(model, xi, directions), all_references(model, xi, directions)
    assert got.keys() == want.keys()
    for key in want:
        assert_close(got[key], want[key], tolerance(model))
    assert got["misfit"] == got["misfit again"]


@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    n=st.sampled_from([1, 2, 7, 8, 9, 16, 17, 31, 40]),
    m=st.sampled_from([1, 2, 3, 5, 8, 16, 17, 23]),
    collapsed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_misfits_and_gradients_at_all_sizes(widths, n, m, collapsed, seed):
    laws = (1,) * (len(widths) - 1) + (0 if collapsed else 1,)
    model = make_model([*widths, 1], laws, n=n, m=m, seed=seed, collapsed=int(collapsed))
    xi = 0.7 * white(model, seed)
    work, gradient = inverse_model.workspace(model), np.full(len(xi), np.nan)
    value, want = reference.misfit_gradient(model, xi)
    assert inverse_model.misfit_gradient(model, xi, work, gradient) == pytest.approx(value, rel=1e-12)
    assert inverse_model.misfit(model, xi, work, math.inf) == pytest.approx(value, rel=1e-12)
    assert_close(gradient, want, 1e-11 if collapsed else 1e-12)


@pytest.mark.parametrize("name", [name for name in MODELS if (MODELS[name].laws < 4).all()])
def test_gradient_by_values_of_the_unit_laws(name):
    model = MODELS[name]
    theta = np.random.default_rng(3).standard_normal(inverse_model.n_weights(model))
    gradient = np.full(len(theta), np.nan)
    value = inverse_model.misfit_gradient_weights(model, theta, inverse_model.workspace(model), gradient)
    want_value, want = reference.misfit_gradient_weights(model, theta)
    assert value == pytest.approx(want_value, rel=1e-12)
    assert_close(gradient, want, 1e-12)


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].activation != SIGN])
def test_reference_gradients_are_slopes_of_the_misfit(name):
    model = MODELS[name]
    xi = white(model)
    _, gradient = reference.misfit_gradient(model, xi)
    step = 1e-5
    for j in range(len(xi)):
        up, down = xi.copy(), xi.copy()
        up[j] += step
        down[j] -= step
        slope = (reference.misfit(model, up) - reference.misfit(model, down)) / (2 * step)
        assert gradient[j] == pytest.approx(slope, rel=1e-5, abs=1e-6 * max(1.0, np.abs(gradient).max()))


@pytest.mark.parametrize("name", FIELDS)
def test_fields_and_features(name):
    model = MODELS[name]
    work = inverse_model.workspace(model)
    xis = np.array([white(model, seed) for seed in range(3)])
    out = np.full((3, model.points.shape[1]), np.nan)
    inverse_model.fields(model, xis, work, out)
    assert_close(out, reference.fields(model, xis), tolerance(model))
    features = np.full((out.shape[1], model.widths[-2] + 1), np.nan)
    inverse_model.features(model, xis[0], work, features)
    assert_close(features, reference.features(model, xis[0]), tolerance(model))


@pytest.mark.parametrize("name", MODELS)
def test_sizes(name):
    model = MODELS[name]
    assert inverse_model.n_coordinates(model) == field_reference.n_coordinates(model)
    assert inverse_model.n_weights(model) == field_reference.n_weights(model)


@pytest.mark.parametrize("name", FIELDS)
def test_the_passes_and_the_operator_by_themselves(name):
    model = MODELS[name]
    rng, work = np.random.default_rng(5), inverse_model.workspace(model)
    weights = rng.standard_normal(field_reference.n_weights(model))
    change, by_field = rng.standard_normal(len(weights)), rng.standard_normal(model.points.shape[1])
    work.weights[:] = weights
    network_field.forward(model, work, True)
    assert_close(work.field[: len(by_field)], field_reference.forward(model, weights)[-1][0], 1e-13)
    work.deltas[: len(by_field)] = by_field
    network_field.backward(model, work)
    assert_close(work.weight_gradient, field_reference.backward(model, weights, by_field[None]), 1e-12)
    work.weight_gradient[:] = change
    out = np.full(len(by_field), np.nan)
    network_field.tangent(model, work, out)
    assert_close(out, field_reference.tangent(model, weights, change)[0], 1e-12)
    f, q = np.full(len(model.data), np.nan), rng.standard_normal(len(model.data))
    network_field.apply_operator(model, by_field, work.middle, work.zero, f)
    assert_close(f, field_reference.apply_operator(model, by_field), 1e-13)
    network_field.adjoint_operator(model, q, work.scaled, work.middle, work.zero, out)
    assert_close(out, field_reference.adjoint_operator(model, q), 1e-13)


@given(
    rows=st.sampled_from([0, 1, 2, 3, 4, 5, 8, 11]),
    inner=st.sampled_from([0, 1, 2, 7, 8, 9, 24, 33]),
    columns=st.sampled_from([0, 1, 3, 8, 9, 16, 17, 33, 41]),
    seed=st.integers(0, 2**32 - 1),
)
def test_products_in_flat_arrays(rows, inner, columns, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((rows, inner)), rng.standard_normal((inner, columns))
    start = rng.standard_normal(rows + 1)
    for flat, row, column in [(a.ravel(), inner, 1), (a.T.ravel(), 1, rows)]:
        c = np.full(2 + rows * columns, np.nan)
        network_field.product(
            flat, 0, row, column, b.ravel(), 0, columns, c, 2, columns, start, 0, 1, rows, inner, columns
        )
        assert_close(c[2:].reshape(rows, columns), start[:rows, None] + a @ b, 1e-13)
        assert np.isnan(c[:2]).all()
    c = np.full(2 + rows * columns, np.nan)
    network_field.dots(a.ravel(), 0, inner, b.T.ravel(), 0, inner, c, 2, 1, rows, rows, columns, inner)
    assert_close(c[2:].reshape(columns, rows).T, a @ b, 1e-13)
    assert np.isnan(c[:2]).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_bound_changes_no_decision(name):
    model = MODELS[name]
    work, xi = inverse_model.workspace(model), white(model)
    value = inverse_model.misfit(model, xi, work, math.inf)
    for bound in [
        -1.0,
        0.0,
        value / 3,
        np.nextafter(value, -1.0),
        value,
        np.nextafter(value, math.inf),
        3 * value,
    ]:
        got = inverse_model.misfit(model, xi, work, bound)
        assert got == value if value <= bound else got > bound


def test_a_bound_saves_rows():
    # Data of the last rows are not looked at once the first are far off.
    model = make_model([1, 3, 1], (1, 1), n=9, m=40)
    model.data[:] = 10.0
    work, xi = inverse_model.workspace(model), white(model)
    model.data[39] = math.nan
    assert 1.0 < inverse_model.misfit(model, xi, work, 1.0) < math.inf
    assert inverse_model.misfit(model, xi, work, 1e9) == math.inf


@pytest.mark.parametrize(
    "name",
    ["deep", "separable", "linear", "collapsed", "collapsed, few data", "activation 3", "activation 5"],
)
def test_overflow_is_an_infinite_misfit_with_gradient_zero(name):
    model = MODELS[name]
    # Scales that only products reach infinity with, and both signs: inf - inf comes up.
    model = model._replace(
        weight_scales=np.full(len(model.laws), 1e200), bias_scales=np.full(len(model.laws), 1e200)
    )
    xi = np.random.default_rng(6).choice([-36.0, 36.0], inverse_model.n_coordinates(model))
    work, gradient = inverse_model.workspace(model), np.full(len(xi), np.nan)
    for bound in (0.0, math.inf):
        assert inverse_model.misfit(model, xi, work, bound) == math.inf
    assert inverse_model.misfit_gradient(model, xi, work, gradient) == math.inf
    assert not gradient.any()


def test_saturated_units_let_nothing_through_however_large_their_weights():
    model = make_model([1, 3, 2, 1], CAUCHY3)
    xi = np.random.default_rng(7).choice([-30.0, 30.0], inverse_model.n_coordinates(model))
    xi[-3:] = 0.5
    work, gradient = inverse_model.workspace(model), np.full(len(xi), np.nan)
    value = inverse_model.misfit_gradient(model, xi, work, gradient)
    assert value == pytest.approx(reference.misfit(model, xi), rel=1e-12)
    assert np.isfinite(gradient).all()
    assert not gradient[:-3].any()
    assert gradient[-3:].all()


def test_a_point_may_be_nan_without_harm_to_others():
    # sign(0) = 0, and every activation hands NaN on.
    for activation in range(6):
        model = make_model([1, 2, 1], (0, 0), n=3, activation=activation)
        model.points[0] = [0.0, math.nan, 0.5]
        xi = white(model)
        xi[2:4] = 0.0
        u = np.zeros(3)
        inverse_model.field(model, xi, inverse_model.workspace(model), u)
        assert np.isnan(u).tolist() == [False, True, False]
        assert u[0] == pytest.approx(xi[6] * model.bias_scales[1])


def test_a_rectified_unit_at_minus_infinity_is_off():
    model = make_model([1, 2, 1], (1, 1), n=3, activation=RELU)
    model.points[0] = [0.5, 0.75, 1.0]
    model.weight_scales[0] = 1e300
    xi = white(model)
    # The first unit's weight is -exp(30^2 / 2) 1e300; the second one has none.
    xi[:4] = [-30.0, 0.0, 0.0, 0.4]
    work, u, gradient = inverse_model.workspace(model), np.zeros(3), np.zeros(len(xi))
    inverse_model.field(model, xi, work, u)
    with np.errstate(over="ignore"):
        weights = field_reference.set_weights(model, xi)
        want = reference.misfit(model, xi)
    assert weights[0] == -math.inf
    np.testing.assert_allclose(u, weights[5] * weights[3] + weights[6], rtol=1e-14)
    np.testing.assert_array_equal(field_reference.forward(model, weights)[1][0], np.zeros(3))
    value = inverse_model.misfit_gradient(model, xi, work, gradient)
    assert value == pytest.approx(want, rel=1e-12)
    assert np.isfinite(gradient).all()
    assert gradient[3] != 0.0
    assert gradient[0] == 0.0


def full_misfit(model, hidden, last):
    plain = model._replace(collapsed=0)
    return reference.misfit(plain, np.concatenate([hidden, last]))


@pytest.mark.parametrize("name", ["collapsed, one", "collapsed, square", "collapsed, separable, few data"])
def test_collapsed_misfit_is_the_integral(name):
    # exp(-Phi_c) = E exp(-Phi): importance sampling from the conditional law has no variance where this holds.
    model = MODELS[name]
    hidden, work = white(model), inverse_model.workspace(model)
    value = inverse_model.misfit(model, hidden, work, math.inf)
    b = collapsed_reference.responses(model, field_reference.set_weights(model, hidden))
    precision = np.eye(b.shape[1]) + b.T @ b
    mean = collapsed_reference.last_layer_mean(model, hidden)
    for seed in range(3):
        v = np.random.default_rng(seed).standard_normal(len(mean))
        log_conditional = 0.5 * np.linalg.slogdet(precision)[1] - 0.5 * (v - mean) @ precision @ (v - mean)
        log_joint = -full_misfit(model, hidden, v) - 0.5 * v @ v
        assert value == pytest.approx(log_conditional - log_joint, rel=1e-12)


def test_collapsed_misfit_is_the_integral_by_quadrature():
    model = MODELS["collapsed, one"]
    hidden = white(model)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    total = sum(
        p * q * math.exp(-full_misfit(model, hidden, np.array([x, y])))
        for (x, p), (y, q) in itertools.product(zip(nodes, weights), repeat=2)
    )
    got = inverse_model.misfit(model, hidden, inverse_model.workspace(model), math.inf)
    assert got == pytest.approx(-math.log(total), rel=1e-10)


@pytest.mark.parametrize("name", COLLAPSED)
def test_last_layer(name):
    model = MODELS[name]
    hidden, work = white(model), inverse_model.workspace(model)
    size = model.widths[-2] + 1
    mean, v, noise = (
        np.full(size, np.nan),
        np.full(size, np.nan),
        np.random.default_rng(8).standard_normal(size),
    )
    collapsed_model.last_layer_mean(model, hidden, work, mean)
    assert_close(mean, collapsed_reference.last_layer_mean(model, hidden), 1e-12)
    collapsed_model.draw_last_layer(model, hidden, noise, work, v)
    assert_close(v, collapsed_reference.draw_last_layer(model, hidden, noise), 1e-12)
    # The mean is where the full misfit plus the prior is stationary.
    plain = model._replace(collapsed=0)
    gradient = np.zeros(inverse_model.n_coordinates(plain))
    full_work = inverse_model.workspace(plain)
    inverse_model.misfit_gradient(plain, np.concatenate([hidden, mean]), full_work, gradient)
    np.testing.assert_allclose(gradient[len(hidden) :], -mean, atol=1e-11)


def test_draws_of_the_last_layer_have_the_conditional_covariance():
    model = MODELS["collapsed, square"]
    hidden, work = white(model), inverse_model.workspace(model)
    size = model.widths[-2] + 1
    mean = collapsed_reference.last_layer_mean(model, hidden)
    root = np.empty((size, size))
    v = np.empty(size)
    for j, noise in enumerate(np.eye(size)):
        collapsed_model.draw_last_layer(model, hidden, noise, work, v)
        root[:, j] = v
    b = collapsed_reference.responses(model, field_reference.set_weights(model, hidden))
    root -= mean[:, None]
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(np.eye(size) + b.T @ b), atol=1e-13)


def test_last_layer_without_conditional_law_is_nan():
    model = MODELS["collapsed, activation 3"]._replace(weight_scales=np.full(3, 1e200))
    hidden, work = (
        np.full(inverse_model.n_coordinates(MODELS["collapsed, activation 3"]), 36.0),
        inverse_model.workspace(model),
    )
    v = np.zeros(model.widths[-2] + 1)
    collapsed_model.draw_last_layer(model, hidden, np.ones(len(v)), work, v)
    assert np.isnan(v).all()
    collapsed_model.last_layer_mean(model, hidden, work, v)
    assert np.isnan(v).all()


def test_small_noise_loses_no_digits_of_the_collapsed_misfit():
    # |r|^2 is 1e8 times what is left of it: the two must not be subtracted.
    model = make_model([1, 2, 1], (1, 0), n=9, m=8, collapsed=1, noise=1e-4)
    hidden, work = white(model), inverse_model.workspace(model)
    b = collapsed_reference.responses(model, field_reference.set_weights(model, hidden))
    model.data[:] = b @ np.array([0.3, -0.2, 0.5])
    value = inverse_model.misfit(model, hidden, work, math.inf)
    # Of M's eigenvalues 1 / (1 + sigma^2): the data lie in the range of B.
    left, sigma, _ = np.linalg.svd(b, full_matrices=False)
    want = 0.5 * (((left.T @ model.data) ** 2) / (1 + sigma**2)).sum() + 0.5 * np.log1p(sigma**2).sum()
    assert model.data @ model.data > 1e6 * value
    assert value == pytest.approx(want, rel=1e-12)
