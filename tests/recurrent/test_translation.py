"""Translation: BLEU by its definition, unknown words, batches of sentences, messages."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from scinn.datasets import Vocabulary
from scinn.exceptions import MissingExtraError
from scinn.recurrent.seq2seq import Seq2Seq
from scinn.recurrent.translation import corpus_bleu, replace_unknown, translate

WORDS = Vocabulary.build(["a dog runs on the grass", "two men sit on a bench"])


def model(**options: Any) -> Seq2Seq:
    settings: dict[str, Any] = {"cell": "gru", "context": "embedding", "init_scale": 1.0, "rng": 0}
    return Seq2Seq(len(WORDS), len(WORDS), 6, 8, **(settings | options))


def bleu_by_definition(hypotheses: list[list[str]], references: list[list[str]]) -> tuple[float, list[float]]:
    """Return the geometric mean of clipped n-gram precisions times the brevity penalty; no precision may be zero."""
    precisions = []
    for n in range(1, 5):
        matched = total = 0
        for ours, wanted in zip(hypotheses, references, strict=True):
            counts, allowed = (
                Counter(tuple(s[i : i + n]) for i in range(len(s) - n + 1)) for s in (ours, wanted)
            )
            matched += sum(min(count, allowed[gram]) for gram, count in counts.items())
            total += sum(counts.values())
        precisions.append(matched / total)
    n_ours, n_wanted = sum(map(len, hypotheses)), sum(map(len, references))
    penalty = 1.0 if n_ours >= n_wanted else math.exp(1 - n_wanted / n_ours)
    return 100 * penalty * math.exp(sum(map(math.log, precisions)) / 4), [100 * p for p in precisions]


@pytest.mark.parametrize("seed", range(5))
def test_bleu_by_the_definition(seed: int) -> None:
    pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(seed)
    references = [[f"w{i}" for i in rng.integers(0, 9, rng.integers(8, 15))] for _ in range(12)]
    hypotheses = []
    for sentence in references:
        ours = [word if rng.random() < 0.85 else "wrong" for word in sentence]
        hypotheses.append(ours[: len(ours) - int(rng.integers(0, 3))])
    score, precisions = bleu_by_definition(hypotheses, references)
    found = corpus_bleu(hypotheses, [" ".join(sentence) for sentence in references])
    assert found.score == pytest.approx(score, rel=1e-10)
    np.testing.assert_allclose(found.precisions, precisions, rtol=1e-10)
    assert found.n_words == sum(map(len, hypotheses))
    assert found.n_reference_words == sum(map(len, references))
    assert "tok:none" in found.signature


def test_bleu_of_equal_sentences_and_letters() -> None:
    pytest.importorskip("sacrebleu")
    assert corpus_bleu(["A dog runs on the grass"], ["A dog runs on the grass"]).score == pytest.approx(100.0)
    assert corpus_bleu(["A DOG RUNS ON"], ["a dog runs on"]).score < 50
    assert corpus_bleu(["A DOG RUNS ON"], ["a dog runs on"], lowercase=True).score == pytest.approx(100.0)


def test_messages_of_bleu(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sacrebleu")
    with pytest.raises(ValueError, match="2 hypotheses and 1 references"):
        corpus_bleu(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="at least one"):
        corpus_bleu([], [])
    with pytest.raises(ValueError, match="tokenizer is 'moses'"):
        corpus_bleu(["a"], ["a"], tokenizer="moses")
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    with pytest.raises(MissingExtraError, match=r"scinn\[translation\]"):
        corpus_bleu(["a"], ["a"])


def test_unknown_words_become_the_most_attended_source_word() -> None:
    # The last column lies behind the source.
    attention = np.array([[0.7, 0.2, 0.1], [0.1, 0.4, 0.5], [0.6, 0.3, 0.1]])
    words = replace_unknown(["ein", "<unk>", "<unk>"], attention, ["a", "quokka"])
    assert words == ["ein", "quokka", "a"]
    assert replace_unknown([], np.zeros((0, 2)), ["a", "b"]) == []
    assert replace_unknown(["?"], np.array([[0.0, 1.0]]), ["a", "b"], unknown="?") == ["b"]
    for bad in (np.zeros((2, 2)), np.zeros((1, 1)), np.zeros(2)):
        with pytest.raises(ValueError, match="attention has shape"):
            replace_unknown(["<unk>"], bad, ["a", "b"])


@pytest.mark.parametrize("cell", ["gru", "rev_gru"])
def test_sentences_come_back_in_their_order_whatever_the_batches(cell: str) -> None:
    sentences: list[Any] = [
        "a dog runs",
        "",
        ["two", "men", "sit", "on", "a", "bench"],
        "grass",
        "the bench runs",
    ]
    net = model(cell=cell, dtype=np.float64)
    options: dict[str, Any] = {"beam": 3, "max_steps": 8, "replace": False}
    together = translate(net, sentences, WORDS, WORDS, **options)
    assert together[1].words == ()
    for sentence, found in zip(sentences, together, strict=True):
        alone = translate(net, [sentence], WORDS, WORDS, **options)[0]
        assert alone.words == found.words
        assert alone.score == pytest.approx(found.score, abs=1e-9)
        n_words = len(sentence.split()) if isinstance(sentence, str) else len(sentence)
        if n_words:
            assert found.attention.shape == (len(found.words), n_words)
            np.testing.assert_allclose(found.attention.sum(axis=1), 1.0)
        assert not {"<pad>", "<bos>", "<eos>"} & set(found.words)
    by_twos = translate(net, sentences, WORDS, WORDS, batch_size=2, **options)
    assert [found.words for found in by_twos] == [found.words for found in together]


def test_unknown_words_are_replaced_in_translations() -> None:
    net = model()
    # A model that says nothing but "unknown".
    net.params["output.bias"][WORDS.unk] = 100.0
    plain, replaced = (
        translate(net, ["a quokka runs"], WORDS, WORDS, max_steps=4, replace=replace)[0]
        for replace in (False, True)
    )
    assert plain.words == ("<unk>",) * 4
    assert not plain.finished
    source = ["a", "quokka", "runs"]
    assert list(replaced.words) == [source[i] for i in replaced.attention.argmax(axis=1)]


def test_messages_of_translate() -> None:
    other = Vocabulary.build(["a dog"])
    with pytest.raises(ValueError, match="source_vocabulary has 6 symbols"):
        translate(model(), ["a"], other, WORDS)
    with pytest.raises(ValueError, match="target_vocabulary has 6 symbols"):
        translate(model(), ["a"], WORDS, other)
    with pytest.raises(ValueError, match="batch_size"):
        translate(model(), ["a"], WORDS, WORDS, batch_size=0)
