"""What the peers are asked to do for the benchmarks of Chow parameters, Walsh-Hadamard transforms and attacks.

Loaded by ``peer_worker.py`` from its own folder, and by scinn for the inputs, which both sides make from the same seed. At
the top it imports nothing but NumPy and the standard library; the other libraries are passed in. Where a peer is no
library but a program that runs no longer, or a textbook's algorithm, it is written here in NumPy, as fast as NumPy allows.
"""

from __future__ import annotations

import functools
import sys
import time
import types
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

Best = Callable[[Callable[[], Any]], float]
#: Weights, bias, output weights and output bias of a network with one hidden layer of tanh(z / 2).
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def table(n: int) -> np.ndarray:
    """Return 2^n seeded float64 normals, the same on both sides."""
    return np.random.default_rng(n).standard_normal(1 << n)


def places(n: int) -> np.ndarray:
    """Return the places at which both sides' spectra are compared."""
    return np.random.default_rng(1).integers(1 << n, size=1000)


def binomial_points(rng: Any, n_points: int, n: int) -> np.ndarray:
    """Draw points of the cube as the authors' program does; `rng` is a RandomState."""
    return 1 - 2 * rng.binomial(1, 0.5, (n_points, n)).astype(np.float32)


def unpacked_points(rng: Any, n_points: int, n: int) -> np.ndarray:
    """Draw points of the cube from random bytes, eight signs from each."""
    size = n_points * n
    bits = np.unpackbits(np.frombuffer(rng.bytes(-(-size // 8)), dtype=np.uint8), count=size)
    points = bits.astype(np.float32).reshape(n_points, n)
    points *= -2
    points += 1
    return points


def sampled_coefficients(
    weights: np.ndarray,
    thresholds: np.ndarray,
    n_samples: int,
    draw: Callable[[int, int], np.ndarray],
    chunk: int = 20_000,
) -> np.ndarray:
    """Estimate E[h], E[h x_1], ... of each column by the mean over random points, in float32 as the authors' program."""
    weights, thresholds = weights.astype(np.float32), thresholds.astype(np.float32)
    n, n_neurons = weights.shape
    total = np.zeros((n + 1, n_neurons))
    for start in range(0, n_samples, chunk):
        points = draw(min(chunk, n_samples - start), n)
        signs = np.sign(points @ weights - thresholds)
        total[0] += signs.sum(axis=0, dtype=np.float64)
        total[1:] += points.T @ signs
    return total / n_samples


def sampled_chow(
    weights: np.ndarray, thresholds: np.ndarray, n_samples: int, n_repeats: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Time the authors' estimator with their random numbers and with faster ones; a long call is not warmed up."""
    arrays, info = {}, {}
    draws: dict[str, Callable[[int, int], np.ndarray]] = {
        "binomial": functools.partial(binomial_points, np.random.RandomState(0)),
        "unpacked": functools.partial(unpacked_points, np.random.default_rng(0)),
    }
    for name, draw in draws.items():
        info[name] = float("inf")
        for _ in range(n_repeats):
            start = time.process_time()
            arrays[name] = sampled_coefficients(weights, thresholds, n_samples, draw)
            info[name] = min(info[name], time.process_time() - start)
    return arrays, info


def halves_chow(weights: np.ndarray, threshold: float) -> np.ndarray:
    """Compute Chow parameters exactly from the sorted sums of two halves of the weights, sgn(0) = 1."""
    n_low = len(weights) // 2

    def sums(part: np.ndarray) -> np.ndarray:
        out = np.zeros(1)
        for weight in part:
            out = np.concatenate([out + weight, out - weight])
        return out

    def balances(one: np.ndarray, sorted_other: np.ndarray) -> np.ndarray:
        # Sorted questions are answered several times faster.
        order = np.argsort(one)
        below = np.searchsorted(sorted_other, threshold - one[order])
        out = np.empty(len(one))
        out[order] = len(sorted_other) - 2.0 * below
        return out

    low, high = sums(weights[:n_low]), sums(weights[n_low:])
    totals = (balances(low, np.sort(high)), balances(high, np.sort(low)))
    out = [totals[0].sum()]
    for total in totals:
        while len(total) > 1:
            pairs = total.reshape(-1, 2)
            out.append((pairs[:, 0] - pairs[:, 1]).sum())
            total = pairs.sum(axis=1)
    return np.array(out) / 2.0 ** len(weights)


def radix2(values: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """Walsh-Hadamard transform in NumPy as it is mostly written; both arrays are overwritten, one is returned."""
    half = 1
    while half < len(values):
        source, target = values.reshape(-1, 2, half), spare.reshape(-1, 2, half)
        np.add(source[:, 0], source[:, 1], out=target[:, 0])
        np.subtract(source[:, 0], source[:, 1], out=target[:, 1])
        values, spare, half = spare, values, 2 * half
    return values


def constant_geometry(values: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """Walsh-Hadamard transform whose steps are all alike (Pease 1968), so that NumPy's loops are long."""
    half = len(values) // 2
    for _ in range(half.bit_length()):
        np.add(values[::2], values[1::2], out=spare[:half])
        np.subtract(values[::2], values[1::2], out=spare[half:])
        values, spare = spare, values
    return values


def walsh_numpy(best: Best, n: int) -> tuple[np.ndarray, dict[str, float]]:
    """Time both NumPy transforms, without allocating, and return some values of the spectrum."""
    found, times = [], {}
    for function in (radix2, constant_geometry):
        values, spare = table(n), np.empty(1 << n)
        found.append(function(values, spare)[places(n)].copy())
        # Transformed again and again, anything but zeros overflows.
        values[:] = spare[:] = 0
        times[function.__name__] = best(functools.partial(function, values, spare))
    if np.abs(found[0] - found[1]).max() > 1e-9 * 2 ** (n / 2):
        raise ArithmeticError("the two transforms in NumPy do not agree")
    return found[0], times


def walsh_pyfwht(library: Any, best: Best, n: int) -> tuple[np.ndarray, float]:
    """Time the transform of pyfwht in place, on its processor backend."""
    values = table(n)
    library.transform(values, backend=library.Backend.CPU)
    found = values[places(n)].copy()
    values[:] = 0
    return found, best(lambda: library.transform(values, backend=library.Backend.CPU))


def walsh_sympy(library: Any, n: int) -> tuple[np.ndarray, float]:
    """Time one transform of SymPy, in Python's floats."""
    values = table(n).tolist()
    start = time.process_time()
    spectrum = library.fwht(values)
    seconds = time.process_time() - start
    return np.array(spectrum, dtype=np.float64)[places(n)], seconds


def folded_table(values: np.ndarray) -> np.ndarray:
    """Compute the coefficients of degree 0 and 1 of a table, halving it at each variable."""
    size, out = len(values), []
    while len(values) > 1:
        even, odd = values[::2], values[1::2]
        out.append(even.sum() - odd.sum())
        values = even + odd
    return np.array([values[0], *out]) / size


def boofun_chow(
    library: Any, best: Best, weights: np.ndarray, threshold: float
) -> tuple[np.ndarray, dict[str, float]]:
    """Time boofun's Chow parameters of a threshold function, and the truth table that it needs before."""

    def build() -> Any:
        return library.create_weighted_majority(weights.tolist(), threshold)

    # A true answer is the bit 1 there, whose sign is -1.
    value = -np.asarray(library.chow_parameters(build()))
    return value, {"build": best(build), "chow": best(lambda: library.chow_parameters(build()))}


def powerindex_banzhaf(library: Any, best: Best, weights: np.ndarray, quota: int) -> tuple[np.ndarray, float]:
    """Time the normalised Banzhaf indices of powerindex."""

    def run() -> Any:
        game = library.Game(int(quota), [int(weight) for weight in weights])
        game.calc_banzhaf()
        return game.banzhaf

    return np.array(run()), best(run)


def import_lmn(pypuf: Any, importer: Callable[[str], Any]) -> tuple[Any, ...]:
    """Import what the estimator of pypuf needs, without the neighbouring attacks, which need TensorFlow."""
    package = types.ModuleType("pypuf.attack")
    package.__path__ = [f"{path}/attack" for path in pypuf.__path__]
    sys.modules.setdefault("pypuf.attack", package)
    return tuple(importer(f"pypuf.{name}") for name in ("attack.fourier", "io", "simulation"))


def pypuf_lmn(
    modules: tuple[Any, ...], best: Best, weights: np.ndarray, threshold: float, n_samples: int
) -> tuple[np.ndarray, float]:
    """Time pypuf's estimate of degree 1 from random challenges, with drawing them."""
    fourier, io, simulation = modules
    n = len(weights)

    def run() -> Any:
        neuron = simulation.LTFArray(weights[None, :], transform="id", bias=np.array([-threshold]))
        pairs = io.ChallengeResponseSet.from_simulation(neuron, N=n_samples, seed=1)
        return fourier.LMNAttack(pairs, deg=1).fit().expansion[0]

    # Its sums are divided by the number of coefficients instead of samples, and the features come in reverse order.
    value = np.asarray(run(), dtype=np.float64) * (n + 1) / n_samples
    return np.concatenate([value[:1], value[:0:-1]]), best(run)


def jsma_numpy(
    arrays: Arrays, points: np.ndarray, labels: np.ndarray, *, max_flips: int = 1000, cells: int = 1 << 19
) -> np.ndarray:
    """Run the authors' saliency attack on all points at once; return the flips of each, 0 where it is misclassified.

    Preactivations are kept and updated; all points that are not evaded yet advance together, a chunk at a time, so that a
    chunk's candidates (points x features x hidden) stay in the cache.
    """
    weights, bias, output, output_bias = arrays
    # tanh(z / 2): the half goes into the weights once.
    halved = (weights / 2, bias / 2, output, output_bias)
    logits = _logits(points @ halved[0] + halved[1], halved)
    flips = np.zeros(len(points), dtype=np.int64)
    live = np.flatnonzero(logits.argmax(axis=1) == labels)
    step = max(1, cells // weights.size)
    for start in range(0, len(live), step):
        _advance(live[start : start + step], points, labels, halved, flips, max_flips)
    return flips


def _logits(z: np.ndarray, arrays: Arrays) -> np.ndarray:
    result: np.ndarray = np.tanh(z) @ arrays[2] + arrays[3]
    return result


def _advance(
    live: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    arrays: Arrays,
    flips: np.ndarray,
    max_flips: int,
) -> None:
    """Run the attack on one chunk of points, whose numbers are `live`; `flips` is written."""
    weights, bias, output, output_bias = arrays
    x, y = points[live].copy(), labels[live]
    z = x @ weights + bias
    logits = _logits(z, arrays)
    others = logits.copy()
    others[np.arange(len(live)), y] = -np.inf
    target = others.argmax(axis=1)
    free = np.ones(x.shape, dtype=bool)
    doubled = 2 * weights
    for _ in range(min(max_flips, len(weights))):
        rows = np.arange(len(live))
        candidates = np.multiply(x[:, :, None], -doubled)
        candidates += z[:, None, :]
        np.tanh(candidates, out=candidates)
        change = (candidates.reshape(-1, len(output)) @ output).reshape(*x.shape, -1)
        change += (output_bias - logits)[:, None, :]
        of_target = change[rows, :, target]
        of_others = change.sum(axis=2) - of_target
        saliency = np.where((of_target > 0) & (of_others < 0), -of_target * of_others, 0)
        saliency[~free] = -1
        best = saliency.argmax(axis=1)
        z -= x[rows, best, None] * doubled[best]
        x[rows, best] *= -1
        free[rows, best] = False
        flips[live] += 1
        logits = _logits(z, arrays)
        stay = logits.argmax(axis=1) == y
        live, x, y, z, free = live[stay], x[stay], y[stay], z[stay], free[stay]
        target, logits = target[stay], logits[stay]
        if not len(live):
            return


def torch_network(torch: Any, arrays: Arrays) -> Any:
    """Return the network of tanh(z / 2) as a PyTorch module."""
    weights, bias, output, output_bias = (torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)

    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = torch.nn.Linear(*weights.shape)
            self.output = torch.nn.Linear(*output.shape)
            with torch.no_grad():
                self.hidden.weight.copy_(weights.T)
                self.hidden.bias.copy_(bias)
                self.output.weight.copy_(output.T)
                self.output.bias.copy_(output_bias)

        def forward(self, x: Any) -> Any:
            return self.output(torch.tanh(self.hidden(x) / 2))

    return Detector().eval()


def art_saliency(
    torch: Any, attacks: Any, estimators: Any, arrays: Arrays, points: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, dict[str, float]]:
    """Time the saliency map method of ART for two classes; each of its steps raises two features to +1."""
    classifier = estimators.PyTorchClassifier(
        torch_network(torch, arrays),
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=(points.shape[1],),
        nb_classes=2,
        clip_values=(-1.0, 1.0),
        device_type="cpu",
    )
    options = {"theta": 2.0, "gamma": 1.0, "batch_size": len(points), "verbose": False}
    attack = attacks.SaliencyMapMethod(classifier, **options)
    start = time.process_time()
    changed = attack.generate(points, 1 - labels)
    seconds = time.process_time() - start
    was_right = classifier.predict(points).argmax(axis=1) == labels
    evaded = was_right & (classifier.predict(changed).argmax(axis=1) != labels)
    flips = np.where(evaded, (changed != points).sum(axis=1), 0)
    return flips, {"seconds": seconds, "evaded": float(evaded.sum() / max(1, was_right.sum()))}


def _norms(torch: Any, network: Any, points: np.ndarray, labels: np.ndarray, found: Any) -> np.ndarray:
    """Return the l1 norms of an attack: 0 for a point that was wrong before, infinite where nothing was found."""
    with torch.no_grad():
        before = network(torch.from_numpy(points)).argmax(dim=1).numpy() == labels
        after = network(found).argmax(dim=1).numpy() == labels
    norms = np.abs(found.numpy().astype(np.float64) - points).sum(axis=1)
    return np.where(before, np.where(after, np.inf, norms), 0.0)


def foolbox_fmn(
    torch: Any, foolbox: Any, best: Best, arrays: Arrays, points: np.ndarray, labels: np.ndarray, n_steps: int
) -> tuple[np.ndarray, float]:
    """Time foolbox's fast minimum norm attack in the cube's hull; return its norms too."""
    network = torch_network(torch, arrays)
    model = foolbox.PyTorchModel(network, bounds=(-1, 1), device="cpu")
    x, y = torch.from_numpy(points), torch.from_numpy(labels)
    attack = foolbox.attacks.L1FMNAttack(steps=n_steps)
    found = attack(model, x, y, epsilons=None)[0]
    return _norms(torch, network, points, labels, found), best(lambda: attack(model, x, y, epsilons=None))


def foolbox_brendel_bethge(
    torch: Any, foolbox: Any, arrays: Arrays, points: np.ndarray, labels: np.ndarray, n: int, n_steps: int
) -> tuple[np.ndarray, float]:
    """Time the attack of Brendel and Bethge on the first n points, from the nearest point of another class."""
    network = torch_network(torch, arrays)
    model = foolbox.PyTorchModel(network, bounds=(-1, 1), device="cpu")
    x, y = torch.from_numpy(points[:n]), torch.from_numpy(labels[:n])
    with torch.no_grad():
        predicted = network(torch.from_numpy(points)).argmax(dim=1).numpy()
    starts = []
    for point, label in zip(points[:n], labels[:n]):
        distances = np.abs(points - point).sum(axis=1)
        distances[predicted == label] = np.inf
        starts.append(points[distances.argmin()])
    start = torch.from_numpy(np.array(starts))
    attack = foolbox.attacks.L1BrendelBethgeAttack(steps=n_steps)
    # The first call compiles.
    attack(model, x[:1], y[:1], starting_points=start[:1], epsilons=None)
    begun = time.process_time()
    found = attack(model, x, y, starting_points=start, epsilons=None)[0]
    seconds = time.process_time() - begun
    return _norms(torch, network, points[:n], labels[:n], found), seconds


def _network(arrays: dict[str, np.ndarray]) -> Arrays:
    return arrays["weights"], arrays["bias"], arrays["output"], arrays["output_bias"]


def _answer(
    value: np.ndarray, seconds: Any, package: str, **more: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a task returns: the value, the time, and the version of the package that ran."""
    versions = {name: metadata.version(name) for name in dict.fromkeys(("numpy", package))}
    return {"value": value}, {"seconds": seconds, "versions": versions, **more}


def _first_neuron(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    return np.ascontiguousarray(arrays["weights"][:, 0]), float(arrays["thresholds"][0])


def _run_sampled(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    neurons = arrays["weights"], arrays["thresholds"]
    found, times = sampled_chow(*neurons, options["n_samples"], options["n_repeats"])
    return _answer(found["binomial"], times["binomial"], "numpy", seconds_unpacked=times["unpacked"])


def _run_halves(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    neuron = _first_neuron(arrays)
    return _answer(halves_chow(*neuron)[:, None], best(lambda: halves_chow(*neuron)), "numpy")


def _run_boofun(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    value, times = boofun_chow(need("boofun.analysis.ltf_analysis"), best, *_first_neuron(arrays))
    return _answer(value[:, None], times["chow"], "boofun", seconds_table=times["build"])


def _run_pypuf(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    modules = import_lmn(need("pypuf"), need)
    value, seconds = pypuf_lmn(modules, best, *_first_neuron(arrays), options["n_samples"])
    return _answer(value[:, None], seconds, "pypuf")


def _run_powerindex(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    value, seconds = powerindex_banzhaf(need("powerindex"), best, arrays["weights"], options["quota"])
    return _answer(value, seconds, "powerindex")


def _run_walsh_numpy(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    value, times = walsh_numpy(best, options["n"])
    return _answer(value, times["radix2"], "numpy", seconds_constant_geometry=times["constant_geometry"])


def _run_walsh_pyfwht(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    value, seconds = walsh_pyfwht(need("pyfwht"), best, options["n"])
    return _answer(value, seconds, "pyfwht")


def _run_walsh_sympy(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    value, seconds = walsh_sympy(need("sympy"), options["n"])
    return _answer(value, seconds, "sympy")


def _run_folded(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    values = table(options["n"])
    return _answer(folded_table(values), best(lambda: folded_table(values)), "numpy")


def _run_jsma(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    network, points, labels = _network(arrays), arrays["points"], arrays["labels"]
    flips = jsma_numpy(network, points, labels)
    return _answer(flips, best(lambda: jsma_numpy(network, points, labels)), "numpy")


def _run_art(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    torch = need("torch")
    torch.set_num_threads(1)
    libraries = need("art.attacks.evasion"), need("art.estimators.classification")
    flips, info = art_saliency(torch, *libraries, _network(arrays), arrays["points"], arrays["labels"])
    return _answer(flips, info.pop("seconds"), "adversarial-robustness-toolbox", **info)


def _run_fmn(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    torch = need("torch")
    torch.set_num_threads(1)
    samples = arrays["points"], arrays["labels"], options["n_steps"]
    norms, seconds = foolbox_fmn(torch, need("foolbox"), best, _network(arrays), *samples)
    return _answer(norms, seconds, "foolbox")


def _run_brendel_bethge(arrays: Any, options: Any, need: Any, best: Best) -> Any:
    torch = need("torch")
    torch.set_num_threads(1)
    # foolbox imports without it, and fails later.
    need("numba")
    samples = arrays["points"], arrays["labels"], options["n_points"], options["n_steps"]
    norms, seconds = foolbox_brendel_bethge(torch, need("foolbox"), _network(arrays), *samples)
    return _answer(norms, seconds, "foolbox")


#: Called with arrays, options, the importer that reports what is missing, and the stop watch.
TASKS: dict[str, Callable[[Any, Any, Any, Best], tuple[dict[str, Any], dict[str, Any]]]] = {
    "sampled_chow": _run_sampled,
    "halves_chow": _run_halves,
    "boofun_chow": _run_boofun,
    "powerindex_banzhaf": _run_powerindex,
    "pypuf_lmn": _run_pypuf,
    "walsh_numpy": _run_walsh_numpy,
    "walsh_pyfwht": _run_walsh_pyfwht,
    "walsh_sympy": _run_walsh_sympy,
    "folded_table": _run_folded,
    "jsma_numpy": _run_jsma,
    "art_saliency": _run_art,
    "foolbox_fmn": _run_fmn,
    "foolbox_brendel_bethge": _run_brendel_bethge,
}
