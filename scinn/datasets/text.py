"""Text as numbers: streams of symbols, sentence pairs, vocabularies.

A *symbol* is a word or a character; its *id* is its position in the vocabulary.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from scinn._input import as_index_array, check_positive_int

__all__ = [
    "ParallelText",
    "ParallelTextDataset",
    "TextDataset",
    "Vocabulary",
    "limit_vocabulary",
    "tokenize_words",
]

UNKNOWN = "<unk>"
END = "<eos>"
_SPECIAL = ("<pad>", UNKNOWN, "<bos>", END)


class TextDataset(NamedTuple):
    """Three texts as streams of symbol ids, for language models.

    Parameters
    ----------
    name : str
        Registered name.
    train, valid, test : ndarray of shape (n_tokens,), int32
        Ids of the symbols in the order of the text.
    vocabulary : tuple of str
        The symbol of each id.
    level : {"words", "characters"}
        What a symbol is. Among words ``<eos>`` ends a line (or a paragraph), and ``<unk>`` stands for a word
        that the vocabulary does not hold.
    source : str or None
        Which copy of the text this is, where copies differ.

    Examples
    --------
    >>> import numpy as np
    >>> ids = np.array([0, 1, 2, 0], dtype=np.int32)
    >>> data = TextDataset("tiny", ids, ids[:3], ids[:1], ("a", "rose", "is"))
    >>> data.decode(data.train), data.encode("a rose is a rose").tolist()
    ('a rose is a', [0, 1, 2, 0, 1])
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: tuple[str, ...]
    level: str = "words"
    source: str | None = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {len(getattr(self, part))}" for part in ("train", "valid", "test"))
        return f"TextDataset({self.name!r}, {sizes}, {self.n_symbols} {self.level})"

    @property
    def n_symbols(self) -> int:
        """Size of the vocabulary."""
        return len(self.vocabulary)

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of a text.

        Words are what white space separates, and are taken as they are; a line end becomes ``<eos>`` where the
        vocabulary has that. What the vocabulary lacks becomes ``<unk>`` where it has that.

        Parameters
        ----------
        text : str
            The text.

        Returns
        -------
        ndarray of shape (n_tokens,), int32

        Raises
        ------
        TypeError
            For what is not a string.
        ValueError
            For a symbol without an id, where the vocabulary has no ``<unk>``.
        """
        _check_text(text, "text")
        ids = {symbol: i for i, symbol in enumerate(self.vocabulary)}
        symbols: Iterable[str] = text
        if self.level == "words":
            symbols = (text.replace("\n", f" {END} ") if END in ids else text).split()
        unknown = ids.get(UNKNOWN)
        found = [ids.get(symbol, unknown) for symbol in symbols]
        if unknown is None and None in found:
            missing = next(symbol for symbol in symbols if symbol not in ids)
            raise ValueError(
                f"text holds {missing!r}, which is not in the vocabulary of {self.name}, and that has no "
                f"{UNKNOWN}; limit_vocabulary adds one"
            )
        return np.array(found, dtype=np.int32)

    def decode(self, ids: Any) -> str:
        """Return the text of ids: words with a space between them, ``<eos>`` as a line end.

        Parameters
        ----------
        ids : array_like of int, shape (n_tokens,)
            Ids below ``n_symbols``.

        Returns
        -------
        str

        Raises
        ------
        TypeError, ValueError
            For what is not a row of ids of this vocabulary.
        """
        checked = (
            as_index_array(ids, "ids", n=self.n_symbols) if np.size(ids) else np.zeros(0, dtype=np.int64)
        )
        symbols = [self.vocabulary[i] for i in checked.tolist()]
        if self.level != "words":
            return "".join(symbols)
        lines: list[list[str]] = [[]]
        for symbol in symbols:
            if symbol == END:
                lines.append([])
            else:
                lines[-1].append(symbol)
        return "\n".join(map(" ".join, lines))


class ParallelText(NamedTuple):
    """Sentences in one language and their translations.

    Parameters
    ----------
    source, target : tuple of str
        Sentence ``i`` of ``target`` translates sentence ``i`` of ``source``.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]

    def __repr__(self) -> str:
        return f"ParallelText({len(self.source)} pairs)"


class ParallelTextDataset(NamedTuple):
    """Sentence pairs in three parts, for translation.

    Parameters
    ----------
    name : str
        Registered name.
    train, valid, test : ParallelText
        Pairs to fit on, to choose with and to report, as the publisher divides them.
    languages : tuple of two str
        Codes of the source and the target language.

    Examples
    --------
    >>> pairs = ParallelText(("Two men .", "A dog ."), ("Zwei Männer .", "Ein Hund ."))
    >>> data = ParallelTextDataset("tiny", pairs, pairs, pairs)
    >>> data
    ParallelTextDataset('tiny', en to de, train 2, valid 2, test 2)
    >>> data.train.target[1]
    'Ein Hund .'
    """

    name: str
    train: ParallelText
    valid: ParallelText
    test: ParallelText
    languages: tuple[str, str] = ("en", "de")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {len(getattr(self, part).source)}" for part in ("train", "valid", "test"))
        return f"ParallelTextDataset({self.name!r}, {' to '.join(self.languages)}, {sizes})"


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """Words and their ids, with four marks before them.

    Id 0 is ``<pad>`` (behind the end of a row), 1 ``<unk>`` (a word that is not here), 2 ``<bos>`` and 3
    ``<eos>`` (before and behind a sentence).

    Parameters
    ----------
    symbols : sequence of str
        The symbol of each id; the four marks come first.

    Raises
    ------
    TypeError, ValueError
        For symbols that are not distinct strings, or do not begin with the marks.

    Examples
    --------
    >>> words = Vocabulary.build(["A dog runs.", "A dog."])
    >>> words.symbols[4:]
    ('.', 'a', 'dog', 'runs')
    >>> ids = words.encode("A cat runs.", bos=True, eos=True)
    >>> ids, words.decode(ids)
    ([2, 5, 1, 7, 4, 3], ['a', '<unk>', 'runs', '.'])
    """

    symbols: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, compare=False)

    #: Ids of the marks.
    pad: ClassVar[int] = 0
    unk: ClassVar[int] = 1
    bos: ClassVar[int] = 2
    eos: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if isinstance(self.symbols, str):
            raise TypeError("symbols is a string; a sequence of strings is wanted, one a symbol")
        symbols = tuple(self.symbols)
        wrong = next((symbol for symbol in symbols if not isinstance(symbol, str)), None)
        if wrong is not None:
            raise TypeError(f"symbols holds {wrong!r} ({type(wrong).__name__}); strings are wanted")
        if symbols[:4] != _SPECIAL:
            raise ValueError(
                f"symbols begins with {list(symbols[:4])}; {', '.join(_SPECIAL)} must come first: "
                "Vocabulary.build puts them there"
            )
        ids = {symbol: i for i, symbol in enumerate(symbols)}
        if len(ids) != len(symbols):
            twice = next(symbol for symbol, n in Counter(symbols).items() if n > 1)
            raise ValueError(f"symbols holds {twice!r} more than once; each symbol has one id")
        object.__setattr__(self, "symbols", symbols)
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def build(
        cls,
        sentences: Iterable[str | Sequence[str]],
        *,
        max_size: int | None = None,
        min_count: int = 1,
    ) -> Vocabulary:
        """Take the words of some sentences, the frequent ones first, equal ones in the order of their letters.

        Parameters
        ----------
        sentences : iterable of str, or of sequences of str
            A string is divided by :func:`tokenize_words`, a sequence holds words and is taken as it is. Use the
            training sentences only.
        max_size : int, optional
            At most so many symbols, the four marks counted; at least 5.
        min_count : int
            Words that are rarer are left out.

        Returns
        -------
        Vocabulary

        Raises
        ------
        TypeError, ValueError
            For sentences or bounds of another form.
        """
        if isinstance(sentences, str):
            raise TypeError("sentences is one string; a list of sentences is wanted: pass [sentences]")
        least = check_positive_int(min_count, "min_count")
        counts: Counter[str] = Counter()
        for i, sentence in enumerate(sentences):
            counts.update(_words(sentence, f"sentences[{i}]"))
        for mark in _SPECIAL:
            counts.pop(mark, None)
        kept = by_frequency({word: n for word, n in counts.items() if n >= least})
        if max_size is not None:
            kept = kept[: check_positive_int(max_size, "max_size", minimum=len(_SPECIAL) + 1) - len(_SPECIAL)]
        return cls((*_SPECIAL, *kept))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} symbols)"

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._ids

    def encode(self, sentence: str | Sequence[str], *, bos: bool = False, eos: bool = False) -> list[int]:
        """Return the ids of the words of a sentence.

        Parameters
        ----------
        sentence : str or sequence of str
            A string is divided by :func:`tokenize_words`, a sequence holds words and is taken as it is.
        bos, eos : bool
            Put ``<bos>`` before and ``<eos>`` behind it.

        Returns
        -------
        list of int
            ``<unk>`` for words that are not here.
        """
        ids = [self._ids.get(word, self.unk) for word in _words(sentence, "sentence")]
        return [*([self.bos] if bos else ()), *ids, *([self.eos] if eos else ())]

    def decode(self, ids: Any) -> list[str]:
        """Return the words of ids up to the first ``<eos>``; ``<pad>`` and ``<bos>`` are left out.

        Parameters
        ----------
        ids : array_like of int, shape (n,)
            Ids of this vocabulary.

        Returns
        -------
        list of str

        Raises
        ------
        TypeError, ValueError
            For what is not a row of ids of this vocabulary.
        """
        checked = as_index_array(ids, "ids", n=len(self)).tolist() if np.size(ids) else []
        if self.eos in checked:
            checked = checked[: checked.index(self.eos)]
        return [self.symbols[i] for i in checked if i not in (self.pad, self.bos)]


def tokenize_words(text: str, *, lower: bool = True) -> list[str]:
    """Divide a sentence into words, numbers and punctuation marks.

    Letters, digits, underscores and the marks that combine with them make words; ``1,000`` and ``3.5`` stay whole;
    an apostrophe inside a word begins a new token (``man's`` is ``man 's``); every other sign is a token. The text
    is first brought into Unicode's composed form (NFC), so that both spellings of an umlaut are one word.

    This is simpler than the tokeniser of Moses, which knows the abbreviations and apostrophes of each language: scores
    of translations divided in the two ways do not compare.

    Parameters
    ----------
    text : str
        A sentence, in any language that puts spaces between words.
    lower : bool
        Make small letters of capitals.

    Returns
    -------
    list of str
        Tokens without white space.

    Raises
    ------
    TypeError
        For what is not a string.

    Examples
    --------
    >>> tokenize_words("Zwei Männer, 1,5 m groß - \\"the man's dog\\".")
    ['zwei', 'männer', ',', '1,5', 'm', 'groß', '-', '"', 'the', 'man', "'s", 'dog', '"', '.']
    """
    _check_text(text, "text")
    composed = unicodedata.normalize("NFC", text.lower() if lower else text)
    # \w knows letters and digits only; a vowel sign that stood apart from its consonant would cut words in two
    marks = {c for c in composed if c > "\u02ff" and unicodedata.category(c)[0] == "M"}
    word = rf"[\w{''.join(sorted(marks))}]"
    return re.findall(rf"\d+(?:[.,]\d+)+(?!{word})|{word}+|(?<={word})['\u2019]{word}+|\S", composed)


def limit_vocabulary(dataset: TextDataset, n_symbols: int) -> TextDataset:
    """Keep the most frequent symbols of a text and make ``<unk>`` of the others.

    Counted is in the training part; of equally frequent symbols the one with the lower id stays. The kept symbols
    keep their order; ``<unk>`` and ``<eos>`` stay whatever their count, and an ``<unk>`` that is not yet there comes
    last.

    Parameters
    ----------
    dataset : TextDataset
        A text.
    n_symbols : int
        Wanted size of the vocabulary, ``<unk>`` counted. A text that has no more comes back as it is.

    Returns
    -------
    TextDataset
        The same three streams with new ids.

    Raises
    ------
    TypeError, ValueError
        For another kind of data set, or a size that leaves no room for a symbol beside ``<unk>`` and ``<eos>``.

    Examples
    --------
    >>> import numpy as np
    >>> ids = np.array([0, 1, 1, 2, 2, 2], dtype=np.int32)
    >>> small = limit_vocabulary(TextDataset("tiny", ids, ids, ids, ("a", "b", "c")), 2)
    >>> small.vocabulary, small.train.tolist()
    (('c', '<unk>'), [1, 1, 1, 0, 0, 0])
    """
    if not isinstance(dataset, TextDataset):
        raise TypeError(f"dataset is a {type(dataset).__name__}; a TextDataset is wanted")
    always = [i for i, symbol in enumerate(dataset.vocabulary) if symbol in (UNKNOWN, END)]
    added = UNKNOWN not in dataset.vocabulary
    size = check_positive_int(n_symbols, "n_symbols", minimum=len(always) + added + 1)
    if size >= dataset.n_symbols:
        return dataset
    counts = np.bincount(dataset.train, minlength=dataset.n_symbols)
    counts[always] = np.iinfo(counts.dtype).max
    kept = np.sort(np.argsort(-counts, kind="stable")[: size - added])
    vocabulary = tuple(dataset.vocabulary[i] for i in kept) + ((UNKNOWN,) if added else ())
    new_ids = np.full(dataset.n_symbols, vocabulary.index(UNKNOWN), dtype=np.int32)
    new_ids[kept] = np.arange(len(kept))
    return dataset._replace(
        train=new_ids[dataset.train],
        valid=new_ids[dataset.valid],
        test=new_ids[dataset.test],
        vocabulary=vocabulary,
    )


def by_frequency(counts: Mapping[str, int]) -> list[str]:
    """Return symbols by falling count, equal ones in the order of their letters."""
    return sorted(counts, key=lambda symbol: (-counts[symbol], symbol))


def _words(sentence: Any, name: str) -> list[str]:
    if isinstance(sentence, str):
        return tokenize_words(sentence)
    words = as_list(sentence, name)
    wrong = next((word for word in words if not isinstance(word, str)), None)
    if wrong is not None:
        raise TypeError(f"{name} holds {wrong!r} ({type(wrong).__name__}); words are strings")
    return words


def _check_text(text: Any, name: str) -> None:
    if not isinstance(text, str):
        hint = f": pass {name}.decode('utf-8')" if isinstance(text, bytes) else ""
        raise TypeError(f"{name} is a {type(text).__name__}; a string is wanted{hint}")


def as_list(values: Any, name: str) -> list[Any]:
    """Return the list of an iterable that is no string."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is a {type(values).__name__}; a list is wanted")
    return list(values)
