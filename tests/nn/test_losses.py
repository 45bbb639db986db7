"""Losses against their definitions, their gradients, extreme values, and wrong arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.nn import binary_cross_entropy_with_logits, kl_divergence, mse, softmax, softmax_cross_entropy
from scinn.reference import layers as reference

SEEDS = st.integers(0, 2**31 - 1)
ROWS = st.sampled_from([1, 2, 5])
CLASSES = st.sampled_from([1, 2, 3, 5])


@given(
    n=ROWS, n_classes=CLASSES, smoothing=st.sampled_from([0.0, 0.1, 0.5]), masked=st.booleans(), seed=SEEDS
)
def test_cross_entropy_matches_its_definition(
    n: int, n_classes: int, smoothing: float, masked: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = 3 * rng.normal(size=(n, n_classes)), rng.integers(n_classes, size=n)
    mask = None
    if masked:
        mask = rng.random(n) < 0.5
        mask[rng.integers(n)] = True
    rows = np.arange(n) if mask is None else np.flatnonzero(mask)
    loss, dlogits = softmax_cross_entropy(logits, labels, mask=mask, label_smoothing=smoothing)

    def f(z: np.ndarray) -> float:
        return reference.cross_entropy(z, labels, rows, smoothing)

    np.testing.assert_allclose(loss, f(logits), rtol=1e-12, atol=1e-12)
    # Central differences with step 1e-6 of a loss of order 1: about 1e-10 absolute.
    np.testing.assert_allclose(dlogits, reference.numerical_gradient(f, logits), atol=2e-8)
    np.testing.assert_allclose(dlogits.sum(axis=1), 0, atol=1e-12)
    narrow, gradient = softmax_cross_entropy(
        logits.astype(np.float32), labels, mask=mask, label_smoothing=smoothing
    )
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(narrow, loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, dlogits, atol=1e-5)


def test_cross_entropy_closed_forms() -> None:
    for n_classes in (2, 10, 1000):
        loss, gradient = softmax_cross_entropy(np.zeros((3, n_classes)), np.zeros(3, int))
        assert loss == pytest.approx(np.log(n_classes), rel=1e-14)
        np.testing.assert_allclose(gradient[:, 1:], 1 / (3 * n_classes), rtol=1e-13)
    loss, gradient = softmax_cross_entropy(np.array([[1000.0, -1000.0]]), np.array([1]))
    assert loss == 2000.0
    assert gradient.tolist() == [[1.0, -1.0]]
    loss, gradient = softmax_cross_entropy(np.array([[1000.0, -1000.0]], np.float32), np.array([0]))
    assert (loss, gradient.tolist()) == (0.0, [[0.0, 0.0]])


def test_cross_entropy_of_probabilities_is_that_of_labels() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 4)), rng.integers(4, size=6)
    for smoothing in (0.0, 0.2):
        by_label = softmax_cross_entropy(logits, labels, label_smoothing=smoothing)
        by_row = softmax_cross_entropy(logits, np.eye(4)[labels], label_smoothing=smoothing)
        assert by_label[0] == pytest.approx(by_row[0], rel=1e-13)
        np.testing.assert_allclose(by_label[1], by_row[1], atol=1e-15)


def test_cross_entropy_of_sequences_and_sums() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 3, 4)), rng.integers(4, size=(2, 3))
    flat = softmax_cross_entropy(logits.reshape(6, 4), labels.reshape(6))
    loss, gradient = softmax_cross_entropy(logits, labels)
    assert loss == flat[0]
    np.testing.assert_array_equal(gradient.reshape(6, 4), flat[1])
    total, gradient_of_sum = softmax_cross_entropy(logits, labels, reduction="sum")
    assert total == pytest.approx(6 * loss, rel=1e-14)
    np.testing.assert_allclose(gradient_of_sum, 6 * gradient, rtol=1e-13)


def test_masked_rows_may_hold_any_label() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 2))
    mask = np.array([True, False, True])
    loss, gradient = softmax_cross_entropy(logits, np.array([0, -1, 1]), mask=mask)
    assert loss == pytest.approx(softmax_cross_entropy(logits[mask], np.array([0, 1]))[0], rel=1e-14)
    assert gradient[1].tolist() == [0, 0]


def test_softmax_rows_sum_to_one() -> None:
    p = softmax(np.array([[1e4, 0.0], [-1e4, -1e4], [1.0, 2.0]]))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(p[2], reference.softmax(np.array([1.0, 2.0])), rtol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["mse", "bce", "kl"])
def test_gradients_of_the_other_losses(name: str, masked: bool, reduction: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 3))
    target = {"mse": rng.normal(size=(5, 3)), "bce": rng.random((5, 3)), "kl": rng.dirichlet(np.ones(3), 5)}[
        name
    ]
    loss = {"mse": mse, "bce": binary_cross_entropy_with_logits, "kl": kl_divergence}[name]
    mask = np.array([True, True, False, False, True]) if masked else None
    value, gradient = loss(x, target, mask=mask, reduction=reduction)
    numeric = reference.numerical_gradient(lambda z: loss(z, target, mask=mask, reduction=reduction)[0], x)
    np.testing.assert_allclose(gradient, numeric, atol=2e-8)
    if masked:
        kept, _ = loss(x[mask], target[mask], reduction=reduction)
        assert value == pytest.approx(kept, rel=1e-13)


def test_closed_forms_of_the_other_losses() -> None:
    assert mse(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))[0] == 2.5
    loss, gradient = binary_cross_entropy_with_logits(np.array([1000.0, -1000.0]), np.array([0, 1]))
    assert (loss, gradient.tolist()) == (1000.0, [0.5, -0.5])
    assert binary_cross_entropy_with_logits(np.array([1000.0]), np.array([True]))[0] == 0.0
    p, q = np.array([0.2, 0.8]), np.array([0.5, 0.5])
    expected = 0.2 * np.log(0.2 / 0.5) + 0.8 * np.log(0.8 / 0.5)
    assert kl_divergence(np.log(q)[None], p[None])[0] == pytest.approx(expected, rel=1e-14)
    assert kl_divergence(np.zeros((1, 2)), np.array([[1.0, 0.0]]))[0] == pytest.approx(np.log(2), rel=1e-14)


def test_inputs_are_not_written() -> None:
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(4, 3)), rng.dirichlet(np.ones(3), 4)
    mask = np.array([True, False, True, True])
    for array in (logits, target, mask):
        array.setflags(write=False)
    for loss in (softmax_cross_entropy, mse, binary_cross_entropy_with_logits, kl_divergence):
        first, second = loss(logits, target, mask=mask), loss(logits, target, mask=mask)
        assert first[0] == second[0]
        assert first[1].tobytes() == second[1].tobytes()


Z = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (np.array([[0.0, np.nan]]), [0]),
            {},
            ValueError,
            r"logits must be finite, got nan at index \(0, 1\)",
        ),
        ((Z, [0, 1, 2]), {}, ValueError, r"target 2 in row 2 is out of range: logits have 2 classes"),
        ((Z, [0, -1, 1]), {}, ValueError, "target -1 in row 1 is out of range"),
        ((Z, [0, 1]), {}, ValueError, r"target has shape \(2,\), wanted one class number per row: \(3,\)"),
        ((Z, [0.0, 1.0, 1.0]), {}, ValueError, "class numbers must be integers"),
        ((Z, ["a", "b", "a"]), {}, TypeError, "target must hold integers or probabilities"),
        ((Z, np.ones((3, 2))), {}, ValueError, "sum to 1 along the last axis"),
        ((Z.astype(int), [0, 1, 1]), {}, TypeError, "logits must be float32 or float64, got int64"),
        ((Z[0], 0), {}, ValueError, r"logits needs at least 2 axes, got shape \(2,\)"),
        (
            (Z, [0, 1, 1]),
            {"mask": [0, 1, 1]},
            ValueError,
            r"mask must be a bool array of shape \(3,\), got int64",
        ),
        ((Z, [0, 1, 1]), {"mask": [True]}, ValueError, r"got bool of shape \(1,\)"),
        ((Z, [0, 1, 1]), {"mask": [False] * 3}, ValueError, "mask selects no row"),
        ((Z, [0, 1, 1]), {"label_smoothing": 1.0}, ValueError, r"label_smoothing must be in \[0, 1\)"),
        ((Z, [0, 1, 1]), {"reduction": "none"}, ValueError, "reduction must be one of"),
    ],
)
def test_bad_arguments_of_cross_entropy(arguments, options, error, message) -> None:
    with pytest.raises(error, match=message):
        softmax_cross_entropy(*arguments, **options)


def test_bad_arguments_of_the_other_losses() -> None:
    with pytest.raises(ValueError, match=r"target has shape \(3,\), the prediction \(3, 2\)"):
        mse(Z, np.zeros(3))
    with pytest.raises(ValueError, match="target must be finite"):
        mse(Z, np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match=r"prediction must be finite, got inf at index \(0,\)"):
        mse(np.array([np.inf]), np.zeros(1))
    with pytest.raises(ValueError, match=r"target must be in \[0, 1\], got values from 0.0 to 2.0"):
        binary_cross_entropy_with_logits(np.zeros(2), np.array([0.0, 2.0]))
    with pytest.raises(TypeError, match="for class numbers use softmax_cross_entropy"):
        kl_divergence(Z, np.array([0, 1, 1]))
    with pytest.raises(TypeError, match="target must hold numbers"):
        mse(np.zeros(1), np.array(["a"]))
