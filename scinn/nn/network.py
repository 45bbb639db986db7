"""Networks: a directed acyclic graph of named layers, itself a layer."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from scinn.nn.layer import Layer, build_layer, describe_layer, register_layer
from scinn.nn.wiring import Node, check_structure, split_reference
from scinn.random import Key

__all__ = ["Network", "Node"]

FORMAT = 1


class NetworkSaved(NamedTuple):
    """The saved values of the nodes, in order, and the shapes of nodes that return a tuple."""

    nodes: tuple[Any, ...]
    parts: tuple[tuple[tuple[int, ...], ...] | None, ...]


@register_layer
class Network(Layer):
    """A directed acyclic graph of layers.

    Parameters
    ----------
    layers : mapping of str to Layer
        The layers by name. The order is the order of ``params``.
    nodes : sequence of Node or (name, layer, inputs)
        What is computed, in topological order: the node's name, the name of its layer, and the names of the
        nodes or network inputs that it reads. Two nodes may use one layer (shared weights: gradients add).
        Part ``i`` of a node that returns a tuple is read as ``"node.i"``.
    inputs : sequence of str, default ("x",)
        Names of the network's inputs.
    outputs : sequence of str, optional
        Names of the nodes that the network returns; default: the last node. Several give a tuple.

    Notes
    -----
    Parameters are named ``"layer.parameter"``, through nested networks ``"block1.conv2.weight"``. Context
    keywords go to the layers that name them. In training each *node* gets the child key of its name, so that
    nodes which share a layer draw different dropout masks.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.nn import Add, Dense, ReLU
    >>> network = Network(
    ...     {"dense": Dense(4, 4, rng=0), "relu": ReLU(), "add": Add()},
    ...     [("dense", "dense", ["x"]), ("relu", "relu", ["dense"]), ("sum", "add", ["relu", "x"])],
    ... )
    >>> network(np.ones((2, 4), dtype=np.float32)).shape
    (2, 4)
    >>> list(network.params)
    ['dense.weight', 'dense.bias']
    """

    Saved = NetworkSaved

    def __init__(
        self,
        layers: Mapping[str, Layer],
        nodes: Iterable[Node | tuple[str, str, Sequence[str]]],
        *,
        inputs: Sequence[str] = ("x",),
        outputs: Sequence[str] | None = None,
    ) -> None:
        self.layers: dict[str, Layer] = dict(layers)
        self.nodes: tuple[Node, ...] = tuple(
            Node(name, layer, (read,) if isinstance(read, str) else tuple(read))
            for name, layer, read in nodes
        )
        self.inputs: tuple[str, ...] = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        if outputs is None:
            outputs = (self.nodes[-1].name,) if self.nodes else ()
        self.outputs: tuple[str, ...] = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        check_structure(self.layers, self.nodes, self.inputs, self.outputs)
        self.n_inputs = len(self.inputs)
        self.context = tuple(dict.fromkeys(name for layer in self.layers.values() for name in layer.context))
        self._expire = self._last_readers()

    @classmethod
    def sequential(cls, *layers: Layer, **named: Layer) -> Network:
        """Chain layers: each reads the one before.

        Parameters
        ----------
        *layers : Layer
            Named after their class and place among their kind: ``dense1``, ``relu1``, ``dense2``. The same
            object twice is one shared layer.
        **named : Layer
            Further layers, with names of your choice.

        Returns
        -------
        Network

        Examples
        --------
        >>> from scinn.nn import Dense, Dropout, ReLU
        >>> network = Network.sequential(Dense(8, 4, rng=0), ReLU(), Dropout(0.5), head=Dense(4, 2, rng=1))
        >>> [node.name for node in network.nodes]
        ['dense1', 'relu1', 'dropout1', 'head']
        """
        counts: dict[str, int] = {}
        chain: list[tuple[str, Layer]] = []
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"sequential takes layers, got {type(layer).__name__}; name them by keyword")
            kind = type(layer).__name__.lower()
            counts[kind] = counts.get(kind, 0) + 1
            chain.append((f"{kind}{counts[kind]}", layer))
        for name, layer in named.items():
            if name in dict(chain):
                raise ValueError(f"the name {name!r} is used twice; choose another keyword")
            chain.append((name, layer))
        unique: dict[str, Layer] = {}
        nodes, previous = [], "x"
        for name, layer in chain:
            owner = next((known for known, other in unique.items() if other is layer), name)
            unique[owner] = layer
            nodes.append(Node(name, owner, (previous,)))
            previous = name
        return cls(unique, nodes)

    def _last_readers(self) -> tuple[tuple[str, ...], ...]:
        """Return for each node the values that nobody reads after it."""
        last: dict[str, int] = {}
        for i, node in enumerate(self.nodes):
            for read in node.inputs:
                last[split_reference(read)[0]] = i
        kept = {split_reference(name)[0] for name in self.outputs}
        expire: list[list[str]] = [[] for _ in self.nodes]
        for name, i in last.items():
            if name not in kept:
                expire[i].append(name)
        return tuple(tuple(names) for names in expire)

    @property
    def params(self) -> Mapping[str, np.ndarray]:  # type: ignore[override]
        """The parameters of all layers, flat and read-only; the arrays are the layers' own."""
        return self._flat("params")

    @property
    def state(self) -> Mapping[str, np.ndarray]:  # type: ignore[override]
        """The untrained arrays of all layers, flat and read-only; the arrays are the layers' own."""
        return self._flat("state")

    def _flat(self, kind: str) -> Mapping[str, np.ndarray]:
        return MappingProxyType(
            {
                f"{name}.{key}": value
                for name, layer in self.layers.items()
                for key, value in getattr(layer, kind).items()
            }
        )

    def forward(
        self, *x: Any, train: bool = False, key: Key | None = None, **context: Any
    ) -> tuple[Any, NetworkSaved]:
        """Run the nodes in order.

        Parameters
        ----------
        *x : ndarray
            One array per name in ``inputs``.
        train : bool
            Training mode, handed to every layer.
        key : scinn.random.Key, optional
            Each node gets ``key.child(node.name)``.
        **context
            All that the layers name in ``context``; each gets its own.

        Returns
        -------
        y : ndarray or tuple of ndarray
        saved : NetworkSaved
        """
        saved: list[Any] = []
        parts: list[tuple[tuple[int, ...], ...] | None] = []

        def run(node: Node, layer: Layer, x: tuple[Any, ...], wanted: dict[str, Any]) -> Any:
            child = None if key is None else key.child(node.name)
            y, kept = layer.forward(*x, train=train, key=child, **wanted)
            saved.append(kept)
            parts.append(tuple(part.shape for part in y) if isinstance(y, tuple) else None)
            return y

        y = self._run(run, x, context)
        return y, NetworkSaved(tuple(saved), tuple(parts))

    def __call__(self, *x: Any, **context: Any) -> Any:
        """Return the output in inference mode; each value is dropped after its last reader."""
        return self._run(lambda node, layer, x, wanted: layer(*x, **wanted), x, context)

    def _run(self, run: Any, x: tuple[Any, ...], context: dict[str, Any]) -> Any:
        if len(x) != len(self.inputs):
            raise TypeError(f"the network has {len(self.inputs)} inputs {self.inputs}, got {len(x)} arrays")
        self._check_context(context)
        values: dict[str, Any] = dict(zip(self.inputs, x))
        del x
        for node, expired in zip(self.nodes, self._expire):
            layer = self.layers[node.layer]
            wanted = {name: context[name] for name in layer.context}
            arrays = tuple(_value(values, read) for read in node.inputs)
            try:
                values[node.name] = run(node, layer, arrays, wanted)
            except (TypeError, ValueError) as error:
                error.add_note(f"in node {node.name!r}, layer {node.layer!r} ({type(layer).__name__})")
                raise
            del arrays
            for name in expired:
                del values[name]
        results = tuple(_value(values, name) for name in self.outputs)
        return results[0] if len(results) == 1 else results

    def _check_context(self, context: dict[str, Any]) -> None:
        missing = [name for name in self.context if name not in context]
        if missing:
            readers = [n.name for n in self.nodes if missing[0] in self.layers[n.layer].context]
            raise TypeError(
                f"the network needs the context {missing} (node {readers[0]!r} reads {missing[0]!r}): "
                f"pass {missing[0]}=..."
            )
        unknown = [name for name in context if name not in self.context]
        if unknown:
            raise TypeError(
                f"no layer of the network reads the context {unknown}; it reads {list(self.context)}"
            )

    def backward(self, saved: NetworkSaved, dy: Any) -> tuple[Any, dict[str, np.ndarray]]:
        """Run the nodes backwards.

        Parameters
        ----------
        saved : NetworkSaved
            From :meth:`forward`.
        dy : ndarray or tuple of ndarray
            Gradient of the loss by the output; None for an output that the loss does not see.

        Returns
        -------
        dx : ndarray, None, or tuple of them
            One for each network input.
        grads : dict of str to ndarray
            Under the names of ``params``. A parameter that no gradient reaches is missing.
        """
        values, params = _Sum(), _Sum()
        for name, part in zip(self.outputs, dy if len(self.outputs) > 1 else (dy,)):
            values.add(name, part)
        for node, kept, shapes in zip(self.nodes[::-1], saved.nodes[::-1], saved.parts[::-1]):
            gradient = values.take(node.name) if shapes is None else _take_parts(values, node.name, shapes)
            if gradient is None:
                continue
            dx, grads = self.layers[node.layer].backward(kept, gradient)
            for read, part in zip(node.inputs, dx if isinstance(dx, tuple) else (dx,)):
                values.add(read, part)
            for name, grad in grads.items():
                params.add(f"{node.layer}.{name}", grad)
        dinputs = tuple(values.take(name) for name in self.inputs)
        ordered = {name: params.arrays[name] for name in self.params if name in params.arrays}
        return (dinputs[0] if len(dinputs) == 1 else dinputs), ordered

    def update_state(self, saved: NetworkSaved) -> None:
        """Let each layer fold what it observed into its state: once per use, in the order of the nodes."""
        for node, kept in zip(self.nodes, saved.nodes):
            self.layers[node.layer].update_state(kept)

    def astype(self, dtype: Any) -> Network:
        """Return a copy with all parameters and floating-point state in ``dtype``."""
        new = copy.copy(self)
        new.layers = {name: layer.astype(dtype) for name, layer in self.layers.items()}
        return new

    def config(self) -> dict[str, Any]:
        """Return the structure as JSON values: layers, nodes, inputs, outputs."""
        return {
            "layers": {name: describe_layer(layer) for name, layer in self.layers.items()},
            "nodes": [[node.name, node.layer, list(node.inputs)] for node in self.nodes],
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Network:
        """Build the network that :meth:`config` describes, with freshly initialised arrays."""
        return cls(
            {name: build_layer(description) for name, description in config["layers"].items()},
            [(name, layer, tuple(read)) for name, layer, read in config["nodes"]],
            inputs=config["inputs"],
            outputs=config["outputs"],
        )

    def __repr__(self) -> str:
        return f"Network({len(self.nodes)} nodes, {self.n_parameters:,} parameters)"

    def summary(self) -> str:
        """Return a table of the nodes with their layers, inputs and numbers of parameters.

        Returns
        -------
        str
            A shared layer's parameters are counted at its first node.

        Examples
        --------
        >>> from scinn.nn import Dense, ReLU
        >>> print(Network.sequential(Dense(3, 2, rng=0), ReLU()).summary())
        node    layer  inputs  parameters
        ------  -----  ------  ----------
        dense1  Dense  x                8
        relu1   ReLU   dense1           0
        ------  -----  ------  ----------
        total                           8
        """
        rows = [("node", "layer", "inputs", "parameters")]
        seen: set[str] = set()
        for node in self.nodes:
            layer = self.layers[node.layer]
            kind = type(layer).__name__ + (f" (shared: {node.layer})" if node.layer in seen else "")
            count = 0 if node.layer in seen else layer.n_parameters
            seen.add(node.layer)
            rows.append((node.name, kind, ", ".join(node.inputs), f"{count:,}"))
        rows.append(("total", "", "", f"{self.n_parameters:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join(
                [*(cell.ljust(w) for cell, w in zip(row[:3], widths)), row[3].rjust(widths[3])]
            ).rstrip()
            for row in rows
        ]
        rule = "  ".join("-" * w for w in widths)
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def save(self, path: Any) -> None:
        """Write structure and arrays to one ``.npz`` file (no pickle; temporary file, then renamed).

        Parameters
        ----------
        path : str or path-like
            Where to write.

        Raises
        ------
        TypeError
            Where a layer's class is not registered, see :func:`scinn.nn.register_layer`.
        """
        from scinn._files import write_npz

        arrays = {f"params/{name}": value for name, value in self.params.items()}
        arrays |= {f"state/{name}": value for name, value in self.state.items()}
        write_npz(path, arrays, {"format": FORMAT, "kind": "network", "network": self.config()})

    @classmethod
    def load(cls, path: Any) -> Network:
        """Build the network that :meth:`save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            Where the file holds something else, or its arrays do not fit its structure (all mismatches
            listed).
        """
        from scinn._files import read_npz

        arrays, meta = read_npz(path)
        if meta.get("kind") != "network" or meta.get("format") != FORMAT:
            raise ValueError(
                f"{path} is not a network of format {FORMAT}: kind {meta.get('kind')!r}, "
                f"format {meta.get('format')!r}"
            )
        network = cls.from_config(meta["network"])
        network.load_arrays(arrays)
        return network

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy parameters and state into the network's own arrays, after checking all of them.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Under ``"params/<name>"`` and ``"state/<name>"``.

        Raises
        ------
        ValueError
            Lists every missing, unexpected or differently shaped or typed array; nothing is changed then.
        """
        copy_arrays(self.named_arrays(), arrays, "the network")

    def named_arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays under ``"params/<name>"`` and ``"state/<name>"``; they are the layers' own."""
        named = {f"params/{name}": value for name, value in self.params.items()}
        return named | {f"state/{name}": value for name, value in self.state.items()}


class _Sum:
    """Gradients that add up: kept at the first contribution, a new array at the second, then in place.

    The first contribution may alias an array that another node holds too, so it is never written into.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self._owned: set[str] = set()

    def add(self, name: str, value: Any) -> None:
        if value is None:
            return
        if name not in self.arrays:
            self.arrays[name] = value
        elif name in self._owned:
            self.arrays[name] += value
        else:
            self.arrays[name] = self.arrays[name] + value
            self._owned.add(name)

    def take(self, name: str) -> Any:
        return self.arrays.pop(name, None)


def _take_parts(values: _Sum, name: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[Any, ...] | None:
    parts = [values.take(f"{name}.{i}") for i in range(len(shapes))]
    known = next((part for part in parts if part is not None), None)
    if known is None:
        return None
    return tuple(np.zeros(shape, known.dtype) if part is None else part for part, shape in zip(parts, shapes))


def _value(values: dict[str, Any], reference: str) -> Any:
    name, part = split_reference(reference)
    value = values[name]
    if part is None:
        if isinstance(value, tuple):
            raise ValueError(
                f"{name!r} returns {len(value)} arrays; read one of them, for example {name + '.0'!r}"
            )
        return value
    if not isinstance(value, tuple) or part >= len(value):
        raise ValueError(f"{reference!r} does not exist: {name!r} returns {_count(value)}")
    return value[part]


def _count(value: Any) -> str:
    return f"{len(value)} arrays" if isinstance(value, tuple) else "one array"


def copy_arrays(targets: Mapping[str, np.ndarray], sources: Mapping[str, np.ndarray], what: str) -> None:
    """Copy arrays by name into existing ones, or list every mismatch and change nothing."""
    problems = [f"missing: {name}" for name in targets if name not in sources]
    problems += [f"unexpected: {name}" for name in sources if name not in targets]
    for name, target in targets.items():
        source = sources.get(name)
        if source is not None and (source.shape != target.shape or source.dtype != target.dtype):
            problems.append(
                f"{name}: {source.dtype} {source.shape} in the file, {target.dtype} {target.shape} in {what}"
            )
    if problems:
        raise ValueError(f"the arrays do not fit {what}:\n  " + "\n  ".join(problems))
    for name, target in targets.items():
        target[...] = sources[name]
