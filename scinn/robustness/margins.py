"""Whether signs evade a network, decided without rounding errors.

Notation of Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": hidden layer
``z = x W + b``, ``a = f(z)``, logits ``l = a V + c``. The gap to class t is ``l_t - l_y``; signs *evade* where some gap is
at least a margin. A certificate speaks of the network in real arithmetic, with the given weights, and not of what one order
of summation makes of it. So gaps are computed in float64 with a bound of their error, and what is too close to call is
computed again: sign and ReLU neurons in rational numbers, tanh in 80 decimal digits (derived here).
"""

from __future__ import annotations

import decimal
import math
from fractions import Fraction
from functools import cached_property

import numpy as np

from scinn.robustness.dyadic import common_step, sums_are_exact, to_integers
from scinn.robustness.network import ShallowNetwork, activate

__all__ = ["Margins"]

_EPS = float(np.finfo(np.float64).eps)
_DIGITS = 80
# Below this a difference of tanh networks in 80 digits is taken for zero, which exact coincidences such as z = 0 are.
_ZERO = decimal.Decimal(10) ** -60


class Margins:
    """Gaps between the logits of one network, with error bounds and exact decisions.

    Parameters
    ----------
    network : ShallowNetwork
        Converted to float64, which is exact.
    margin : float
        Gap from which on signs evade; not negative.

    Examples
    --------
    >>> import numpy as np
    >>> network = ShallowNetwork([[1], [1]], [0], [[-1, 1]], [0, 0], "sign")
    >>> Margins(network, 1e-6).evades(np.array([1, -1], dtype=np.int8), 0)
    True
    """

    def __init__(self, network: ShallowNetwork, margin: float) -> None:
        self.network = network.astype(np.float64)
        self.margin = margin
        self.weights, self.bias = self.network.hidden_weights, self.network.hidden_bias
        self.output, self.output_bias = self.network.output_weights, self.network.output_bias
        self.activation, self.tie = network.activation, network.tie
        self.slope = 0.5 if network.activation == "scaled_logistic" else 1.0
        stacked = np.vstack([self.weights, self.bias])
        reach = np.abs(stacked).sum(axis=0)
        #: Bound of the rounding error of each z, also of z changed by sums of its weights; shape (n_hidden,).
        self.hidden_error = np.where(sums_are_exact(stacked), 0.0, (len(stacked) + 4) * _EPS * reach)
        size = reach if self.activation == "relu" else np.ones_like(reach)
        # An undecided sign is not an error but a case of its own.
        move = np.zeros_like(reach) if self.activation == "sign" else self.hidden_error
        per_neuron = move + 8 * _EPS * size + (len(reach) + 6) * _EPS * size
        #: Bound of the rounding error of each logit, and of half a gap; shape (n_classes,).
        self.logit_error = per_neuron @ np.abs(self.output) + (len(reach) + 6) * _EPS * np.abs(
            self.output_bias
        )

    def hidden(self, signs: np.ndarray) -> np.ndarray:
        """Return z, shape (n_samples, n_hidden)."""
        return signs.astype(np.float64) @ self.weights + self.bias

    def targets(self, label: int) -> np.ndarray:
        """Return the classes other than the label."""
        return np.flatnonzero(np.arange(self.output.shape[1]) != label)

    def gaps(self, z: np.ndarray, label: int) -> np.ndarray:
        """Return the gaps to all classes in float64, minus infinity for the label; shape (n_samples, n_classes)."""
        logits = activate(z, self.activation, self.tie) @ self.output + self.output_bias
        gaps = logits - logits[:, label : label + 1]
        gaps[:, label] = -np.inf
        return gaps

    def gap_error(self, label: int) -> np.ndarray:
        """Return bounds of the errors of :meth:`gaps`, shape (n_classes,)."""
        return self.logit_error + self.logit_error[label]

    def screen(self, z: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Tell which rows evade for sure, and which are too close to call; both bool, shape (n_samples,)."""
        gaps, error = self.gaps(z, label), self.gap_error(label)
        sure = (gaps >= self.margin + error).any(axis=1)
        close = (gaps >= self.margin - error).any(axis=1)
        if self.activation == "sign":
            unclear = ((np.abs(z) <= self.hidden_error) & (self.hidden_error > 0)).any(axis=1)
            sure, close = sure & ~unclear, close | unclear
        return np.asarray(sure), np.asarray(close & ~sure)

    def evades(self, signs: np.ndarray, label: int) -> bool:
        """Tell whether one sample evades, exactly; signs of shape (n_features,)."""
        sure, close = self.screen(self.hidden(signs[None, :]), label)
        if not close[0]:
            return bool(sure[0])
        return any(self._reaches(signs, label, int(t)) for t in self.targets(label))

    @cached_property
    def _integers(self) -> tuple[np.ndarray, int]:
        return to_integers(np.vstack([self.weights, self.bias]))

    def exact_hidden(self, signs: np.ndarray) -> list[Fraction]:
        """Return z of one sample as rational numbers."""
        integers, exponent = self._integers
        sums = np.append(signs, 1).astype(object) @ integers
        return [Fraction(int(k)) * Fraction(2) ** exponent for k in sums]

    def _reaches(self, signs: np.ndarray, label: int, target: int) -> bool:
        z = self.exact_hidden(signs)
        weights = [Fraction(a) - Fraction(b) for a, b in self.output[:, [target, label]].tolist()]
        rest = Fraction(float(self.output_bias[target])) - Fraction(float(self.output_bias[label]))
        rest -= Fraction(self.margin)
        if self.activation in ("sign", "relu"):
            values = [self._exact_value(value) for value in z]
            return sum((u * a for u, a in zip(weights, values, strict=True)), rest) >= 0
        with decimal.localcontext() as context:
            context.prec = _DIGITS
            terms = [
                _decimal(u) * _tanh(value * Fraction(self.slope)) for u, value in zip(weights, z, strict=True)
            ]
            size = sum((abs(term) for term in terms), abs(_decimal(rest)))
            return sum(terms, _decimal(rest)) >= -_ZERO * size

    def _exact_value(self, z: Fraction) -> Fraction:
        if self.activation == "relu":
            return max(z, Fraction(0))
        return Fraction(self.tie if z == 0 else 1 if z > 0 else -1)

    @cached_property
    def lattices(self) -> list[tuple[Fraction, Fraction]]:
        """For each neuron the step g and the offset r of the lattice ``r + g k`` on which z lives; g = 0 for none."""
        result = []
        for column, bias in zip(self.weights.T, self.bias.tolist(), strict=True):
            step = 2 * common_step(column)
            offset = Fraction(bias) + sum((Fraction(w) for w in column.tolist()), Fraction(0))
            result.append((step, offset % step if step else offset))
        return result

    def least_gap(self, label: int, target: int) -> tuple[float, float]:
        """Return the least gap that evades among those that can occur, and the step to the next one below.

        (margin, 0) where the gaps lie on no lattice that a solver could see.
        """
        none = (self.margin, 0.0)
        weights = self.output[:, target] - self.output[:, label]
        used = np.flatnonzero(weights)
        if self.activation not in ("sign", "relu") or not used.size:
            return none
        exact = [
            Fraction(float(self.output[j, target])) - Fraction(float(self.output[j, label])) for j in used
        ]
        start = Fraction(float(self.output_bias[target])) - Fraction(float(self.output_bias[label]))
        steps = []
        for u, j in zip(exact, used, strict=True):
            grid, offset = self.lattices[j]
            if self.activation == "relu":
                # ReLU takes the value 0 or a point of the lattice, so that both generate its values.
                if not grid and self.weights[:, j].any():
                    return none
                steps.append(abs(u) * _gcd(grid, offset))
            else:
                start -= u
                steps.append(abs(u) * (1 if self.tie == 0 else 2))
        step = Fraction(0)
        for value in steps:
            step = _gcd(step, value)
        scale = sum((abs(u) for u in exact), Fraction(0))
        if not step or scale > 10**5 * step:
            return none
        least = start + step * math.ceil((Fraction(self.margin) - start) / step)
        return float(least), float(step)


def _gcd(a: Fraction, b: Fraction) -> Fraction:
    """Return the largest number of which both are whole multiples."""
    scale = math.lcm(a.denominator, b.denominator)
    return Fraction(math.gcd(int(a * scale), int(b * scale)), scale)


def _decimal(value: Fraction) -> decimal.Decimal:
    return decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator)


def _tanh(z: Fraction) -> decimal.Decimal:
    # Beyond 200 it is 1 to more digits than are carried, and exp(2 z) may overflow even there.
    if abs(z) > 200:
        return decimal.Decimal(1 if z > 0 else -1)
    power = (2 * _decimal(z)).exp()
    return (power - 1) / (power + 1)
