"""Which neurons to stabilise: greedy algorithms under an accuracy floor.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021, and the authors' program. Notation: a *column* is the weight vector of one neuron; its *benefit* is dR, its *cost*
dA the accuracy that the validation samples lose when it alone is stabilised now.

* ``"gmb"``: columns by benefit; one that breaks the floor is undone.
* ``"gmbc"``: at each step the column with the largest benefit per cost among those that keep the floor; a cost of zero or
  less counts as 1e-20, so that free columns come first, by benefit.
* ``"gmbb"``: both, and the one with the larger total benefit.
* ``"logn"``: columns by ``||w||_1 / ||w||_inf``, least change first; binary search for the longest prefix that keeps the
  floor, which takes for granted that accuracy falls along the way.

A scan keeps the activations of all samples, and a tried column changes one column of them, so that a try costs
``n_samples n_classes`` operations instead of a pass through the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import check_choice, check_in_range
from scinn._plot import axes_or_new
from scinn.robustness.fourier_stabilization import (
    CONSTANT,
    THRESHOLD_RULES,
    ZERO_INFLUENCE,
    check_p,
    is_constant,
    norm,
    proxy_benefit,
    stabilize,
    stabilized_columns,
)
from scinn.robustness.network import ShallowNetwork, activate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["METHODS", "SelectionResult", "Step", "select_neurons"]

METHODS = ("gmb", "gmbc", "gmbb", "logn")
LAYERS = ("hidden", "output")
_FREE = 1e-20
#: Accuracy that may be lost where nothing else is said.
MAX_DROP = 0.01


@dataclass(frozen=True)
class Step:
    """One stabilised column.

    Parameters
    ----------
    layer : {"hidden", "output"}
    neuron : int
    benefit : float
        dR.
    accuracy : float
        On the validation samples, once it was stabilised.
    """

    layer: str
    neuron: int
    benefit: float
    accuracy: float


@dataclass(frozen=True, repr=False)
class SelectionResult:
    """What a selection did.

    Parameters
    ----------
    network : ShallowNetwork
        The stabilised network.
    steps : tuple of Step
        The stabilised columns in order.
    method : str
        ``"gmb"``, ``"gmbc"`` or ``"logn"``; for ``"gmbb"`` the one of the two that won.
    floor : float
        Least accuracy that was asked for.
    accuracy_before, accuracy : float
        On the validation samples.
    n_evaluations : int
        Accuracies computed on the way.
    untouched : dict of int to str
        Hidden neurons that could not be stabilised, with the reason.
    total_benefit : float
        Sum over the steps (in legacy mode also over columns that were rejected, as in the authors' program).
    """

    network: ShallowNetwork
    steps: tuple[Step, ...]
    method: str
    floor: float
    accuracy_before: float
    accuracy: float
    n_evaluations: int
    untouched: dict[int, str]
    total_benefit: float

    @property
    def hidden(self) -> tuple[int, ...]:
        """The stabilised hidden neurons, ascending."""
        return tuple(sorted(step.neuron for step in self.steps if step.layer == "hidden"))

    @property
    def output(self) -> tuple[int, ...]:
        """The stabilised output columns, ascending."""
        return tuple(sorted(step.neuron for step in self.steps if step.layer == "output"))

    def to_dict(self) -> dict[str, Any]:
        """Return the result without the network as what JSON can hold."""
        return {
            "method": self.method,
            "floor": self.floor,
            "accuracy_before": self.accuracy_before,
            "accuracy": self.accuracy,
            "hidden": list(self.hidden),
            "output": list(self.output),
            "steps": [
                {"layer": s.layer, "neuron": s.neuron, "benefit": s.benefit, "accuracy": s.accuracy}
                for s in self.steps
            ],
            "total_benefit": self.total_benefit,
            "n_evaluations": self.n_evaluations,
            "untouched": {str(j): reason for j, reason in self.untouched.items()},
        }

    def __repr__(self) -> str:
        output = f" and {len(self.output)} output columns" if self.output else ""
        return (
            f"SelectionResult({self.method}: {len(self.hidden)} of {self.network.n_hidden} neurons{output} stabilised; "
            f"validation accuracy {self.accuracy_before:.4f} -> {self.accuracy:.4f}, floor {self.floor:g})"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the validation accuracy after each step, with the floor.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Drawn into; by default a new figure's.

        Returns
        -------
        matplotlib Axes
        """
        ax = axes_or_new(ax)
        ax.step(
            range(len(self.steps) + 1),
            [self.accuracy_before, *(step.accuracy for step in self.steps)],
            where="post",
            label=self.method,
        )
        ax.axhline(self.floor, color="k", linestyle=":", label="floor")
        ax.set_xlabel("columns stabilised")
        ax.set_ylabel("validation accuracy")
        ax.legend()
        return ax


def floor_below(accuracy: float, max_drop: float, n_samples: int) -> float:
    """Return the floor that admits as many further errors as a drop of the accuracy says.

    Counted in samples, so that rounding does not refuse a drop of exactly that size.

    Examples
    --------
    >>> floor_below(0.93, 0.1, 100), 0.93 - 0.1
    (0.83, 0.8300000000000001)
    """
    drop = check_in_range(max_drop, "max_drop", 0.0, 1.0)
    more_errors = int(drop * n_samples * (1 + 1e-12))
    return max(0, round(accuracy * n_samples) - more_errors) / n_samples


class _Plan:
    """The stabilised form of every column, and its benefit, computed once."""

    def __init__(
        self,
        network: ShallowNetwork,
        layers: Sequence[str],
        benefit: str,
        p: float,
        threshold_rule: str,
        zero_influence: str,
    ) -> None:
        self.weights = {"hidden": network.hidden_weights.copy(), "output": network.output_weights.copy()}
        self.thresholds = network.thresholds.astype(np.float64)
        self.benefit: dict[tuple[str, int], float] = {}
        self.untouched: dict[int, str] = {}
        tie = network.tie if network.activation == "sign" else 1
        closed = p == 1.0 and threshold_rule == "keep" and zero_influence == "sign" and benefit == "proxy"
        for layer in layers:
            old = network.hidden_weights if layer == "hidden" else network.output_weights
            theta = self.thresholds if layer == "hidden" else -network.output_bias.astype(np.float64)
            new = self.weights[layer]
            if closed:
                new[...] = stabilized_columns(old)
            gains = np.zeros(old.shape[1])
            for j in range(old.shape[1]):
                if layer == "hidden" and is_constant(old[:, j], float(theta[j]), tie):
                    new[:, j] = old[:, j]
                    self.untouched[j] = CONSTANT
                elif not old[:, j].any():
                    continue
                elif not closed:
                    rule = threshold_rule if layer == "hidden" else "keep"
                    result = stabilize(
                        old[:, j], float(theta[j]), p=p, activation=network.activation if layer == "hidden" else "sign",
                        tie=tie, threshold_rule=rule, zero_influence=zero_influence, report=False,
                    )  # fmt: skip
                    new[:, j] = result.weights
                    if layer == "hidden" and not result.changed:
                        self.untouched[j] = result.reason
                    if layer == "hidden":
                        self.thresholds[j] = result.threshold
                    gains[j] = result.benefit
            if benefit == "proxy":
                gains = proxy_benefit(old, new, p)
            moved = (old != new).any(axis=0)
            if layer == "hidden":
                moved |= self.thresholds != network.thresholds
            # Stabilising what is stable already would change nothing.
            self.benefit |= {(layer, int(j)): float(gains[j]) for j in np.flatnonzero(moved)}


class _Scan:
    """The network as it stands, with all that makes trying a column cheap."""

    def __init__(self, network: ShallowNetwork, x: np.ndarray, y: np.ndarray, plan: _Plan) -> None:
        self.start, self.x, self.y, self.plan = network, x.astype(network.dtype), y, plan
        self.n_evaluations = 0
        old = network.preactivations(self.x)
        bias = (-plan.thresholds).astype(network.dtype)
        new = self.x @ plan.weights["hidden"] + bias
        self.activations = activate(old, network.activation, network.tie)
        self.stabilized = activate(new, network.activation, network.tie)
        self.chosen: dict[tuple[str, int], None] = {}
        self.output = np.array(network.output_weights)
        self._refresh()

    def _refresh(self) -> None:
        self.logits = self.activations @ self.output + self.start.output_bias

    def _accuracy(self, logits: np.ndarray) -> float:
        self.n_evaluations += 1
        if logits.shape[1] == 2:
            # The first of equal logits wins, as in argmax.
            return float(np.mean((logits[:, 1] > logits[:, 0]) == self.y))
        return float(np.mean(logits.argmax(axis=1) == self.y))

    def accuracy(self) -> float:
        """Return the accuracy as it stands."""
        return self._accuracy(self.logits)

    def attempt(self, columns: Sequence[tuple[str, int]], *, final: bool = False) -> float:
        """Return the accuracy with some further columns stabilised; nothing is changed.

        A final answer is computed as take() does, so that what passes here does not fail there by rounding.
        """
        hidden = [j for layer, j in columns if layer == "hidden"]
        changed = [k for layer, k in columns if layer == "output"]
        if len(hidden) == 1 and not changed and not final:
            (j,) = hidden
            step = np.outer(self.stabilized[:, j] - self.activations[:, j], self.output[j])
            return self._accuracy(self.logits + step)
        activations, output = self.activations.copy(), self.output.copy()
        activations[:, hidden] = self.stabilized[:, hidden]
        output[:, changed] = self.plan.weights["output"][:, changed]
        return self._accuracy(activations @ output + self.start.output_bias)

    def take(self, columns: Sequence[tuple[str, int]]) -> None:
        """Stabilise columns for good."""
        for layer, j in columns:
            self.chosen[layer, j] = None
            if layer == "hidden":
                self.activations[:, j] = self.stabilized[:, j]
            else:
                self.output[:, j] = self.plan.weights["output"][:, j]
        self._refresh()

    def network(self) -> ShallowNetwork:
        """Return the network as it stands."""
        weights, bias = self.start.hidden_weights.copy(), self.start.hidden_bias.copy()
        for layer, j in self.chosen:
            if layer == "hidden":
                weights[:, j] = self.plan.weights["hidden"][:, j]
                bias[j] = -self.plan.thresholds[j]
        return self.start.replace(hidden_weights=weights, hidden_bias=bias, output_weights=self.output)


def _take_if_kept(scan: _Scan, column: tuple[str, int], floor: float) -> tuple[bool, float]:
    """Stabilise a column unless the whole network, computed anew, then breaks the floor."""
    before = (
        scan.activations[:, column[1]].copy() if column[0] == "hidden" else scan.output[:, column[1]].copy()
    )
    scan.take([column])
    accuracy = scan.accuracy()
    if accuracy >= floor:
        return True, accuracy
    del scan.chosen[column]
    if column[0] == "hidden":
        scan.activations[:, column[1]] = before
    else:
        scan.output[:, column[1]] = before
    scan._refresh()
    return False, accuracy


def _gmb(scan: _Scan, floor: float, on_violation: str, legacy: bool) -> tuple[list[Step], float]:
    steps, total = [], 0.0
    # Sorting is stable, so that the first of equal columns comes first.
    for column in sorted(scan.plan.benefit, key=lambda c: -scan.plan.benefit[c]):
        gain = scan.plan.benefit[column]
        kept, accuracy = _take_if_kept(scan, column, floor)
        if kept:
            steps.append(Step(*column, gain, accuracy))
        if kept or legacy:
            total += gain
        if not kept and on_violation == "stop":
            break
    return steps, total


def _costs(
    scan: _Scan, open_columns: Sequence[tuple[str, int]], legacy: bool
) -> dict[tuple[str, int], float]:
    """Return the accuracy that each open column leaves when it is tried."""
    if not legacy:
        return {column: scan.attempt([column]) for column in open_columns}
    # The authors' scan undoes its trials only at the end of a layer, so that each includes those before it.
    found: dict[tuple[str, int], float] = {}
    tried: list[tuple[str, int]] = []
    for column in open_columns:
        if tried and tried[-1][0] != column[0]:
            tried = []
        tried.append(column)
        found[column] = scan.attempt(tried)
    return found


def _gmbc(scan: _Scan, floor: float, on_violation: str, legacy: bool) -> tuple[list[Step], float]:
    steps, total = [], 0.0
    current = scan.accuracy()
    open_columns = list(scan.plan.benefit)
    while open_columns:
        accuracies = _costs(scan, open_columns, legacy)
        feasible = [column for column in open_columns if accuracies[column] >= floor]
        if not feasible:
            break
        score = {c: scan.plan.benefit[c] / max(current - accuracies[c], _FREE) for c in feasible}
        # max() returns the first of equal ones.
        best = max(feasible, key=lambda column: score[column])
        open_columns.remove(best)
        kept, accuracy = _take_if_kept(scan, best, floor)
        if kept:
            steps.append(Step(*best, scan.plan.benefit[best], accuracy))
        if kept or legacy:
            current = accuracy
            total += scan.plan.benefit[best]
        if not kept and on_violation == "stop":
            break
    return steps, total


def _logn(scan: _Scan, network: ShallowNetwork, floor: float) -> tuple[list[Step], float]:
    weights = {"hidden": network.hidden_weights, "output": network.output_weights}

    def evenness(column: tuple[str, int]) -> float:
        w = weights[column[0]][:, column[1]]
        return norm(w, 1.0) / norm(w, np.inf)

    order = sorted(scan.plan.benefit, key=lambda column: -evenness(column))
    low, high = 0, len(order)
    while low < high:
        middle = (low + high + 1) // 2
        if scan.attempt(order[:middle], final=True) >= floor:
            low = middle
        else:
            high = middle - 1
    steps = []
    for column in order[:low]:
        scan.take([column])
        steps.append(Step(*column, scan.plan.benefit[column], scan.accuracy()))
    return steps, sum(step.benefit for step in steps)


def select_neurons(
    network: ShallowNetwork,
    features: Any,
    labels: Any,
    *,
    floor: float,
    method: str = "gmbc",
    benefit: str = "proxy",
    layers: Sequence[str] = ("hidden",),
    p: float = 1.0,
    threshold_rule: str = "keep",
    zero_influence: str = "sign",
    on_violation: str = "skip",
    legacy: bool = False,
    encoding: str = "auto",
) -> SelectionResult:
    """Stabilise as many neurons of a network as an accuracy floor admits.

    Choose on validation samples and judge on others: the accuracy of the result on the samples it was chosen with is
    too good.

    Parameters
    ----------
    network : ShallowNetwork
    features : array_like or sparse matrix, shape (n_samples, n_features)
        Validation samples, bits or signs.
    labels : array_like of int, shape (n_samples,)
    floor : float
        Least accuracy on them, between 0 and that of the network.
    method : {"gmbc", "gmb", "gmbb", "logn"}
        See the module's description.
    benefit : {"proxy", "exact"}
        Score of a column: :func:`~scinn.robustness.fourier_stabilization.proxy_benefit`, which the paper's experiments
        use, or the exact gain of the average distance. For an output column the exact gain takes its inputs for signs.
    layers : sequence of {"hidden", "output"}
        Whose columns may be stabilised; the paper's experiments use both, although the inputs of the second are not binary.
    p, threshold_rule, zero_influence
        As for :func:`scinn.robustness.stabilize`; output columns keep their thresholds.
    on_violation : {"skip", "stop"}
        Whether a column that breaks the floor is passed over or ends the search.
    legacy : bool, default False
        Do as the authors' program did: trials of a scan pile up within a layer, and the benefit of rejected columns counts
        in the total. Only needed to repeat their stored networks.
    encoding : {"auto", "bits", "signs"}

    Returns
    -------
    SelectionResult
        Its network's accuracy on the samples is never below the floor. A lower floor may go on from it.

    Raises
    ------
    ValueError
        For a floor above the accuracy of the network, which stabilising cannot mend, and other bad input.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> bits = rng.integers(0, 2, (300, 8))
    >>> network = ShallowNetwork(rng.normal(size=(8, 4)), np.zeros(4), rng.normal(size=(4, 2)), np.zeros(2))
    >>> labels = network.predict(bits)
    >>> result = select_neurons(network, bits, labels, floor=0.8)
    >>> result.accuracy >= 0.8, result.accuracy == result.network.accuracy(bits, labels)
    (True, True)
    """
    if not isinstance(network, ShallowNetwork):
        raise TypeError(
            f"network is a {type(network).__name__}; a ShallowNetwork is wanted: convert it with "
            "ShallowNetwork.from_network or from_mlp_classifier"
        )
    check_choice(method, "method", METHODS)
    check_choice(benefit, "benefit", ("proxy", "exact"))
    p = check_p(p)
    check_choice(threshold_rule, "threshold_rule", THRESHOLD_RULES)
    check_choice(zero_influence, "zero_influence", ZERO_INFLUENCE)
    check_choice(on_violation, "on_violation", ("skip", "stop"))
    if not isinstance(layers, str | list | tuple):
        raise TypeError(f"layers is {layers!r}; some of {', '.join(map(repr, LAYERS))} are wanted")
    chosen_layers = [layers] if isinstance(layers, str) else list(layers)
    for layer in chosen_layers:
        check_choice(layer, "layers", LAYERS)
    floor = check_in_range(floor, "floor", 0.0, 1.0)
    x = network.signs(features, encoding=encoding)
    y = network.known_labels(labels, len(x))
    if not len(x):
        raise ValueError("features has no rows; pass at least one validation sample")
    plan = _Plan(network, chosen_layers, benefit, p, threshold_rule, zero_influence)
    before = _Scan(network, x, y, plan).accuracy()
    if before < floor:
        raise ValueError(
            f"floor is {floor:g}, above the accuracy {before:.6g} of the network on these samples; stabilising "
            "is not meant to raise it: choose a floor below"
        )

    def run(name: str) -> SelectionResult:
        scan = _Scan(network, x, y, plan)
        if name == "logn":
            steps, total = _logn(scan, network, floor)
        else:
            steps, total = (_gmb if name == "gmb" else _gmbc)(scan, floor, on_violation, legacy)
        return SelectionResult(
            scan.network(), tuple(steps), name, floor, before, scan.accuracy(), scan.n_evaluations, plan.untouched, total
        )  # fmt: skip

    if method != "gmbb":
        return run(method)
    first, second = run("gmb"), run("gmbc")
    return first if first.total_benefit >= second.total_benefit else second
