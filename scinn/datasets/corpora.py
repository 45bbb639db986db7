"""The registered texts, read from the publishers' files, from compact ones, or from the running Python."""

from __future__ import annotations

import gzip
import platform
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scinn._input import check_choice
from scinn.datasets.info import DatasetInfo, SourceFile
from scinn.datasets.text import (
    END,
    UNKNOWN,
    ParallelText,
    ParallelTextDataset,
    TextDataset,
    by_frequency,
    tokenize_words,
)
from scinn.exceptions import ChecksumError, DataUnavailableError

__all__ = ["python_topics", "read_published", "unpack"]

SHAKESPEARE_TRAIN = 0.9
TOPIC_SHARES = (0.8, 0.1, 0.1)
_PARTS = ("train", "valid", "test")


def read_published(info: DatasetInfo, files: Mapping[str, bytes]) -> TextDataset | ParallelTextDataset:
    """Read the publisher's files of a registered text; compressed ones are held against their own checksums."""
    contents = [_decompressed(info, source, files[source.file_name]) for source in info.sources]
    return _READ[info.name](info.name, contents)


def unpack(info: DatasetInfo, arrays: Mapping[str, np.ndarray]) -> TextDataset | ParallelTextDataset:
    """Read the arrays of a compact ``.npz`` file."""
    return _UNPACK[info.name](info.name, arrays)


def python_topics(*, level: str = "characters") -> TextDataset:
    """Take the help texts on the language that the running Python carries (``help("topics")``).

    The topics are gone through in alphabetical order, and each goes whole to the part that lags most behind its share: 80,
    10 and 10 % of the characters. A paragraph that an earlier topic has is left out, since some topics are parts of
    others. Among words, a paragraph is what :func:`~scinn.datasets.tokenize_words` makes of its lines that hold a letter
    or digit, and ``<eos>``; a word that the training part has only once is ``<unk>``.

    Parameters
    ----------
    level : {"characters", "words"}
        What a symbol is.

    Returns
    -------
    TextDataset
        Other versions of Python carry other texts; ``source`` says which this is.

    Raises
    ------
    ValueError
        For another level.
    DataUnavailableError
        Where this Python comes without its help texts.
    """
    check_choice(level, "level", ("characters", "words"))
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataUnavailableError(
            "python-topics: this Python comes without the module pydoc_data, which holds the help texts; install the "
            "whole standard library"
        ) from error
    parts = _topic_parts(topics)
    source = f"pydoc_data.topics of Python {platform.python_version()}"
    if level == "characters":
        return _of_characters("python-topics", ["".join(f"{p}\n\n" for p in part) for part in parts], source)
    streams = [[word for p in part for word in _topic_words(p)] for part in parts]
    counts = Counter(streams[0])
    known = {word: n for word, n in counts.items() if n > 1}
    known[UNKNOWN] = sum(n for n in counts.values() if n == 1)
    return _of_symbols("python-topics", streams, by_frequency(known), "words", source)


def _topic_parts(topics: Mapping[str, str]) -> list[list[str]]:
    seen: set[str] = set()
    parts: list[list[str]] = [[], [], []]
    sizes = np.zeros(3)
    for name in sorted(topics):
        paragraphs = dict.fromkeys(text.strip("\n") for text in topics[name].split("\n\n"))
        new = [text for text in paragraphs if text.strip() and text not in seen]
        seen.update(new)
        size = sum(map(len, new))
        # the lengths of topics differ a hundredfold, so that every tenth would not be a tenth of the text
        lacking = int(np.argmax((sizes.sum() + size) * np.array(TOPIC_SHARES) - sizes))
        parts[lacking] += new
        sizes[lacking] += size
    return parts


def _topic_words(paragraph: str) -> list[str]:
    # rules below headings and in tables are no words
    lines = (line for line in paragraph.split("\n") if any(map(str.isalnum, line)))
    return [*tokenize_words("\n".join(lines)), END]


def _of_symbols(
    name: str,
    streams: Sequence[Sequence[str]],
    vocabulary: Sequence[str],
    level: str,
    source: str | None = None,
) -> TextDataset:
    ids = {symbol: i for i, symbol in enumerate(vocabulary)}
    # where there is no <unk>, -1 cannot have the recorded checksum
    unknown = ids.get(UNKNOWN, -1)
    train, valid, test = (
        np.array([ids.get(symbol, unknown) for symbol in stream], dtype=np.int32) for stream in streams
    )
    return TextDataset(name, train, valid, test, tuple(vocabulary), level, source)


def _of_characters(name: str, texts: Sequence[str], source: str | None = None) -> TextDataset:
    return _of_symbols(name, texts, sorted(set().union(*texts)), "characters", source)


def _penn_treebank(name: str, contents: Sequence[bytes]) -> TextDataset:
    texts = [content.decode("utf-8") for content in contents]
    streams = [text.replace("\n", f" {END} ").split() for text in texts]
    return _of_symbols(name, streams, by_frequency(Counter(streams[0])), "words")


def _packed_penn_treebank(name: str, arrays: Mapping[str, np.ndarray]) -> TextDataset:
    train, valid, test = (arrays[part].astype(np.int32) for part in _PARTS)
    return TextDataset(name, train, valid, test, tuple(arrays["vocab"].tolist()), "words")


def _tiny_shakespeare(name: str, contents: Sequence[bytes]) -> TextDataset:
    text = contents[0].decode("utf-8")
    first = int(SHAKESPEARE_TRAIN * len(text))
    second = (first + len(text)) // 2
    return _of_characters(name, [text[:first], text[first:second], text[second:]])


def _packed_tiny_shakespeare(name: str, arrays: Mapping[str, np.ndarray]) -> TextDataset:
    return _tiny_shakespeare(name, [arrays["text"].tobytes()])


def _multi30k(name: str, contents: Sequence[bytes]) -> ParallelTextDataset:
    sides = [_lines(content) for content in contents]
    train, valid, test = (ParallelText(*sides[i : i + 2]) for i in (0, 2, 4))
    for part, label in zip((train, valid, test), _PARTS):
        if len(part.source) != len(part.target):
            raise ValueError(
                f"{name}: the {label} part has {len(part.source)} English and {len(part.target)} German lines"
            )
    return ParallelTextDataset(name, train, valid, test)


def _packed_multi30k(name: str, arrays: Mapping[str, np.ndarray]) -> ParallelTextDataset:
    keys = [f"{part}_{language}" for part in ("train", "val", "test2016") for language in ("en", "de")]
    return _multi30k(name, [arrays[key].tobytes() for key in keys])


def _lines(content: bytes) -> tuple[str, ...]:
    # not splitlines, which also cuts at separators that a sentence may hold
    return tuple(content.decode("utf-8").removesuffix("\n").split("\n"))


def _decompressed(info: DatasetInfo, source: SourceFile, content: bytes) -> bytes:
    from scinn.datasets.store import sha256

    if not source.unpacked_sha256:
        return content
    try:
        text = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ChecksumError(
            f"{info.name}: {source.url} gave a damaged file ({error}): expected {source.sum}"
        ) from error
    found = sha256(text)
    if found != source.unpacked_sha256:
        raise ChecksumError(
            f"{info.name}: {source.url} gave an altered file: expected {source.sum}, found {found}"
        )
    return text


_READ: dict[str, Callable[[str, Sequence[bytes]], Any]] = {
    "penn-treebank": _penn_treebank,
    "tiny-shakespeare": _tiny_shakespeare,
    "multi30k": _multi30k,
}
_UNPACK: dict[str, Callable[[str, Mapping[str, np.ndarray]], Any]] = {
    "penn-treebank": _packed_penn_treebank,
    "tiny-shakespeare": _packed_tiny_shakespeare,
    "multi30k": _packed_multi30k,
}
