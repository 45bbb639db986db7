"""The structure of a network, and every way in which it can be wrong."""

from __future__ import annotations

import difflib
import graphlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from scinn.nn.layer import Layer

__all__ = ["Node", "check_structure", "split_reference"]


class Node(NamedTuple):
    """One computation of a network: its own name, the name of its layer, and what it reads."""

    name: str
    layer: str
    inputs: tuple[str, ...]


def split_reference(reference: str) -> tuple[str, int | None]:
    """Return the node and the part that a reference such as ``"lstm.1"`` names; the part may be None."""
    name, dot, part = reference.partition(".")
    return (name, int(part)) if dot and part.isdigit() else (reference, None)


def check_structure(
    layers: Mapping[str, Layer], nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """Refuse a structure that cannot be run, naming the node and how to mend it.

    Parameters
    ----------
    layers : mapping of str to Layer
    nodes : sequence of Node
    inputs, outputs : sequence of str

    Raises
    ------
    TypeError
        Where a layer is not a :class:`~scinn.nn.Layer`.
    ValueError
        For duplicate, dotted or unknown names, cycles, wrong order, wrong numbers of inputs, and layers,
        inputs or nodes that nobody uses.
    """
    if not nodes:
        raise ValueError("a network needs at least one node")
    _check_layers(layers)
    names = [*inputs, *(node.name for node in nodes)]
    for name in names:
        _check_name(name, "node or input")
        if names.count(name) > 1:
            raise ValueError(
                f"the name {name!r} is used {names.count(name)} times among nodes and inputs; rename one"
            )
    _check_references(nodes, inputs, outputs)
    _check_order(nodes, inputs)
    for node in nodes:
        if node.layer not in layers:
            raise ValueError(
                f"node {node.name!r} uses the unknown layer {node.layer!r}{_near(node.layer, layers)}"
            )
        wanted = layers[node.layer].n_inputs
        if (wanted is not None and wanted != len(node.inputs)) or not node.inputs:
            raise ValueError(
                f"node {node.name!r} reads {len(node.inputs)} inputs, its layer {node.layer!r} "
                f"({type(layers[node.layer]).__name__}) takes {wanted or 'at least one'}"
            )
    _check_used(layers, nodes, inputs, outputs)


def _check_layers(layers: Mapping[str, Layer]) -> None:
    owners: dict[int, str] = {}
    for name, layer in layers.items():
        _check_name(name, "layer")
        if not isinstance(layer, Layer):
            raise TypeError(f"layer {name!r} must be a Layer, got {type(layer).__name__}")
        if id(layer) in owners:
            raise ValueError(
                f"layers {owners[id(layer)]!r} and {name!r} are one object; name it once and let two nodes "
                "use it"
            )
        owners[id(layer)] = name


def _check_name(name: str, what: str) -> None:
    if not isinstance(name, str) or not name or "." in name or "/" in name:
        raise ValueError(f"the {what} name {name!r} must be a non-empty string without '.' and '/'")


def _check_references(nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str]) -> None:
    node_names = [node.name for node in nodes]
    known = [*inputs, *node_names]
    for node in nodes:
        for read in node.inputs:
            if split_reference(read)[0] not in known:
                raise ValueError(f"node {node.name!r} reads the unknown input {read!r}{_near(read, known)}")
    for name in outputs:
        if split_reference(name)[0] not in node_names:
            raise ValueError(f"the output {name!r} is no node{_near(name, node_names)}")


def _check_order(nodes: Sequence[Node], inputs: Sequence[str]) -> None:
    done = set(inputs)
    for node in nodes:
        late = [read for read in node.inputs if split_reference(read)[0] not in done]
        if late:
            graph = {other.name: {split_reference(r)[0] for r in other.inputs} for other in nodes}
            try:
                order = [
                    name for name in graphlib.TopologicalSorter(graph).static_order() if name not in inputs
                ]
            except graphlib.CycleError as error:
                cycle = " <- ".join(error.args[1][::-1])
                raise ValueError(
                    f"the nodes form a cycle: {cycle}; a network is a graph without cycles"
                ) from None
            raise ValueError(
                f"node {node.name!r} reads {late[0]!r}, which comes later; "
                f"a valid order of the nodes is {order}"
            )
        done.add(node.name)


def _check_used(
    layers: Mapping[str, Layer], nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    read = {split_reference(name)[0] for node in nodes for name in node.inputs}
    read |= {split_reference(name)[0] for name in outputs}
    for what, names, used in (
        ("input", inputs, read),
        ("node", [node.name for node in nodes], read),
        ("layer", list(layers), {node.layer for node in nodes}),
    ):
        unused = [name for name in names if name not in used]
        if unused:
            raise ValueError(
                f"nobody uses the {what} {unused[0]!r}; remove it or connect it (all unused: {unused})"
            )


def _near(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {known}"
