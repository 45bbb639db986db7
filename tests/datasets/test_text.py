"""Texts: words and ids, minibatches, the registered sets as published, packed and cached."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import unicodedata
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn import datasets
from scinn.datasets import (
    DATASETS,
    ParallelText,
    ParallelTextDataset,
    SourceFile,
    TextDataset,
    Vocabulary,
    batch_stream,
    bucketed_batches,
    corpora,
    encode_pairs,
    limit_vocabulary,
    loading,
    lookup,
    pad_batch,
    store,
    tokenize_words,
)
from scinn.exceptions import ChecksumError, DataUnavailableError
from scinn.random import Key

TEXT_SETS = [name for name, info in DATASETS.items() if info.task in ("language modelling", "translation")]
SENTENCES = st.lists(st.text(max_size=12).map(lambda s: s.replace("\n", "")), max_size=6)
PTB = {
    "ptb.train.txt": b" a cat saw a cat \n b saw <unk> \n a a N \n",
    "ptb.valid.txt": b" a cat \n",
    "ptb.test.txt": b" b b \n <unk> \n",
}
# by falling count in the training part: 4, 3, 2, 2, then one each in the order of their letters
PTB_WORDS = ("a", "<eos>", "cat", "saw", "<unk>", "N", "b")
PARTS = ("train", "val", "test_2016_flickr")
CAPTIONS = {
    "train.en": ["Two men.", "A  dog ", "A man\u2028runs."],
    "train.de": ["Zwei Männer.", "Ein Hund", "Ein Mann rennt."],
    "val.en": ["A cat."],
    "val.de": ["Eine Katze."],
    "test_2016_flickr.en": ["Snow.", "Rain."],
    "test_2016_flickr.de": ["Schnee.", "Regen."],
}


def lines(sentences):
    return "".join(f"{s}\n" for s in sentences).encode()


def captions():
    parts = [ParallelText(*(tuple(CAPTIONS[f"{part}.{code}"]) for code in ("en", "de"))) for part in PARTS]
    return ParallelTextDataset("toy", *parts)


# Words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \t\n", []),
        ("A dog, a cat.", ["a", "dog", ",", "a", "cat", "."]),
        ("1,000.50 v2 3. 4,x", ["1,000.50", "v2", "3", ".", "4", ",", "x"]),
        ("5.6kg", ["5", ".", "6kg"]),
        ("two-piece (red)...", ["two", "-", "piece", "(", "red", ")", ".", ".", "."]),
        ("man's 'so' rock'n'roll", ["man", "'s", "'", "so", "'", "rock", "'n", "'roll"]),
        ("geht’s", ["geht", "’s"]),
        ("GROẞE Straße", ["große", "straße"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("a_b\u00a0c\u2028d", ["a_b", "c", "d"]),
        ("x\u0301y\u0302's z", ["x\u0301ŷ", "'s", "z"]),
    ],
)
def test_words(text, tokens):
    assert tokenize_words(text) == tokens


def test_capitals_may_stay():
    assert tokenize_words("Ein HUND.", lower=False) == ["Ein", "HUND", "."]


@given(st.text(max_size=40))
def test_tokens_lose_and_add_nothing_but_white_space(text):
    tokens = tokenize_words(text)
    assert all(tokens)
    assert "".join(tokens) == "".join(unicodedata.normalize("NFC", text.lower()).split())


@given(st.text(st.characters(categories=["L", "M", "Nd", "Zs"]), max_size=20))
def test_both_spellings_of_an_accent_are_one_word(text):
    small = text.lower()
    assert tokenize_words(unicodedata.normalize("NFD", small)) == tokenize_words(
        unicodedata.normalize("NFC", small)
    )


@pytest.mark.parametrize("text", [None, b"bytes", 3, ["a"]])
def test_only_strings_are_divided(text):
    with pytest.raises(TypeError, match=r"text is a .*; a string is wanted"):
        tokenize_words(text)


# Vocabularies


def test_vocabulary_by_frequency_then_letters():
    words = Vocabulary.build(["b a b", ["c", "a", "<unk>", "<bos>"], "d"])
    assert words.symbols == ("<pad>", "<unk>", "<bos>", "<eos>", "a", "b", "c", "d")
    assert Vocabulary.build(["b a b", "c a", "d"], min_count=2).symbols[4:] == ("a", "b")
    assert Vocabulary.build(["b a b", "c a", "d"], max_size=7).symbols[4:] == ("a", "b", "c")
    assert Vocabulary.build([]).symbols == Vocabulary.build([""]).symbols == words.symbols[:4]
    assert len(words) == 8
    assert "c" in words
    assert "e" not in words
    assert repr(words) == "Vocabulary(8 symbols)"
    assert Vocabulary(json.loads(json.dumps(words.symbols))) == words
    assert hash(Vocabulary(words.symbols)) == hash(words)


@given(st.lists(st.lists(st.sampled_from("abcdefg"), max_size=8), max_size=8), st.integers(1, 3))
def test_known_words_come_back(sentences, min_count):
    words = Vocabulary.build(sentences, min_count=min_count)
    counts = Counter(word for sentence in sentences for word in sentence)
    for sentence in sentences:
        ids = words.encode(sentence, bos=True, eos=True)
        assert (ids[0], ids[-1]) == (words.bos, words.eos)
        expected = [word if counts[word] >= min_count else "<unk>" for word in sentence]
        assert words.decode([*ids, words.pad, 2]) == words.decode(np.array(ids)) == expected
    assert words.decode([]) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Vocabulary("abc"), TypeError, "symbols is a string"),
        (lambda: Vocabulary(["<pad>", 3]), TypeError, r"symbols holds 3 \(int\)"),
        (lambda: Vocabulary(["a", "b"]), ValueError, "must come first"),
        (
            lambda: Vocabulary(["<pad>", "<unk>", "<bos>", "<eos>", "a", "a"]),
            ValueError,
            "'a' more than once",
        ),
        (lambda: Vocabulary.build("a b"), TypeError, r"pass \[sentences\]"),
        (lambda: Vocabulary.build([["a", 3]]), TypeError, r"sentences\[0\] holds 3"),
        (lambda: Vocabulary.build(["a", 5]), TypeError, r"sentences\[1\] is a int; a list"),
        (lambda: Vocabulary.build(["a"], max_size=4), ValueError, "max_size is 4; an integer >= 5"),
        (lambda: Vocabulary.build(["a"], min_count=0), ValueError, "min_count is 0"),
        (lambda: Vocabulary.build(["a"]).decode([5]), ValueError, "ids holds the index 5"),
        (lambda: Vocabulary.build(["a"]).encode(b"a"), TypeError, "sentence is a bytes"),
    ],
)
def test_wrong_vocabularies_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Streams


@pytest.fixture
def stream():
    vocabulary = ("the", "<unk>", "<eos>", "cat", "dog", "saw")
    ids = np.array([0, 4, 5, 0, 4, 2, 3, 1, 2, 4, 3, 2], dtype=np.int32)
    return TextDataset("toy", ids, ids[:6], ids[6:], vocabulary)


def test_words_of_a_stream(stream):
    assert repr(stream) == "TextDataset('toy', train 12, valid 6, test 6, 6 words)"
    assert stream.decode(stream.train) == "the dog saw the dog\ncat <unk>\ndog cat\n"
    np.testing.assert_array_equal(stream.encode(stream.decode(stream.train)), stream.train)
    assert stream.encode("the  emu\ncat").tolist() == [0, 1, 2, 3]
    assert stream.encode("").dtype == np.int32
    assert stream.encode("").tolist() == []
    assert stream.decode([]) == stream.decode(np.zeros(0)) == ""
    no_end = stream._replace(vocabulary=("a", "b"))
    assert no_end.encode("a\nb").tolist() == [0, 1]


@given(st.text("ab \n", max_size=20))
def test_characters_come_back(text):
    data = TextDataset("toy", *3 * [np.arange(4, dtype=np.int32)], ("\n", " ", "a", "b"), "characters")
    assert data.decode(data.encode(text)) == text


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.encode(b"the"), TypeError, "text is a bytes; a string is wanted: pass text.decode"),
        (
            lambda d: d._replace(vocabulary=("a",)).encode("a emu"),
            ValueError,
            "text holds 'emu'.*limit_vocab",
        ),
        (lambda d: d.decode([6]), ValueError, "ids holds the index 6; .* 0..5"),
        (lambda d: d.decode([-1]), ValueError, "negative"),
        (lambda d: d.decode([0.5]), TypeError, "integer"),
        (lambda d: limit_vocabulary("toy", 3), TypeError, "dataset is a str; a TextDataset is wanted"),
        (lambda d: limit_vocabulary(d, 2), ValueError, "n_symbols is 2; an integer >= 3"),
        (lambda d: limit_vocabulary(d, 2.0), TypeError, "n_symbols is 2.0"),
    ],
)
def test_wrong_symbols_are_named(stream, call, error, message):
    with pytest.raises(error, match=message):
        call(stream)


def test_rare_words_become_unknown(stream):
    small = limit_vocabulary(stream, 4)
    # dog 3 times, the and cat twice: of equals the lower id stays
    assert small.vocabulary == ("the", "<unk>", "<eos>", "dog")
    assert small.decode(small.train) == "the dog <unk> the dog\n<unk> <unk>\ndog <unk>\n"
    assert small.train.dtype == np.int32
    assert limit_vocabulary(small, 4) is small
    assert limit_vocabulary(stream, 6) is stream


@given(
    st.lists(st.integers(0, 8), max_size=60),
    st.integers(2, 12),
    st.booleans(),
)
def test_limit_against_a_plain_count(ids, n_symbols, has_unknown):
    letters = ["<unk>" if has_unknown and i == 5 else c for i, c in enumerate("abcdefghi")]
    train = np.array(ids, dtype=np.int32)
    data = TextDataset("toy", train, train[::-1].copy(), train[:3], tuple(letters))
    small = limit_vocabulary(data, n_symbols)
    if n_symbols >= 9:
        assert small is data
        return
    counts = Counter(letters[i] for i in ids)
    ranked = sorted((c for c in letters if c != "<unk>"), key=lambda c: -counts[c])
    kept = set(ranked[: n_symbols - 1])
    assert set(small.vocabulary) == kept | {"<unk>"}
    assert len(small.vocabulary) == n_symbols
    for part in ("train", "valid", "test"):
        before = [letters[i] for i in getattr(data, part)]
        after = [small.vocabulary[i] for i in getattr(small, part)]
        assert after == [c if c in kept else "<unk>" for c in before]


@given(st.integers(1, 40), st.integers(1, 7), st.sampled_from([np.uint16, np.int32, np.int64]))
def test_streams_are_cut_into_rows(n, n_rows, dtype):
    ids = np.arange(n, dtype=dtype)
    if n < n_rows:
        with pytest.raises(ValueError, match=f"ids has {n} tokens, too few for n_rows={n_rows}"):
            batch_stream(ids, n_rows)
        return
    rows = batch_stream(ids, n_rows)
    n_steps = n // n_rows
    assert rows.shape == (n_steps, n_rows)
    assert rows.dtype == dtype
    assert rows.flags.c_contiguous
    assert [rows[t, j] for j in range(n_rows) for t in range(n_steps)] == list(range(n_steps * n_rows))


def test_wrong_streams_are_named():
    with pytest.raises(ValueError, match="n_rows is 0"):
        batch_stream([1, 2], 0)
    with pytest.raises(ValueError, match="ids has 2 dimensions"):
        batch_stream([[1, 2]], 1)
    with pytest.raises(TypeError, match="ids is a str"):
        batch_stream("text", 1)


# Minibatches


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=7), min_size=1, max_size=6), st.integers(0, 5))
def test_rows_are_padded_behind_their_ends(rows, pad):
    ids, lengths = pad_batch(rows, pad=pad)
    assert ids.shape == (max(map(len, rows)), len(rows))
    assert (ids.dtype, lengths.dtype) == (np.int32, np.int64)
    for column, (row, length) in enumerate(zip(rows, lengths)):
        assert ids[:length, column].tolist() == row
        assert (ids[length:, column] == pad).all()


PAIRS = st.lists(
    st.tuples(*2 * [st.lists(st.integers(4, 9), min_size=1, max_size=9)]), min_size=0, max_size=30
)


@given(PAIRS, st.integers(1, 7), st.one_of(st.none(), st.integers(0, 3)), st.integers(1, 3))
def test_every_pair_comes_once(pairs, batch_size, epoch, n_pooled):
    source, target = [list(side) for side in zip(*pairs)] or [[], []]
    options = {"epoch": epoch, "n_pooled": n_pooled, "seed": 3}
    batches = list(bucketed_batches(source, target, batch_size, **options))
    taken = [i for batch in batches for i in batch.positions.tolist()]
    assert sorted(taken) == list(range(len(pairs)))
    for batch in batches:
        assert 1 <= len(batch.positions) <= batch_size
        chosen = batch.positions.tolist()
        for found, expected in zip(batch[:2], pad_batch([source[i] for i in chosen])):
            np.testing.assert_array_equal(found, expected)
        for found, expected in zip(batch[2:4], pad_batch([target[i] for i in chosen])):
            np.testing.assert_array_equal(found, expected)
    again = bucketed_batches(source, target, batch_size, **options)
    assert taken == [i for batch in again for i in batch.positions.tolist()]


def test_minibatches_hold_similar_lengths_in_an_order_of_the_epoch():
    rng = np.random.default_rng(0)
    source = [[4] * n for n in rng.integers(1, 30, size=400)]
    target = [[2, *row, 3] for row in source]

    def order(**options):
        return [batch.positions.tolist() for batch in bucketed_batches(source, target, 10, **options)]

    def padding(batches):
        return sum(10 * max(len(source[i]) for i in b) - sum(len(source[i]) for i in b) for b in batches)

    shuffled = rng.permutation(400).reshape(-1, 10).tolist()
    assert padding(order(n_pooled=10)) < padding(shuffled) / 5
    assert order(seed=1) == order(seed=Key(1)) != order(seed=2)
    assert order(epoch=0) != order(epoch=1)
    assert order(epoch=None, seed=1) == order(epoch=None, seed=2)
    lengths = [len(source[i]) for batch in order(epoch=None) for i in batch]
    assert lengths == sorted(lengths)
    first = [len(source[batch[0]]) for batch in order()]
    assert first != sorted(first)
    assert repr(next(bucketed_batches(source, target, 10, epoch=None))).startswith("SequenceBatch(10 rows")


def test_pairs_become_ids():
    pairs = ParallelText(("A dog.", "", "A very big dog."), ("Ein Hund.", "Nichts.", "Ein Hund."))
    words = [Vocabulary.build(side) for side in pairs]
    source, target = encode_pairs(pairs, *words)
    assert [words[0].decode(ids) for ids in source] == [["a", "dog", "."], ["a", "very", "big", "dog", "."]]
    assert [words[1].decode(ids) for ids in target] == [["ein", "hund", "."]] * 2
    assert target[0][0] == Vocabulary.bos
    assert target[0][-1] == Vocabulary.eos
    assert encode_pairs(pairs, *words, max_length=4) == (source[:1], target[:1])
    assert encode_pairs([["a dog ."], [["ein", "hund", "."]]], *words) == (source[:1], target[:1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pad_batch([]), ValueError, "sequences is empty"),
        (lambda: pad_batch(["ab"]), TypeError, r"sequences\[0\] is a str"),
        (lambda: pad_batch([[1], [2.5]]), TypeError, r"sequences\[1\]"),
        (lambda: pad_batch([[2**31]]), ValueError, "index 2147483648"),
        (lambda: pad_batch([[1]], pad=-1), ValueError, "pad is -1"),
        (lambda: pad_batch(3), TypeError, "sequences is a int"),
        (lambda: bucketed_batches([[1]], [], 1), ValueError, "source has 1 sequences and target 0"),
        (lambda: bucketed_batches([[1], []], [[1], [1]], 1), ValueError, r"source\[1\] is empty"),
        (lambda: bucketed_batches([[1]], [[]], 1), ValueError, r"target\[0\] is empty"),
        (lambda: bucketed_batches([[1]], [[1]], 0), ValueError, "batch_size is 0"),
        (lambda: bucketed_batches([[1]], [[1]], 1, epoch=-1), ValueError, "epoch is -1"),
        (lambda: bucketed_batches([[1]], [[1]], 1, seed=-1), ValueError, "seed must be"),
        (lambda: encode_pairs([["a"]], None, None), ValueError, "pairs has 1 parts"),
        (lambda: encode_pairs([["a"], []], None, None), ValueError, "1 sentences and pairs.target 0"),
        (lambda: encode_pairs(["a", "b"], None, None), TypeError, "pairs.source is a str"),
        (lambda: encode_pairs([[], []], None, None, max_length=0), ValueError, "max_length is 0"),
    ],
)
def test_wrong_sequences_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Files


@given(SENTENCES, SENTENCES)
def test_sentence_pairs_survive_packing(source, target):
    pairs = ParallelText(tuple(source), tuple(target))
    data = ParallelTextDataset("toy", pairs, pairs, pairs, ("xx", "yy"))
    again = store.from_arrays(ParallelTextDataset, "toy", store.to_arrays(data))
    assert again == data
    assert isinstance(again.train, ParallelText)


def test_streams_survive_packing(stream, tmp_path):
    from scinn._files import read_npz, write_npz

    for data in (stream, stream._replace(level="characters", source="here")):
        write_npz(tmp_path / "toy.npz", store.to_arrays(data), {"format": 1})
        again = store.from_arrays(TextDataset, "toy", read_npz(tmp_path / "toy.npz")[0])
        assert (again.vocabulary, again.level, again.source) == (data.vocabulary, data.level, data.source)
        assert store.content_checksum(again) == store.content_checksum(data)
    assert store.content_checksum(stream) != store.content_checksum(stream._replace(level="characters"))


def test_the_checksum_sees_where_sentences_end():
    def checksum(*source):
        pairs = ParallelText(source, ("x", "y"))
        return store.content_checksum(ParallelTextDataset("toy", pairs, pairs, pairs))

    assert len({checksum("ab", "c"), checksum("a", "bc"), checksum("abc", ""), checksum("ab", "c ")}) == 4
    with pytest.raises(ValueError, match=r"train: a sentence holds a line end: 'a.nb'"):
        checksum("a\nb", "c")


@pytest.fixture
def register(monkeypatch):
    def put(info):
        monkeypatch.setattr(loading, "lookup", lambda name: info if name == "toy" else lookup(name))
        for table in (corpora._READ, corpora._UNPACK):
            monkeypatch.setitem(table, "toy", table[info.aliases[0]])
        return info

    return put


@pytest.fixture
def toy_ptb(bare_home, publisher, register):
    """Three lines of words that only the loopback publishes."""
    publisher.files.update(PTB)
    ids = {word: i for i, word in enumerate(PTB_WORDS)}
    parts = [[ids[w] for w in text.decode().replace("\n", "<eos>").split()] for text in PTB.values()]
    data = TextDataset("toy", *(np.array(part, dtype=np.int32) for part in parts), tuple(ids))
    return register(
        replace(
            DATASETS["penn-treebank"],
            name="toy",
            aliases=("penn-treebank",),
            sources=tuple(SourceFile(f"{publisher.address}/{n}", store.sha256(t)) for n, t in PTB.items()),
            file="ptb_toy.npz",
            content_sha256=store.content_checksum(data),
        )
    ), data


@pytest.fixture
def toy_captions(bare_home, publisher, register):
    """Sentence pairs in six compressed files that only the loopback publishes."""
    publisher.files.update({f"{n}.gz": gzip.compress(lines(s)) for n, s in CAPTIONS.items()})
    return register(
        replace(
            DATASETS["multi30k"],
            name="toy",
            aliases=("multi30k",),
            sources=tuple(
                SourceFile(
                    f"{publisher.address}/{n}.gz", unpacked_sha256=store.sha256(lines(s)), repackable=True
                )
                for n, s in CAPTIONS.items()
            ),
            file="toy_pairs.npz",
            content_sha256=store.content_checksum(captions()),
        )
    ), captions()


def assert_same(found, expected):
    assert type(found) is type(expected)
    assert store.content_checksum(found) == store.content_checksum(expected)


@pytest.mark.parametrize("kind", ["toy_ptb", "toy_captions"])
def test_downloaded_once_cached_and_carried(kind, request, publisher, monkeypatch, bare_home):
    info, data = request.getfixturevalue(kind)
    assert not loading.available("toy")
    assert_same(loading.load("toy"), data)
    assert sorted(publisher.requests) == sorted(source.file_name for source in info.sources)
    paths = loading.fetch("toy", to=bare_home / "carried")
    (store.cache_directory() / "toy.npz").unlink()
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    with pytest.raises(DataUnavailableError) as caught:
        loading.load("toy")
    assert all(source.sum in str(caught.value) and source.url in str(caught.value) for source in info.sources)
    monkeypatch.setenv("SCINN_DATA", str(bare_home / "carried"))
    assert loading.available("toy")
    assert_same(loading.load("toy"), data)
    assert paths == loading.fetch("toy")
    assert len(publisher.requests) == len(info.sources)


def test_lines_become_words_and_ends(toy_ptb):
    data = loading.load("toy")
    assert data.vocabulary == PTB_WORDS
    assert data.decode(data.train) == "a cat saw a cat\nb saw <unk>\na a N\n"
    assert data.decode(data.test) == "b b\n<unk>\n"


def test_captions_keep_their_white_space(toy_captions):
    data = loading.load("toy")
    assert data.train.source == ("Two men.", "A  dog ", "A man\u2028runs.")
    assert loading.load("toy") == data


def test_right_files_with_other_words_are_refused_and_not_kept(toy_ptb, publisher, register):
    info, _ = toy_ptb
    publisher.files["ptb.test.txt"] = b" b emu \n cat \n"
    changed = replace(info.sources[2], sha256=store.sha256(publisher.files["ptb.test.txt"]))
    register(replace(info, sources=(*info.sources[:2], changed)))
    with pytest.raises(ChecksumError, match=f"expected content sha256 {info.content_sha256}"):
        loading.load("toy")
    assert not (store.cache_directory() / "toy.npz").exists()


def test_altered_texts_are_refused_and_not_kept(toy_ptb, publisher):
    publisher.files["ptb.valid.txt"] += b" \n"
    with pytest.raises(ChecksumError, match=r"ptb\.valid\.txt gave an altered file"):
        loading.load("toy")
    assert not (store.cache_directory() / "toy.npz").exists()


def test_other_compression_is_accepted(toy_captions, publisher):
    _, data = toy_captions
    for level, name in enumerate(CAPTIONS, start=1):
        publisher.files[f"{name}.gz"] = gzip.compress(lines(CAPTIONS[name]), level, mtime=level)
    assert_same(loading.load("toy"), data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            gzip.compress(lines(["Zwei Männer."])),
            "gave an altered file: expected sha256 .* when decompressed",
        ),
        (gzip.compress(lines(CAPTIONS["train.de"]))[:-9], "gave a damaged file"),
        (b"\x1f\x8b\x08 no gzip at all", "gave a damaged file"),
        (b"", "gave an altered file"),
        (lines(CAPTIONS["train.de"]), "gave a damaged file"),
    ],
)
def test_altered_captions_are_refused_and_not_kept(content, message, toy_captions, publisher):
    info, _ = toy_captions
    publisher.files["train.de.gz"] = content
    with pytest.raises(ChecksumError, match=message) as caught:
        loading.load("toy")
    assert info.sources[1].url in str(caught.value)
    assert not (store.cache_directory() / "toy.npz").exists()


def test_unpaired_captions_are_refused(toy_captions, publisher):
    info, _ = toy_captions
    text = lines(["Eine Katze.", "Noch eine."])
    publisher.files["val.de.gz"] = gzip.compress(text)
    sources = (*info.sources[:3], replace(info.sources[3], unpacked_sha256=store.sha256(text)))
    with pytest.raises(ValueError, match="the valid part has 1 English and 2 German lines"):
        corpora.read_published(replace(info, sources=(*sources, *info.sources[4:])), publisher.files)


@pytest.mark.parametrize("kind", ["toy_ptb", "toy_captions"])
def test_compact_files_are_read_and_checked(kind, request, monkeypatch, bare_home, write_plain_npz, register):
    info, data = request.getfixturevalue(kind)
    if kind == "toy_ptb":
        arrays = {part: getattr(data, part).astype(np.uint16) for part in ("train", "valid", "test")}
        arrays["vocab"] = np.array(data.vocabulary)
    else:
        arrays = {
            f"{'test2016' if part == PARTS[2] else part}_{code}": np.frombuffer(
                lines(CAPTIONS[f"{part}.{code}"]), dtype=np.uint8
            )
            for part in PARTS
            for code in ("en", "de")
        }
    path = write_plain_npz(bare_home / "data" / info.file, **arrays)
    monkeypatch.setenv("SCINN_DATA", str(path.parent))
    register(replace(info, file_sha256=store.sha256(path.read_bytes())))
    assert_same(loading.load("toy"), data)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ChecksumError, match="altered or damaged"):
        loading.load("toy")


def test_an_altered_cache_is_refused(toy_captions):
    info, data = toy_captions
    from scinn._files import write_npz

    changed = data._replace(test=data.test._replace(target=("Schnee.", "Nebel.")))
    for arrays in (store.to_arrays(changed), {"train.source": np.zeros(0, np.uint8)}, {}):
        write_npz(store.cache_directory() / "toy.npz", arrays, {"format": 1})
        with pytest.raises(ChecksumError, match=info.content_sha256):
            loading.load("toy")


# The registered sets


def test_every_text_is_registered_completely():
    assert TEXT_SETS == ["penn-treebank", "tiny-shakespeare", "multi30k", "python-topics"]
    assert set(corpora._READ) == set(corpora._UNPACK) == set(TEXT_SETS[:3])
    for alias, name in (("PTB", "penn-treebank"), ("tiny_shakespeare", "tiny-shakespeare")):
        assert lookup(alias) is DATASETS[name]
    assert "LDC" in DATASETS["penn-treebank"].licence
    assert "python-topics" in datasets.list_datasets("embedded")


def _published(name):
    if not datasets.available(name):
        pytest.skip(f"{name} is not in $SCINN_DATA: {DATASETS[name].file} is needed")
    return datasets.load(name)


@pytest.mark.data
def test_published_penn_treebank_comes_back():
    data = _published("penn-treebank")
    texts = []
    for part, size in (("train", 5101618), ("valid", 399782), ("test", 449945)):
        words = [data.vocabulary[i] for i in getattr(data, part).tolist()]
        texts.append("".join(" \n" if word == "<eos>" else f" {word}" for word in words).encode())
        assert len(texts[-1]) == size
    blob = hashlib.sha1(b"blob %d\0" % len(texts[0]) + texts[0], usedforsecurity=False)
    assert blob.hexdigest().startswith("04d78dc9")
    info = DATASETS["penn-treebank"]
    assert [store.sha256(text) for text in texts] == [source.sha256 for source in info.sources]
    files = {source.file_name: text for source, text in zip(info.sources, texts)}
    assert store.content_checksum(corpora.read_published(info, files)) == info.content_sha256
    counts = np.bincount(data.train) / len(data.train)
    assert round(np.exp(-np.log(counts[data.test]).mean())) == 639
    small = limit_vocabulary(data, 4000)
    assert small.n_symbols == 4000
    assert small.vocabulary[:4] == ("the", "<unk>", "<eos>", "N")


@pytest.mark.data
def test_published_tiny_shakespeare_comes_back():
    data = _published("tiny-shakespeare")
    text = "".join(data.decode(part) for part in (data.train, data.valid, data.test)).encode()
    assert store.md5(text) == "6fb458f1232090904fb40fe944165e91"
    info = DATASETS["tiny-shakespeare"]
    assert store.sha256(text) == info.sources[0].sha256
    assert store.content_checksum(corpora.read_published(info, {"input.txt": text})) == info.content_sha256
    assert text.startswith(b"First Citizen:\nBefore we proceed")


@pytest.mark.data
def test_published_multi30k_comes_back():
    data = _published("multi30k")
    info = DATASETS["multi30k"]
    sides = [side for part in (data.train, data.valid, data.test) for side in part]
    files = {
        source.file_name: gzip.compress(lines(side), 1, mtime=0) for source, side in zip(info.sources, sides)
    }
    assert [store.sha256(lines(side)) for side in sides] == [s.unpacked_sha256 for s in info.sources]
    assert [store.md5(lines(side)) for side in sides[:2]] == [
        "053a34ece7c904dbc8c7361799afbe4c",
        "d3b4bc1671cfb805267f97f16884beba",
    ]
    assert store.content_checksum(corpora.read_published(info, files)) == info.content_sha256
    assert data.train.source[0] == "Two young, White males are outside near many bushes."
    source, target = (np.array([len(tokenize_words(s)) for s in side]) for side in data.train)
    assert np.corrcoef(source, target)[0, 1] > 0.85


@pytest.mark.parametrize("level", ["characters", "words"])
def test_python_topics(level, bare_home):
    data = datasets.load("python-topics", level=level)
    assert data.level == level
    assert data.source.endswith(f"Python {platform.python_version()}")
    assert len(set(data.vocabulary)) == data.n_symbols
    sizes = np.array([len(data.train), len(data.valid), len(data.test)])
    np.testing.assert_allclose(sizes / sizes.sum(), [0.8, 0.1, 0.1], atol=0.04)
    again = datasets.load("pydoc-topics", level=level)
    assert store.content_checksum(again) == datasets.checksum("python-topics", level=level)
    marks = {"<eos>", "<unk>"} & set(data.vocabulary)
    assert marks == ({"<eos>", "<unk>"} if level == "words" else set())
    text = data.decode(data.train)
    assert ("Boolean" if level == "characters" else " boolean ") in text


def test_python_topics_share_no_paragraph():
    data = datasets.load("python-topics")
    assert data.level == "characters"
    parts = [data.decode(part).split("\n\n")[:-1] for part in (data.train, data.valid, data.test)]
    everything = [text.strip("\n") for part in parts for text in part]
    assert len(set(everything)) == len(everything) > 1000
    from pydoc_data.topics import topics

    whole = "\n\n".join(topics[name] for name in sorted(topics))
    assert set(everything) == {text.strip("\n") for text in whole.split("\n\n") if text.strip()}


def test_rare_topic_words_are_unknown():
    data = datasets.load("python-topics", level="words")
    counts = np.bincount(data.train, minlength=data.n_symbols)
    assert counts.min() >= 2
    assert (np.diff(counts) <= 0).all()
    for part in (data.valid, data.test):
        assert 0 < (part == data.vocabulary.index("<unk>")).mean() < 0.15


def test_wrong_options_of_topics_are_named(bare_home, monkeypatch):
    with pytest.raises(ValueError, match=r"level is 'word'.*did you mean 'words'"):
        datasets.load("python-topics", level="word")
    with pytest.raises(TypeError, match="takes no options but level, got 'rng'"):
        datasets.load("python-topics", rng=0)
    with pytest.raises(TypeError, match="takes no options, got 'level'"):
        datasets.load("digits", level="words")
    assert "depends on the version of Python" in datasets.how_to_get("python-topics")
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    with pytest.raises(DataUnavailableError, match="without the module pydoc_data"):
        datasets.load("python-topics")
