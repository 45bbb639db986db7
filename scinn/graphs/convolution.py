"""Graph convolutions: undecimated framelet convolution in both variants, and the GCN layer as a baseline.

Notation: X (n_nodes, n_in) input, Theta (n_in, n_out) weight, W_k the analysis operators of the framelet transform
for its bands k (low-pass first), theta_k the filter of band k, b the bias, N the number of nodes.

References
----------
X. Zheng, B. Zhou, J. Gao, Y. G. Wang, P. Lio, M. Li, G. Montufar (2021), How framelets enhance graph neural
networks, ICML, arXiv 2102.06986 (UFGConv); T. N. Kipf and M. Welling (2017), Semi-supervised classification with graph
convolutional networks, ICLR (GCN).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scinn._input import check_choice, check_positive_int
from scinn.graphs.shrinkage import universal_threshold
from scinn.kernels.graph_layers import (
    scale_shrink,
    scale_shrink_backward,
    shrink_threshold_gradient,
)
from scinn.kernels.sparse import csr_matmat
from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, check_dtype, check_input, check_output_gradient, register_layer
from scinn.nn.projection import project, project_backward
from scinn.nn.sums import column_sums
from scinn.random import Key, RandomState, as_generator

__all__ = ["GCNConv", "UFGConv", "gcn_adjacency"]

_LEFT_ALONE = -1.0  # the kernels' mark of a band without a threshold
# The transform runs in registers of this many numbers; seven columns take it longer than eight.
_COLUMNS = 8


def _pad_columns(x: np.ndarray) -> np.ndarray:
    """Return a contiguous array with zero columns up to the next multiple of the register width."""
    missing = -x.shape[1] % _COLUMNS
    if not missing or x.shape[1] < _COLUMNS // 2:
        return np.ascontiguousarray(x)
    padded = np.zeros((x.shape[0], x.shape[1] + missing), dtype=x.dtype)
    padded[:, : x.shape[1]] = x
    return padded


class UFGConvSaved(NamedTuple):
    """Input, band coefficients, thresholds in use, band energies (0 long unless they scale), output (ReLU only).

    The coefficients may have zero columns at their end, up to a multiple of the register width.
    """

    x: Any
    coefficients: np.ndarray
    thresholds: np.ndarray
    energies: np.ndarray
    y: np.ndarray | None
    transform: Any


@register_layer
class UFGConv(Layer):
    """Undecimated framelet graph convolution.

    Forward, with Z = X Theta, C_k = W_k Z, D_k = diag(theta_k) C_k::

        activation=None      Y = sum_k W_k^T D_k + b
        activation="relu"    the same, rectified                                        (the paper's UFGConv-R)
        activation="shrink"  Y = sum_k W_k^T E_k + b, E_0 = D_0, E_k = shrink(D_k; t_k)  (the paper's UFGConv-S)

    Backward, with G the gradient of Y (times [Y > 0] for ReLU)::

        db = column sums of G          dE_k = W_k G
        dD_k = dE_k [|D_k| > t_k]      dE_k itself in bands that are not shrunk
        dtheta_k = row sums of dD_k C_k             dC_k = diag(theta_k) dD_k
        dZ = sum_k W_k^T dC_k          dTheta = X^T dZ          dX = dZ Theta^T

    The threshold is ``t_k = sigma sqrt(2 ln N) / sqrt(N)`` in the authors' released code (``scale="none"``). With
    ``scale="energy"`` it is multiplied by ``||D_k||^2 / ||D_1||^2``, as the paper intends; soft thresholds then have
    a gradient, which is included. At ``|D| = t`` the derivative is taken as 0.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of input and output features.
    n_bands : int
        Bands of the transform, ``FrameletTransform.n_bands``.
    n_nodes : int, optional
        Number of nodes; needed for ``filter="node"``.
    activation : {"relu", "shrink", None}, default "relu"
        The non-linearity, see above. The last layer of a UFGConv-R network has None.
    filter : {"node", "band"}, default "node"
        "node" is the paper's: one factor per band and node, which ties the layer to one graph. "band" is ours: one
        factor per band, usable on any graph.
    shrinkage : {"soft", "hard"}, default "soft"
        Thresholding function of ``activation="shrink"`` and of ``pre_threshold``.
    sigma : float, default 1.0
        Scale of the threshold.
    scale : {"none", "energy"}, default "none"
        Whether thresholds follow the band energies.
    pre_threshold : float, optional
        A fixed threshold applied to all bands, the low-pass included, before theta (an option of the released code
        that its experiments leave off).
    bias : bool, default True
        Whether there is a ``b``; it starts at zero.
    dtype : dtype, default float32
        Dtype of the parameters, which inputs must share.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values: Theta Glorot uniform, theta uniform in [0.9, 1.1].

    Notes
    -----
    ``params``: ``"weight"`` (n_in, n_out), ``"filter"`` (n_bands, n_nodes) or (n_bands, 1), ``"bias"`` (n_out,). The
    released code also allocates filters for the low-pass outputs that are only passed on to the next level; they get no
    gradient and are left out here. A SciPy CSR array is welcome as ``x``; it then has no gradient.

    References
    ----------
    X. Zheng et al. (2021), section on UFGConv and shrinkage.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.graphs import FrameletTransform, Graph, UFGConv
    >>> graph = Graph.from_edges(4, [(0, 1), (1, 2), (2, 3)])
    >>> transform = FrameletTransform(graph)
    >>> layer = UFGConv(5, 2, n_bands=transform.n_bands, n_nodes=4, dtype=np.float64, rng=0)
    >>> layer(np.ones((4, 5)), transform=transform).shape
    (4, 2)
    """

    Saved = UFGConvSaved
    context = ("transform",)

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        n_bands: int,
        n_nodes: int | None = None,
        activation: str | None = "relu",
        filter: str = "node",
        shrinkage: str = "soft",
        sigma: float = 1.0,
        scale: str = "none",
        pre_threshold: float | None = None,
        bias: bool = True,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__()
        self.n_in = check_positive_int(n_in, "n_in")
        self.n_out = check_positive_int(n_out, "n_out")
        self.n_bands = check_positive_int(n_bands, "n_bands")
        if activation is not None:
            check_choice(activation, "activation", ("relu", "shrink"))
        check_choice(filter, "filter", ("node", "band"))
        check_choice(shrinkage, "shrinkage", ("soft", "hard"))
        check_choice(scale, "scale", ("none", "energy"))
        if filter == "node" and n_nodes is None:
            raise ValueError(
                "filter='node' has one factor per node: pass n_nodes=graph.n_nodes, or use filter='band'"
            )
        self.n_nodes = None if n_nodes is None else check_positive_int(n_nodes, "n_nodes")
        for name, value in (("sigma", sigma), ("pre_threshold", pre_threshold)):
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
        self.activation, self.filter, self.shrinkage, self.scale = activation, filter, shrinkage, scale
        self.sigma = float(sigma)
        self.pre_threshold = None if pre_threshold is None else float(pre_threshold)
        self.bias = bool(bias)
        dtype = check_dtype(dtype)
        generator = as_generator(rng)
        width = self.n_nodes if filter == "node" and self.n_nodes else 1
        self.params = {
            "weight": initialize("glorot_uniform", (self.n_in, self.n_out), rng=generator, dtype=dtype),
            "filter": generator.uniform(0.9, 1.1, size=(self.n_bands, width)).astype(dtype),
        }
        if bias:
            self.params["bias"] = np.zeros(self.n_out, dtype=dtype)

    def forward(
        self, x: Any, *, transform: Any, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, UFGConvSaved]:
        """Return the convolution of ``x`` and what backward needs.

        Parameters
        ----------
        x : ndarray or CSR array, shape (n_nodes, n_in)
            Node features, in the parameters' dtype.
        transform : FrameletTransform
            Of the graph whose nodes the rows are.
        train, key
            Ignored.

        Returns
        -------
        y : ndarray, shape (n_nodes, n_out)
        saved : UFGConvSaved
        """
        check_input(x, self, n_features=self.n_in, min_ndim=2, sparse=True)
        self._check_transform(x, transform)
        coefficients = transform.analyze(project(x, _pad_columns(self.params["weight"])))
        operand = self._pre_shrink(coefficients)
        thresholds, energies = self._thresholds(operand)
        shrunk = np.empty_like(operand)
        scale_shrink(operand, self.params["filter"], thresholds, self.shrinkage == "hard", shrunk)
        y = transform.synthesize(shrunk)[:, : self.n_out]
        y = y + self.params["bias"] if self.bias else np.ascontiguousarray(y)
        if self.activation == "relu":
            y = np.maximum(y, y.dtype.type(0))
        kept = y if self.activation == "relu" else None
        return y, UFGConvSaved(x, coefficients, thresholds, energies, kept, transform)

    def backward(
        self, saved: UFGConvSaved, dy: np.ndarray
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Return the gradient by ``x`` (None for a sparse input) and by weight, filter and bias.

        Parameters
        ----------
        saved : UFGConvSaved
            From :meth:`forward`.
        dy : ndarray, shape (n_nodes, n_out)
            Gradient of the loss by the output.

        Returns
        -------
        dx : ndarray, shape (n_nodes, n_in), or None
        grads : dict
            ``"weight"``, ``"filter"`` and, with a bias, ``"bias"``.
        """
        weight, theta = self.params["weight"], self.params["filter"]
        check_output_gradient(dy, self, (saved.x.shape[0], self.n_out), weight.dtype)
        if saved.y is not None:
            dy = dy * (saved.y > 0)
        dshrunk = saved.transform.analyze(_pad_columns(dy))
        operand = self._pre_shrink(saved.coefficients)
        dcoefficients = np.empty_like(operand)
        dtheta = np.empty_like(theta)
        pull = self._threshold_pull(saved, operand, dshrunk)
        scale_shrink_backward(operand, theta, saved.thresholds, pull, dshrunk, dcoefficients, dtheta)
        if self.pre_threshold is not None:
            dcoefficients *= np.abs(saved.coefficients) > self.pre_threshold
        dz = np.ascontiguousarray(saved.transform.synthesize(dcoefficients)[:, : self.n_out])
        dx, dweight = project_backward(saved.x, weight, dz)
        grads = {"weight": dweight, "filter": dtheta}
        if self.bias:
            grads["bias"] = column_sums(dy).astype(weight.dtype)
        return dx, grads

    def shrunk_coefficients(self, x: Any, *, transform: Any) -> np.ndarray:
        """Return the coefficients from which the output is synthesized, after theta and shrinkage.

        Their share of non-zeros (:func:`scinn.graphs.nonzero_share`) is the paper's measure of compression.

        Parameters
        ----------
        x : ndarray or CSR array, shape (n_nodes, n_in)
        transform : FrameletTransform

        Returns
        -------
        ndarray, shape (n_bands, n_nodes, n_out)
        """
        _, saved = self.forward(x, transform=transform)
        operand = self._pre_shrink(saved.coefficients)
        shrunk = np.empty_like(operand)
        hard = self.shrinkage == "hard"
        scale_shrink(operand, self.params["filter"], saved.thresholds, hard, shrunk)
        return np.ascontiguousarray(shrunk[:, :, : self.n_out])

    def _check_transform(self, x: Any, transform: Any) -> None:
        if getattr(transform, "n_bands", None) != self.n_bands:
            raise ValueError(
                f"transform has {getattr(transform, 'n_bands', 'no')} bands, the layer was built for "
                f"n_bands={self.n_bands}; build it with n_bands=transform.n_bands"
            )
        if self.filter == "node" and x.shape[0] != self.n_nodes:
            raise ValueError(
                f"x has {x.shape[0]} rows, the layer has filters for n_nodes={self.n_nodes}; "
                "filter='band' makes a layer that moves between graphs"
            )

    def _pre_shrink(self, coefficients: np.ndarray) -> np.ndarray:
        if self.pre_threshold is None:
            return coefficients
        ones = np.ones((self.n_bands, 1), dtype=coefficients.dtype)
        thresholds = np.full(self.n_bands, self.pre_threshold, dtype=coefficients.dtype)
        shrunk = np.empty_like(coefficients)
        scale_shrink(coefficients, ones, thresholds, self.shrinkage == "hard", shrunk)
        return shrunk

    def _thresholds(self, operand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the threshold of every band and, where they scale the thresholds, the band energies."""
        thresholds = np.full(self.n_bands, _LEFT_ALONE, dtype=operand.dtype)
        energies = np.zeros(0)
        if self.activation != "shrink":
            return thresholds, energies
        thresholds[1:] = self._base_threshold(operand)
        if self.scale == "energy" and self.n_bands > 1:
            scaled = self.params["filter"][:, :, None] * operand
            energies = np.einsum("knf,knf->k", scaled, scaled, dtype=np.float64)
            if energies[1] > 0:
                thresholds[1:] *= energies[1:] / energies[1]
        return thresholds, energies

    def _base_threshold(self, operand: np.ndarray) -> float:
        return universal_threshold(operand.shape[1], self.sigma) if operand.shape[1] else 0.0

    def _threshold_pull(self, saved: UFGConvSaved, operand: np.ndarray, dshrunk: np.ndarray) -> np.ndarray:
        """Return a_k such that the thresholds' dependence on D adds a_k D_k to the gradient of D_k."""
        pull = np.zeros(self.n_bands, dtype=operand.dtype)
        energies = saved.energies
        if len(energies) < 3 or self.shrinkage == "hard" or energies[1] == 0:
            return pull
        dthresholds = np.empty_like(saved.thresholds)
        shrink_threshold_gradient(operand, self.params["filter"], saved.thresholds, dshrunk, dthresholds)
        rate = 2.0 * self._base_threshold(operand) / energies[1]
        pull[2:] = rate * dthresholds[2:]
        pull[1] = -rate * float(dthresholds[2:] @ (energies[2:] / energies[1]))
        return pull

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "n_bands": self.n_bands,
            "n_nodes": self.n_nodes,
            "activation": self.activation,
            "filter": self.filter,
            "shrinkage": self.shrinkage,
            "sigma": self.sigma,
            "scale": self.scale,
            "pre_threshold": self.pre_threshold,
            "bias": self.bias,
            "dtype": str(self.params["weight"].dtype),
        }


def gcn_adjacency(adjacency: Any) -> sparse.csr_array:
    """Return the GCN propagation matrix ``(D + I)^{-1/2} (A + I) (D + I)^{-1/2}``.

    Parameters
    ----------
    adjacency : sparse array, shape (n_nodes, n_nodes)
        Symmetric, weights >= 0; D holds its row sums.

    Returns
    -------
    csr_array of float64, shape (n_nodes, n_nodes)

    References
    ----------
    Kipf and Welling (2017), eq. 2.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> gcn_adjacency(csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))).toarray()
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    looped = sparse.csr_array(adjacency, dtype=np.float64) + sparse.eye_array(
        adjacency.shape[0], format="csr", dtype=np.float64
    )
    scale = 1.0 / np.sqrt(np.asarray(looped.sum(axis=1)).ravel())
    rows = np.repeat(np.arange(looped.shape[0]), np.diff(looped.indptr))
    looped = sparse.csr_array(looped)
    looped.data = looped.data * scale[rows] * scale[looped.indices]
    looped.sort_indices()
    return looped


def propagation_matrix(graph: Any, dtype: np.dtype) -> sparse.csr_array:
    """Return the GCN matrix of a graph in a dtype; the graph keeps it."""
    return graph.prepared(("gcn", str(dtype)), lambda: gcn_adjacency(graph.adjacency).astype(dtype))


class GCNConvSaved(NamedTuple):
    """The input, and the graph."""

    x: Any
    graph: Any


@register_layer
class GCNConv(Layer):
    """Graph convolution of Kipf and Welling: ``Y = Ahat X Theta + b``.

    ``Ahat = (D + I)^{-1/2} (A + I) (D + I)^{-1/2}`` is symmetric, hence, with G the gradient of Y::

        db = column sums of G      dTheta = X^T Ahat G      dX = Ahat G Theta^T

    Parameters
    ----------
    n_in, n_out : int
        Numbers of input and output features.
    bias : bool, default True
        Whether there is a ``b``; it starts at zero.
    dtype : dtype, default float32
        Dtype of the parameters, which inputs must share.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial weight (Glorot uniform).

    References
    ----------
    Kipf and Welling (2017), eq. 2.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.graphs import GCNConv, Graph
    >>> graph = Graph.from_edges(3, [(0, 1), (1, 2)])
    >>> GCNConv(2, 4, dtype=np.float64, rng=0)(np.ones((3, 2)), graph=graph).shape
    (3, 4)
    """

    Saved = GCNConvSaved
    context = ("graph",)

    def __init__(
        self, n_in: int, n_out: int, *, bias: bool = True, dtype: Any = np.float32, rng: RandomState = None
    ) -> None:
        super().__init__()
        self.n_in = check_positive_int(n_in, "n_in")
        self.n_out = check_positive_int(n_out, "n_out")
        self.bias = bool(bias)
        dtype = check_dtype(dtype)
        shape = (self.n_in, self.n_out)
        self.params = {"weight": initialize("glorot_uniform", shape, rng=as_generator(rng), dtype=dtype)}
        if bias:
            self.params["bias"] = np.zeros(self.n_out, dtype=dtype)

    def forward(
        self, x: Any, *, graph: Any, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, GCNConvSaved]:
        """Return ``Ahat x Theta + b`` and what backward needs.

        Parameters
        ----------
        x : ndarray or CSR array, shape (n_nodes, n_in)
            Node features, in the parameters' dtype.
        graph : Graph
            Whose nodes the rows are.
        train, key
            Ignored.

        Returns
        -------
        y : ndarray, shape (n_nodes, n_out)
        saved : GCNConvSaved
        """
        check_input(x, self, n_features=self.n_in, min_ndim=2, sparse=True)
        if not hasattr(graph, "n_nodes"):
            raise TypeError(
                f"graph must be a Graph, got {type(graph).__name__}; make one: Graph.from_scipy(graph)"
            )
        if x.shape[0] != graph.n_nodes:
            raise ValueError(f"x has {x.shape[0]} rows, the graph {graph.n_nodes} nodes")
        y = _propagate(graph, project(x, self.params["weight"]))
        if self.bias:
            y += self.params["bias"]
        return y, GCNConvSaved(x, graph)

    def backward(
        self, saved: GCNConvSaved, dy: np.ndarray
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Return the gradient by ``x`` (None for a sparse input) and by weight and bias.

        Parameters
        ----------
        saved : GCNConvSaved
            From :meth:`forward`.
        dy : ndarray, shape (n_nodes, n_out)

        Returns
        -------
        dx : ndarray, shape (n_nodes, n_in), or None
        grads : dict
        """
        weight = self.params["weight"]
        check_output_gradient(dy, self, (saved.x.shape[0], self.n_out), weight.dtype)
        dz = _propagate(saved.graph, np.ascontiguousarray(dy))
        dx, dweight = project_backward(saved.x, weight, dz)
        grads = {"weight": dweight}
        if self.bias:
            grads["bias"] = column_sums(dy).astype(weight.dtype)
        return dx, grads

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "bias": self.bias,
            "dtype": str(self.params["weight"].dtype),
        }


def _propagate(graph: Any, z: np.ndarray) -> np.ndarray:
    matrix = propagation_matrix(graph, z.dtype)
    out = np.empty_like(z)
    csr_matmat(matrix.data, matrix.indices, matrix.indptr, z, out)
    return out
