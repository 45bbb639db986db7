"""Tapes of forgotten bits: what they promise to the networks that write on them."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.exceptions import ReversibilityError, TapeError
from scinn.recurrent.tape import CODERS, Tape, make_tape

every_coder = pytest.mark.parametrize("coder", CODERS)


class Run:
    """Steps of a batch whose gates and updates are like those of a network, and their undoing."""

    def __init__(self, coder, n_rows, n, n_steps, *, seed=0, low=0.3, high=0.95, lengths=None):
        rng = np.random.default_rng(seed)
        self.tape = make_tape(coder, n_rows)
        shape = (n_steps, n_rows, n)
        self.z = np.maximum(1, np.rint(1024 * rng.uniform(low, high, shape))).astype(np.uint16)
        self.update = np.rint((1 - self.z / 1024) * rng.uniform(-1, 1, shape) * 2**23).astype(np.int32)
        lengths = np.full(n_rows, n_steps) if lengths is None else lengths
        self.alive = np.arange(n_steps)[:, None] < lengths
        self.states = [rng.integers(-(2**23), 2**23, shape[1:]).astype(np.int32)]
        self.value = np.empty(shape[1:], np.float32)

    @property
    def ideal(self):
        return float(-np.log2(self.z / 1024)[self.alive].sum())

    def forward(self):
        for z, update, alive in zip(self.z, self.update, self.alive, strict=True):
            new = np.empty_like(self.states[0])
            assert self.tape.multiply(self.states[-1], z, update, alive, new, self.value) == -1
            self.states.append(new)
        return self

    def undo(self, tape=None, t=None, h=None, **changed):
        """Undo one step; return the state before it."""
        tape, t = self.tape if tape is None else tape, len(self.z) - 1 if t is None else t
        options = {"z": self.z[t], "update": self.update[t], "alive": self.alive[t]} | changed
        back = np.empty_like(self.states[0])
        h = self.states[t + 1] if h is None else h
        tape.divide(h, options["z"], options["update"], options["alive"], back, self.value)
        return back

    def check_back(self, tape=None):
        tape = self.tape if tape is None else tape
        h = self.states[-1]
        for t in reversed(range(len(self.z))):
            h = self.undo(tape, t, h)
            assert h.tobytes() == self.states[t].tobytes()
        assert tape.is_empty
        assert len(tape) == 0


@every_coder
@pytest.mark.parametrize(("n_rows", "n", "n_steps"), [(1, 1, 500), (2, 3, 200), (9, 65, 40), (1, 700, 10)])
def test_a_long_run_comes_back(coder, n_rows, n, n_steps):
    run = Run(coder, n_rows, n, n_steps).forward()
    assert len(run.tape) > run.ideal
    assert run.tape.nbytes * 8 >= len(run.tape)
    run.check_back()


@every_coder
def test_rows_of_different_lengths(coder):
    run = Run(coder, 4, 33, 30, lengths=np.array([30, 0, 7, 29])).forward()
    assert all((h[1] == run.states[0][1]).all() for h in run.states)
    assert all((h[2] == run.states[7][2]).all() for h in run.states[7:])
    run.check_back()


@pytest.mark.parametrize("coder", ["rans", "floor_digit"])
def test_rows_do_not_depend_on_each_other(coder):
    run = Run(coder, 11, 17, 20).forward()
    order = np.random.default_rng(1).permutation(11)
    other = Run(coder, 11, 17, 20)
    other.z, other.update = (np.take(array, order, axis=1) for array in (run.z, run.update))
    other.states = [run.states[0][order]]
    other.forward()
    assert other.states[-1].tobytes() == run.states[-1][order].tobytes()
    assert len(other.tape) == len(run.tape)


def test_entropy_coders_keep_little_more_than_was_forgotten():
    rans, planes = Run("rans", 20, 128, 140).forward(), Run("planes", 20, 128, 140).forward()
    assert rans.ideal < len(rans.tape) < 1.005 * rans.ideal
    assert len(planes.tape) > 1.5 * planes.ideal


def test_floor_digits_keep_the_logarithm_of_the_number_of_sources():
    run = Run("floor_digit", 20, 128, 140).forward()
    # Near z = 2/3 or 2/5 their number varies, which costs the most; a half costs nothing.
    assert run.ideal < len(run.tape) < 1.09 * run.ideal
    half = Run("floor_digit", 20, 128, 140)
    half.z[:] = 512
    half.forward()
    assert half.ideal < len(half.tape) <= half.ideal + 20 * 64


@every_coder
def test_gates_of_1024_keep_everything_and_take_no_room(coder):
    run = Run(coder, 3, 8, 5)
    run.z[:], run.update[:] = 1024, 0
    run.forward()
    assert all(h.tobytes() == run.states[0].tobytes() for h in run.states)
    # The layout of the paper still takes a bit for each step.
    assert len(run.tape) == (64 * 24 + 8 if coder == "planes" else 0)
    assert not run.tape.is_empty or coder == "planes"
    run.check_back()


@pytest.mark.parametrize("exponent", range(10))
@pytest.mark.parametrize("coder", ["rans", "floor_digit"])
def test_powers_of_two_take_whole_bits(coder, exponent):
    run = Run(coder, 2, 64, 32)
    run.z[:] = 2**exponent
    run.forward()
    # At the start a number holds 31 bits that say nothing.
    assert abs(len(run.tape) - run.ideal - 2 * 33) <= 2 * 32
    run.check_back()


@every_coder
def test_a_floor_is_the_same_with_and_without_a_tape(coder):
    run = Run(coder, 3, 50, 1).forward()
    plain, value = np.empty_like(run.states[0]), np.empty(run.states[0].shape, np.float32)
    options = run.z[0], run.update[0], run.alive[0]
    assert run.tape.multiply_plain(run.states[0], *options, plain, value) == -1
    assert type(run.tape).multiply_plain(run.states[0], *options, plain, value) == -1
    difference = run.states[1].astype(np.int64) - plain
    if coder == "floor_digit":
        assert not difference.any()
    else:
        assert difference.any()
        assert ((difference >= 0) & (difference < run.z[0])).all()
    assert value.tobytes() == (plain.astype(np.float32) * np.float32(2.0**-23)).tobytes()


@every_coder
@pytest.mark.parametrize("update", [2**31 - 1, -(2**31)])
def test_what_would_leave_the_range_changes_nothing(coder, update):
    run = Run(coder, 3, 10, 4).forward()
    before, _ = run.tape.copy().state_dict()
    h, z = np.full((3, 10), np.sign(update) * 2**28, np.int32), np.full((3, 10), 900, np.uint16)
    updates, alive = np.zeros((3, 10), np.int32), np.array([True, False, True])
    updates[1:, 4:] = update
    new = np.empty_like(h)
    for multiply in (run.tape.multiply, run.tape.multiply_plain):
        assert multiply(h, z, updates, alive, new, run.value) == 24
        assert multiply(h, z, updates, ~alive, new, run.value) == 14
    after, _ = run.tape.state_dict()
    assert {name: a.tobytes() for name, a in after.items()} == {
        name: a.tobytes() for name, a in before.items()
    }
    run.check_back()


@every_coder
@pytest.mark.parametrize(("n_rows", "n"), [(0, 5), (3, 0), (0, 0)])
def test_no_rows_and_no_units(coder, n_rows, n):
    run = Run(coder, n_rows, n, 2).forward()
    assert len(run.tape) == 0
    run.check_back()
    assert Tape.from_state_dict(*run.tape.state_dict()).is_empty


@every_coder
def test_no_row_takes_part(coder):
    run = Run(coder, 2, 6, 3, lengths=np.zeros(2, int)).forward()
    assert all(h.tobytes() == run.states[0].tobytes() for h in run.states)
    run.check_back()


@every_coder
def test_widths_share_a_tape(coder):
    wide, narrow = Run(coder, 3, 20, 30), Run(coder, 3, 7, 30, seed=1)
    narrow.tape = wide.tape
    for t in range(30):
        for run in (wide, narrow):
            new = np.empty_like(run.states[0])
            assert (
                run.tape.multiply(run.states[-1], run.z[t], run.update[t], run.alive[t], new, run.value) == -1
            )
            run.states.append(new)
    for t in reversed(range(30)):
        for run in (narrow, wide):
            assert run.undo(t=t).tobytes() == run.states[t].tobytes()
    assert wide.tape.is_empty


@every_coder
def test_more_cannot_be_taken_back_than_was_put(coder):
    run = Run(coder, 2, 6, 3)
    with pytest.raises(TapeError):
        run.undo(h=run.states[0])
    assert run.tape.is_empty
    run.forward().check_back()
    with pytest.raises(ReversibilityError):
        run.undo()


@pytest.mark.parametrize("coder", ["rans", "floor_digit"])
def test_rows_are_counted_apart(coder):
    run = Run(coder, 3, 6, 2, lengths=np.array([2, 1, 0])).forward()
    run.undo()
    with pytest.raises(TapeError, match="row 2"):
        run.undo(t=0, alive=np.ones(3, bool))
    # Nothing was changed, so that the right rows still come back.
    assert run.undo(t=0).tobytes() == run.states[0].tobytes()


# A wrong update only changes the low bits of what comes back from planes: checksums of the states find that out.
@pytest.mark.parametrize(
    ("coder", "what"),
    [(c, w) for c in CODERS for w in ("order", "gates", "updates") if (c, w) != ("planes", "updates")],
)
def test_what_is_undone_wrongly_is_found_out(coder, what):
    run = Run(coder, 2, 40, 6).forward()
    h = run.states[-1]
    with pytest.raises(TapeError, match=r"another order|other gates"):  # noqa: PT012
        for t in reversed(range(6)):
            if what == "order":
                h = run.undo(t=5 - t, h=h)
            elif what == "gates":
                h = run.undo(t=t, h=h, z=np.roll(run.z[t], 1) if t == 3 else run.z[t])
            else:
                h = run.undo(t=t, h=h, update=run.update[t] + (t == 3))
        assert run.tape.is_empty


@every_coder
def test_wrong_undoing_never_reads_outside(coder):
    # Random gates and states against random contents: an error, or a number that nobody asked for.
    rng = np.random.default_rng(0)
    for trial in range(200):
        n = int(rng.integers(1, 70))
        run = Run(coder, 2, n, int(rng.integers(1, 5)), seed=trial, low=0.001, high=1.0).forward()
        try:
            for t in range(len(run.z)):
                z = np.exp2(rng.uniform(0, 10.01, (2, n))).astype(np.uint16)
                h = rng.integers(-(2**31), 2**31, (2, n)).astype(np.int32)
                back = np.empty_like(h)
                update = rng.integers(-(2**31), 2**31, (2, n)).astype(np.int32)
                run.tape.divide(h, np.minimum(z, 1024), update, run.alive[t], back, run.value)
        except TapeError:
            continue
        # Only planes can come out empty from the wrong end.
        assert coder == "planes"


@every_coder
@pytest.mark.parametrize("gate", [0, 1025, 65535])
def test_gates_outside_of_their_range(coder, gate):
    run = Run(coder, 2, 6, 2).forward()
    z = run.z[1].copy()
    z[1, 3] = gate
    for call in (run.tape.multiply, run.tape.multiply_plain, run.tape.divide):
        with pytest.raises(ValueError, match=f"gate {gate}; integers from 1 to 1024"):
            call(run.states[-1], z, run.update[1], run.alive[1], np.empty_like(run.states[0]), run.value)
    run.check_back()


def test_shapes_that_differ():
    run = Run("rans", 2, 6, 1).forward()
    with pytest.raises(ValueError, match="one shape"):
        run.undo(h=np.zeros((2, 7), np.int32))
    with pytest.raises(ValueError, match="made for n_rows = 2"):
        run.undo(h=np.zeros((3, 6), np.int32), alive=np.ones(3, bool))
    for call in (run.tape.multiply, run.tape.multiply_plain, run.tape.divide):
        with pytest.raises(ValueError, match="C-contiguous"):
            call(
                run.states[1][:, ::2],
                run.z[0][:, :3],
                run.update[0][:, :3],
                run.alive[0],
                *np.zeros((2, 2, 3), "i4"),
            )
    with pytest.raises(ValueError, match="floor_digit"):
        make_tape("floor-digit", 2)
    with pytest.raises(ValueError, match="n_rows"):
        make_tape("rans", -1)


@every_coder
def test_copies_are_read_apart(coder):
    run = Run(coder, 3, 21, 30).forward()
    run.tape.provenance = {"weights": "abc"}
    copy = run.tape.copy()
    assert type(copy) is type(run.tape)
    assert len(copy) == len(run.tape)
    assert copy.provenance == run.tape.provenance
    run.check_back(copy)
    copy.provenance["weights"] = "other"
    assert run.tape.provenance == {"weights": "abc"}
    run.check_back()


@every_coder
def test_a_file_brings_the_tape_back(coder, tmp_path):
    run = Run(coder, 3, 21, 30, lengths=np.array([30, 4, 0])).forward()
    run.tape.provenance = {"weights": "abc", "n_threads": 1}
    run.tape.save(tmp_path / "tape.npz")
    for loaded in (Tape.load(tmp_path / "tape.npz"), type(run.tape).load(tmp_path / "tape.npz")):
        assert type(loaded) is type(run.tape)
        assert (loaded.provenance, loaded.n_rows) == (run.tape.provenance, 3)
        assert len(loaded) == len(run.tape)
        run.check_back(loaded)
    # It goes on where it was.
    loaded = Tape.load(tmp_path / "tape.npz")
    for tape in (loaded, run.tape):
        run.tape, run.states = tape, run.states[:31]
        run.forward()
    assert loaded.state_dict()[0].keys() == run.tape.state_dict()[0].keys()
    for a, b in zip(loaded.state_dict()[0].values(), run.tape.state_dict()[0].values(), strict=True):
        assert a.tobytes() == b.tobytes()


@every_coder
def test_damaged_files(coder, tmp_path):
    run = Run(coder, 2, 21, 30).forward()
    arrays, description = run.tape.state_dict()
    other = make_tape("planes" if coder == "rans" else "rans", 1)
    with pytest.raises(TapeError, match="is wanted"):
        type(other).from_state_dict(arrays, description)
    for name, array in arrays.items():
        with pytest.raises(TapeError):
            Tape.from_state_dict({key: a for key, a in arrays.items() if key != name}, description)
        with pytest.raises(TapeError, match="shape"):
            Tape.from_state_dict(arrays | {name: array[:-1]}, description)
        with pytest.raises(TapeError, match="dtype"):
            Tape.from_state_dict(arrays | {name: array.astype(np.float32)}, description)
    for wrong in ({"format": 2}, {"coder": "huffman"}, {"n_rows": 3}, {"n_rows": -1}):
        with pytest.raises(TapeError):
            Tape.from_state_dict(arrays, description | wrong)
    path = tmp_path / "tape.npz"
    run.tape.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TapeError, match="damaged"):
        Tape.load(path)


@every_coder
def test_whatever_is_changed_in_a_file_it_is_a_tape_or_a_tape_error(coder, tmp_path):
    run = Run(coder, 2, 3, 4).forward()
    run.tape.save(tmp_path / "tape.npz")
    whole, path = (tmp_path / "tape.npz").read_bytes(), tmp_path / "changed.npz"
    rng, refused = np.random.default_rng(0), 0
    # Archives have flags that ask for passwords or other compression: their places are among these.
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << int(rng.integers(8)) if at % 2 else 255
        path.write_bytes(changed)
        try:
            assert Tape.load(path).n_rows == 2
        except TapeError:
            refused += 1
    assert refused > len(whole) / 2
    for junk in (b"", b"PK", whole[: len(whole) // 2], rng.bytes(300), b"\x93NUMPY" + rng.bytes(100)):
        path.write_bytes(junk)
        with pytest.raises(TapeError, match="damaged"):
            Tape.load(path)
    with pytest.raises(FileNotFoundError):
        Tape.load(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        Tape.load(tmp_path)


@every_coder
def test_junk_for_a_description_is_refused(coder):
    arrays, description = Run(coder, 2, 5, 9).forward().tape.state_dict()
    for junk in (None, [], {}, 5, "tape"):
        with pytest.raises(TapeError):
            Tape.from_state_dict(arrays, junk)
    for name in description:
        # Rows without end must not ask for memory.
        for junk in (None, [], {"a": 1}, "x", -1, 2.5, 10**15):
            if (name, junk) not in (("provenance", None), ("provenance", {"a": 1}), ("provenance", [])):
                with pytest.raises(TapeError):
                    Tape.from_state_dict(arrays, description | {name: junk})
    for name in arrays:
        with pytest.raises(TapeError):
            Tape.from_state_dict(arrays | {name: [1, 2]}, description)


def test_sizes_whose_sum_wraps_around_are_refused():
    arrays, description = make_tape("rans", 4).state_dict()
    with pytest.raises(TapeError, match="words"):
        Tape.from_state_dict(arrays | {"sizes": np.full(4, 2**62)}, description)


@pytest.mark.parametrize("number", [0, 2**31 - 1, 2**63])
def test_lanes_outside_of_their_range_are_refused(number):
    arrays, description = Run("rans", 2, 21, 3).forward().tape.state_dict()
    numbers = arrays["numbers"].copy()
    numbers[1] = number
    with pytest.raises(TapeError, match="range"):
        Tape.from_state_dict(arrays | {"numbers": numbers}, description)


@every_coder
def test_reset(coder):
    run = Run(coder, 2, 6, 30).forward()
    run.tape.provenance = {"weights": "abc"}
    run.tape.reset()
    assert run.tape.is_empty
    assert (len(run.tape), run.tape.provenance) == (0, None)
    assert repr(run.tape).endswith("0 bits of 2 rows>")


def test_stacks_grow_by_little():
    run = Run("rans", 4, 64, 400).forward()
    assert run.tape.nbytes * 8 < 1.3 * len(run.tape)
