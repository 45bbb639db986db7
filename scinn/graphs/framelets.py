r"""Undecimated graph framelets: a signal split into one smooth part and details at several scales, and back.

For a filter bank :math:`b_0, \dots, b_{R-1}` on :math:`[0, \pi]` (:mod:`scinn.graphs.banks`), scaled frequencies
:math:`\xi = \pi \lambda / \lambda_{max}`, levels :math:`l = 1..Lev` and dilation s, the band (r, l) multiplies the
eigenvector of :math:`\lambda` by

.. math:: g_{r,l}(\xi) = b_r(s^{l - Lev} \xi)\, g_{0,l-1}(\xi), \qquad g_{0,0} = 1

(arrangement "up"; "down" has :math:`s^{1-l}`). The bands (0, Lev) and (r, l), r >= 1, form a tight frame: their
squares add up to one on the spectrum. The Chebyshev method replaces each :math:`b_r` by a polynomial of degree
``n_coefficients - 1``, applied without ever forming a matrix; it is tight up to a defect that
:meth:`FrameletTransform.tightness_report` states.

References
----------
X. Zheng, B. Zhou, J. Gao, Y. G. Wang, P. Lio, M. Li, G. Montufar, *How Framelets Enhance Graph Neural Networks*,
ICML 2021, arXiv:2102.06986.

B. Dong, *Sparse representation on graphs by tight wavelet frames and applications*, ACHA 42, 2017.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from scinn._input import as_float_array, as_index_array, check_choice, check_in_range, check_positive_int
from scinn._plot import axes_or_new
from scinn.exceptions import ConvergenceWarning
from scinn.graphs.banks import FilterBank
from scinn.graphs.chebyshev import evaluate_series, framelet_responses, level_scales, tightness_by_length
from scinn.graphs.graph import Graph
from scinn.graphs.matrix_free import LaplacianRows, Plan, analyze_rows, make_plan, synthesize_rows
from scinn.graphs.tightness import TightnessReport, frequency_grid, required_coefficients

__all__ = ["FrameletTransform"]

_OPTIONS = (
    "bank",
    "levels",
    "dilation",
    "n_coefficients",
    "arrangement",
    "method",
    "isolated",
    "lambda_max",
    "tol",
    "parallel",
)
# What users of other packages write, and what it is called here.
_HABITS = {
    "order": "the Chebyshev degree is n_coefficients - 1: pass n_coefficients=order + 1",
    "degree": "the Chebyshev degree is n_coefficients - 1: pass n_coefficients=degree + 1",
    "n": "it counts Chebyshev coefficients: pass n_coefficients=n",
    "lmax": "pass lambda_max=, a number or 'exact' or 'bound'",
    "lap_type": "framelets are defined on the normalised Laplacian; isolated= is its only choice",
    "kernels": "pass bank=FilterBank.from_callables(kernels); they live on [0, pi] and are shared by all levels",
    "filters": "pass bank=FilterBank.from_callables(filters)",
    "Nf": "the number of bands is (bank.n_filters - 1) * levels + 1: pass bank= and levels=",
    "Lev": "pass levels=",
    "level": "pass levels=",
    "s": "pass dilation=",
    "scale": "pass dilation=",
}
_SLACK = 1e-8


class FrameletTransform:
    """The undecimated framelet transform of signals on a graph.

    Parameters
    ----------
    graph : Graph
        Build one with ``Graph.from_edges``, ``Graph.from_scipy`` or ``Graph.from_networkx``.
    bank : str or FilterBank
        "haar", "linear", "quadratic", "sigmoid", "entropy", or a :class:`FilterBank`.
    levels : int
        Number of levels, >= 1.
    dilation : float
        Ratio of scales between levels, > 1.
    n_coefficients : int or "auto"
        Chebyshev coefficients a filter; the polynomials have one degree less. The paper's default is 2, with which the
        transform is *not* tight (constants come back 1.57 times too large): see :meth:`tightness_report`. "auto" takes
        the smallest number whose tightness defect is at most ``tol``.
    arrangement : {"up", "down"}
        Order of scales: "up" (the paper's code) lets the last level see the whole spectrum, "down" the first.
    method : {"chebyshev", "exact"}
        "exact" diagonalises the Laplacian (up to 2000 nodes).
    isolated : {"one", "zero"}
        Laplacian entry of nodes without edges.
    lambda_max : None, "exact", "bound" or float
        Upper end of the spectrum; None is "exact" (never below the truth), "bound" is 2. A number below the spectrum is
        an error.
    tol : float
        Admitted tightness defect for ``n_coefficients="auto"``.
    parallel : bool
        Share rows of the graph among Numba's threads; the result is the same to the bit.

    Attributes
    ----------
    bands : tuple of (int, int)
        (filter, level) of every band: the low-pass (0, levels) first, then (1, 1), ..., (1, levels), (2, 1), ...
    n_coefficients : int or None
        Coefficients a filter; None for the exact method.
    lambda_max : float
        The value in use.

    Raises
    ------
    TypeError, ValueError
        For arguments that are unknown or out of range.

    References
    ----------
    Zheng et al., ICML 2021, section 3; in Dong (2017), equations (3.2) to (3.5).

    Examples
    --------
    >>> import numpy as np
    >>> graph = Graph.from_edges(3, [(0, 1), (1, 2)])
    >>> transform = FrameletTransform(graph, method="exact")
    >>> transform.bands
    ((0, 2), (1, 1), (1, 2))
    >>> c = transform.analyze([1.0, 2.0, 4.0])
    >>> c.round(4).tolist()
    [[0.9772, 2.7678, 2.937], [-0.1901, -0.5429, 0.9579], [-0.596, -0.5429, 1.3638]]
    >>> transform.synthesize(c).round(12).tolist()
    [1.0, 2.0, 4.0]
    """

    def __init__(
        self,
        graph: Graph,
        *,
        bank: str | FilterBank = "haar",
        levels: int = 2,
        dilation: float = 2.0,
        n_coefficients: int | Literal["auto"] = 2,
        arrangement: Literal["up", "down"] = "up",
        method: Literal["chebyshev", "exact"] = "chebyshev",
        isolated: Literal["one", "zero"] = "one",
        lambda_max: float | Literal["exact", "bound"] | None = None,
        tol: float = 1e-7,
        parallel: bool = False,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(_unknown_option(next(iter(unknown))))
        if not isinstance(graph, Graph):
            raise TypeError(
                f"graph is a {type(graph).__name__}; a scinn.graphs.Graph is wanted: build one with Graph.from_scipy, "
                "Graph.from_networkx or Graph.from_edges"
            )
        self.graph = graph
        self.bank = FilterBank.from_name(bank)
        self.levels = check_positive_int(levels, "levels")
        self.dilation = check_in_range(dilation, "dilation", 1.0, None, inclusive="neither")
        self.arrangement = check_choice(arrangement, "arrangement", ("up", "down"))
        self.method = check_choice(method, "method", ("chebyshev", "exact"))
        self.isolated = check_choice(isolated, "isolated", ("one", "zero"))
        self.parallel = bool(parallel)
        self.lambda_max: float = _resolve_lambda_max(graph, lambda_max, isolated)
        self.bands: tuple[tuple[int, int], ...] = (
            (0, self.levels),
            *((r, level) for r in range(1, self.bank.n_filters) for level in range(1, self.levels + 1)),
        )
        self._scales = level_scales(self.levels, self.dilation, self.arrangement)
        self.n_coefficients: int | None = self._choose_length(n_coefficients, tol)
        self._coefficients = None if self.n_coefficients is None else self.bank.chebyshev(self.n_coefficients)
        self._plans: dict[np.dtype, Plan] = {}
        if self.method == "exact":
            graph.spectrum(self.isolated)

    def _choose_length(self, n_coefficients: Any, tol: float) -> int | None:
        if isinstance(n_coefficients, str):
            check_choice(n_coefficients, "n_coefficients", ("auto",))
            tol = check_in_range(tol, "tol", 0.0, None, inclusive="neither")
            if self.method == "exact":
                return None
            return required_coefficients(self.bank, self._scales, tol)
        n = check_positive_int(n_coefficients, "n_coefficients")
        return None if self.method == "exact" else n

    def __repr__(self) -> str:
        chosen = "" if self.n_coefficients is None else f", n_coefficients={self.n_coefficients}"
        return (
            f"FrameletTransform({self.graph!r}, bank={self.bank.name!r}, levels={self.levels}, dilation={self.dilation:g}"
            f"{chosen}, arrangement={self.arrangement!r}, method={self.method!r})"
        )

    @property
    def n_bands(self) -> int:
        """Number of bands, ``(n_filters - 1) * levels + 1``."""
        return len(self.bands)

    @property
    def n_nodes(self) -> int:
        """Number of nodes of the graph."""
        return self.graph.n_nodes

    @property
    def n_products(self) -> int:
        """Products with the Laplacian in one float64 analysis or synthesis; 0 for the exact method."""
        return 0 if self.method == "exact" else self._plan(np.dtype(np.float64)).n_products

    def band_index(self, band: Any) -> int:
        """Return the position of a band among the coefficients.

        Parameters
        ----------
        band : (int, int) or int
            (filter, level), or the position itself.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            For a band that does not exist.
        """
        if isinstance(band, int | np.integer) and not isinstance(band, bool):
            if 0 <= band < self.n_bands:
                return int(band)
        elif isinstance(band, tuple | list) and tuple(band) in self.bands:
            return self.bands.index(tuple(band))
        raise ValueError(f"band is {band!r}; one of {self.bands}, or its position, is wanted")

    def analyze(self, x: Any) -> np.ndarray:
        """Return the framelet coefficients of signals.

        Parameters
        ----------
        x : array-like, shape (n_nodes,) or (n_nodes, n_features)
            Signals, one a column; finite. float32 is computed in float32.

        Returns
        -------
        ndarray, shape (n_bands, n_nodes) or (n_bands, n_nodes, n_features)
            In the order of ``bands``, of the dtype of ``x``.

        Raises
        ------
        ValueError
            For another number of nodes, NaN or infinity.

        Examples
        --------
        >>> graph = Graph.from_edges(4, [(0, 1), (1, 2), (2, 3)])
        >>> FrameletTransform(graph, levels=3).analyze(np.ones((4, 2))).shape
        (4, 4, 2)
        """
        signal = as_float_array(x, "x")
        if signal.ndim not in (1, 2) or signal.shape[0] != self.n_nodes:
            fits = signal.ndim == 2 and signal.shape[1] == self.n_nodes
            raise ValueError(
                f"x has shape {signal.shape}; ({self.n_nodes},) or ({self.n_nodes}, n_features) is wanted, a row a "
                f"node of the graph{': pass x.T' if fits else ''}"
            )
        if signal.ndim == 1:
            return self._analyze(signal[:, None])[:, :, 0]
        return self._analyze(signal)

    def synthesize(self, c: Any) -> np.ndarray:
        """Return the adjoint of the analysis applied to coefficients: ``sum over bands of W^T c``.

        For a tight transform (the exact method, or enough coefficients) this rebuilds the analysed signal. The adjoint
        is exact for every number of coefficients; the true inverse is :meth:`inverse`.

        Parameters
        ----------
        c : array-like, shape (n_bands, n_nodes) or (n_bands, n_nodes, n_features)
            Coefficients as :meth:`analyze` returns them; finite.

        Returns
        -------
        ndarray, shape (n_nodes,) or (n_nodes, n_features)
            Of the dtype of ``c``.

        Raises
        ------
        ValueError
            For another shape, NaN or infinity.
        """
        coefficients = self._as_coefficients(c)
        if coefficients.ndim == 2:
            return self._synthesize(np.ascontiguousarray(coefficients[:, :, None]))[:, 0]
        return self._synthesize(coefficients)

    def _as_coefficients(self, c: Any) -> np.ndarray:
        coefficients = as_float_array(c, "c")
        if coefficients.ndim not in (2, 3) or coefficients.shape[:2] != (self.n_bands, self.n_nodes):
            raise ValueError(
                f"c has shape {coefficients.shape}; ({self.n_bands}, {self.n_nodes}) or ({self.n_bands}, "
                f"{self.n_nodes}, n_features) is wanted, as analyze returns it"
            )
        return coefficients

    def _analyze(self, x: np.ndarray) -> np.ndarray:
        """Analyse a checked array of shape (n_nodes, n_features), C-contiguous."""
        if self.method == "exact":
            values, basis = self._basis(x.dtype)
            return np.matmul(basis, values[:, :, None] * (basis.T @ x)[None])
        return analyze_rows(self._rows(x.dtype), self._plan(x.dtype), _writable(x), self.parallel)

    def _synthesize(self, c: np.ndarray) -> np.ndarray:
        """Synthesise a checked array of shape (n_bands, n_nodes, n_features), C-contiguous."""
        if self.method == "exact":
            values, basis = self._basis(c.dtype)
            return basis @ np.sum(values[:, :, None] * np.matmul(basis.T, c), axis=0)
        return synthesize_rows(self._rows(c.dtype), self._plan(c.dtype), _writable(c), self.parallel)

    def _basis(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return the responses of all bands at the eigenvalues, and the eigenvectors."""
        spectrum = self.graph.spectrum(self.isolated)
        vectors = self.graph.prepared(
            ("eigenvectors", self.isolated, dtype), lambda: spectrum.eigenvectors.astype(dtype)
        )
        return self.evaluate(spectrum.eigenvalues).astype(dtype), vectors

    def _rows(self, dtype: np.dtype) -> LaplacianRows:
        def build() -> LaplacianRows:
            links = self.graph.normalized_adjacency()
            diagonal = self.graph.laplacian_diagonal(self.isolated)
            return LaplacianRows(
                links.data.astype(dtype), links.indices, links.indptr, diagonal.astype(dtype)
            )

        return self.graph.prepared(("framelet rows", self.isolated, dtype), build)

    def _plan(self, dtype: np.dtype) -> Plan:
        if dtype not in self._plans:
            assert self._coefficients is not None
            self._plans[dtype] = make_plan(self._coefficients, self._scales, self.lambda_max, dtype)
        return self._plans[dtype]

    def inverse(self, c: Any, *, tol: float | None = None, max_iter: int = 100) -> np.ndarray:
        """Return the signal whose coefficients come nearest to ``c``: the true inverse, for every degree.

        Solves ``(sum W^T W) x = sum W^T c`` by conjugate gradients, all signals at once. The matrix is positive definite
        and very well conditioned: 3 to 12 iterations are usual.

        Parameters
        ----------
        c : array-like, shape (n_bands, n_nodes) or (n_bands, n_nodes, n_features)
            Coefficients; of a signal, or shrunk.
        tol : float, optional
            Wanted norm of the residual, relative to the right side, of every signal; by default 1e-12 for float64 and
            1e-6 for float32.
        max_iter : int
            Largest number of iterations.

        Returns
        -------
        ndarray, shape (n_nodes,) or (n_nodes, n_features)
            Of the dtype of ``c``.

        Warns
        -----
        ConvergenceWarning
            Where the tolerance was not reached.

        Examples
        --------
        >>> graph = Graph.from_edges(3, [(0, 1), (1, 2)])
        >>> transform = FrameletTransform(graph)  # degree 1: far from tight
        >>> transform.synthesize(transform.analyze([1.0, 2.0, 4.0])).round(2).tolist()
        [2.53, 3.71, 4.49]
        >>> transform.inverse(transform.analyze([1.0, 2.0, 4.0])).round(10).tolist()
        [1.0, 2.0, 4.0]
        """
        coefficients = self._as_coefficients(c)
        max_iter = check_positive_int(max_iter, "max_iter")
        if tol is None:
            tol = 1e-6 if coefficients.dtype == np.float32 else 1e-12
        tol = check_in_range(tol, "tol", 0.0, None, inclusive="neither")
        flat = coefficients.ndim == 2
        # In float64 throughout, so that the float32 answer is the rounded true one.
        stacked = coefficients[:, :, None] if flat else coefficients
        stacked = np.ascontiguousarray(stacked, dtype=np.float64)
        # Squared norms must neither overflow nor vanish; a power of two changes no digit.
        exponents = np.frexp(np.max(np.abs(stacked), axis=(0, 1), initial=0.0))[1]
        right = self._synthesize(np.ldexp(stacked, -exponents))
        x = np.ldexp(self._conjugate_gradients(right, tol, max_iter), exponents)
        x = x.astype(coefficients.dtype, copy=False)
        return x[:, 0] if flat else x

    def _conjugate_gradients(self, right: np.ndarray, tol: float, max_iter: int) -> np.ndarray:
        low, high = self.frame_bounds()
        x = right * (2.0 / (low + high))
        residual = right - self._synthesize(self._analyze(x))
        wanted = tol * np.sqrt(np.sum(right**2, axis=0))
        direction = residual.copy()
        energy = np.sum(residual**2, axis=0)
        for _ in range(max_iter):
            active = np.sqrt(energy) > wanted
            if not active.any():
                return x
            image = self._synthesize(self._analyze(direction))
            curvature = np.sum(direction * image, axis=0)
            # A finished signal stands still, whatever rounding does to its quotients.
            length = np.divide(energy, curvature, out=np.zeros_like(energy), where=active & (curvature > 0))
            x = x + length * direction
            residual = residual - length * image
            before, energy = energy, np.sum(residual**2, axis=0)
            ratio = np.divide(energy, before, out=np.zeros_like(energy), where=before > 0)
            direction = residual + ratio * direction
        worst = np.max(np.sqrt(energy) / np.where(wanted > 0, wanted / tol, 1.0), initial=0.0)
        if worst > tol:
            warnings.warn(
                f"inverse stopped after {max_iter} iterations at a relative residual of {worst:.2g}, above tol={tol:.2g}; "
                "raise max_iter, or n_coefficients for a better conditioned frame",
                ConvergenceWarning,
                stacklevel=3,
            )
        return x

    def evaluate(self, eigenvalues: Any) -> np.ndarray:
        """Return the responses of all bands, as this transform applies them (polynomials for "chebyshev").

        Parameters
        ----------
        eigenvalues : array-like, any shape
            Of the Laplacian, in [0, lambda_max].

        Returns
        -------
        ndarray of float64, shape (n_bands, ...), one array like eigenvalues a band

        Raises
        ------
        ValueError
            For values outside [0, lambda_max].
        """
        values = as_float_array(eigenvalues, "eigenvalues", dtype=np.float64)
        top = self.lambda_max
        if values.size and (values.min() < -_SLACK or values.max() > top + _SLACK):
            raise ValueError(
                f"eigenvalues lie in [{values.min():g}, {values.max():g}]; values in [0, {top:g}] are wanted, the "
                "interval up to lambda_max"
            )
        scaled = np.clip(values * (np.pi / top), 0.0, np.pi) if top > 0 else np.zeros_like(values)
        return framelet_responses(self._filter_values, self._scales, scaled)

    def _filter_values(self, z: np.ndarray) -> np.ndarray:
        if self._coefficients is None:
            return self.bank.evaluate(z)
        return evaluate_series(self._coefficients, z)

    def frame_bounds(self, where: Literal["interval", "spectrum"] = "interval") -> tuple[float, float]:
        """Return the smallest and largest ``sum over bands of g^2``: the frame bounds.

        Parameters
        ----------
        where : {"interval", "spectrum"}
            Over a fine grid of [0, lambda_max], or over the eigenvalues of the graph (up to 2000 nodes).

        Returns
        -------
        (float, float)
            Equal to (1, 1) for a tight frame.
        """
        check_choice(where, "where", ("interval", "spectrum"))
        energy = np.sum(self.evaluate(self._frequencies(where)) ** 2, axis=0)
        return float(energy.min()), float(energy.max())

    def _frequencies(self, where: str) -> np.ndarray:
        if where == "spectrum":
            return np.minimum(self.graph.spectrum(self.isolated).eigenvalues, self.lambda_max)
        return frequency_grid() * (self.lambda_max / np.pi)

    def tightness_report(
        self, where: Literal["interval", "spectrum"] = "interval", *, max_coefficients: int = 64
    ) -> TightnessReport:
        """Report how far the transform is from a tight frame, and what would bring it closer.

        Parameters
        ----------
        where : {"interval", "spectrum"}
            Worst case over [0, lambda_max], or over the eigenvalues of this graph (up to 2000 nodes).
        max_coefficients : int
            How far to look for the number of coefficients that reaches a tolerance.

        Returns
        -------
        TightnessReport

        Examples
        --------
        >>> graph = Graph.from_edges(3, [(0, 1), (1, 2)])
        >>> report = FrameletTransform(graph).tightness_report()
        >>> round(report.defect, 3), report.worst_eigenvalue
        (0.568, 0.0)
        """
        check_choice(where, "where", ("interval", "spectrum"))
        count = max(check_positive_int(max_coefficients, "max_coefficients"), self.n_coefficients or 1)
        eigenvalues = self._frequencies(where)
        energy = np.sum(self.evaluate(eigenvalues) ** 2, axis=0)
        worst = int(np.argmax(np.abs(energy - 1)))
        scaled = eigenvalues * (np.pi / self.lambda_max) if self.lambda_max > 0 else eigenvalues
        bounds = tightness_by_length(self.bank.chebyshev(count), self._scales, scaled)
        return TightnessReport(
            bank=self.bank.name,
            levels=self.levels,
            dilation=self.dilation,
            arrangement=self.arrangement,
            method=self.method,
            n_coefficients=self.n_coefficients,
            where=where,
            lower_bound=float(energy.min()),
            upper_bound=float(energy.max()),
            worst_eigenvalue=float(eigenvalues[worst]),
            defects=tuple(float(d) for d in np.max(np.abs(bounds - 1), axis=1)),
        )

    def atoms(self, nodes: Any, band: Any) -> np.ndarray:
        """Return framelets: the elements of the frame that belong to nodes, in one band.

        Parameters
        ----------
        nodes : int or array-like of integers, shape (m,)
            Centres.
        band : (int, int) or int
            (filter, level), or its position in ``bands``.

        Returns
        -------
        ndarray of float64, shape (n_nodes,) or (n_nodes, m)
            Column k is the framelet centred at ``nodes[k]``; its inner product with x is the coefficient there.
        """
        centres = as_index_array(np.atleast_1d(nodes), "nodes", n=self.n_nodes)
        position = self.band_index(band)
        deltas = np.zeros((self.n_nodes, len(centres)))
        deltas[centres, np.arange(len(centres))] = 1.0
        # Operators of all bands are symmetric, thus their columns are their rows.
        columns = np.ascontiguousarray(self._analyze(deltas)[position])
        return columns[:, 0] if np.ndim(nodes) == 0 else columns

    def as_linear_operator(self) -> Any:
        """Return the analysis as a SciPy operator on flattened arrays; its adjoint ``.H`` is the synthesis.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            Shape (n_bands * n_nodes, n_nodes), float64.

        Examples
        --------
        >>> operator = FrameletTransform(Graph.from_edges(3, [(0, 1), (1, 2)])).as_linear_operator()
        >>> operator.shape, (operator @ np.ones(3)).shape
        ((9, 3), (9,))
        """
        from scipy.sparse.linalg import LinearOperator

        n, bands = self.n_nodes, self.n_bands

        def forward(x: np.ndarray) -> np.ndarray:
            return self.analyze(as_float_array(x, "x").astype(np.float64, copy=False).reshape(n, -1)).reshape(
                bands * n, -1
            )

        def back(c: np.ndarray) -> np.ndarray:
            return self.synthesize(
                as_float_array(c, "c").astype(np.float64, copy=False).reshape(bands, n, -1)
            )

        return LinearOperator(
            shape=(bands * n, n),
            dtype=np.dtype(np.float64),
            matvec=lambda x: forward(x)[:, 0],
            rmatvec=lambda c: back(c)[:, 0],
            matmat=forward,
            rmatmat=back,
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the responses of all bands, and their sum of squares, over [0, lambda_max].

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes
        """
        ax = axes_or_new(ax)
        eigenvalues = np.linspace(0.0, self.lambda_max, 401)
        responses = self.evaluate(eigenvalues)
        for (r, level), values in zip(self.bands, responses):
            ax.plot(eigenvalues, values, label=f"low-pass, level {level}" if r == 0 else f"({r}, {level})")
        ax.plot(eigenvalues, np.sum(responses**2, axis=0), "k:", label="sum of squares")
        ax.set_xlabel("eigenvalue of the Laplacian")
        ax.set_ylabel("response")
        ax.legend()
        return ax


def _writable(array: np.ndarray) -> np.ndarray:
    # Numba compiles a kernel anew for read-only arrays; a copy costs far less.
    return array if array.flags.writeable else array.copy()


def _unknown_option(name: str) -> str:
    if name in _HABITS:
        return f"FrameletTransform has no argument {name!r}: {_HABITS[name]}"
    near: Sequence[str] = difflib.get_close_matches(name, _OPTIONS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(_OPTIONS)}"
    return f"FrameletTransform has no argument {name!r}{hint}"


def _resolve_lambda_max(graph: Graph, lambda_max: Any, isolated: Literal["one", "zero"]) -> float:
    if lambda_max is None or isinstance(lambda_max, str):
        if lambda_max is not None:
            check_choice(lambda_max, "lambda_max", ("exact", "bound"))
        return graph.lambda_max("bound" if lambda_max == "bound" else "exact", isolated)
    value = check_in_range(lambda_max, "lambda_max", 0.0)
    if value >= 2.0:  # above every normalised Laplacian's spectrum: nothing to compute
        return value
    truth = graph.lambda_max("exact", isolated)
    if value < truth * (1 - _SLACK):
        raise ValueError(
            f"lambda_max is {value:.10g}, below the largest eigenvalue {truth:.10g} of the Laplacian: filters would be used "
            f"outside [0, pi]; pass lambda_max=None for the exact value, 'bound' for 2, or a number >= {truth:.10g}"
        )
    return value
