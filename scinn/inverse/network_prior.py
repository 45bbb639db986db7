"""Networks with heavy-tailed random weights as priors on functions.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. For L hidden layers of widths D_1, ..., D_L on inputs of dimension D_0::

    h_0 = x,   z_l = W_l h_l + b_l,   h_{l+1} = phi(z_l)  (l < L),   u(x) = z_L
    W_l = s_l^W T_l(xi),   s_0^W = gw_0,   s_l^W = gw_l D_l^(-1/alpha_l)  (l >= 1),   b_l = s_l^b T_l(xi),   s_l^b = gb_l

``xi ~ N(0, I)`` are the white coordinates, ``T_l`` turns a standard normal number into one of the layer's unit law, and
alpha_l is the law's index of stability (1 for Cauchy, 2 for laws of finite variance). Biases are not scaled by the width,
without which the limit of wide networks would lose its offset. The flat order is layer by layer, the weights row by row
before the biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range, check_positive_int
from scinn.inverse.laws import as_law
from scinn.inverse.model import ACTIVATIONS, CompiledModel, network_model
from scinn.kernels.inverse_model import Model
from scinn.random import RandomState, as_generator

__all__ = ["StableNNPrior"]


def _per_layer(value: Any, name: str, n: int) -> np.ndarray:
    if np.ndim(value) == 0:
        value = [value] * n
    if len(value) != n:
        raise ValueError(
            f"{name} has {len(value)} entries; one number, or one for each of the {n} layers of weights, is wanted"
        )
    return np.array([check_in_range(v, f"{name}[{i}]", 0.0, None, "left") for i, v in enumerate(value)])


class StableNNPrior:
    """Prior on functions: a network whose weights have heavy tails.

    Parameters
    ----------
    widths : sequence of int
        Dimension of the input, widths of the hidden layers (at least one), and 1.
    law : str, Law, or one for each layer of weights
        "gaussian", "cauchy", "laplace", "student_t(df)" or "stable(alpha)". A Gaussian last layer after Cauchy layers has
        jumps too, has all its moments, and can be integrated out exactly.
    weight_scale, bias_scale : float, or one for each layer of weights
        gw and gb, in units of the layer's output. Where an input dimension is 1 and the domain has half width R, about 10/R
        and 10 suit the first layer, about 3 later hidden layers, and the function's amplitude the last.
    activation : {"tanh", "sign", "erf", "relu", "leaky_relu", "sin"}, default "tanh"
        "sign" has no useful gradient: methods that need one refuse it.
    scale_input : bool, default False
        Divide the first layer's scale by D_0^(1/alpha), too.

    Attributes
    ----------
    dim : int
        Number of white coordinates; for a general stable law a weight takes two of them.
    n_weights : int
        Number of weights and biases.
    sizes : tuple of int
        The same of each layer.
    laws : tuple of Law
        Of the layers.
    weight_scales, bias_scales : ndarray of float64, shape (L + 1,)
        s_l^W and s_l^b.

    Raises
    ------
    ValueError
        For an unknown law or activation, a last width other than 1, or scales that do not fit the layers.

    References
    ----------
    C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022.
    S. Favaro, S. Fortini, S. Peluchetti, "Stable behaviour of infinitely wide deep neural networks", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import StableNNPrior
    >>> prior = StableNNPrior([1, 40, 40, 1], law=("cauchy", "cauchy", "gaussian"), weight_scale=(10, 3, 1))
    >>> prior.dim
    1761
    >>> x = np.linspace(-1, 1, 101)
    >>> prior.sample(0, 3, x).shape
    (3, 101)
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        law: Any = "cauchy",
        weight_scale: Any = 1.0,
        bias_scale: Any = 1.0,
        activation: str = "tanh",
        scale_input: bool = False,
    ) -> None:
        if np.ndim(widths) != 1 or len(widths) < 3:
            raise ValueError(
                f"widths is {widths!r}; the input's dimension, at least one hidden width and a final 1 are wanted, for "
                "example [1, 40, 40, 1]"
            )
        self.widths = tuple(check_positive_int(width, f"widths[{i}]") for i, width in enumerate(widths))
        if self.widths[-1] != 1:
            raise ValueError(f"widths ends with {self.widths[-1]}; the function is real-valued: end with 1")
        n_layers = len(self.widths) - 1
        several = isinstance(law, list) or (isinstance(law, tuple) and not _is_one_law(law))
        if several and len(law) != n_layers:
            raise ValueError(
                f"law has {len(law)} entries; one law, or one for each of the {n_layers} layers, is wanted"
            )
        self.laws = tuple(as_law(own) for own in (law if several else [law] * n_layers))
        self.activation = check_choice(activation, "activation", ACTIVATIONS)
        self.weight_scale = _per_layer(weight_scale, "weight_scale", n_layers)
        self.bias_scale = _per_layer(bias_scale, "bias_scale", n_layers)
        self.scale_input = bool(scale_input)
        exponents = np.array([1.0 / own.index for own in self.laws])
        if not self.scale_input:
            exponents[0] = 0.0
        self.weight_scales = self.weight_scale * np.array(self.widths[:-1], dtype=np.float64) ** -exponents
        self.bias_scales = self.bias_scale.copy()
        self.sizes = tuple(self.widths[i + 1] * (self.widths[i] + 1) for i in range(n_layers))
        self.n_weights = sum(self.sizes)
        self.dim = sum(size * own.n_white for size, own in zip(self.sizes, self.laws))

    def __repr__(self) -> str:
        laws = [own.name for own in self.laws]
        law = repr(laws[0]) if len(set(laws)) == 1 else repr(tuple(laws))
        scales = ", ".join(
            f"{name}={tuple(values.tolist())}"
            for name, values in (("weight_scale", self.weight_scale), ("bias_scale", self.bias_scale))
        )
        return f"StableNNPrior({list(self.widths)}, law={law}, {scales}, activation={self.activation!r})"

    @property
    def hidden_dim(self) -> int:
        """Number of white coordinates below the last layer."""
        return self.dim - self.sizes[-1] * self.laws[-1].n_white

    @property
    def moments_exist(self) -> bool:
        """Whether every moment of u(x) exists: a last layer of a law that has them, on bounded features.

        Where it is False, a mean of functions estimates nothing in general; medians and quantiles do.
        """
        bounded = self.activation in ("tanh", "sign", "erf", "sin")
        return all(own.has_moments for own in (self.laws[-1:] if bounded else self.laws))

    def sample(self, rng: RandomState = None, size: int | None = None, x: Any = None) -> np.ndarray:
        """Draw from the prior.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        size : int, optional
            Number of draws; without it one, without a leading axis.
        x : array-like, shape (n,) or (n, D_0), optional
            Points at which the functions are wanted.

        Returns
        -------
        ndarray of float64
            White coordinates, shape (size, dim); with `x` function values, shape (size, n).
        """
        generator = as_generator(rng)
        n = 1 if size is None else check_positive_int(size, "size", 0)
        xi = generator.standard_normal((n, self.dim))
        out = xi if x is None else self.forward(xi, x)
        return out[0] if size is None else out

    def transform(self, xi: Any) -> np.ndarray:
        """Return the weights ``s T(xi)``.

        Parameters
        ----------
        xi : array-like, shape (dim,) or (J, dim)

        Returns
        -------
        ndarray of float64, shape (n_weights,) or (J, n_weights)
            Layer by layer, W row by row and then b.
        """
        rows = self._coordinates(xi)
        out = np.empty((*rows.shape[:-1], self.n_weights))
        start = at = 0
        for i, (size, law) in enumerate(zip(self.sizes, self.laws)):
            values = law.transform(rows[..., start : start + size * law.n_white])
            n_in = size - self.widths[i + 1]
            out[..., at : at + n_in] = self.weight_scales[i] * values[..., :n_in]
            out[..., at + n_in : at + size] = self.bias_scales[i] * values[..., n_in:]
            start, at = start + size * law.n_white, at + size
        return out

    def inverse(self, theta: Any) -> np.ndarray:
        """Return the white coordinates of given weights.

        Parameters
        ----------
        theta : array-like, shape (n_weights,) or (J, n_weights)

        Returns
        -------
        ndarray of float64, shape (dim,) or (J, dim)

        Raises
        ------
        ValueError
            For a general stable law, whose two coordinates a weight does not determine, and for a non-zero weight of a
            layer with scale zero.
        """
        rows = as_float_array(theta, "theta", dtype=np.float64)
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.n_weights:
            raise ValueError(
                f"theta has shape {rows.shape}; ({self.n_weights},) or (J, {self.n_weights}) is wanted"
            )
        out = np.empty_like(rows)
        at = 0
        for i, (size, law) in enumerate(zip(self.sizes, self.laws)):
            if law.n_white == 2:
                raise ValueError(
                    f"law {law.name!r} of layer {i} takes two white coordinates for a weight and has no inverse"
                )
            n_in = size - self.widths[i + 1]
            for part, scale in (
                (slice(at, at + n_in), self.weight_scales[i]),
                (slice(at + n_in, at + size), self.bias_scales[i]),
            ):
                if scale == 0.0 and np.any(rows[..., part]):
                    raise ValueError(f"theta is not zero in layer {i}, whose scale is 0")
                out[..., part] = law.inverse(rows[..., part] / scale) if scale else 0.0
            at += size
        return out

    def layers(self, theta: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the weights as matrices.

        Parameters
        ----------
        theta : array-like, shape (n_weights,)

        Returns
        -------
        list of (ndarray of shape (D_{l+1}, D_l), ndarray of shape (D_{l+1},))
        """
        flat = as_float_array(theta, "theta", shape=(self.n_weights,), dtype=np.float64)
        out, at = [], 0
        for n_in, n_out in zip(self.widths, self.widths[1:]):
            weights = flat[at : at + n_in * n_out].reshape(n_out, n_in)
            at += n_in * n_out
            out.append((weights, flat[at : at + n_out]))
            at += n_out
        return out

    def forward(self, xi: Any, x: Any) -> np.ndarray:
        """Return the function at points.

        Parameters
        ----------
        xi : array-like, shape (dim,) or (J, dim)
            White coordinates.
        x : array-like, shape (n,) or (n, D_0)

        Returns
        -------
        ndarray of float64, shape (n,) or (J, n)
        """
        return self._compiled(x).field(self._coordinates(xi))

    def features(self, xi: Any, x: Any) -> np.ndarray:
        """Return the last hidden layer at points, with a last column of ones.

        Parameters
        ----------
        xi : array-like, shape (dim,)
        x : array-like, shape (n,) or (n, D_0)

        Returns
        -------
        ndarray of float64, shape (n, D_L + 1)
        """
        return self._compiled(x).features(self._coordinates(xi, 1))

    def vjp(self, xi: Any, x: Any, q: Any) -> np.ndarray:
        """Return the transposed derivative of the function's values with respect to `xi`, times a vector.

        Parameters
        ----------
        xi : array-like, shape (dim,)
        x : array-like, shape (n,) or (n, D_0)
        q : array-like, shape (n,)

        Returns
        -------
        ndarray of float64, shape (dim,)
        """
        compiled = self._compiled(x, gradient=True)
        vector = as_float_array(q, "q", shape=(compiled.model.points.shape[1],), dtype=np.float64)
        return compiled.field_vjp(self._coordinates(xi, 1), vector.copy())

    def jvp(self, xi: Any, x: Any, dxi: Any) -> np.ndarray:
        """Return the derivative of the function's values in a direction.

        Parameters
        ----------
        xi, dxi : array-like, shape (dim,)
        x : array-like, shape (n,) or (n, D_0)

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        return self._compiled(x, gradient=True).field_jvp(
            self._coordinates(xi, 1), self._coordinates(dxi, 1, "dxi")
        )

    def model(self, points: np.ndarray, operator: Any = None, data: np.ndarray | None = None) -> Model:
        """Return the arrays that the kernels work on, for points of shape (n, D_0)."""
        return network_model(
            self.widths, self.laws, self.weight_scales, self.bias_scales, self.activation, points,
            operator=operator, data=data,
        )  # fmt: skip

    def _compiled(self, x: Any, *, gradient: bool = False) -> CompiledModel:
        if gradient and self.activation == "sign":
            raise ValueError(
                "activation is 'sign', whose derivative is zero almost everywhere; use 'tanh' or another"
            )
        points = as_float_array(x, "x", dtype=np.float64)
        if points.ndim == 1:
            points = points[:, None]
        if points.ndim != 2 or points.shape[1] != self.widths[0]:
            raise ValueError(
                f"x has shape {np.shape(x)}; points of dimension {self.widths[0]} are wanted, shape (n, {self.widths[0]})"
            )
        return CompiledModel(self.model(points))

    def _coordinates(self, xi: Any, ndim: int | None = None, name: str = "xi") -> np.ndarray:
        rows = as_float_array(xi, name, dtype=np.float64)
        if rows.ndim not in ((1, 2) if ndim is None else (ndim,)) or rows.shape[-1] != self.dim:
            wanted = f"({self.dim},)" + ("" if ndim == 1 else f" or (J, {self.dim})")
            raise ValueError(f"{name} has shape {rows.shape}; white coordinates of shape {wanted} are wanted")
        return rows if rows.flags.writeable else rows.copy()


def _is_one_law(law: tuple[Any, ...]) -> bool:
    """Tell ("student_t", 3) from one law for each layer."""
    return (
        len(law) == 2
        and isinstance(law[0], str)
        and isinstance(law[1], int | float | np.integer | np.floating)
    )
