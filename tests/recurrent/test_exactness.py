"""The three levels of exactness: what may change between the directions, and what is refused."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from scinn.exceptions import ReversibilityError, TapeError
from scinn.recurrent import RevGRU, RevLSTM, make_tape
from scinn.recurrent.products import make_products
from scinn.recurrent.streaming import blas_threads
from scinn.verify.arrays import same_bits

LEVELS = ("A", "B", "C")
KINDS = (RevGRU, RevLSTM)


def build(kind, level, n_in=48, n_hidden=64, **options):
    if kind is RevLSTM:
        options.setdefault("bounded", 2.5)
    return kind(n_in, n_hidden, exactness=level, rng=0, **options)


def inputs(n_steps=17, n_rows=12, n_in=48, seed=0):
    return np.clip(np.random.default_rng(seed).standard_normal((n_steps, n_rows, n_in)), -4, 4).astype(
        np.float32
    )


def forward(net, x, lengths=None):
    tapes = net.make_tapes(x.shape[1])
    outputs, last = net.run(x, tapes=tapes, lengths=lengths)
    return outputs, last, tapes


@pytest.fixture
def threads():
    before = numba.get_num_threads()
    yield numba.set_num_threads
    numba.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_comes_back(kind, level):
    net, x = build(kind, level), inputs()
    _, last, tapes = forward(net, x)
    assert same_bits(net.run_back(x, last, tapes), net.initial_state(12))
    assert len(tapes) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_levels_agree_but_for_rounding(kind):
    x = inputs()
    a, b, c = (build(kind, level, coder="floor_digit").run(x)[0] for level in LEVELS)
    assert np.abs(a - b).max() < 5e-3
    assert np.abs(a - c).max() < 2e-2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["B", "C"])
def test_threads_change_no_bit(kind, level, threads):
    net, x = build(kind, level), inputs()
    seen = []
    for count in (1, numba.config.NUMBA_NUM_THREADS):
        threads(count)
        net.blas_threads = count
        seen.append(forward(net, x))
    assert same_bits(seen[0][:2], seen[1][:2])
    threads(1)
    net.blas_threads = 1
    assert same_bits(net.run_back(x, seen[1][1], seen[1][2]), net.initial_state(12))


@pytest.mark.parametrize("level", ["B", "C"])
def test_forward_on_one_thread_and_backward_on_more(level, threads):
    net, x = build(RevGRU, level), inputs()
    head = lambda first, end, y: y  # noqa: E731
    wanted = net.backward_pass(net.forward_pass(x), head)
    trace = net.forward_pass(x)
    threads(numba.config.NUMBA_NUM_THREADS)
    net.blas_threads = 2
    found = net.backward_pass(trace, head)
    for name, gradient in wanted.grads.items():
        # Sums of gradients are the library's at every level.
        np.testing.assert_allclose(found.grads[name], gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("coder", ["rans", "floor_digit"])
def test_rows_alone_and_permuted(level, coder):
    net, x = build(RevGRU, level, coder=coder), inputs()
    lengths = np.array([17, 0, 3, 17, 8, 9, 1, 17, 16, 2, 5, 17])
    outputs, last, tapes = forward(net, x, lengths)
    order = np.random.default_rng(0).permutation(12)
    again, _, others = forward(net, np.ascontiguousarray(x[:, order]), lengths[order])
    alone, _, _ = forward(net, np.ascontiguousarray(x[:, 4:5]), lengths[4:5])
    if level == "A":
        assert np.abs(again - outputs[:, order]).max() < 1e-2
    else:
        np.testing.assert_array_equal(again, outputs[:, order])
        np.testing.assert_array_equal(alone, outputs[:, 4:5])
        assert len(tapes) == len(others)
    assert same_bits(net.run_back(x, last, tapes, lengths=lengths), net.initial_state(12))


def test_planes_see_their_neighbours():
    net, x = build(RevGRU, "B", coder="planes", max_forget_bits=5), inputs(60)
    alone = forward(net, np.ascontiguousarray(x[:, :1]))[0]
    together = forward(net, x)[0][:, :1]
    assert np.abs(together - alone).max() > 0
    assert np.abs(together - alone).max() < 1e-2


@pytest.mark.parametrize("level", ["B", "C"])
@pytest.mark.parametrize("block", [1, 3, 64])
def test_the_block_changes_no_bit(level, block):
    net, other, x = build(RevGRU, level), build(RevGRU, level, block=block), inputs()
    outputs, last, tapes = forward(net, x)
    again, _, _ = forward(other, x)
    np.testing.assert_array_equal(outputs, again)
    assert same_bits(other.run_back(x, last, tapes), net.initial_state(12))


@pytest.mark.parametrize("level", ["B", "C"])
def test_steps_may_be_undone_one_by_one(level):
    net, x = build(RevLSTM, level), inputs(n_rows=1)
    _, state, tapes = forward(net, x)
    for x_t in x[::-1]:
        state = net.reverse(state, x_t, tapes)
    assert same_bits(state, net.initial_state(1))
    assert len(tapes) == 0


def test_level_a_refuses_another_number_of_threads():
    net, x = build(RevGRU, "A"), inputs()
    _, last, tapes = forward(net, x)
    net.blas_threads = 2
    with pytest.raises(TapeError, match="threads 1, and the network has 2"):
        net.run_back(x, last, tapes)
    with pytest.raises(TapeError, match="threads"):
        net.run(x, last, tapes)
    net.blas_threads = 1
    assert same_bits(net.run_back(x, last, tapes), net.initial_state(12))


@pytest.mark.parametrize("outside", [1, 2, 4])
def test_the_library_s_threads_outside_do_not_matter(outside):
    net, x = build(RevGRU, "A", n_in=256, n_hidden=256), inputs(n_in=256)
    _, last, tapes = forward(net, x)
    with blas_threads(outside):
        back = net.run_back(x, last, tapes)
    assert same_bits(back, net.initial_state(12))


def test_levels_do_not_mix():
    a, b, x = build(RevGRU, "A"), build(RevGRU, "B"), inputs()
    _, last, tapes = forward(a, x)
    with pytest.raises(TapeError, match="exactness"):
        b.run_back(x, last, tapes)


# What each level promises of a product


def test_level_b_sums_in_order():
    rng = np.random.default_rng(0)
    a, w = rng.standard_normal((5, 37)).astype(np.float32), rng.standard_normal((37, 19)).astype(np.float32)
    products = make_products("B", np.float32)
    got = products.recurrent(a, products.prepare(w, None))
    wanted = np.zeros((5, 19), np.float32)
    for k in range(37):
        wanted = wanted + a[:, k : k + 1] * w[k]
    np.testing.assert_array_equal(got, wanted)


def test_level_c_is_exact():
    rng = np.random.default_rng(0)
    a, w = rng.uniform(-7.9, 7.9, (5, 300)), rng.uniform(-7.9, 7.9, (300, 19))
    b = rng.uniform(-7.9, 7.9, 19)
    products = make_products("C", np.float64)
    handle, other = products.prepare(w, b), products.prepare(w, None)
    px, u = products.finish(products.project(a, handle), products.recurrent(a, other))
    integers = [[round(v * 65536) for v in row] for row in a]
    weights = [[round(v * 65536) for v in row] for row in w]
    bias = [round(v * 65536) for v in b]
    for i in range(5):
        for j in range(19):
            total = sum(integers[i][k] * weights[k][j] for k in range(300))
            assert px[i, j] == (2 * total + bias[j] * 65536) / 2**32
    assert not u.any()
    order = rng.permutation(300)
    shuffled = products.project(
        np.ascontiguousarray(a[:, order]), products.prepare(np.ascontiguousarray(w[order]), b)
    )
    np.testing.assert_array_equal(shuffled, products.project(a, handle))


def test_level_c_names_what_is_too_large():
    net = build(RevGRU, "C")
    with pytest.raises(ValueError, match=r"exactness C wants numbers below 8 in size, and the inputs"):
        net.run(np.full((1, 1, 48), 8.0, np.float32))
    net.params["weight_x0"] = net.params["weight_x0"] + np.float32(9)
    with pytest.raises(ValueError, match="the weights"):
        net.run(inputs())


def test_the_same_numbers_in_every_layout():
    for level in LEVELS:
        net, x = build(RevGRU, level), inputs()
        wanted, _, _ = forward(net, x)
        padded = np.full((17, 24, 48), np.nan, np.float32)
        padded[:, ::2] = x
        np.testing.assert_array_equal(forward(net, padded[:, ::2])[0], wanted)
        np.testing.assert_array_equal(forward(net, np.asfortranarray(x))[0], wanted)
        net.params = {name: np.asfortranarray(value) for name, value in net.params.items()}
        np.testing.assert_array_equal(forward(net, x)[0], wanted)


def test_a_run_in_parts_is_not_silently_wrong_at_level_a():
    # One row: the library multiplies a vector there, and other numbers of rows give other bits.
    for forget in (True, False):
        for coder in ("rans", "floor_digit", "planes"):
            net = RevGRU(257, 128, coder=coder, forget=forget, rng=0)
            x = inputs(21, 1, 257)
            _, state, tapes = forward(net, x)
            try:
                for x_t in x[::-1]:
                    state = net.reverse(state, x_t, tapes)
            except ReversibilityError:
                continue
            assert same_bits(state, net.initial_state(1)) or len(tapes), (coder, forget)


def test_tapes_do_not_depend_on_threads(threads):
    rng = np.random.default_rng(0)
    h = rng.integers(-(2**23), 2**23, (9, 33)).astype(np.int32)
    z = rng.integers(1, 1025, (9, 33)).astype(np.uint16)
    update, alive = np.zeros((9, 33), np.int32), np.ones(9, bool)
    for coder in ("rans", "floor_digit", "planes"):
        seen = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            threads(count)
            tape, new, value = make_tape(coder, 9), np.empty_like(h), np.empty(h.shape, np.float32)
            for _ in range(5):
                tape.multiply(h, z, update, alive, new, value)
            seen.append((new.copy(), tape.state_dict()))
        assert same_bits(*seen)
