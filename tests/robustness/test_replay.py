"""The authors' stored selections come out again: which columns they changed, and what that did to the accuracy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from scinn.robustness import ShallowNetwork, select_neurons

pytestmark = pytest.mark.data

NAMES = ("pdfrate", "hidost", "hatespeech")
N_COLUMNS = 18


class Stored(NamedTuple):
    """A network of the authors, its samples as bits, and what is stored about it."""

    network: ShallowNetwork
    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    file: dict[str, np.ndarray]

    def floors(self, method: str) -> list[str]:
        """Return the stored accuracy floors, highest first."""
        found = {key.split("_")[1] for key in self.file if key.startswith(f"{method}_")}
        return sorted(found, key=float, reverse=True)


@pytest.fixture(scope="module", params=NAMES)
def stored(request, needs_data) -> Stored:
    path = needs_data(f"fourier_networks_{request.param}.npz")
    with np.load(path, allow_pickle=False) as archive:
        file = {key: archive[key] for key in archive.files}
    network = ShallowNetwork(file["W"], file["b"], file["V"], file["c"], "scaled_logistic")
    held = dict(file)
    if "test_bits" not in held:
        with np.load(needs_data(f"binary_{request.param}.npz"), allow_pickle=False) as archive:
            held |= {key: archive[key] for key in ("test_bits", "test_y")}
    n = int(file["n"])
    parts = {
        part: (np.unpackbits(held[f"{part}_bits"], axis=1, count=n), held[f"{part}_y"].astype(np.int64))
        for part in ("val", "test")
    }
    return Stored(network, parts, file)


def changed(before: np.ndarray, after: np.ndarray) -> list[int]:
    return np.flatnonzero((before != after).any(axis=0)).tolist()


def check(stored: Stored, key: str, network: ShallowNetwork) -> None:
    """Compare a network with what is stored under a key."""
    original = stored.network
    for layer, name in enumerate(("hidden_weights", "output_weights")):
        before, after = getattr(original, name), getattr(network, name)
        columns = changed(before, after)
        assert columns == np.flatnonzero(stored.file[f"{key}_changed_layer{layer}"]).tolist(), (key, layer)
        # Bit for bit in float32.
        want = np.sign(before) * np.abs(before).max(axis=0)
        assert after.dtype == np.float32
        assert after[:, columns].tobytes() == want[:, columns].tobytes()
    for name in ("hidden_bias", "output_bias"):
        assert getattr(network, name).tobytes() == getattr(original, name).tobytes()
    for part, (bits, labels) in stored.parts.items():
        accuracy = network.accuracy(bits, labels)
        assert abs(accuracy - float(stored.file[f"{key}_acc_{part}"])) <= 1e-4, (key, part)


def replay(stored: Stored, method: str, floors: list[str]):
    """Yield each floor's selection, each going on from the network before."""
    network = stored.network
    for floor in floors:
        result = select_neurons(
            network, *stored.parts["val"], floor=float(floor), method=method, layers=("hidden", "output"), legacy=True
        )  # fmt: skip
        yield floor, result
        network = result.network


def test_original_networks(stored):
    for part, (bits, labels) in stored.parts.items():
        assert abs(stored.network.accuracy(bits, labels) - float(stored.file[f"acc_{part}"])) <= 1e-4


@pytest.mark.parametrize("method", ["GMB", "GMBC"])
def test_selections(stored, method):
    floors = stored.floors(method)
    assert len(floors) == 3
    for floor, result in replay(stored, method.lower(), floors):
        check(stored, f"{method}_{floor}", result.network)
        assert result.accuracy >= float(floor)


def test_blended_selections_are_those_of_gmb(stored):
    # Counting rejected columns makes the total of GMB the larger one, unless there is one column left for both; the
    # authors' blended networks are not stored, but they were the same as those of GMB.
    for floor, result in replay(stored, "gmbb", stored.floors("GMB")):
        assert result.method == "gmb"
        check(stored, f"GMB_{floor}", result.network)


def test_scan_that_undoes_its_trials_differs_from_the_stored_one(stored):
    # Otherwise the replay would not show that the piled-up trials are what the authors' program does.
    floor = stored.floors("GMBC")[0]
    options = {"floor": float(floor), "layers": ("hidden", "output")}
    clean = select_neurons(stored.network, *stored.parts["val"], **options)
    columns = changed(stored.network.hidden_weights, clean.network.hidden_weights)
    assert columns != np.flatnonzero(stored.file[f"GMBC_{floor}_changed_layer0"]).tolist()
    assert clean.accuracy >= float(floor)


def test_logn_on_a_stored_network(stored):
    floor = float(stored.floors("GMB")[0])
    result = select_neurons(
        stored.network, *stored.parts["val"], floor=floor, method="logn", layers=("hidden", "output")
    )
    assert result.accuracy >= floor
    # Five halvings of 18 columns, one accuracy for each step, and those before and after.
    assert result.n_evaluations <= 5 + N_COLUMNS + 2
