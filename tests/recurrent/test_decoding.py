"""Beam search: against exhaustive search and greedy search, ends, penalties, attention, messages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.recurrent.decoding import beam_search, greedy_search

BEGIN, END = 0, 1


def random_language(n_sentences: int, n_symbols: int, seed: int) -> Any:
    """Return a step function whose probabilities depend on the whole prefix, which is its state, and its definition."""

    def log_p(sentence: int, prefix: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng([seed, sentence, *prefix])
        logits = 2.0 * rng.normal(size=n_symbols)
        return logits - np.log(np.exp(logits).sum())

    def step(tokens: np.ndarray, state: Any) -> Any:
        sentence, (prefixes,) = state
        prefixes = np.concatenate([prefixes, tokens[:, None]], axis=1)
        rows = [log_p(int(s), tuple(int(t) for t in prefix)) for s, prefix in zip(sentence, prefixes)]
        attention = np.stack([sentence + 0.0, prefixes.shape[1] + 0.0 * sentence, tokens + 0.0], axis=1)
        return np.array(rows), (sentence, (prefixes,)), attention

    start = (np.arange(n_sentences), (np.zeros((n_sentences, 0), dtype=np.int64),))
    return step, start, log_p


def exhaustive(log_p: Any, sentence: int, n_symbols: int, max_steps: int, penalty: float) -> list[Any]:
    """Score every sequence that ends within the steps, and every one that does not."""
    found = []
    for n in range(1, max_steps + 1):
        for tokens in itertools.product(range(n_symbols), repeat=n):
            ended = tokens[-1] == END
            if END in tokens[:-1] or (not ended and n < max_steps):
                continue
            total = sum(log_p(sentence, (BEGIN, *tokens[:i]))[tokens[i]] for i in range(n))
            found.append((total / n**penalty, total, tokens[:-1] if ended else tokens, ended))
    return sorted(found, key=lambda entry: -entry[0])


@given(
    n_symbols=st.integers(2, 4),
    max_steps=st.integers(1, 4),
    n_sentences=st.integers(1, 3),
    seed=st.integers(0, 10_000),
)
def test_a_wide_beam_finds_what_exhaustive_search_finds(
    n_symbols: int, max_steps: int, n_sentences: int, seed: int
) -> None:
    step, start, log_p = random_language(n_sentences, n_symbols, seed)
    width = n_symbols**max_steps
    found = beam_search(
        step, start, n_sentences, begin=BEGIN, end=END, beam=width, max_steps=max_steps, n_best=width
    )
    for sentence, hypotheses in enumerate(found):
        wanted = exhaustive(log_p, sentence, n_symbols, max_steps, 0.0)
        assert [tuple(h.tokens.tolist()) for h in hypotheses] == [tokens for _, _, tokens, _ in wanted]
        assert [h.finished for h in hypotheses] == [ended for *_, ended in wanted]
        np.testing.assert_allclose(
            [h.log_probability for h in hypotheses], [w[1] for w in wanted], atol=1e-12
        )


@pytest.mark.parametrize("penalty", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_length_penalty_against_exhaustive_search(penalty: float, seed: int) -> None:
    step, start, log_p = random_language(2, 3, seed)
    found = beam_search(step, start, 2, begin=BEGIN, end=END, beam=81, max_steps=4, length_penalty=penalty)
    for sentence, (best,) in enumerate(found):
        wanted = exhaustive(log_p, sentence, 3, 4, penalty)[0]
        assert tuple(best.tokens.tolist()) == wanted[2]
        np.testing.assert_allclose([best.score, best.log_probability], wanted[:2], atol=1e-12)


@given(n_symbols=st.sampled_from([2, 5, 40]), n_sentences=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_greedy_search_takes_the_best_symbol_at_every_step(
    n_symbols: int, n_sentences: int, seed: int
) -> None:
    step, start, log_p = random_language(n_sentences, n_symbols, seed)
    found = greedy_search(step, start, n_sentences, begin=BEGIN, end=END, max_steps=6)
    for sentence, hypothesis in enumerate(found):
        prefix: list[int] = [BEGIN]
        total = 0.0
        while len(prefix) <= 6:
            row = log_p(sentence, tuple(prefix))
            prefix.append(int(row.argmax()))
            total += row.max()
            if prefix[-1] == END:
                break
        ended = prefix[-1] == END
        assert hypothesis.tokens.tolist() == prefix[1:-1] if ended else prefix[1:]
        assert hypothesis.finished == ended
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("n_symbols", [60, 300])
@pytest.mark.parametrize("seed", range(5))
def test_many_symbols_and_a_narrow_beam_against_a_plain_search(n_symbols: int, seed: int) -> None:
    step, start, log_p = random_language(1, n_symbols, seed)
    beams: list[tuple[float, tuple[int, ...], bool]] = [(0.0, (BEGIN,), False)]
    for _ in range(5):
        pool = [beam for beam in beams if beam[2]]
        for total, prefix, ended in beams:
            if not ended:
                row = log_p(0, prefix)
                pool += [(total + row[t], (*prefix, t), t == END) for t in range(n_symbols)]
        beams = sorted(pool, key=lambda beam: -beam[0])[:4]
    found = beam_search(step, start, 1, begin=BEGIN, end=END, beam=4, max_steps=5, n_best=4)[0]
    assert [h.tokens.tolist() for h in found] == [
        list(prefix[1:-1] if ended else prefix[1:]) for _, prefix, ended in beams
    ]


@pytest.mark.parametrize("n_symbols", [7, 400])
@pytest.mark.parametrize("seed", range(5))
def test_equal_scores_keep_the_order_of_rows_and_symbols(n_symbols: int, seed: int) -> None:
    # Halves add up exactly, and many sums are equal.
    table = -0.5 * np.random.default_rng(seed).integers(1, 4, (n_symbols, n_symbols))
    beams: list[tuple[float, tuple[int, ...], bool]] = [(0.0, (BEGIN,), False)]
    for _ in range(3):
        pool = []
        for j, (total, prefix, ended) in enumerate(beams):
            if ended:
                pool.append((-total, j, END, (total, prefix, True)))
                continue
            for t in range(n_symbols):
                new = total + table[prefix[-1], t]
                pool.append((-new, j, t, (new, (*prefix, t), t == END)))
        beams = [entry[3] for entry in sorted(pool)[:5]]
    found = beam_search(
        lambda tokens, state: (table[tokens], state, None),
        None,
        1,
        begin=BEGIN,
        end=END,
        beam=5,
        max_steps=3,
        n_best=5,
    )[0]
    assert [(h.score, h.finished) for h in found] == [(total, ended) for total, _, ended in beams]
    assert [h.tokens.tolist() for h in found] == [
        list(prefix[1:-1] if ended else prefix[1:]) for _, prefix, ended in beams
    ]


def test_a_batch_is_its_sentences_one_by_one() -> None:
    step, start, _ = random_language(4, 7, seed=3)
    together = beam_search(step, start, 4, begin=BEGIN, end=END, beam=3, max_steps=6, n_best=3)
    for i, hypotheses in enumerate(together):
        own = (start[0][i : i + 1], (start[1][0][i : i + 1],))
        alone = beam_search(step, own, 1, begin=BEGIN, end=END, beam=3, max_steps=6, n_best=3)[0]
        for a, b in zip(alone, hypotheses, strict=True):
            assert a.tokens.tolist() == b.tokens.tolist()
            assert a.score == b.score


def test_attention_is_that_of_the_hypothesis() -> None:
    step, start, _ = random_language(3, 6, seed=11)
    for sentence, hypotheses in enumerate(
        beam_search(step, start, 3, begin=BEGIN, end=END, beam=4, max_steps=8, n_best=4)
    ):
        for hypothesis in hypotheses:
            read = [BEGIN, *hypothesis.tokens.tolist()][: len(hypothesis.tokens)]
            wanted = [[sentence, i + 1, token] for i, token in enumerate(read)]
            assert hypothesis.attention is not None
            assert hypothesis.attention.shape == (len(hypothesis.tokens), 3)
            assert hypothesis.attention.tolist() == wanted


def test_forbidden_symbols_are_never_produced_and_ties_keep_the_order_of_symbols() -> None:
    def step(tokens: np.ndarray, state: Any) -> Any:
        return np.full((len(tokens), 5), np.log(0.2)), state, None

    found = beam_search(step, None, 1, begin=0, end=4, beam=3, max_steps=2, n_best=3, forbidden=[0, 2])[0]
    # The shortest is the likeliest; the others follow in the order of their symbols.
    assert [h.tokens.tolist() for h in found] == [[], [1, 1], [1, 3]]
    assert found[0].attention is None


def test_no_sentences() -> None:
    assert beam_search(lambda tokens, state: (tokens, state, None), None, 0, begin=0, end=1) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam is 0"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"n_best": 6}, "raise beam"),
        ({"length_penalty": -1.0}, "length_penalty"),
        ({"forbidden": [END]}, "ends a sequence"),
        ({"end": 9}, "more than 9 symbols"),
        ({"forbidden": [0, 2, 3], "end": 1, "max_steps": 1}, "no sequence"),
    ],
)
def test_messages(options: dict[str, Any], message: str) -> None:
    def step(tokens: np.ndarray, state: Any) -> Any:
        row = np.log(np.full((len(tokens), 4), 0.25))
        row[:, END] = -np.inf
        return row, state, None

    with pytest.raises(ValueError, match=message):
        beam_search(step, None, 1, **({"begin": BEGIN, "end": END} | options))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        beam_search(lambda tokens, state: (np.full((5, 3), np.nan), state, None), None, 1, begin=0, end=1)
