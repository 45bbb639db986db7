"""Filter banks: partition of unity, mirror law, Chebyshev coefficients in closed form and by quadrature."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.graphs import FilterBank, FrameletTransform, Graph
from scinn.graphs.chebyshev import (
    coefficients_by_quadrature,
    composite_coefficients,
    evaluate_series,
    framelet_responses,
    level_scales,
    significant_length,
)
from scinn.reference import framelets as reference

BANKS = {
    **{f"spline {m}": (FilterBank.spline(m), reference.bank_filters("spline", m)) for m in range(1, 7)},
    "haar": (FilterBank.haar(), reference.bank_filters("haar")),
    "linear": (FilterBank.linear(), reference.bank_filters("linear")),
    "quadratic": (FilterBank.quadratic(), reference.bank_filters("quadratic")),
    "sigmoid": (FilterBank.sigmoid(), reference.bank_filters("sigmoid")),
    "sigmoid 5": (FilterBank.sigmoid(5), reference.bank_filters("sigmoid", 5.0)),
    "entropy": (FilterBank.entropy(), reference.bank_filters("entropy")),
    "entropy 1": (FilterBank.entropy(1), reference.bank_filters("entropy", 1.0)),
}


@pytest.mark.parametrize("name", BANKS)
def test_filters_are_the_printed_ones_with_unity_and_mirror_law(name):
    bank, filters = BANKS[name]
    x = np.linspace(0, np.pi, 257)
    expected = [[f(float(point)) for point in x] for f in filters]
    # The printed form of the entropy bank loses half the digits where alpha = 1 makes it vanish.
    np.testing.assert_allclose(bank.evaluate(x), expected, atol=2e-8 if name == "entropy 1" else 3e-15)
    assert bank.n_filters == len(filters)
    assert bank.check(3e-15) == bank.unity_defect()
    assert bank.mirror_defect() < 1e-14
    if "sigmoid" not in name:
        np.testing.assert_allclose(bank.evaluate(0.0), np.eye(bank.n_filters)[0], atol=1e-15)


def test_sigmoid_leaks_at_zero():
    assert FilterBank.sigmoid(20).evaluate(0.0)[1] ** 2 == pytest.approx(4.5e-5, rel=0.01)


def test_entropy_jumps_by_the_square_root_unless_alpha_is_one():
    def jump(alpha):
        bank = FilterBank.entropy(alpha)
        left, right = bank.evaluate(np.array([np.pi / 2 - 1e-9, np.pi / 2 + 1e-9])).T
        return left[0] - right[0]

    assert jump(0.5) == pytest.approx(np.sqrt(0.5), abs=1e-6)
    assert jump(0.75) == pytest.approx(np.sqrt(0.25), abs=1e-6)
    assert jump(1.0) == pytest.approx(0.0, abs=1e-6)


def test_haar_coefficients_have_the_published_digits():
    low, high = FilterBank.haar().chebyshev(6)
    for ours, printed, digits in zip(
        low, [1.2044, -0.5136, -0.1035, 0.0137, 0.00136, -0.000107], [4, 4, 4, 4, 5, 6]
    ):
        assert round(ours, digits) == printed
    np.testing.assert_allclose(high, low * (-1.0) ** np.arange(6), atol=1e-16)


@pytest.mark.parametrize("order", range(1, 13))
def test_bessel_coefficients_are_those_of_quadrature(order):
    bank = FilterBank.spline(order)
    quadrature = [coefficients_by_quadrature(f, 40) for f in bank.filters]
    np.testing.assert_allclose(bank.chebyshev(40), quadrature, atol=1e-14)


@pytest.mark.parametrize("name", ["haar", "linear", "quadratic", "spline 5", "sigmoid"])
def test_coefficients_are_those_of_the_authors_trapezoid_rule(name):
    bank, filters = BANKS[name]
    authors = [reference.chebyshev_coefficients(f, 12) for f in filters]
    np.testing.assert_allclose(bank.chebyshev(12), authors, atol=1e-13)


def test_high_orders_go_through_quadrature():
    bank = FilterBank.spline(20)
    x = np.linspace(0, np.pi, 101)
    np.testing.assert_allclose(evaluate_series(bank.chebyshev(60), x), bank.evaluate(x), atol=1e-13)


def test_pieces_are_integrated_one_by_one():
    # The exact coefficients of the step 1[x <= pi/2]: the angle runs from pi/2 to pi.
    ours = coefficients_by_quadrature(lambda x: (x <= np.pi / 2) * 1.0, 20, (np.pi / 2,))
    k = np.arange(1, 20)
    np.testing.assert_allclose(ours[0], 1.0, atol=1e-13)
    np.testing.assert_allclose(ours[1:], -2 / (np.pi * k) * np.sin(k * np.pi / 2), atol=1e-13)


@pytest.mark.parametrize("arrangement", ["up", "down"])
@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_composite_series_is_the_cascade(arrangement, levels, n):
    coefficients = FilterBank.linear().chebyshev(n)
    scales = level_scales(levels, 1.7, arrangement)
    x = np.linspace(0, np.pi, 77)
    cascade = framelet_responses(lambda z: evaluate_series(coefficients, z), scales, x)
    series = composite_coefficients(coefficients, scales)
    assert series.shape == (2 * levels + 1, levels * (n - 1) + 1)
    np.testing.assert_allclose(evaluate_series(series, x), cascade, atol=1e-13)
    shorter = series[:, : significant_length(series, 1e-6)]
    assert np.abs(evaluate_series(shorter, x) - cascade).max() <= 1e-6 + 1e-13


def test_custom_banks_are_checked():
    bank = FilterBank.from_callables([lambda x: np.cos(x / 2), lambda x: np.sin(x / 2)], name="mine")
    assert repr(bank) == "FilterBank('mine', n_filters=2)"
    np.testing.assert_allclose(bank.chebyshev(10), FilterBank.haar().chebyshev(10), atol=1e-14)
    with pytest.raises(ValueError, match=r"add up to 1\.5.* at x = .*divide every filter"):
        FilterBank.from_callables([lambda x: np.cos(x / 2) * np.sqrt(1.5), lambda x: np.sin(x / 2)])
    with pytest.raises(ValueError, match="add up to nan"):
        FilterBank.from_callables([lambda x: np.full_like(x, np.nan), lambda x: np.sin(x / 2)])


def half(x):
    return np.cos(x / 2)


def other_half(x):
    return np.sin(x / 2)


def test_a_bank_made_by_calling_the_class_is_checked():
    bank = FilterBank("mine", [half, other_half], (1,))
    assert bank.filters == (half, other_half)
    assert bank.breakpoints == (1.0,)
    assert bank == FilterBank.from_callables([half, other_half], name="mine", breakpoints=[1.0])
    with pytest.raises(ValueError, match="bank 'x' add up to 2 at x = 0"):
        FilterBank("x", (np.cos, np.cos))
    graph = Graph.from_edges(3, [(0, 1), (1, 2)])
    with pytest.raises(ValueError, match="add up to"):
        FrameletTransform(graph, bank=FilterBank("x", (np.cos, np.cos)))
    # A looser tolerance is from_callables' to give.
    loose = [lambda x: np.sqrt(1 + 1e-6) * np.cos(x / 2), other_half]
    assert FilterBank.from_callables(loose, tol=1e-5).n_filters == 2
    with pytest.raises(ValueError, match="add up to"):
        FilterBank("x", tuple(loose))


def test_the_largest_spline_order_still_adds_up_to_one():
    assert FilterBank.spline(1000).unity_defect() < 1e-12


@pytest.mark.parametrize(
    "make", [lambda f: FilterBank("x", f), lambda f: FilterBank.from_callables(f, name="x")]
)
def test_the_low_pass_must_come_first(make):
    with pytest.raises(
        ValueError, match=r"filter 0 of bank 'x' is 0 .*filter 1 is 1 there: put the low-pass first"
    ):
        make((other_half, half))
    third = np.sqrt(1 / 3)
    with pytest.raises(
        ValueError, match=r"filter 0 of bank 'x' is 0\.57735.*no filter of the bank is a low-pass"
    ):
        make((lambda x: np.full_like(x, third),) * 3)
    for bank in (FilterBank.sigmoid(1.0), FilterBank.entropy(0.3), FilterBank.spline(7)):
        assert make(bank.filters).n_filters == bank.n_filters


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: FilterBank.spline(1001), ValueError, "order is 1001; at most 1000 is wanted"),
        (lambda: FilterBank.spline(1100), ValueError, "order is 1100; at most 1000 is wanted"),
        (lambda: FilterBank("x", (np.cos,)), ValueError, "filters holds 1; at least two"),
        (lambda: FilterBank("x", (half, 3)), TypeError, r"filters\[1\] is a int"),
        (lambda: FilterBank("x", (half, other_half), (4.0,)), ValueError, r"breakpoints is 4\.0"),
        (lambda: FilterBank.from_name("har"), ValueError, "bank is 'har'.*did you mean 'haar'"),
        (lambda: FilterBank.from_name(3), TypeError, "bank is a int; a name or a FilterBank"),
        (lambda: FilterBank.spline(0), ValueError, "order is 0"),
        (lambda: FilterBank.sigmoid(0), ValueError, "alpha is 0"),
        (lambda: FilterBank.entropy(1.5), ValueError, "alpha is 1.5"),
        (lambda: FilterBank.from_callables([np.cos]), ValueError, "filters holds 1; at least two"),
        (lambda: FilterBank.from_callables([np.cos, 3]), TypeError, r"filters\[1\] is a int"),
        (
            lambda: FilterBank.from_callables([lambda x: 1.0, lambda x: 0.0]),
            ValueError,
            r"filter 0 of bank 'custom' returned shape \(\)",
        ),
        (lambda: FilterBank.haar().chebyshev(0), ValueError, "n is 0"),
    ],
)
def test_bad_input_is_refused_with_a_reason(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_plot_draws_every_filter():
    axes = FilterBank.quadratic().plot()
    assert len(axes.lines) == 4
    assert axes.get_title() == "bank quadratic"
