"""Translation with a trained model: search, unknown words taken from the source, and the BLEU score.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
5.2: beam search, and each unknown word of a translation replaced by the source word that was attended to most. BLEU
is that of K. Papineni, S. Roukos, T. Ward, W.-J. Zhu, "BLEU: a Method for Automatic Evaluation of Machine
Translation", ACL 2002, as computed by sacrebleu (M. Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scinn._input import check_choice, check_positive_int
from scinn.datasets.text import Vocabulary, tokenize_words
from scinn.datasets.text_batches import pad_batch
from scinn.exceptions import require
from scinn.recurrent.seq2seq import Seq2Seq

__all__ = ["Bleu", "Translation", "corpus_bleu", "replace_unknown", "translate"]

UNKNOWN = "<unk>"


class Bleu(NamedTuple):
    """A BLEU score and what it is made of.

    Parameters
    ----------
    score : float
        From 0 to 100.
    precisions : tuple of float
        Percentages of n-grams of 1 to 4 words that the references hold.
    brevity_penalty : float
        At most 1; below where the translations are shorter than the references.
    n_words, n_reference_words : int
    signature : str
        How it was computed, for reports.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    n_words: int
    n_reference_words: int
    signature: str


class Translation(NamedTuple):
    """A translated sentence.

    Parameters
    ----------
    words : tuple of str
        Unknown words replaced, where that was asked for.
    score : float
        What the search compared by.
    attention : ndarray, shape (n_words, n_source)
        How much each word attended to each source word.
    finished : bool
        Whether the sentence ended by itself.
    """

    words: tuple[str, ...]
    score: float
    attention: np.ndarray
    finished: bool


def replace_unknown(
    words: Sequence[str], attention: np.ndarray, source: Sequence[str], *, unknown: str = UNKNOWN
) -> list[str]:
    """Replace each unknown word by the source word that it attended to most.

    Parameters
    ----------
    words : sequence of str
        A translation.
    attention : ndarray, shape (n_words, n_source) or wider
        Attention of each word; columns behind the source are not looked at.
    source : sequence of str
        Words of the source.
    unknown : str, default "<unk>"
        The mark of an unknown word.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        For attention of another shape, or an empty source.

    Examples
    --------
    >>> replace_unknown(["ein", "<unk>"], np.array([[0.9, 0.1], [0.2, 0.8]]), ["a", "zyzzyva"])
    ['ein', 'zyzzyva']
    """
    attention = np.asarray(attention)
    if attention.ndim != 2 or len(attention) != len(words) or attention.shape[1] < len(source) or not source:
        raise ValueError(
            f"attention has shape {attention.shape}; wanted one row for each of {len(words)} words, and a column for each "
            f"of {len(source)} source words (at least one)"
        )
    best = attention[:, : len(source)].argmax(axis=1) if len(words) else ()
    return [source[int(s)] if word == unknown else word for word, s in zip(words, best)]


def corpus_bleu(
    hypotheses: Sequence[str | Sequence[str]],
    references: Sequence[str | Sequence[str]],
    *,
    tokenizer: str = "none",
    lowercase: bool = False,
) -> Bleu:
    """Return the BLEU score of translations, by sacrebleu.

    Parameters
    ----------
    hypotheses, references : sequence of str, or of sequences of str
        Translations and one reference for each, as strings or as words.
    tokenizer : {"none", "13a", "intl", "char"}, default "none"
        How sacrebleu divides sentences into words; "none" takes what spaces separate.
    lowercase : bool, default False
        Make small letters of capitals first.

    Returns
    -------
    Bleu

    Raises
    ------
    MissingExtraError
        Where sacrebleu is not installed: ``pip install 'scinn[translation]'``.
    ValueError
        For different numbers of sentences, or none.

    Notes
    -----
    No smoothing besides sacrebleu's default ("exp"), which matters for very small corpora only. Scores of other
    tokenisers do not compare.

    Examples
    --------
    >>> bleu = corpus_bleu(["a dog runs on the grass"], ["a dog runs on the lawn"])  # doctest: +SKIP
    >>> round(bleu.score, 2)  # doctest: +SKIP
    75.98
    """
    sacrebleu = require("sacrebleu", extra="translation", purpose="the BLEU score")
    check_choice(tokenizer, "tokenizer", ("none", "13a", "intl", "char"))
    ours, wanted = (
        [sentence if isinstance(sentence, str) else " ".join(sentence) for sentence in side]
        for side in (hypotheses, references)
    )
    if len(ours) != len(wanted) or not ours:
        raise ValueError(
            f"there are {len(ours)} hypotheses and {len(wanted)} references; wanted as many, at least one"
        )
    metric = sacrebleu.metrics.BLEU(tokenize=tokenizer, lowercase=lowercase, force=True)
    found = metric.corpus_score(ours, [wanted])
    return Bleu(
        float(found.score),
        tuple(float(p) for p in found.precisions),
        float(found.bp),
        int(found.sys_len),
        int(found.ref_len),
        str(metric.get_signature()),
    )


def translate(
    model: Seq2Seq,
    sentences: Sequence[str | Sequence[str]],
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    *,
    beam: int = 5,
    max_steps: int | None = None,
    length_penalty: float = 0.0,
    replace: bool = True,
    batch_size: int = 64,
) -> list[Translation]:
    """Translate sentences.

    Parameters
    ----------
    model : Seq2Seq
    sentences : sequence of str, or of sequences of str
        Strings are divided by :func:`scinn.datasets.text.tokenize_words`, sequences hold words and are taken as they
        are.
    source_vocabulary, target_vocabulary : Vocabulary
        Those that the model was trained with.
    beam : int, default 5
        1 is greedy search.
    max_steps : int, optional
        Most words of a translation; default: twice the longest source of a minibatch and 10 more.
    length_penalty : float, default 0
        See :func:`scinn.recurrent.beam_search`.
    replace : bool, default True
        Replace unknown words by the most attended source word.
    batch_size : int, default 64
        Sentences of similar length that are translated together.

    Returns
    -------
    list of Translation
        In the order of the sentences; an empty sentence has an empty translation.

    Raises
    ------
    ValueError
        For vocabularies of other sizes than the model's.

    Examples
    --------
    >>> words = Vocabulary.build(["a dog runs"])
    >>> model = Seq2Seq(len(words), len(words), 4, 4, context="embedding", rng=0)
    >>> len(translate(model, ["a dog", "", "a"], words, words, beam=2, max_steps=3))
    3
    """
    for name, vocabulary, size in (
        ("source_vocabulary", source_vocabulary, model.n_source),
        ("target_vocabulary", target_vocabulary, model.n_target),
    ):
        if len(vocabulary) != size:
            raise ValueError(f"{name} has {len(vocabulary)} symbols, the model was built for {size}")
    batch_size = check_positive_int(batch_size, "batch_size")
    words = [tokenize_words(s) if isinstance(s, str) else list(s) for s in sentences]
    order = sorted((i for i, sentence in enumerate(words) if sentence), key=lambda i: (len(words[i]), i))
    found: list[Translation] = [Translation((), 0.0, np.zeros((0, 0)), True)] * len(words)
    options: dict[str, Any] = {
        "begin": target_vocabulary.bos,
        "end": target_vocabulary.eos,
        "forbidden": (target_vocabulary.pad, target_vocabulary.bos),
        "beam": beam,
        "length_penalty": length_penalty,
    }
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        source, lengths = pad_batch([source_vocabulary.encode(words[i]) for i in rows])
        steps = 2 * len(source) + 10 if max_steps is None else max_steps
        for i, (best,) in zip(rows, model.beam_search(source, lengths, max_steps=steps, **options)):
            assert best.attention is not None
            attention = best.attention[:, : len(words[i])]
            text = [target_vocabulary.symbols[token] for token in best.tokens]
            if replace:
                text = replace_unknown(text, attention, words[i])
            found[i] = Translation(tuple(text), best.score, attention, best.finished)
    return found
