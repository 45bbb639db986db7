"""Properties of the exactly reversible product and of the tapes that hold what it drops.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999; the product is
Algorithm 3 of D. Maclaurin, D. Duvenaud, R. Adams, "Gradient-based Hyperparameter Optimization through Reversible
Learning", ICML 2015, arXiv 1502.03492. Notation: state ``h`` (integer, value ``h 2^-23``), gate ``z`` from 1 to 1024
(share ``z / 1024`` is kept), update ``u``; one operation turns ``h`` into about ``h z / 1024 + u`` and forgets
``-log2(z / 1024)`` bits.

References are those of :mod:`scinn.verify.textbook_tapes`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from scinn.recurrent.tape import CODERS
from scinn.verify.arrays import same_bits
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict
from scinn.verify.textbook_tapes import Operation, PaperBuffers, PaperPlanes, TextbookLanes, ideal_bits

__all__ = ["CODERS", "PROPERTIES"]

_LOW, _HIGH = -(2**31), 2**31
#: Room that a product leaves at both ends of the range of 32-bit integers.
_MARGIN = 2048


def multiply(tape: Any, one: Operation, *, plain: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
    """Return new states, their values, and what the tape says of the range."""
    new, value = np.full_like(one.h, 77), np.full(one.h.shape, np.nan)
    call = tape.multiply_plain if plain else tape.multiply
    wrong = call(one.h, one.z, one.update, one.alive, new, value)
    return new, value, int(wrong)


def divide(tape: Any, new: np.ndarray, one: Operation) -> tuple[np.ndarray, np.ndarray]:
    """Return the states before an operation, and their values."""
    h, value = np.full_like(new, 77), np.full(new.shape, np.nan)
    tape.divide(new, one.z, one.update, one.alive, h, value)
    return h, value


# Cases


def _gates(rng: np.random.Generator, shape: tuple[int, ...], kind: int | None = None) -> np.ndarray:
    kind = int(rng.integers(6)) if kind is None else kind
    if kind == 0:
        z = rng.integers(1, 1025, shape)
    elif kind == 1:
        # A limit of three bits, most gates near 1.
        z = np.rint(1024.0 * (0.125 + 0.875 / (1.0 + np.exp(-2.0 * rng.standard_normal(shape) - 1.5))))
    elif kind == 2:
        z = rng.choice([1, 2, 1023, 1024], shape)
    elif kind == 3:
        z = 2 ** rng.integers(0, 11, shape)
    elif kind == 4:
        z = np.full(shape, rng.integers(1, 1025))
    else:
        z = rng.choice([1, 512, 513, 341, 342, 1000, 1024], shape)
    return np.asarray(z).astype(np.uint16)


def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    kind = int(rng.integers(4))
    if kind == 0:
        h = rng.integers(_LOW + _MARGIN, _HIGH - _MARGIN, shape)
    elif kind == 1:
        h = rng.choice([0, -1, 1, -1023, -1024, -1025, 1023, 1024, 1025, _LOW, _LOW + 1, _LOW + 1023, _LOW + 1024,
                        _HIGH - 1, _HIGH - 1024], shape)  # fmt: skip
    else:
        h = np.rint(2.0**23 * rng.uniform(-1.0, 1.0, shape))
    return np.asarray(h).astype(np.int32)


def _sizes(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice([1, 2, 3, 5, 8])), int(rng.choice([1, 2, 3, 7, 16, 17]))


def _updates(rng: np.random.Generator, h: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return updates that keep the results well within the range."""
    scaled = h.astype(np.int64) * z // 1024
    wanted = np.rint(2.0**23 * rng.uniform(-2.0, 2.0, h.shape)).astype(np.int64)
    inside = np.clip(scaled + wanted, _LOW + _MARGIN, _HIGH - _MARGIN) - scaled
    return np.asarray(np.where(rng.random(h.shape) < 0.1, inside - wanted, inside)).astype(np.int32)


def random_operation(
    rng: np.random.Generator, shape: tuple[int, int], *, kind: int | None = None, ragged: bool = True
) -> Operation:
    """Return one operation on independent numbers."""
    h, z = _numbers(rng, shape), _gates(rng, shape, kind)
    alive = rng.random(shape[0]) < 0.7 if ragged and rng.random() < 0.5 else np.ones(shape[0], dtype=bool)
    return Operation(h, z, _updates(rng, h, z), alive)


def state_like(rng: np.random.Generator, shape: tuple[int, int], n: int, kind: int = 1) -> list[Operation]:
    """Return operations on random states of the size that networks have."""
    result = []
    for _ in range(n):
        h = np.rint(2.0**23 * rng.uniform(-1.0, 1.0, shape)).astype(np.int32)
        update = np.rint(2.0**21 * rng.uniform(-1.0, 1.0, shape)).astype(np.int32)
        result.append(Operation(h, _gates(rng, shape, kind), update, np.ones(shape[0], dtype=bool)))
    return result


def _make(coder: str, n_rows: int) -> Any:
    from scinn.recurrent import make_tape

    return make_tape(coder, n_rows)


def _coder(rng: np.random.Generator, known: Sequence[str] = CODERS) -> str:
    return str(known[int(rng.integers(len(known)))])


def _sum(*wrong: Any) -> float:
    return float(sum(np.count_nonzero(one) for one in wrong))


# Round trips


def _round_trip(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    (rows, units), coder = _sizes(rng), _coder(rng)
    tape = _make(coder, rows)
    # Several widths on one tape, as of slices.
    widths = [units, units + int(rng.integers(0, 3))]
    done, wrong = [], 0.0
    for _ in range(int(rng.integers(1, 60))):
        one = random_operation(rng, (rows, int(rng.choice(widths))))
        new, value, refused = multiply(tape, one)
        if refused >= 0:
            return verdict("round trip", np.inf, 0.0, f"{coder} refused a number in range", h=one.h, z=one.z)
        wrong += _sum(value != new * 2.0**-23, new[~one.alive] != one.h[~one.alive])
        done.append((one, new))
    for one, new in reversed(done):
        h, value = divide(tape, new, one)
        wrong += _sum(h != one.h, value != one.h * 2.0**-23)
    return verdict(
        "states that do not come back, and bits left", wrong + len(tape), 0.0, f"{coder}, {rows} rows"
    )


def _paper_product(seed: int) -> CheckResult:
    """The reference itself: any h, z and buffer below 2^53."""
    rng = np.random.default_rng(seed)
    shape = _sizes(rng)
    one = random_operation(rng, shape, ragged=False)
    own = PaperBuffers(shape)
    own.buffers = rng.integers(0, 2**53, shape).astype(object)
    before, new = own.buffers.copy(), own.multiply(one)
    digit = new - one.update - one.h.astype(np.int64) // 1024 * one.z
    wrong = _sum(digit < 0, digit >= one.z, own.divide(new, one) != one.h, own.buffers != before)
    return verdict("the paper's product and its inverse", wrong, 0.0, f"{shape}")


def _identity(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    (rows, units), coder = _sizes(rng), _coder(rng)
    tape = _make(coder, rows)
    before = [random_operation(rng, (rows, units), ragged=False) for _ in range(int(rng.integers(1, 4)))]
    before[0].z[...] = 500
    news = [multiply(tape, one)[0] for one in before]
    held = len(tape)
    ones, none = random_operation(rng, (rows, units), ragged=False), random_operation(rng, (rows, units))
    ones.z[...], ones.update[...], none.alive[...] = 1024, 0, False
    wrong = 0.0
    for _ in range(3):
        new, _, _ = multiply(tape, ones)
        kept, _, _ = multiply(tape, none)
        wrong += _sum(new != ones.h, kept != none.h)
    # Planes note for each product whether they were put aside: one bit, whatever the gates.
    wrong += not held <= len(tape) <= held + (8 if coder == "planes" else 0)
    for _ in range(3):
        wrong += _sum(divide(tape, kept, none)[0] != none.h, divide(tape, ones.h, ones)[0] != ones.h)
    for one, new in zip(before[::-1], news[::-1]):
        wrong += _sum(divide(tape, new, one)[0] != one.h)
    return verdict("a gate of 1, and rows at rest, leave no bits", wrong + len(tape), 0.0, coder)


def _powers(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    rows, units = _sizes(rng)
    j, n = int(rng.integers(0, 11)), int(rng.integers(1, 40))
    operations = state_like(rng, (rows, units), n)
    for one in operations:
        one.z[...] = 2**j
    own, wrong = PaperBuffers((rows, units)), 0.0
    for one in operations:
        own.multiply(one)
    longest = max(int(b).bit_length() for b in own.buffers.flat)
    wrong += longest > n * (10 - j)
    for coder in ("rans", "floor_digit"):
        tape = _make(coder, rows)
        for one in operations:
            multiply(tape, one)
        wanted = rows * units * n * (10 - j)
        # Each row has one unfinished word and the lane's own 64 bits.
        wrong += not (wanted - 64 * rows <= len(tape) <= wanted + 96 * rows)
    return verdict(
        "gates 2^j / 1024 store 10 - j bits", wrong, 0.0, f"j = {j}, {n} products, {rows} x {units}"
    )


# Sizes


def _digits(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    (rows, units), wrong, apart = _sizes(rng), 0.0, 0.0
    for coder in CODERS:
        tape = _make(coder, rows)
        for _ in range(5):
            one = random_operation(rng, (rows, units), ragged=False)
            new, _, _ = multiply(tape, one)
            h, z = one.h.astype(np.int64), one.z.astype(np.int64)
            scaled = new - one.update.astype(np.int64)
            if coder == "floor_digit":
                wrong += _sum(scaled != h * z // 1024)
            else:
                digit = scaled - h // 1024 * z
                wrong += _sum(digit < 0, digit >= z)
            apart = max(apart, float(np.max(np.abs(scaled - h * (z / 1024.0)), initial=0.0)) * 2.0**-23)
    return verdict("digits out of range; distance from z h", wrong + (apart >= 2.0**-13), 0.0, f"{apart:.3g}")


def _plain(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    (rows, units), wrong = _sizes(rng), 0.0
    for coder in CODERS:
        tape = _make(coder, rows)
        multiply(tape, random_operation(rng, (rows, units)))
        before, one = tape.state_dict(), random_operation(rng, (rows, units))
        new, value, _ = multiply(tape, one, plain=True)
        h, z = one.h.astype(np.int64), one.z.astype(np.int64)
        wanted = h * z // 1024 if coder == "floor_digit" else h // 1024 * z
        # A gate of 1 keeps all bits on both ways.
        wanted = np.where(z == 1024, h, wanted) + one.update
        if coder != "floor_digit":
            loose = (one.alive[:, None] & (z == 1024)) & (new == h // 1024 * 1024 + one.update)
            wanted = np.where(loose, new, wanted)
        wanted = np.where(one.alive[:, None], wanted, h)
        wrong += _sum(new != wanted, value != new * 2.0**-23) + (not same_bits(before, tape.state_dict()))
        if coder == "floor_digit":
            with_tape, _, _ = multiply(tape, one)
            wrong += _sum(with_tape != new)
    return verdict("products without a tape", wrong, 0.0, f"{rows} x {units}")


def _bound(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    n, units = int(rng.integers(1, 150)), int(rng.choice([1, 3, 7]))
    operations = [
        random_operation(rng, (1, units), kind=int(rng.integers(6)), ragged=False) for _ in range(n)
    ]
    own = PaperBuffers((1, units))
    for one in operations:
        own.multiply(one)
    # (B + 1) prod z <= (T + 1) 1024^T, in integers.
    worst = 0.0
    for i in range(units):
        product = Fraction(int(own.buffers[0, i]) + 1, n + 1)
        for one in operations:
            product *= Fraction(int(one.z[0, i]), 1024)
        worst = max(worst, float(product))
    return verdict("(B + 1) / (T + 1) times the product of gates", worst, 1.0, f"T = {n}")


def _rans_bits(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    rows, units, n = int(rng.choice([1, 4, 20])), int(rng.choice([16, 33, 64])), 140
    kind = int(rng.choice([0, 1, 2, 5]))
    operations = state_like(rng, (rows, units), n, kind)
    tape, ideal = _make("rans", rows), ideal_bits(operations)
    for one in operations:
        multiply(tape, one)
    error = abs(len(tape) - ideal) - 96.0 * rows
    return verdict(
        "stored - ideal bits, beyond a lane's own", error, 2e-3 * ideal, f"{len(tape)} for {ideal:.0f}"
    )


def _digit_bits(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    rows, units, n = int(rng.choice([1, 4])), int(rng.choice([16, 33])), 60
    operations = state_like(rng, (rows, units), n, int(rng.choice([0, 1, 2, 5])))
    tape, wanted, wrong = _make("floor_digit", rows), 0.0, 0.0
    for one in operations:
        multiply(tape, one)
        z = one.z.astype(np.int64)
        image = one.h.astype(np.int64) * z // 1024
        first = -(-1024 * image // z)
        choices = -(-1024 * (image + 1) // z) - first
        digit = one.h - first
        wrong += _sum(digit < 0, digit >= choices, choices > -(-1024 // z))
        wanted += float(np.sum(np.log2(choices)))
    excess = abs(len(tape) - wanted) - 96.0 * rows
    ideal = ideal_bits(operations)
    # The digit of one product costs between the bound and 1.39 times the bound, on the mean.
    wrong += (
        excess > 2e-3 * wanted + 1.0 or not ideal * 0.98 - 64 * rows <= wanted <= 1.42 * ideal + 64 * rows
    )
    return verdict(
        "digits of the floor, and their bits", wrong, 0.0, f"{len(tape)} for {wanted:.0f} of {ideal:.0f}"
    )


def _plane_layout(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    shape = _sizes(rng)
    tape, own, wrong = _make("planes", shape[0]), PaperPlanes(shape), 0.0
    for _ in range(int(rng.integers(1, 60))):
        one = random_operation(rng, shape)
        new, _, _ = multiply(tape, one)
        wrong += _sum(new != own.multiply(one))
    layout = 64 * shape[0] * shape[1] * (own.n_pushed + 1) + 8 * (-(-own.n_flags // 8))
    # A tape in its first state holds nothing.
    started = own.n_pushed > 0 or bool(np.any(own.buffers != 0))
    wrong += started and abs(len(tape) - layout) > 64
    return verdict("planes - the authors' layout", wrong, 0.0, f"{len(tape)} bits, wanted {layout}")


def _lanes(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    shape = _sizes(rng)
    tape, own, wrong = _make("rans", shape[0]), TextbookLanes(shape), 0.0
    for _ in range(int(rng.integers(1, 60))):
        one = random_operation(rng, shape)
        new, _, _ = multiply(tape, one)
        wrong += _sum(new != own.multiply(one))
    # Lanes that only kept states may or may not count as started.
    apart = len(tape) - own.n_bits if own.n_bits else 0
    return verdict(
        "lanes - textbook lanes", wrong + abs(apart), 0.0, f"{len(tape)} bits, wanted {own.n_bits}"
    )


def _order_of_coders(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    rows, units, n = 4, 64, 140
    operations = state_like(rng, (rows, units), n, 1)
    bits = {}
    for coder in CODERS:
        tape = _make(coder, rows)
        for one in operations:
            multiply(tape, one)
        bits[coder] = len(tape) / ideal_bits(operations)
    # The paper's layout is ruled by the worst unit of the batch: 64 bits for some 17 products of three bits.
    broken = not (bits["rans"] < 1.02 < bits["floor_digit"] < 1.4 < bits["planes"])
    return verdict("bits by coder, over the bound", float(broken), 0.0, f"{bits}")


# Rows


def _own_rows(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    (rows, units), coder = _sizes(rng), _coder(rng, ("rans", "floor_digit"))
    operations = [random_operation(rng, (rows, units)) for _ in range(int(rng.integers(1, 40)))]
    order, wrong = rng.permutation(rows), 0.0
    together, permuted = _make(coder, rows), _make(coder, rows)
    alone = [_make(coder, 1) for _ in range(rows)]
    for one in operations:
        new, _, _ = multiply(together, one)
        again, _, _ = multiply(permuted, one.rows(order))
        wrong += _sum(again != new[order])
        for i, tape in enumerate(alone):
            wrong += _sum(multiply(tape, one.rows(slice(i, i + 1)))[0] != new[i : i + 1])
    wrong += len(together) != len(permuted)
    used = [tape for tape in alone if len(tape)]
    # Lanes of rows without bits still count where others have some.
    wrong += not sum(map(len, used)) <= len(together) <= sum(map(len, used)) + 64 * (rows - len(used))
    return verdict("rows do not see each other", wrong, 0.0, f"{coder}, {rows} x {units}")


def _planes_leak(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    units, n = int(rng.choice([1, 3, 7])), 30
    quiet = state_like(rng, (1, units), n, 1)
    for one in quiet:
        one.z[...] = rng.integers(600, 700, one.z.shape)
    loud = state_like(rng, (1, units), n, 1)
    for one in loud:
        one.z[...] = 128
    seen = {}
    for coder in CODERS:
        alone, beside = _make(coder, 1), _make(coder, 2)
        differ = 0.0
        for a, b in zip(quiet, loud):
            both = Operation(
                *(np.concatenate([getattr(a, k), getattr(b, k)]) for k in ("h", "z", "update", "alive"))
            )
            differ += _sum(multiply(beside, both)[0][0] != multiply(alone, a)[0][0])
        seen[coder] = differ
    # Planes are put aside for all rows at once, so that digits of the quiet row depend on its neighbour.
    broken = seen["rans"] + seen["floor_digit"] + (seen["planes"] == 0)
    return verdict("numbers that depend on a neighbour", broken, 0.0, f"{seen}")


# Misuse, files, range


def _misuse(seed: int) -> CheckResult:
    from scinn.exceptions import TapeError

    rng = np.random.default_rng(seed)
    (rows, units), kind = _sizes(rng), int(rng.integers(3))
    # Planes that hold a few bits may seem empty after other gates took them; only the state is wrong then.
    coder = _coder(rng, CODERS if kind == 0 else ("rans", "floor_digit"))
    tape = _make(coder, rows)
    operations = state_like(rng, (rows, units), int(rng.integers(2, 20)), 0)
    for one in operations:
        one.z[...] = np.minimum(one.z, 1000)
    news = [multiply(tape, one)[0] for one in operations]
    if kind == 0:
        # One product too many.
        calls = [*zip(operations, news), (operations[-1], news[-1])]
        if coder == "planes":
            calls = [(operations[0], news[0]), *calls]
    elif kind == 1:
        calls = list(zip(operations, news))[::-1]
    else:
        for one in operations:
            one.z[...] = rng.integers(1, 1001, one.z.shape)
        calls = list(zip(operations, news))
    noticed = False
    lost = False
    for one, new in reversed(calls):
        try:
            h, _ = divide(tape, new, one)
        except TapeError:
            noticed = True
            break
        lost = lost or not np.array_equal(h, one.h)
    noticed = noticed or len(tape) > 0
    what = ("one product too many", "the wrong order", "other gates")[kind]
    return verdict(
        f"{what}: neither an error nor bits left", float(not noticed), 0.0, f"{coder}, lost: {lost}"
    )


def _files(seed: int) -> CheckResult:
    from scinn.recurrent import Tape

    rng = np.random.default_rng(seed)
    (rows, units), coder = _sizes(rng), _coder(rng)
    operations = [random_operation(rng, (rows, units)) for _ in range(int(rng.integers(2, 30)))]
    cut, wrong = int(rng.integers(0, len(operations) + 1)), 0.0
    tape = _make(coder, rows)
    news = [multiply(tape, one)[0] for one in operations[:cut]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tape.npz"
        tape.save(path)
        resumed = Tape.load(path)
    copied, arrays = tape.copy(), tape.state_dict()
    wrong += resumed.coder != coder or resumed.n_rows != rows or len(resumed) != len(tape)
    for one in operations[cut:]:
        new = multiply(tape, one)[0]
        wrong += _sum(multiply(resumed, one)[0] != new, multiply(copied, one)[0] != new)
        news.append(new)
    wrong += not same_bits(resumed.state_dict(), tape.state_dict())
    # Each is emptied on its own, and nothing of the others is touched.
    for own in (tape, resumed, copied):
        for one, new in zip(operations[::-1], news[::-1]):
            wrong += _sum(divide(own, new, one)[0] != one.h)
        wrong += len(own)
    # What was handed out does not follow the tape.
    wrong += not same_bits(arrays, Tape.from_state_dict(*arrays).state_dict())
    return verdict("tapes from files, and copies", wrong, 0.0, f"{coder}, cut at {cut} of {len(operations)}")


def _range(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    (rows, units), coder = _sizes(rng), _coder(rng)
    tape = _make(coder, rows)
    multiply(tape, random_operation(rng, (rows, units)))
    before = tape.state_dict()
    one = random_operation(rng, (rows, units), ragged=False)
    at = int(rng.integers(rows * units))
    sign = 1 if rng.random() < 0.5 else -1
    one.h.flat[at], one.z.flat[at] = sign * (2**31 - 5000), 1024
    one.update.flat[at] = sign * int(rng.integers(8000, 2**30))
    _, _, found = multiply(tape, one)
    _, _, plain = multiply(tape, one, plain=True)
    wrong = (found != at) + (plain != at) + (not same_bits(before, tape.state_dict()))
    one.alive[at // units] = False
    wrong += multiply(tape, one)[2] >= 0
    return verdict(
        "products that leave the range are found, and change nothing", wrong, 0.0, f"{coder}, {at}, {found}"
    )


def _first_state(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    (rows, units), coder = _sizes(rng), _coder(rng)
    fresh, used = _make(coder, rows), _make(coder, rows)
    operations = state_like(rng, (rows, units), int(rng.integers(1, 40)), 0)
    for _ in range(3):
        news = [multiply(used, one)[0] for one in operations]
        for one, new in zip(operations[::-1], news[::-1]):
            divide(used, new, one)
    wrong = float(len(used)) + (not used.is_empty) + (not same_bits(used.state_dict(), fresh.state_dict()))
    for one in operations:
        wrong += _sum(multiply(used, one)[0] != multiply(fresh, one)[0])
    wrong += len(used) != len(fresh)
    used.reset()
    wrong += len(used) + (not same_bits(used.state_dict(), _make(coder, rows).state_dict()))
    return verdict("an emptied tape is a new one", wrong, 0.0, coder)


_PRODUCT, _SIZE = "the reversible product (Maclaurin et al., Algorithm 3)", "size of the buffer"
_LAYOUT, _USE = "section 3.2, buffers of fixed size", "use of a tape"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    ("product-round-trip", _PRODUCT, "Products are undone to the bit, and leave no bits.", _round_trip),
    ("paper-product", _PRODUCT, "The product as the paper writes it has an inverse for every buffer.", _paper_product),
    ("gate-of-one", _PRODUCT, "A gate of 1 is the identity and stores nothing, and neither do rows at rest.", _identity),
    ("powers-of-two", _SIZE, "A gate of 2^j / 1024 stores 10 - j bits.", _powers),
    ("hidden-digits", _PRODUCT, "A product is z h but for less than 2^-13.", _digits),
    ("without-a-tape", _PRODUCT, "Without a tape the low bits are dropped, and of floors nothing changes.", _plain),
    ("buffer-bound", _SIZE, "log2(B + 1) is at most the sum of -log2(z) and log2(T + 1).", _bound),
    ("entropy-coder-bits", _SIZE, "The entropy coder stores the sum of -log2(z), but for a word in each row.", _rans_bits),
    ("floor-digit-bits", _SIZE, "A floor's digit is one of ceil(1024 / z), and stores their logarithm.", _digit_bits),
    ("plane-layout", _LAYOUT, "Planes hold the numbers and bits of the authors' code.", _plane_layout),
    ("textbook-lanes", _SIZE, "The entropy coder's lanes hold the numbers of the textbook's.", _lanes),
    ("coders-in-order", _LAYOUT, "The entropy coder stores least, then the floor's digits, then planes.", _order_of_coders),
    ("rows-apart", _USE, "With lanes of their own, rows do not see each other, and may be permuted.", _own_rows),
    ("planes-leak", _LAYOUT, "Planes are put aside for all rows at once: digits depend on neighbours.", _planes_leak),
    ("last-in-first-out", _USE, "Reading in another order, with other gates, or too much is noticed.", _misuse),
    ("tape-files", _USE, "A tape read from a file goes on as the one that was written.", _files),
    ("product-range", _USE, "A product that leaves the range is found, and changes nothing.", _range),
    ("emptied-tape", _USE, "A tape that was emptied is the same as a new one.", _first_state),
)  # fmt: skip

PROPERTIES: tuple[Property, ...] = tuple(
    Property("reversible-rnn", name, theorem, text, run) for name, theorem, text, run in _ROWS
)
