"""The scikit-learn classifier: scikit-learn's own checks, what it wraps, and what it refuses."""

from __future__ import annotations

import copy
import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from scinn.nn.models import mlp
from scinn.random import Key
from scinn.robustness import FourierStabilizedClassifier, select_neurons, train_detector

frozen = pytest.importorskip("sklearn.frozen", reason="scikit-learn before 1.6 has no FrozenEstimator")

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (300, 9))
SCORE = BITS @ np.array([3, 2, 2, 1, 1, 0, -1, -2, -2])
NAMES = np.where(SCORE > 2, "malicious", "benign")
NUMBERS = (SCORE > 2).astype(int)
THREE = np.digitize(SCORE, [1, 4])
QUICK = {"n_hidden": 5, "n_epochs": 25, "learning_rate": 0.02, "random_state": 0, "max_drop": 0.1}


def quick(**options):
    return FourierStabilizedClassifier(**QUICK | options)


@parametrize_with_checks([FourierStabilizedClassifier(binarize=0.0)])
def test_checks_of_scikit_learn(estimator, check):
    # Their features are real numbers, which binarize=0.0 turns into bits; nothing is excused.
    check(estimator)


@pytest.mark.parametrize("y", [NAMES, NUMBERS, NUMBERS.astype(bool), THREE, 2 * NUMBERS - 1], ids=str)
def test_trains_and_stabilises(y):
    model = quick().fit(BITS, y)
    assert is_classifier(model)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    n_classes = len(model.classes_)
    assert model.predict(BITS).dtype == np.asarray(y).dtype
    assert model.score(BITS, y) > 0.8
    probabilities, decision = model.predict_proba(BITS), model.decision_function(BITS)
    assert probabilities.shape == (300, n_classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(BITS))
    assert decision.shape == ((300,) if n_classes == 2 else (300, n_classes))
    if n_classes == 2:
        np.testing.assert_array_equal(model.classes_[(decision > 0).astype(int)], model.predict(BITS))
        np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-decision)))
    assert model.selection_.hidden
    assert model.selection_.accuracy >= model.selection_.accuracy_before - 0.1
    assert model.validation_accuracy_ == model.selection_.accuracy
    changed = (model.network_.hidden_weights != model.original_network_.hidden_weights).any(axis=0)
    assert tuple(np.flatnonzero(changed)) == model.selection_.hidden


def test_neurons_are_chosen_with_samples_that_were_not_trained_on():
    seen = {}

    class Spy(MLPClassifier):
        def fit(self, X, y):
            seen["x"], seen["y"] = X, y
            return super().fit(X, y)

    numbered = np.array([[int(b) for b in f"{i:09b}"] for i in range(400)])
    y = np.where(np.arange(400) % 10 == 0, "rare", "common")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = FourierStabilizedClassifier(Spy((4,), max_iter=5), max_drop=1.0, random_state=0).fit(
            numbered, y
        )
    trained = {tuple(row) for row in seen["x"].astype(int)}
    held_out = [i for i in range(400) if tuple(numbered[i]) not in trained]
    assert len(trained) == 320
    # A fifth of every class.
    assert (y[held_out] == "rare").sum() == 8
    assert model.validation_accuracy_ == model.score(numbered[held_out], y[held_out])


def test_same_seed_same_bits():
    first, again = (quick().fit(BITS, NAMES) for _ in range(2))
    assert first.network_.hidden_weights.tobytes() == again.network_.hidden_weights.tobytes()
    legacy = [quick(random_state=np.random.RandomState(3)).fit(BITS, NAMES) for _ in range(2)]
    assert legacy[0].network_.hidden_weights.tobytes() == legacy[1].network_.hidden_weights.tobytes()
    for state in (1, Key(7), np.random.default_rng(0)):
        other = quick(random_state=state).fit(BITS, NAMES)
        assert other.network_.hidden_weights.tobytes() != first.network_.hidden_weights.tobytes()
    # A generator goes on, so that a second fit is another one.
    state = np.random.RandomState(3)
    model = quick(random_state=state).fit(BITS, NAMES)
    before = model.network_.hidden_weights.tobytes()
    assert model.fit(BITS, NAMES).network_.hidden_weights.tobytes() != before


def test_floor_and_drop():
    exact = quick(max_drop=0.0).fit(BITS, NAMES)
    assert exact.selection_.floor == exact.selection_.accuracy_before
    default = quick(max_drop=None).fit(BITS, NAMES)
    n_held_out = 60
    assert (
        default.selection_.floor == default.selection_.accuracy_before - int(0.01 * n_held_out) / n_held_out
    )
    model = quick(max_drop=None, floor=0.5).fit(BITS, NAMES)
    assert model.selection_.floor == 0.5
    assert quick(max_drop=1.0).fit(BITS, NAMES).selection_.hidden == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"floor is 0.5 and max_drop is 0.1; one of them is wanted"):
        quick(floor=0.5).fit(BITS, NAMES)
    noise = np.random.default_rng(1).integers(0, 2, 300)
    with pytest.raises(ValueError, match=r"floor is 0.999, above the accuracy 0\.\d+ of the network"):
        quick(max_drop=None, floor=0.999).fit(BITS, noise)


def test_options_reach_training_and_selection():
    model = quick(activation="relu", method="gmb", layers=("hidden", "output"), max_drop=1.0).fit(BITS, NAMES)
    assert model.original_network_.activation == "relu"
    assert model.selection_.method == "gmb"
    assert model.selection_.output == (0, 1)
    smooth = quick(p=2.0, threshold_rule="zero", max_drop=1.0, benefit="exact").fit(BITS, NAMES)
    assert not smooth.network_.hidden_bias.any()
    sizes = np.abs(smooth.network_.hidden_weights)
    assert np.all(sizes.min(axis=0) < sizes.max(axis=0))
    shares = [quick(validation_fraction=share, max_drop=1.0).fit(BITS, NAMES) for share in (0.1, 0.5)]
    assert shares[0].network_.hidden_weights.tobytes() != shares[1].network_.hidden_weights.tobytes()


def test_report_is_about_the_stabilised_neurons():
    model = quick().fit(BITS, NAMES)
    layer = model.report()
    np.testing.assert_array_equal(
        layer.weights, model.network_.hidden_weights[:, list(model.selection_.hidden)]
    )
    assert all(neuron.changed for neuron in layer.neurons)
    assert json.dumps(layer.to_dict())
    assert len(quick(max_drop=1.0, layers=("output",)).fit(BITS, NAMES).report().neurons) == 0


# Features


@pytest.mark.parametrize(
    "holder",
    [
        np.asarray,
        lambda a: a.astype(bool),
        lambda a: a.astype(np.float32),
        sparse.csr_array,
        sparse.coo_matrix,
        list,
    ],
    ids=["int", "bool", "float32", "csr", "coo", "list"],
)
def test_holders_of_bits_give_the_same_bits(holder):
    want = quick().fit(BITS, NAMES)
    model = quick().fit(holder(BITS), NAMES)
    assert model.encoding_ == "bits"
    assert model.network_.hidden_weights.tobytes() == want.network_.hidden_weights.tobytes()
    np.testing.assert_array_equal(model.decision_function(holder(BITS)), want.decision_function(BITS))


def test_signs_give_the_same_network():
    want, model = quick().fit(BITS, NAMES), quick().fit(1 - 2 * BITS, NAMES)
    assert (want.encoding_, model.encoding_) == ("bits", "signs")
    assert model.network_.hidden_weights.tobytes() == want.network_.hidden_weights.tobytes()
    # Whether a row of ones is bits or signs was settled by fit.
    ones = np.ones((1, 9))
    np.testing.assert_array_equal(model.decision_function(ones), want.decision_function(1 - ones))


def test_frames_are_checked_by_name():
    frame = pd.DataFrame(BITS, columns=[f"has_{i}" for i in range(9)])
    model = quick().fit(frame, NAMES)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    np.testing.assert_array_equal(model.predict(frame), quick().fit(BITS, NAMES).predict(BITS))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])


def test_binarize():
    reals = np.where(BITS > 0, 1.0, -1.0) * np.random.default_rng(0).uniform(0.1, 5, BITS.shape) + 2.0
    want = quick().fit(BITS, NAMES)
    model = quick(binarize=2.0).fit(reals, NAMES)
    assert model.encoding_ == "bits"
    np.testing.assert_array_equal(model.decision_function(reals), want.decision_function(BITS))
    counts = sparse.csr_array(BITS * 7)
    np.testing.assert_array_equal(quick(binarize=0).fit(counts, NAMES).predict(counts), want.predict(BITS))


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (BITS + 0.5, {}, r"X holds 0.5, 1.5; values in either of \{0, 1\}, \{-1, \+1\} are wanted"),
        (np.ones((300, 9)), {}, "X holds only ones, which may be bits or signs"),
        (BITS, {"encoding": "signs"}, "X holds 0, 1; signs are wanted, as encoding says"),
        (BITS, {"encoding": "bit"}, "encoding is 'bit'"),
        (BITS.T, {}, "inconsistent numbers of samples"),
        (np.where(BITS > 0, np.nan, 0), {}, "NaN"),
        (BITS, {"binarize": np.inf}, "binarize is inf"),
        (BITS, {"validation_fraction": 1.0}, "validation_fraction is 1.0"),
        (BITS, {"method": "greedy"}, "method is 'greedy'"),
        (BITS, {"n_hidden": 0}, "n_hidden is 0"),
    ],
)
def test_bad_input(features, options, message):
    with pytest.raises(ValueError, match=message):
        quick(**options).fit(features, NAMES)


def test_bad_input_to_predict():
    model = quick().fit(BITS, NAMES)
    with pytest.raises(ValueError, match="X holds -1, 1; bits are wanted, as given to fit"):
        model.predict(1 - 2 * BITS)
    with pytest.raises(ValueError, match="8 features, but FourierStabilizedClassifier is expecting 9"):
        model.predict(BITS[:, :8])
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(quick(), method)(BITS)
    with pytest.raises(NotFittedError):
        quick().report()


def test_classes_too_few_or_too_small():
    with pytest.raises(ValueError, match=r"y holds one class only, .*'x'.*at least two classes are wanted"):
        quick().fit(BITS, np.full(300, "x"))
    with pytest.raises(ValueError, match="one sample for each of its 2 classes"):
        quick().fit(BITS[:2], ["a", "b"])
    # A class of one sample is trained on, and a few samples are divided as well as they can be.
    model = quick().fit(BITS[:4], ["a", "b", "b", "b"])
    assert model.classes_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="continuous"):
        quick().fit(BITS, SCORE + 0.5)


# Estimators


def mlp_model(**options):
    return MLPClassifier((5,), max_iter=60, learning_rate_init=0.02, **{"random_state": 0} | options)


@pytest.fixture(autouse=True)
def _ignore_convergence(request):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        yield


@pytest.mark.parametrize("features", [BITS, 1 - 2 * BITS], ids=["bits", "signs"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic"])
@pytest.mark.parametrize("y", [NAMES, THREE], ids=["two", "three"])
def test_fitted_mlp_is_used_as_it_is(features, activation, y):
    fitted = mlp_model(activation=activation).fit(features, y)
    weights = fitted.coefs_[0].copy()
    for given in (fitted, frozen.FrozenEstimator(fitted)):
        model = FourierStabilizedClassifier(given, max_drop=0.05).fit(features, y)
        assert model.estimator_ is fitted
        np.testing.assert_array_equal(fitted.coefs_[0], weights)
        np.testing.assert_array_equal(model.classes_, fitted.classes_)
        # All samples are for choosing.
        assert model.selection_.accuracy_before == fitted.score(features, y)
        assert model.validation_accuracy_ == model.score(features, y)
        original = copy.copy(model)
        original.network_ = model.original_network_
        np.testing.assert_allclose(
            original.predict_proba(features), fitted.predict_proba(features), rtol=0, atol=1e-13
        )


def test_unfitted_mlp_is_cloned_and_fitted():
    unfitted = mlp_model(random_state=None)
    model = FourierStabilizedClassifier(unfitted, max_drop=0.1, random_state=0).fit(BITS, NAMES)
    assert not hasattr(unfitted, "coefs_")
    assert unfitted.random_state is None
    assert model.estimator_.score(BITS, NAMES) > 0.9
    again = FourierStabilizedClassifier(unfitted, max_drop=0.1, random_state=0).fit(BITS, NAMES)
    assert again.network_.hidden_weights.tobytes() == model.network_.hidden_weights.tobytes()
    own = FourierStabilizedClassifier(mlp_model(random_state=5), random_state=0).fit(BITS, NAMES)
    assert own.estimator_.random_state == 5


def test_only_frozen_estimators_survive_a_clone():
    fitted = mlp_model().fit(BITS, NAMES)
    kept = clone(FourierStabilizedClassifier(frozen.FrozenEstimator(fitted)))
    assert kept.fit(BITS, NAMES).estimator_ is fitted
    refitted = clone(FourierStabilizedClassifier(fitted, random_state=0)).fit(BITS, NAMES)
    assert refitted.estimator_ is not fitted


@pytest.mark.parametrize("activation", ["sign", "scaled_logistic"])
def test_shallow_network_is_used_as_it_is(activation):
    network = train_detector(BITS, NUMBERS, n_hidden=5, n_epochs=30, learning_rate=0.02, rng=0)
    network = network.replace(activation=activation)
    model = FourierStabilizedClassifier(network, max_drop=0.05).fit(BITS, NUMBERS)
    assert model.original_network_ is network
    want = select_neurons(network, BITS, NUMBERS, floor=model.selection_.floor)
    assert model.selection_.to_dict() == want.to_dict()
    assert model.network_.activation == activation
    np.testing.assert_array_equal(model.predict(BITS), model.network_.predict(BITS))
    assert len(model.report().neurons) == len(want.hidden)
    assert clone(model).fit(BITS, NUMBERS).selection_.to_dict() == want.to_dict()


@pytest.mark.parametrize("features", [BITS, 1 - 2 * BITS], ids=["bits", "signs"])
def test_network_was_trained_on_what_x_holds(features):
    network = mlp([9, 5, 2], activation="tanh", dtype=np.float64, rng=0)
    y = network(features.astype(float)).argmax(axis=1)
    model = FourierStabilizedClassifier(network, max_drop=0.2).fit(features, y)
    assert model.selection_.accuracy_before == 1.0


def test_classes_of_networks():
    network = train_detector(BITS, THREE, n_hidden=5, n_epochs=30, learning_rate=0.02, rng=0)
    # Two of its three classes occur.
    two = THREE < 2
    model = FourierStabilizedClassifier(network).fit(BITS[two], THREE[two])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(BITS).shape == (300, 3)
    names = np.array(["a", "b", "c"])[THREE]
    model = FourierStabilizedClassifier(network).fit(BITS, names)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.selection_.accuracy_before == network.accuracy(BITS, THREE)
    with pytest.raises(ValueError, match="y holds 2 classes, the network of estimator has 3"):
        FourierStabilizedClassifier(network).fit(BITS[two], names[two])
    # -1 and +1, of a network of two classes.
    network = train_detector(BITS, NUMBERS, n_hidden=5, n_epochs=30, learning_rate=0.02, rng=0)
    model = FourierStabilizedClassifier(network).fit(BITS, 2 * NUMBERS - 1)
    assert model.selection_.accuracy_before == network.accuracy(BITS, NUMBERS)
    with pytest.raises(ValueError, match=r"y holds the class .*'other'.*with which estimator was not fitted"):
        FourierStabilizedClassifier(mlp_model().fit(BITS, NAMES)).fit(
            BITS, np.where(BITS[:, 0], "other", NAMES)
        )


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (
            LogisticRegression(),
            TypeError,
            "estimator is a LogisticRegression; an MLPClassifier, a ShallowNetwork",
        ),
        (make_pipeline(MLPClassifier()), TypeError, "estimator is a Pipeline"),
        (frozen.FrozenEstimator(MLPClassifier()), NotFittedError, "not fitted"),
        (mlp([9, 5, 5, 2], rng=0), ValueError, "one hidden layer"),
        (mlp([8, 5, 2], rng=0), ValueError, "X has 9 features, but the network of estimator takes 8"),
        (MLPClassifier((3, 3), max_iter=2), ValueError, "2 hidden layers; one is wanted"),
        (MLPClassifier((3,), activation="identity", max_iter=2), ValueError, "activation 'identity'"),
    ],
)
def test_estimators_that_are_refused(estimator, error, message):
    with pytest.raises(error, match=message):
        FourierStabilizedClassifier(estimator).fit(BITS, NAMES)


# Among other tools


def test_in_a_pipeline_a_grid_and_a_pickle():
    pipeline = make_pipeline(FunctionTransformer(lambda x: (x > 0).astype(int)), quick(n_epochs=5))
    assert cross_val_score(pipeline, BITS, NAMES, cv=3).shape == (3,)
    grid = GridSearchCV(quick(n_epochs=5), {"max_drop": [0.0, 0.5]}, cv=2).fit(BITS, NAMES)
    assert set(grid.best_params_) == {"max_drop"}
    nested = FourierStabilizedClassifier(mlp_model()).set_params(estimator__alpha=0.5)
    assert nested.estimator.alpha == 0.5
    model = quick().fit(BITS, NAMES)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.decision_function(BITS), model.decision_function(BITS))
    assert repr(quick(n_hidden=3)).startswith("FourierStabilizedClassifier(")
