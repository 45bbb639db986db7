"""What ``scinn stabilize`` does: a network and samples come in files, a stabilised network and a report go out.

Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization". The functions read and write
files and return plain dictionaries; parsing and printing are those of the command line.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scinn._files import read_npz
from scinn._input import check_choice, check_positive_int
from scinn.nn.dense import Dense
from scinn.nn.network import Network
from scinn.random import Key
from scinn.robustness.attacks import jsma
from scinn.robustness.fourier_stabilization import stabilize_layer
from scinn.robustness.network import ShallowNetwork
from scinn.robustness.selection import MAX_DROP, SelectionResult, floor_below, select_neurons

__all__ = [
    "ending",
    "neuron_rows",
    "read_model",
    "read_samples",
    "replace_columns",
    "stabilize_file",
    "summary_rows",
]

_FEATURES = ("features", "x", "X")
_LABELS = ("labels", "y")
#: Numbers of flips at which the accuracy under attack is reported.
BUDGETS = (1, 2, 4, 8, 16)


def read_model(path: str | os.PathLike[str], encoding: str | None) -> tuple[ShallowNetwork, Network | None]:
    """Read a network with one hidden layer.

    Parameters
    ----------
    path : path
        A file of :meth:`ShallowNetwork.save` or :meth:`scinn.nn.Network.save`.
    encoding : {"signs", "bits"} or None
        What a :class:`scinn.nn.Network` was trained on, which its file does not tell.

    Returns
    -------
    ShallowNetwork
        Over signs.
    Network or None
        What the file holds, where it is one.

    Raises
    ------
    ValueError
        For another file, and where the encoding is missing or does not fit.
    """
    _, meta = read_npz(path)
    if meta.get("kind") != "network":
        if encoding == "bits":
            raise ValueError(
                f"{os.fspath(path)} is a ShallowNetwork, which takes signs; leave the model's encoding away"
            )
        return ShallowNetwork.load(path), None
    if encoding is None:
        raise ValueError(
            f"{os.fspath(path)} is a scinn.nn.Network, which does not say what it was trained on; pass --model-encoding "
            "signs or bits"
        )
    network = Network.load(path)
    return ShallowNetwork.from_network(network, encoding=encoding), network


def read_samples(
    path: str | os.PathLike[str], network: ShallowNetwork, encoding: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Read samples of a network from an ``.npz`` file.

    Parameters
    ----------
    path : path
        With the arrays ``features`` (or ``x``, ``X``), shape (n_samples, n_features), and ``labels`` (or ``y``), shape
        (n_samples,), as :func:`numpy.savez` writes them.
    network : ShallowNetwork
        Whose widths they must have.
    encoding : {"auto", "bits", "signs"}
        What the features are.

    Returns
    -------
    signs : ndarray of int8, shape (n_samples, n_features)
    labels : ndarray of int64, shape (n_samples,)

    Raises
    ------
    ValueError
        Where the file holds something else; the message says what.
    """
    name = os.fspath(path)
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array, not an archive of arrays")
        with archive:
            held = archive.files
            found = [next((key for key in keys if key in held), None) for keys in (_FEATURES, _LABELS)]
            arrays = [None if key is None else archive[key] for key in found]
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{name} cannot be read: {error}; write it with numpy.savez({name!r}, features=..., labels=...)"
        ) from error
    if arrays[0] is None or arrays[1] is None:
        raise ValueError(
            f"{name} holds {', '.join(held) or 'nothing'}; features (or x, X) and labels (or y) are wanted: "
            f"numpy.savez({name!r}, features=..., labels=...)"
        )
    features, labels = arrays
    assert features is not None
    if not features.size:
        raise ValueError(f"{name} holds no samples; at least one is wanted")
    try:
        signs = network.signs(features, encoding=encoding, name=str(found[0]))
        return signs, network.known_labels(labels, len(signs), name=str(found[1]))
    except (TypeError, ValueError) as error:
        # Here the type is that of a file's content, which is as much a wrong value as any other.
        raise ValueError(f"{name}: {error}") from error


def replace_columns(
    network: Network, before: ShallowNetwork, after: ShallowNetwork, encoding: str
) -> Network:
    """Return a copy of a network with the columns that stabilising changed, and with no other change.

    Parameters
    ----------
    network : Network
        That `before` was read from.
    before, after : ShallowNetwork
        Of signs.
    encoding : {"signs", "bits"}
        Of `network`: ``x W + b`` for signs ``x = 1 - 2 bit`` is ``-2 bit W + (b + column sums of W)``.

    Returns
    -------
    Network
        Of the same encoding.
    """
    check_choice(encoding, "encoding", ("signs", "bits"))
    layers = [network.layers[node.layer] for node in network.nodes]
    slope = getattr(layers[1], "slope", 1.0)
    # A slope of 1/2 is an activation of its own, every other one is part of the weights that were read.
    scale = 1.0 if slope == 0.5 else slope
    new = {}
    for place, kind in ((0, "hidden"), (2, "output")):
        old_w, w = getattr(before, f"{kind}_weights"), getattr(after, f"{kind}_weights").astype(np.float64)
        old_b, b = getattr(before, f"{kind}_bias"), getattr(after, f"{kind}_bias").astype(np.float64)
        changed = (old_w != w).any(axis=0) | (old_b != b)
        if kind == "hidden":
            w, b = w / scale, b / scale
            if encoding == "bits":
                w, b = -2 * w, b + w.sum(axis=0)
        new[network.nodes[place].layer] = _with_columns(layers[place], w, b, changed)
    return Network(
        {name: new.get(name, layer) for name, layer in network.layers.items()},
        network.nodes,
        inputs=network.inputs,
        outputs=network.outputs,
    )


def _with_columns(layer: Any, weights: np.ndarray, bias: np.ndarray, changed: np.ndarray) -> Dense:
    n_in, n_out = layer.params["weight"].shape
    has_bias = "bias" in layer.params or bool(np.any(bias[changed]))
    copy = Dense(n_in, n_out, bias=has_bias, init="zeros", dtype=layer.params["weight"].dtype, rng=0)
    for name, value in layer.params.items():
        copy.params[name][...] = value
    copy.params["weight"][:, changed] = weights[:, changed]
    if has_bias:
        copy.params["bias"][changed] = bias[changed]
    return copy


def _check_out(out: Path | None, sources: Sequence[Path], force: bool) -> None:
    if out is None:
        return
    if out.exists() and out.resolve() in [source.resolve() for source in sources]:
        raise FileExistsError(f"{out} is read here, and never overwritten; name another file")
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; name a file")
    if out.exists() and not force:
        raise FileExistsError(f"{out} exists; pass --force to overwrite it")


def _attack(network: ShallowNetwork, signs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return what JSMA does to a network: shares, and flips of the samples that it evaded with."""
    result = jsma(network, signs, labels, encoding="signs")
    right = ~result.already_misclassified
    evaded = result.n_flips[right & result.success]
    return {
        "accuracy": float(np.mean(right)),
        "success_rate": float(np.mean(result.success[right])) if right.any() else None,
        "mean_flips": float(np.mean(evaded)) if len(evaded) else None,
        "median_flips": float(np.median(evaded)) if len(evaded) else None,
        "robust_accuracy": {str(k): float(result.robust_accuracy(2.0 * k)) for k in BUDGETS},
    }


def _drawn(n: int, wanted: int | None, seed: int) -> np.ndarray:
    if wanted is None or check_positive_int(wanted, "attack_samples") >= n:
        return np.arange(n)
    return np.sort(Key(seed).child("stabilize", "attack").generator().permutation(n)[:wanted])


def stabilize_file(
    model: str | os.PathLike[str],
    validation: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    floor: float | None = None,
    max_drop: float | None = None,
    method: str = "gmbc",
    benefit: str = "proxy",
    layers: Sequence[str] = ("hidden",),
    p: float = 1.0,
    threshold_rule: str = "keep",
    encoding: str = "auto",
    model_encoding: str | None = None,
    attack: str = "none",
    attack_samples: int | None = None,
    seed: int = 0,
    force: bool = False,
    callback: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Stabilise the network in a file under an accuracy floor, and report what that did.

    Parameters
    ----------
    model, validation : path
        See :func:`read_model` and :func:`read_samples`; neurons are chosen with the validation samples.
    out : path, optional
        Where the stabilised network is written, after everything else and whole or not at all, as the kind of file that
        `model` is. By default nothing is written.
    test : path, optional
        Further samples, for judging.
    floor, max_drop : float, optional
        Least validation accuracy, or by how much it may fall; the latter, 0.01, by default.
    method, benefit, layers, p, threshold_rule
        As for :func:`scinn.robustness.select_neurons`.
    encoding : {"auto", "bits", "signs"}
        Of the samples.
    model_encoding : {"signs", "bits"}, optional
        See :func:`read_model`.
    attack : {"none", "jsma"}
        Whether to attack the network before and after, on the test samples where there are any.
    attack_samples : int, optional
        How many samples to attack, drawn at random; default all.
    seed : int, default 0
        For drawing them, and for probabilities that have to be sampled.
    force : bool, default False
        Whether `out` may exist. It is never `model`.
    callback : callable, optional
        Called with a line of text when a long step begins.

    Returns
    -------
    dict
        Of what JSON can hold.

    Raises
    ------
    ValueError
        For files that hold something else, widths that do not fit, and a floor above the network's accuracy.
    FileExistsError
        Where `out` exists.
    """
    check_choice(attack, "attack", ("none", "jsma"))
    if floor is not None and max_drop is not None:
        raise ValueError("floor and max_drop exclude each other; pass one of them")
    _check_out(
        None if out is None else Path(out),
        [Path(p) for p in (model, validation, test) if p is not None],
        force,
    )
    say = callback or (lambda message: None)
    network, source = read_model(model, model_encoding)
    parts = {"validation": read_samples(validation, network, encoding)}
    if test is not None:
        parts["test"] = read_samples(test, network, encoding)
    x, y = parts["validation"]
    if floor is None:
        accuracy = network.accuracy(x, y, encoding="signs")
        floor = floor_below(accuracy, MAX_DROP if max_drop is None else max_drop, len(y))
    say("choosing neurons")
    selection = select_neurons(
        network, x, y, floor=floor, method=method, benefit=benefit, layers=layers, p=p, threshold_rule=threshold_rule,
        encoding="signs",
    )  # fmt: skip
    report = {
        "model": os.fspath(model),
        "out": None if out is None else os.fspath(out),
        "kind": "shallow-network" if source is None else "network",
        "n_features": network.n_features,
        "activation": network.activation,
        "selection": selection.to_dict(),
        "neurons": _neurons(network, selection, p, threshold_rule, seed, say),
        "accuracy": {
            name: {"n_samples": len(labels)} | _before_and_after(network, selection, signs, labels)
            for name, (signs, labels) in parts.items()
        },
        "attack": None,
    }
    if attack != "none":
        part = "test" if test is not None else "validation"
        signs, labels = parts[part]
        rows = _drawn(len(labels), attack_samples, seed)
        found: dict[str, Any] = {"name": attack, "part": part, "n_samples": len(rows)}
        for when, attacked in (("before", network), ("after", selection.network)):
            say(f"attacking the network {when} stabilising: {len(rows)} samples")
            found[when] = _attack(attacked, signs[rows], labels[rows])
        report["attack"] = found
    if out is not None:
        if source is None:
            selection.network.save(out)
        else:
            replace_columns(source, network, selection.network, str(model_encoding)).save(out)
    return report


def _before_and_after(
    network: ShallowNetwork, selection: SelectionResult, signs: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    both = {"before": network, "after": selection.network}
    return {when: one.accuracy(signs, labels, encoding="signs") for when, one in both.items()}


def _neurons(
    network: ShallowNetwork,
    selection: SelectionResult,
    p: float,
    threshold_rule: str,
    seed: int,
    say: Callable[[str], object],
) -> list[dict[str, Any]]:
    """Return a row for each hidden neuron: what stabilising does to it, and whether it was done."""
    say(f"measuring {network.n_hidden} neurons")
    layer = stabilize_layer(
        network.hidden_weights, network.thresholds, p=p, activation=network.activation,
        tie=network.tie if network.activation == "sign" else 1, threshold_rule=threshold_rule, rng=seed,
    )  # fmt: skip
    chosen = set(selection.hidden)
    return [
        {"neuron": j, "stabilized": j in chosen, **neuron.to_dict()} for j, neuron in enumerate(layer.neurons)
    ]


def neuron_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a report's neurons as rows of text, the head first."""
    rows: list[tuple[str, ...]] = [
        ("neuron", "distance before", "after", "after, signed", "optimum", "answer changes", "stabilised")
    ]
    # The optimum is that of the signed distance, which counts the points of changed answers as negative.
    after = ("distance_after", "signed_distance", "optimum")
    for row in report["neurons"]:
        change = row["change"]
        rows.append(
            (
                str(row["neuron"]),
                f"{row['distance_before']:.4g}",
                *(f"{row[key]:.4g}" if row["changed"] else "–" for key in after),
                f"{change['value']:.2%} ({change['kind']})" if change else "–",
                "yes" if row["stabilized"] else row["reason"] or "no",
            )
        )
    return rows


def summary_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a report's accuracies before and after as rows of text, the head first."""
    rows: list[tuple[str, ...]] = [("", "before", "after")]
    when = ("before", "after")
    for name, found in report["accuracy"].items():
        label = f"{name} accuracy ({found['n_samples']} samples)"
        rows.append((label, *(f"{found[key]:.4f}" for key in when)))
    attack = report["attack"]
    if attack is None:
        return rows

    def add(label: str, values: list[float | None], form: str) -> None:
        texts = ("–" if value is None else format(value, form) for value in values)
        rows.append((f"{attack['name'].upper()}: {label}", *texts))

    add(
        f"share evaded ({attack['n_samples']} {attack['part']} samples)",
        [attack[k]["success_rate"] for k in when],
        ".4f",
    )
    add("mean flips to evade", [attack[key]["mean_flips"] for key in when], ".2f")
    add("median flips", [attack[key]["median_flips"] for key in when], ".1f")
    for k in BUDGETS:
        values = [attack[key]["robust_accuracy"][str(k)] for key in when]
        add(f"accuracy under {k} flip{'s' * (k > 1)}", values, ".4f")
    return rows


def ending(report: dict[str, Any]) -> str:
    """Return a report's last lines: how many columns were stabilised, and where the network is."""
    selection = report["selection"]
    columns = selection["output"]
    also = f" and {len(columns)} output column{'s' * (len(columns) > 1)}" if columns else ""
    lines = [
        f"{len(selection['hidden'])} of {len(report['neurons'])} neurons{also} stabilised by {selection['method']}, "
        f"floor {selection['floor']:.6g}."
    ]
    lines.append(
        f"Written: {report['out']}" if report["out"] else "Nothing was written; pass -o OUT for that."
    )
    return "\n".join(lines)
