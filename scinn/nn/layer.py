"""The Layer contract: arrays in, arrays and a visible ``saved`` out, nothing kept on ``self`` in between.

A layer is a function with named parameters and a hand-derived backward. ``forward`` returns the output and
``saved``, a NamedTuple of everything that ``backward`` needs; ``nbytes(saved)`` therefore *is* the activation
memory, layers can be re-entered, and two nodes of a network may share one layer.
"""

from __future__ import annotations

import copy
import difflib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from scinn.random import Key

__all__ = ["Layer", "build_layer", "check_input", "check_key", "check_output_gradient", "describe_layer", "nbytes",
           "register_layer"]  # fmt: skip

_LayerClass = TypeVar("_LayerClass", bound="type[Layer]")
_REGISTRY: dict[str, type[Layer]] = {}


class Layer(ABC):
    """Base class of all layers.

    Positional arguments of :meth:`forward` are differentiable arrays, keywords are context. A subclass holds
    its trained arrays in ``params`` (optimisers update them in place), its untrained ones in ``state``
    (written by :meth:`update_state` alone), and says in ``n_inputs`` and ``context`` what it wants.

    Attributes
    ----------
    params : dict of str to ndarray
        Trained arrays; no dot inside a name.
    state : dict of str to ndarray
        Arrays that are not trained, such as the running statistics of batch normalisation.
    n_inputs : int or None
        Number of positional inputs; None means any number.
    context : tuple of str
        Names of the keyword context that the layer needs, for example ``("graph",)``.

    Notes
    -----
    Nobody writes into an array that was given to it or that it has returned.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.nn import Dense
    >>> layer = Dense(3, 2, rng=0)
    >>> y, saved = layer.forward(np.ones((4, 3), dtype=np.float32))
    >>> dx, grads = layer.backward(saved, np.ones_like(y))
    >>> y.shape, dx.shape, sorted(grads)
    ((4, 2), (4, 3), ['bias', 'weight'])
    """

    n_inputs: int | None = 1
    context: tuple[str, ...] = ()
    params: Mapping[str, np.ndarray]
    state: Mapping[str, np.ndarray]

    def __init__(self) -> None:
        self.params = {}
        self.state = {}

    @abstractmethod
    def forward(self, *x: Any, **options: Any) -> tuple[Any, Any]:
        """Return the output and what :meth:`backward` needs.

        Parameters
        ----------
        *x : ndarray
            The inputs.
        train : bool
            Whether the layer behaves as in training (dropout on, batch statistics).
        key : scinn.random.Key or None
            Address of the random numbers of this call.
        **context
            What the layer names in ``context``.

        Returns
        -------
        y : ndarray or tuple of ndarray
            The output.
        saved : NamedTuple
            Arrays (or nested saved tuples) for :meth:`backward`.
        """

    @abstractmethod
    def backward(self, saved: Any, dy: Any) -> tuple[Any, dict[str, np.ndarray]]:
        """Return the gradients of a loss by the inputs and by the parameters.

        Parameters
        ----------
        saved : NamedTuple
            Second result of :meth:`forward`.
        dy : ndarray or tuple of ndarray
            Gradient of the loss by the output.

        Returns
        -------
        dx : ndarray, None, or tuple of them
            One array for one input, a tuple in the same order for several; None where an input has no
            gradient (integers, sparse matrices).
        grads : dict of str to ndarray
            Under the names of ``params``; never accumulated over calls.
        """

    def update_state(self, saved: Any) -> None:  # noqa: B027 - most layers have nothing to update
        """Fold what a training forward observed into ``state``; the training loop calls it after a step."""

    def __call__(self, *x: Any, **context: Any) -> Any:
        """Return the output in inference mode and keep nothing."""
        return self.forward(*x, train=False, **context)[0]

    @property
    def dtype(self) -> np.dtype | None:
        """Dtype of the parameters; None for a layer without parameters, which takes float32 and float64."""
        for value in self.params.values():
            return value.dtype
        return None

    @property
    def n_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(value.size for value in self.params.values())

    def astype(self, dtype: Any) -> Layer:
        """Return a copy with parameters and floating-point state in ``dtype``."""
        dtype = check_dtype(dtype)
        new = copy.copy(self)
        new.params = {name: value.astype(dtype) for name, value in self.params.items()}
        new.state = {
            name: value.astype(dtype) if value.dtype.kind == "f" else value.copy()
            for name, value in self.state.items()
        }
        return new

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values; arrays are not part of it."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Build the layer that :meth:`config` describes, with freshly initialised arrays."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.config().items())
        return f"{type(self).__name__}({arguments})"


def register_layer(cls: _LayerClass) -> _LayerClass:
    """Class decorator that makes a layer known to ``Network.save`` and ``Network.load`` under its class name.

    Parameters
    ----------
    cls : type
        Subclass of :class:`Layer` whose ``config()`` returns its constructor's arguments.

    Returns
    -------
    type
        The class itself.

    Raises
    ------
    ValueError
        Where another class has the name already.
    """
    known = _REGISTRY.get(cls.__name__)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(
            f"a layer named {cls.__name__!r} is registered already by {known.__module__}; rename one"
        )
    _REGISTRY[cls.__name__] = cls
    return cls


def describe_layer(layer: Layer) -> dict[str, Any]:
    """Return the JSON description from which :func:`build_layer` makes an equal layer.

    Parameters
    ----------
    layer : Layer
        An instance of a registered class.

    Returns
    -------
    dict
        ``{"type", "module", "config"}``.

    Raises
    ------
    TypeError
        Where the layer's class is not registered.
    """
    cls = type(layer)
    if _REGISTRY.get(cls.__name__) is not cls:
        raise TypeError(
            f"{cls.__name__} is not registered and cannot be saved; decorate it with @register_layer"
        )
    return {"type": cls.__name__, "module": cls.__module__, "config": layer.config()}


def build_layer(description: Mapping[str, Any]) -> Layer:
    """Build a layer from its description.

    Parameters
    ----------
    description : mapping
        As made by :func:`describe_layer`.

    Returns
    -------
    Layer

    Raises
    ------
    ValueError
        Where the type is unknown. Modules of scinn are imported for it; a user's own module must be imported
        first.
    """
    name, module = description["type"], str(description.get("module", ""))
    if name not in _REGISTRY and module.startswith("scinn."):
        importlib.import_module(module)
    if name not in _REGISTRY:
        near = difflib.get_close_matches(name, _REGISTRY, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"unknown layer type {name!r}: import the module that defines it ({module}) first{hint}"
        )
    return _REGISTRY[name].from_config(dict(description["config"]))


def check_dtype(dtype: Any) -> np.dtype:
    """Return ``dtype`` as float32 or float64, or refuse it."""
    checked = np.dtype(dtype)
    if checked not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, got {checked}")
    return checked


def is_sparse(x: Any) -> bool:
    """Return whether ``x`` is a SciPy sparse array or matrix, without importing SciPy."""
    return hasattr(x, "indptr") or (hasattr(x, "tocsr") and hasattr(x, "nnz"))


def check_input(
    x: Any,
    layer: Layer,
    *,
    name: str = "x",
    n_features: int | None = None,
    min_ndim: int = 1,
    sparse: bool = False,
) -> None:
    """Refuse an input that a layer cannot take, saying what came and what is wanted.

    Parameters
    ----------
    x : ndarray or sparse array
        The input.
    layer : Layer
        Who asks; an input must have its dtype.
    name : str
        The argument's name, for the message.
    n_features : int or None
        Wanted size of the last axis.
    min_ndim : int
        Smallest number of axes.
    sparse : bool
        Whether a CSR array is welcome.

    Raises
    ------
    TypeError
        For anything but an array of the right dtype.
    ValueError
        For a wrong shape.
    """
    who = type(layer).__name__
    if is_sparse(x):
        if not sparse:
            raise TypeError(
                f"{who}: {name} is a sparse matrix; this layer takes dense arrays: {name}.toarray()"
            )
        if getattr(x, "format", None) != "csr":
            raise TypeError(
                f"{who}: {name} is sparse in format {x.format!r}; convert it first: {name}.tocsr()"
            )
    elif not isinstance(x, np.ndarray):
        raise TypeError(
            f"{who}: {name} must be an ndarray, got {type(x).__name__}; convert it: np.asarray({name})"
        )
    if x.dtype.kind != "f":
        raise TypeError(
            f"{who}: {name} must be float32 or float64, got {x.dtype}; convert it: {name}.astype(np.float32)"
        )
    wanted = layer.dtype
    if wanted is not None and x.dtype != wanted:
        raise TypeError(
            f"{who}: {name} is {x.dtype} and the layer {wanted}; use {name}.astype(np.{wanted}) "
            f"or layer.astype(np.{x.dtype})"
        )
    if x.ndim < min_ndim:
        raise ValueError(f"{who}: {name} needs at least {min_ndim} axes, got shape {x.shape}")
    if n_features is not None and x.shape[-1] != n_features:
        raise ValueError(
            f"{who}: {name} has {x.shape[-1]} features (shape {x.shape}), the layer was built for "
            f"{n_features}; features are the last axis"
        )


def check_output_gradient(dy: Any, layer: Layer, shape: tuple[int, ...], dtype: Any) -> None:
    """Refuse a ``dy`` that is not of the output's shape and dtype, before a compiled loop reads beyond its end.

    Parameters
    ----------
    dy : ndarray
        Gradient of the loss by the layer's output.
    layer : Layer
        Who asks.
    shape : tuple of int
        Shape of the output.
    dtype : dtype
        Dtype of the output.

    Raises
    ------
    TypeError
        For anything but an array of that dtype.
    ValueError
        For another shape.
    """
    who = type(layer).__name__
    if not isinstance(dy, np.ndarray) or dy.dtype != dtype:
        came = dy.dtype if isinstance(dy, np.ndarray) else type(dy).__name__
        raise TypeError(f"{who}: dy must be an ndarray of the output's {np.dtype(dtype)}, got {came}")
    if dy.shape != shape:
        raise ValueError(f"{who}: dy must have the output's shape {shape}, got {dy.shape}")


def check_key(key: Any, layer: Layer) -> Key:
    """Return the random key of a training forward, or say how to make one."""
    if isinstance(key, Key):
        return key
    if key is None:
        raise ValueError(
            f"{type(layer).__name__} draws random numbers in training: pass key=scinn.random.Key(seed)"
        )
    raise TypeError(f"key must be a scinn.random.Key, got {type(key).__name__}; use scinn.random.Key(seed)")


def nbytes(saved: Any, *, exclude: Layer | Mapping[str, np.ndarray] | None = None) -> int:
    """Return the memory that ``saved`` keeps alive, in bytes.

    Each owner of memory counts once at its full size, however many views of it are held (a view keeps all of
    its owner alive). Arrays owned by parameters, and context objects such as graphs, do not count.

    Parameters
    ----------
    saved : Any
        Second result of a layer's ``forward``: nested tuples, lists and dicts of arrays.
    exclude : Layer or mapping of str to ndarray, optional
        Parameters that may occur in ``saved`` and are not activations.

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> x = np.zeros((10, 8))
    >>> nbytes((x, x[2:], x.T))
    640
    """
    arrays: Mapping[str, np.ndarray] = {}
    if isinstance(exclude, Layer):
        arrays = exclude.params
    elif exclude is not None:
        arrays = exclude
    seen: dict[int, Any] = {id(owner): None for owner in map(_owner, arrays.values())}
    total = 0
    for array in _arrays(saved):
        owner = _owner(array)
        if id(owner) not in seen:
            seen[id(owner)] = owner
            total += owner.nbytes
    return total


def _owner(array: np.ndarray) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _arrays(saved: Any) -> Iterable[np.ndarray]:
    if isinstance(saved, np.ndarray):
        yield saved
    elif isinstance(saved, tuple | list):
        for item in saved:
            yield from _arrays(item)
    elif isinstance(saved, dict):
        for item in saved.values():
            yield from _arrays(item)
    elif is_sparse(saved) and hasattr(saved, "indptr"):
        yield from (saved.data, saved.indices, saved.indptr)
