"""What each data set is, where it comes from, and the checksum that its bytes must have; nothing is read here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from scinn.datasets import binary_sets, text_sets
from scinn.datasets.info import DatasetInfo, SourceFile

__all__ = ["DATASETS", "DatasetInfo", "SourceFile", "list_datasets", "lookup"]

PLANETOID_ADDRESS = "https://github.com/kimiyoung/planetoid/raw/master/data"
TU_ADDRESS = "https://www.chrsmrrs.com/graphkerneldatasets"
MNIST_ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist"
FASHION_ADDRESS = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
CIFAR_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
KINDS = ("embedded", "generated", "archive")

_PLANETOID_PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")


def _planetoid(
    name: str, title: str, counts: dict[str, int], sums: tuple[str, ...], **more: Any
) -> DatasetInfo:
    sources = tuple(
        SourceFile(f"{PLANETOID_ADDRESS}/ind.{name}.{part}", value)
        for part, value in zip(_PLANETOID_PARTS, sums)
    )
    return DatasetInfo(
        name=name,
        kind="archive",
        task="node classification",
        title=title,
        counts=MappingProxyType(counts),
        licence="MIT (licence of the publishing repository)",
        origin="github.com/kimiyoung/planetoid, directory data; public split of Yang et al. 2016",
        citation="yang2016revisiting",
        aliases=(f"planetoid-{name}",),
        sources=sources,
        **more,
    )


def _tu(
    published: str,
    title: str,
    counts: dict[str, int],
    zip_sha256: str,
    *,
    aliases: tuple[str, ...] = (),
    **more: Any,
) -> DatasetInfo:
    name = published.lower().replace("&", "").replace("_", "-")
    return DatasetInfo(
        name=name,
        kind="archive",
        task="graph classification",
        title=title,
        counts=MappingProxyType(counts),
        licence="not stated by the publisher",
        origin="TUDataset collection of benchmark sets for graph kernels (chrsmrrs.com)",
        citation="morris2020tudataset",
        aliases=(f"tu-{name}", *aliases),
        sources=(SourceFile(f"{TU_ADDRESS}/{published}.zip", zip_sha256, repackable=True),),
        file=f"tu_{name.replace('-', '_')}.npz",
        **more,
    )


_IDX_PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def _idx(address: str, sums: tuple[str, ...]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(f"{address}/{part}-ubyte.gz", md5=value) for part, value in zip(_IDX_PARTS, sums))


def _images(name: str, title: str, counts: dict[str, int], **more: Any) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        kind="archive",
        task="image classification",
        title=title,
        counts=MappingProxyType({"images": counts["train"] + counts["test"], **counts, "classes": 10}),
        **more,
    )


def _cifar10(name: str, title: str, n_train: int, **more: Any) -> DatasetInfo:
    return _images(
        name,
        title,
        {"train": n_train, "test": 10000, "features": 3072},
        licence="not stated by the publisher",
        origin="A. Krizhevsky 2009, www.cs.toronto.edu/~kriz/cifar.html, binary version",
        citation="krizhevsky2009learning",
        sources=(SourceFile(CIFAR_ADDRESS, md5="c32a1d4ab5d03f1284b67883e8d87530"),),
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        **more,
    )


_ALL = (
    _planetoid(
        "cora",
        "Cora citation graph: papers, words, subject classes",
        {
            "nodes": 2708,
            "edges": 5278,
            "features": 1433,
            "classes": 7,
            "train": 140,
            "val": 500,
            "test": 1000,
        },
        (
            "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
            "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
            "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
            "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
            "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
            "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
            "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
            "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        ),
        file="planetoid_cora.npz",
        file_sha256="35f980935d6fb0e9d3015d20278adcaa4da4efeb823b1a98d8681e6e02d175d5",
        content_sha256="08acf8f8c2a32d0b295f44bcb89468f536ff11eab6f089e6a6a6ba0a86335e3e",
    ),
    _planetoid(
        "citeseer",
        "CiteSeer citation graph: papers, words, subject classes",
        {
            "nodes": 3327,
            "edges": 4552,
            "features": 3703,
            "classes": 6,
            "train": 120,
            "val": 500,
            "test": 1000,
        },
        (
            "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
            "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
            "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
            "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
            "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
            "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
            "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
            "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
        ),
        file="planetoid_citeseer.npz",
        file_sha256="0a7e6a1f533194fb7bddcbfe8e4613a434a3f7f28a468b337bc6274b791b7f2a",
        content_sha256="9786a295650d9eaac32ec758405929c9d9d03e77765d580a9cf070cbee12c795",
        note="15 nodes of the test range have no features and no label: all-zero rows, label 0, in no mask. "
        "48 other nodes have no edge once the 124 self loops are dropped.",
    ),
    DatasetInfo(
        name="pubmed",
        kind="archive",
        task="node classification",
        title="PubMed citation graph",
        counts=MappingProxyType({"nodes": 19717, "edges": 44324, "features": 500, "classes": 3}),
        licence="MIT (licence of the publishing repository)",
        origin="github.com/kimiyoung/planetoid, directory data",
        citation="yang2016revisiting",
        aliases=("planetoid-pubmed",),
        unavailable="the features of all its nodes stand in one large file of the publisher whose sha256 we "
        "could not establish, and we do not load what we cannot check; cora and citeseer are its companions",
    ),
    _tu(
        "MUTAG",
        "MUTAG: molecules, mutagenic or not",
        {"graphs": 188, "nodes": 3371, "edges": 3721, "classes": 2, "node_labels": 7, "edge_labels": 4},
        "20f52db82d6d85d5f67d2fa42c3fb705d05934be44329314ab17b05d0c012f7e",
        file_sha256="06f97fa069dc5db8a9892c8a3351946db1a86a9e23a4fc2ce20e2289740ee1c9",
        content_sha256="686d9bcc55a4255d16c9885584d66a624bcc015357edad98870ee45081eb35be",
    ),
    _tu(
        "PROTEINS",
        "PROTEINS: protein structures, enzyme or not",
        {
            "graphs": 1113,
            "nodes": 43471,
            "edges": 81044,
            "classes": 2,
            "node_labels": 3,
            "node_attributes": 1,
        },
        "fe9d19741637486ea1fd285bf669fce0b117e10b03cdd379f6a5e6197fc830ae",
        file_sha256="0ad743420b8ffedf7866e1384c4eb06cc8959c7d840f4a0172565c65338cf1fc",
        content_sha256="b0c8be059c36578d1b4bf25afe7fc85660d560eee4ac4613f88318c8e939cb49",
    ),
    _tu(
        "ENZYMES",
        "ENZYMES: protein structures in six enzyme classes",
        {
            "graphs": 600,
            "nodes": 19580,
            "edges": 37282,
            "classes": 6,
            "node_labels": 3,
            "node_attributes": 18,
        },
        "0ca7125d7978788346fc6ba5c3cc643b6122153b304220c2230bcb09f99f8ffb",
        file_sha256="0c68c05b9dedf9fbf9b8ee5ea69f89afc3d7cc48b4b8d9e28d6de961ce26a6e8",
        content_sha256="22988ee883a00d7d65484867f2eed6f42648745ce5fdbf548a51453f0744957d",
        note="The graphs come in blocks of one class: shuffle before splitting.",
    ),
    _tu(
        "NCI1",
        "NCI1: compounds, active against lung cancer cells or not",
        {"graphs": 4110, "nodes": 122747, "edges": 132753, "classes": 2, "node_labels": 37},
        "eae6b0c076d59e667c67de0039cfc3214eefb91a8dddc2fa3099126da02d4376",
        file_sha256="24395d80d6c420683bc2cb38ace22672871e011cf0f68fd17513c36d5de0494d",
        content_sha256="d3b08011f11b81f15ec0dc469aada42cac6770a1c331032e4b75a93bd47b8156",
    ),
    _tu(
        "Mutagenicity",
        "Mutagenicity: molecules, mutagenic or not",
        {"graphs": 4337, "nodes": 131488, "edges": 133447, "classes": 2, "node_labels": 14, "edge_labels": 3},
        "eedcb94a7f19eabfeda39236c719c2e25e1f0eca9a391e67a4d440bdc0f349ef",
        file_sha256="1e56a7650959f40aba3543a18c6d07073e8226c68c2a1c5b0b41bb22dabda8b1",
        content_sha256="6d3e9d78c78602546937763090e1add15194720abaa251c1838c2fe63ad373ee",
        note="Class 0 is mutagenic. 2401 atoms have no bond in the published files.",
    ),
    _tu(
        "IMDB-BINARY",
        "IMDB-BINARY: collaborations of actors, action or romance",
        {"graphs": 1000, "nodes": 19773, "edges": 96531, "classes": 2},
        "2a4abb6431ec1ab025a6fbcd3b546607191f79a1e0aef0f42cd8bd4ec1546116",
        aliases=("imdb-b",),
        file_sha256="f1685e7369a5ca1fb127b46249e0f72d039af46e96882d171983e3a3a007c6ca",
        content_sha256="44d03939add0146251bbe1aa6cb48fd85e44fbdccae019e9aeaf8eec9698d885",
        note="No node labels: features default to the one-hot degree.",
    ),
    _tu(
        "DD",
        "D&D: protein structures, enzyme or not",
        {"graphs": 1178, "nodes": 334925, "edges": 843046, "classes": 2, "node_labels": 89},
        "",
        aliases=("d&d",),
        file_sha256="a162066ed76a974416533c6cd282c75d3c6bbace41f15a3fcfaab1a4c60e4585",
        content_sha256="5f1e1a594ec531733a7536e5f50d2d9c99e2ac1ce9d33648195d8de1b884d00c",
        note="82 of the 89 node labels are in use.",
    ),
    _images(
        "mnist",
        "MNIST: handwritten digits, 28 x 28 pixels",
        {"train": 60000, "test": 10000, "features": 784},
        licence="CC BY-SA 3.0, as far as known",
        origin="Y. LeCun, C. Cortes, C. J. C. Burges; mirror of yann.lecun.com/exdb/mnist",
        citation="lecun1998gradient",
        sources=_idx(
            MNIST_ADDRESS,
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ),
        file="mnist.npz",
        file_sha256="a7ca5941ed14a4e275a85c70d92dc1ec30216050a9a8efb4cd648939b6ce6b80",
        content_sha256="deca4545e81e1c1dec8cd2d6540bb5599a3a52a09a4199d682cf51f9e46d2efe",
    ),
    _images(
        "fashion-mnist",
        "Fashion-MNIST: articles of clothing, 28 x 28 pixels",
        {"train": 60000, "test": 10000, "features": 784},
        licence="MIT",
        origin="github.com/zalandoresearch/fashion-mnist, Zalando SE",
        citation="xiao2017fashion",
        aliases=("fashion",),
        sources=_idx(
            FASHION_ADDRESS,
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ),
        file="fashion_mnist.npz",
        file_sha256="26ddcaeea2ffe7bf63a3e81a2bc12a5894bdab7e97a6511bf870f78fa1f3a3d8",
        content_sha256="edfc1b0394bce9c5aa3dd01374ff5f08b6dd1cd701d8a4f6b489b4df8f0da3b1",
        class_names=(
            *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
    ),
    _cifar10(
        "cifar10",
        "CIFAR-10: the test set and a fifth of the training set, colour, 32 x 32 pixels",
        10000,
        aliases=("cifar-10",),
        file="cifar10.npz",
        file_sha256="7e2ea1e05db2f49cc8069af249981310ea032555c33516b61375aebb81efb146",
        content_sha256="eed52418dc990dcf83ad97c04f0daa01cb9eda1ba30b6914716b393583e401be",
        note="Training images: the first 1000 of each class in the published order, whose positions "
        "train_index holds; cifar10-full has all 50000. The test set is complete.",
    ),
    _cifar10(
        "cifar10-full",
        "CIFAR-10: all training and test images, colour, 32 x 32 pixels",
        50000,
        aliases=("cifar-10-full",),
        record_md5=(
            "5dd7e06a14cb22eb9f671a540d1b7c25",
            "5ea93a67294ea407fff1d09f752e9692",
            "942cd6a4bcdd0dd3c604fbe906cb4421",
            "ae636b3ba5c66a11e91e8cb52e771fcb",
            "53f37980c15c3d472c316c40844f3f0d",
            "803d5f7f4d78ea53de84dbe85f74fb6d",
        ),
        large=True,
        note="A download of 170 MB, 184 MB in the cache.",
    ),
    *binary_sets.ARCHIVES,
    *text_sets.ARCHIVES,
    DatasetInfo(
        name="digits",
        kind="embedded",
        task="image classification",
        title="Handwritten digits, 8 x 8 pixels",
        counts=MappingProxyType({"images": 1797, "features": 64, "classes": 10}),
        licence="distributed with scikit-learn (BSD-3-Clause)",
        origin="scikit-learn; test part of UCI Optical Recognition of Handwritten Digits",
        citation="alpaydin1998optical",
        aliases=("digits8x8",),
        content_sha256="b96bcaa22647024226cf92fa6c4bed849b0c766993b72f2966f307d8669923fd",
    ),
    DatasetInfo(
        name="karate-club",
        kind="embedded",
        task="node classification",
        title="Zachary's karate club: friendships, two factions",
        counts=MappingProxyType(
            {"nodes": 34, "edges": 78, "features": 34, "classes": 2, "train": 2, "test": 32}
        ),
        licence="distributed with networkx (BSD-3-Clause)",
        origin="networkx; W. W. Zachary 1977",
        citation="zachary1977information",
        aliases=("karate", "zachary"),
        content_sha256="4aa8b3badd79c2d7d6374eeec429896de65e048224b84351b7b1350a7fd95728",
        note="Features are the identity; the two leaders (nodes 0 and 33) are the training nodes, the others "
        "the test nodes; no validation nodes.",
    ),
    *binary_sets.EMBEDDED,
    *text_sets.EMBEDDED,
    DatasetInfo(
        name="stochastic-block-model",
        kind="generated",
        task="node classification",
        title="Stochastic block model with binary word features",
        counts=MappingProxyType({"nodes": 1000, "features": 200, "classes": 4}),
        licence="generated, none needed",
        origin="scinn.datasets.stochastic_block_model",
        citation="holland1983stochastic",
        aliases=("sbm",),
        note="Options of the generator are accepted by load; rng defaults to 0.",
    ),
    DatasetInfo(
        name="piecewise-smooth",
        kind="generated",
        task="signal denoising",
        title="Piecewise polynomial signal on a random geometric graph",
        counts=MappingProxyType({"nodes": 2000}),
        licence="generated, none needed",
        origin="scinn.datasets.piecewise_smooth_signal",
        citation="",
        note="Options: n_nodes, mean_degree, n_pieces, degree, rng (default 0).",
    ),
    DatasetInfo(
        name="grid-signal",
        kind="generated",
        task="signal denoising",
        title="Piecewise polynomial signal on a grid graph",
        counts=MappingProxyType({"nodes": 4096}),
        licence="generated, none needed",
        origin="scinn.datasets.grid_graph and piecewise_smooth_signal",
        citation="",
        note="Options: rows, columns, n_pieces, degree, rng (default 0).",
    ),
    DatasetInfo(
        name="few-strong-features",
        kind="generated",
        task="binary features",
        title="A few features that tell the class, among many that hardly do",
        counts=MappingProxyType({"samples": 6000, "features": 203, "classes": 2}),
        licence="generated, none needed",
        origin="scinn.datasets.few_strong_features",
        citation="",
        note="Options: n_samples, n_strong, n_weak, strong_error, weak_error, rng (default 0).",
    ),
)

DATASETS: Mapping[str, DatasetInfo] = MappingProxyType({info.name: info for info in _ALL})


def _normalise(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


_NAMES: dict[str, str] = {
    _normalise(alias): info.name for info in _ALL for alias in (info.name, *info.aliases)
}


def lookup(name: str) -> DatasetInfo:
    """Find a data set by its name or an alias; case, ``_`` and ``-`` do not matter.

    Parameters
    ----------
    name : str
        For example ``"cora"``, ``"PROTEINS"``, ``"tu_proteins"``.

    Returns
    -------
    DatasetInfo

    Raises
    ------
    ValueError
        Where no such set is registered; the message names the nearest ones.

    Examples
    --------
    >>> lookup("TU_PROTEINS").name
    'proteins'
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'cora', got {type(name).__name__}")
    key = _normalise(name)
    if key in _NAMES:
        return DATASETS[_NAMES[key]]
    near = list(dict.fromkeys(_NAMES[k] for k in difflib.get_close_matches(key, _NAMES, n=3)))
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise ValueError(f"name: no data set {name!r} is registered; {hint}Known: {', '.join(DATASETS)}")


def list_datasets(kind: str | None = None) -> list[str]:
    """Return the names of the data sets that :func:`load` offers.

    Parameters
    ----------
    kind : {"embedded", "generated", "archive"}, optional
        Only those of one kind.

    Returns
    -------
    list of str
        In the order of the registry.

    Examples
    --------
    >>> list_datasets("embedded")
    ['digits', 'karate-club', 'breast-cancer-binary', 'digits-binary', 'python-topics']
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))} or None, got {kind!r}")
    return [i.name for i in DATASETS.values() if not i.unavailable and kind in (None, i.kind)]
