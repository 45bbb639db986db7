"""The reversibility check: bit-exact round trips, and what breaks them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from scinn.verify import check_reversible
from scinn.verify.toys import BitTape, FixedPointDecay

STATE = np.array([12345, -77, 0, 2**30], dtype=np.int64)
INPUTS = [np.array([1, -2, 3, 4]), np.array([0, 0, 0, 0]), np.array([-999, 5, 7, 1])]


class LeakingTape(FixedPointDecay):
    def advance(self, state, x, tape):
        tape.push(1, 1)
        return super().advance(state, x, tape)

    def reverse(self, state, x, tape):
        return super().reverse(state, x, tape)


class OneBitTooMany(FixedPointDecay):
    def reverse(self, state, x, tape):
        before = super().reverse(state, x, tape)
        tape.pop(1)
        return before


class ForgetsOneEntry(FixedPointDecay):
    def reverse(self, state, x, tape):
        before = super().reverse(state, x, tape)
        before[1] += before[1] % 5 == 0
        return before


class WritesIntoState(FixedPointDecay):
    def advance(self, state, x, tape):
        result = super().advance(state, x, tape)
        state += 1
        return result


class FloatingPoint:
    """h <- 0.9 h + x in floats: reversible on paper, not in bits."""

    def advance(self, state, x, tape):
        return 0.9 * state + x

    def reverse(self, state, x, tape):
        return (state - x) / 0.9


@pytest.mark.parametrize("numerator", [1, 7, 200, 255, 256])
@pytest.mark.parametrize("n_steps", [0, 1, 2, 50])
def test_the_integer_map_comes_back_to_the_bit(numerator, n_steps):
    tape = BitTape()
    result = check_reversible(FixedPointDecay(numerator, 8), STATE, INPUTS, tape, n_steps=n_steps)
    assert result, result
    assert len(tape) == 0
    assert result.values["peak_bits"] == (0 if numerator == 256 else 8 * 4 * n_steps)


def test_maps_of_tuples_without_inputs():
    class Swap:
        def advance(self, state, tape):
            first, second = state
            tape.push(int(first[0] & 1), 1)
            return second, first >> 1

        def reverse(self, state, tape):
            second, first = state
            return (first << 1) | tape.pop(1), second

    state = (np.array([9]), np.array([4]))
    assert check_reversible(Swap(), state, tape=BitTape(), n_steps=12)


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        (LeakingTape(7, 8), "bits are left on the tape"),
        (OneBitTooMany(7, 8), "did not come back|raised IndexError"),
        (ForgetsOneEntry(7, 8), "did not come back"),
        (WritesIntoState(7, 8), "read-only|wrote into"),
        (FloatingPoint(), "did not come back"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_planted_bugs_are_found(bug, words):
    inputs = [x.astype(float) / 7 for x in INPUTS] if isinstance(bug, FloatingPoint) else INPUTS
    state = STATE / 3 if isinstance(bug, FloatingPoint) else STATE
    result = check_reversible(bug, state, inputs, BitTape(), n_steps=30)
    assert not result
    with pytest.raises(AssertionError, match=words):
        result.raise_if_failed()


def test_a_leaking_tape_is_found_even_where_the_state_returns():
    class Hoarder(FixedPointDecay):
        def advance(self, state, x, tape):
            if len(tape) == 0:
                tape.push(0, 3)
            return super().advance(state, x, tape)

    result = check_reversible(Hoarder(7, 8), STATE, INPUTS, BitTape())
    assert not result
    assert result.worst_error == 3
    assert "3 bits are left" in result.detail


def test_the_first_wrong_step_is_named():
    class WrongAtFive(FixedPointDecay):
        def reverse(self, state, x, tape):
            before = super().reverse(state, x, tape)
            return before + 1 if len(tape) == 5 * 8 * 4 else before

    result = check_reversible(WrongAtFive(7, 8), STATE, INPUTS, BitTape(), n_steps=10)
    assert result.counter_example["step"] == 5


def test_a_failure_is_replayed_from_its_script(tmp_path):
    result = check_reversible(FixedPointDecay(7, 8), STATE, INPUTS, BitTape())
    with pytest.raises(ValueError, match="the check passed"):
        result.save_script(tmp_path / "case.py")
    # The product leaves the range of 64-bit integers, which no tape can mend.
    lost = check_reversible(FixedPointDecay(7, 8), STATE + 2**62, INPUTS, BitTape())
    assert not lost
    run = subprocess.run(
        [sys.executable, lost.save_script(tmp_path / "case.py")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr
    assert "FAILED" in run.stdout


def test_says_what_is_wanted():
    with pytest.raises(TypeError, match="without 'reverse'"):
        check_reversible(type("Half", (), {"advance": lambda *a: None})(), STATE, INPUTS, BitTape())
    with pytest.raises(TypeError, match="len"):
        check_reversible(FixedPointDecay(7, 8), STATE, INPUTS)
    tape = BitTape()
    tape.push(1, 1)
    with pytest.raises(ValueError, match="empty tape"):
        check_reversible(FixedPointDecay(7, 8), STATE, INPUTS, tape)
    with pytest.raises(ValueError, match="inputs is empty"):
        check_reversible(FixedPointDecay(7, 8), STATE, [], BitTape())


def test_the_tape_refuses_what_it_cannot_hold():
    tape = BitTape()
    with pytest.raises(ValueError, match="does not fit"):
        tape.push(8, 3)
    with pytest.raises(IndexError, match="0 bits"):
        tape.pop(1)
    with pytest.raises(ValueError, match="from 1 to 256"):
        FixedPointDecay(0, 8)
