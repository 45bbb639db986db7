"""The surgery check on hidden channels of dense networks, the first user of the contract."""

from __future__ import annotations

import numpy as np
import pytest

from scinn import nn
from scinn.verify import check_surgery


def network(activation=nn.ReLU):
    return nn.Network.sequential(
        first=nn.Dense(4, 6, rng=0),
        between=activation(),
        second=nn.Dense(6, 5, rng=1),
        head=nn.Dense(5, 3, rng=2),
    )


#: Which hidden channels go: parameter, axis, and the layer whose output they are.
READERS = {"first": [("first.weight", 1), ("first.bias", 0), ("second.weight", 0)]}
READERS["second"] = [("second.weight", 1), ("second.bias", 0), ("head.weight", 0)]


def cut_arrays(arrays, plan):
    """Return copies of arrays named like parameters (or '<parameter>/<slot>') without the planned channels."""
    cut = {name: value.copy() for name, value in arrays.items()}
    for layer, channels in plan.items():
        for parameter, axis in READERS[layer]:
            for name in cut:
                if name.split("/")[0] == parameter:
                    cut[name] = np.ascontiguousarray(np.delete(cut[name], channels, axis=axis))
    return cut


def compact(network, plan, slots):
    params = cut_arrays(network.params, plan)
    layers = dict(network.layers)
    for name in ("first", "second", "head"):
        weight = params[f"{name}.weight"]
        layers[name] = nn.Dense(*weight.shape, dtype=weight.dtype, rng=0)
        layers[name].params = {"weight": weight, "bias": params[f"{name}.bias"]}
    small = nn.Network(layers, network.nodes)
    index_map = {layer: np.delete(np.arange(7 - 1), channels) for layer, channels in plan.items()}
    return small, cut_arrays(slots, plan), index_map


PLAN = {"first": [0, 3], "second": [4]}
X = np.random.default_rng(0).standard_normal((7, 4))


@pytest.mark.parametrize("plan", [{}, {"first": [5]}, PLAN], ids=["nothing", "one", "several"])
def test_correct_surgery_passes(plan):
    result = check_surgery(network(), plan, compact, X)
    assert result, result
    assert check_surgery(network(nn.Tanh), plan, compact, X, exact=False)


def test_slots_of_a_real_optimiser_are_cut():
    net = network()
    state = nn.Adam().init(net.params)
    assert check_surgery(net, PLAN, compact, X, slots=state)


def forgets_a_slot(network, plan, slots):
    small, new, index_map = compact(network, plan, slots)
    new["second.weight/momentum"] = slots["second.weight/momentum"].copy()
    return small, new, index_map


def drops_a_slot(network, plan, slots):
    small, new, index_map = compact(network, plan, slots)
    return small, {name: value for name, value in new.items() if name != "head.weight/momentum"}, index_map


def cuts_the_wrong_channel_of_a_slot(network, plan, slots):
    small, new, index_map = compact(network, plan, slots)
    other = {"first": [1, 3], "second": [4]}
    new["first.bias/momentum"] = cut_arrays(slots, other)["first.bias/momentum"]
    return small, new, index_map


def forgets_the_reader(network, plan, slots):
    other = {**plan, "first": [1, 3]}
    small, new, index_map = compact(network, plan, slots)
    kept = cut_arrays(network.params, other)["second.weight"]
    small.layers["second"].params["weight"][...] = kept
    name = "second.weight/check_surgery_index"
    new[name] = cut_arrays(slots, other)[name]
    new["second.weight/momentum"] = cut_arrays(slots, other)["second.weight/momentum"]
    return small, new, index_map


def keeps_a_view(network, plan, slots):
    small, new, index_map = compact(network, plan, slots)
    small.layers["head"].params["bias"] = network.params["head.bias"]
    return small, new, index_map


def changes_the_original(network, plan, slots):
    network.params["head.bias"][...] += 1.0
    return compact(network, plan, slots)


def rescales_what_is_left(network, plan, slots):
    small, new, index_map = compact(network, plan, slots)
    small.layers["head"].params["weight"][...] *= 5 / 4
    return small, new, index_map


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        (forgets_a_slot, "slot 'second.weight/momentum' was not cut"),
        (drops_a_slot, "slot 'head.weight/momentum' is missing"),
        (cuts_the_wrong_channel_of_a_slot, "slot 'first.bias/momentum' was not cut"),
        (forgets_the_reader, "masked and small differ"),
        (keeps_a_view, "keeps the memory"),
        (changes_the_original, "changed the network"),
        (rescales_what_is_left, "does not hold the entries"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_planted_bugs_are_found(bug, words):
    result = check_surgery(network(), PLAN, bug, X)
    assert not result
    with pytest.raises(AssertionError, match=words):
        result.raise_if_failed()


def masked(network, plan):
    result = network.astype(np.float64)
    for layer, channels in plan.items():
        for parameter, axis in READERS[layer]:
            value = np.moveaxis(result.params[parameter], axis, 0)
            value[channels] = 0.0
    return result


def cuts_other_channels_consistently(network, plan, slots):
    return compact(network, {"first": [0, 2], "second": [4]}, slots)


def test_a_mask_tells_whether_the_plan_was_followed():
    assert check_surgery(network(), PLAN, compact, X, mask=masked)
    assert not check_surgery(network(), PLAN, cuts_other_channels_consistently, X, mask=masked)


def test_bits_on_integer_weights_catch_what_rounding_hides():
    def perturbs(network, plan, slots):
        small, new, index_map = compact(network, plan, slots)
        inner = small.layers["head"]

        class Perturbed(nn.Dense):
            def forward(self, x, *, train=False, key=None):
                y, saved = super().forward(x)
                return y * (1 + 3e-16), saved

        head = Perturbed(inner.params["weight"].shape[0], 3, dtype=np.float64, rng=0)
        head.params = inner.params
        return nn.Network({**small.layers, "head": head}, small.nodes), new, index_map

    assert check_surgery(network(), PLAN, perturbs, X, exact=False)
    assert "in bits" in check_surgery(network(), PLAN, perturbs, X).detail


def test_says_what_is_wanted():
    with pytest.raises(TypeError, match="small, slots, index_map"):
        check_surgery(network(), PLAN, lambda network, plan, slots: network, X)
