"""Sets of 0/1 features with two classes: their shape, the packed files, LIBSVM text, what scikit-learn brings."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scinn._input import check_in_range, check_positive_int
from scinn.datasets.registry import DATASETS, DatasetInfo
from scinn.datasets.splits import stratified_split
from scinn.random import RandomState, as_generator

__all__ = ["BinaryDataset", "BinaryPart", "BinarySplit", "few_strong_features", "read_libsvm"]

VALIDATION_SHARE = 0.2
VALIDATION_SEED = 0
LIGHT_PIXEL = 7
UPPER_DIGITS = 5

# what is not ASCII stays visible in the message about its line
_TEXT: Any = {"encoding": "ascii", "errors": "backslashreplace"}


class BinaryPart(NamedTuple):
    """Some rows of a set of binary features.

    Parameters
    ----------
    features : ndarray of shape (n, n_features), uint8
        0 or 1.
    labels : ndarray of shape (n,), int64
        Their classes.
    """

    features: np.ndarray
    labels: np.ndarray


class BinarySplit(NamedTuple):
    """Three disjoint parts of a set of binary features.

    Parameters
    ----------
    train, validation, test : BinaryPart
        To fit on, to choose with, and to report.
    """

    train: BinaryPart
    validation: BinaryPart
    test: BinaryPart


class BinaryDataset(NamedTuple):
    """Rows of 0/1 features with two classes, and the published division where there is one.

    Parameters
    ----------
    name : str
        Registered name.
    features : ndarray of shape (n_samples, n_features), uint8
        0 or 1; 1 says that the property is present.
    labels : ndarray of shape (n_samples,), int64
        0 or 1; 1 is what a detector looks for (malicious, hateful, spam).
    n_classes : int
        2.
    n_train : int or None
        The first ``n_train`` rows are the published training part, the others the test part, both in the
        published order; None where the publisher does not divide.
    feature_names : tuple of str or None
        What each bit says, where that is known.

    Examples
    --------
    >>> import numpy as np
    >>> bits = np.array([[0, 1], [1, 1], [1, 0]], dtype=np.uint8)
    >>> data = BinaryDataset("tiny", bits, np.array([0, 1, 1]), n_train=2)
    >>> data.train_features.shape, data.test_labels.tolist()
    ((2, 2), [1])
    """

    name: str
    features: np.ndarray
    labels: np.ndarray
    n_classes: int = 2
    n_train: int | None = None
    feature_names: tuple[str, ...] | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return len(self.features)

    @property
    def n_features(self) -> int:
        """Number of bits of a row."""
        return int(self.features.shape[1])

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are, as the registry names them; their numbers where it names none."""
        names = DATASETS[self.name].class_names if self.name in DATASETS else ()
        return names or tuple(map(str, range(self.n_classes)))

    @property
    def train_features(self) -> np.ndarray:
        """Features of the published training part, a view."""
        return self.features[: self._division()]

    @property
    def train_labels(self) -> np.ndarray:
        """Labels of the published training part, a view."""
        return self.labels[: self._division()]

    @property
    def test_features(self) -> np.ndarray:
        """Features of the published test part, a view."""
        return self.features[self._division() :]

    @property
    def test_labels(self) -> np.ndarray:
        """Labels of the published test part, a view."""
        return self.labels[self._division() :]

    def validation_split(self) -> BinarySplit:
        """Return training, validation and test part as the authors of Fourier stabilisation take them.

        The training rows are permuted by NumPy's legacy generator with seed 0; the first fifth of them,
        rounded down, is the validation part, and the others are what is trained on, in the permuted order.
        The published test part stays as it is.

        Returns
        -------
        BinarySplit
            ``(train, validation, test)``, each ``(features, labels)``.

        Raises
        ------
        ValueError
            Where the set comes without a published division.

        References
        ----------
        Raviv, N., Kelley, A., Guo, M., Vorobeychik, Y. (2021). Enhancing robustness of neural networks
        through Fourier stabilization; the rule is that of the authors' program.

        Examples
        --------
        >>> import numpy as np
        >>> data = BinaryDataset("tiny", np.eye(12, dtype=np.uint8), np.arange(12) % 2, n_train=10)
        >>> [len(part.labels) for part in data.validation_split()]
        [8, 2, 2]
        """
        n_train = self._division()
        # only this generator gives the authors' rows, and NumPy has frozen its stream
        order = np.random.RandomState(VALIDATION_SEED).permutation(n_train)
        n_validation = int(n_train * VALIDATION_SHARE)
        return BinarySplit(
            train=self._part(order[n_validation:]),
            validation=self._part(order[:n_validation]),
            test=BinaryPart(self.test_features, self.test_labels),
        )

    def stratified_split(self, fractions: Sequence[float], rng: RandomState) -> BinarySplit:
        """Divide all rows at random into three parts that hold each class in its share of the whole.

        A published division is not looked at; where there is one, prefer :meth:`validation_split`.

        Parameters
        ----------
        fractions : sequence of three floats
            Shares of the training, validation and test part, for example ``(0.6, 0.2, 0.2)``; rows beyond a
            sum below 1 are in none.
        rng : int, SeedSequence, Generator, Key or None
            Source of randomness.

        Returns
        -------
        BinarySplit
            ``(train, validation, test)``, each ``(features, labels)``, rows in the order of the set.

        Raises
        ------
        ValueError
            For another number of shares, shares that are not positive or exceed 1 together, or a class that
            is too small to be in every part.

        See Also
        --------
        scinn.datasets.stratified_split : the same with any number of parts, as row numbers.

        Examples
        --------
        >>> import numpy as np
        >>> data = BinaryDataset("tiny", np.eye(20, dtype=np.uint8), np.arange(20) % 2)
        >>> [len(part.labels) for part in data.stratified_split((0.6, 0.2, 0.2), rng=0)]
        [12, 4, 4]
        """
        shares = tuple(fractions)
        if len(shares) != 3:
            raise ValueError(
                f"fractions must hold three shares (training, validation, test), got {len(shares)}; "
                "for example (0.6, 0.2, 0.2)"
            )
        return BinarySplit(*map(self._part, stratified_split(self.labels, shares, rng)))

    def _part(self, rows: np.ndarray) -> BinaryPart:
        return BinaryPart(self.features[rows], self.labels[rows])

    def _division(self) -> int:
        if self.n_train is None:
            raise ValueError(
                f"{self.name} comes without a published division into training and test rows; divide it with "
                "stratified_split((0.6, 0.2, 0.2), rng=0)"
            )
        return self.n_train


def few_strong_features(
    n_samples: int = 6000,
    *,
    n_strong: int = 3,
    n_weak: int = 200,
    strong_error: float = 0.01,
    weak_error: float = 0.45,
    rng: RandomState = None,
) -> BinaryDataset:
    """Draw a detection problem in which few features say almost everything and many say very little.

    Each bit is a copy of the label, negated for a random half of the features, and wrong with the probability of
    its kind, independently of all else. A trained detector leans on the strong bits, and is evaded by flipping them.

    Parameters
    ----------
    n_samples : int, default 6000
    n_strong, n_weak : int
        Numbers of features of each kind; the strong ones come first.
    strong_error, weak_error : float
        Probabilities in [0, 1/2] that a bit is wrong.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    BinaryDataset
        Without a published division.

    Raises
    ------
    ValueError
        For numbers below 1, or probabilities out of range.

    Examples
    --------
    >>> data = few_strong_features(100, rng=0)
    >>> data.features.shape, data.class_names
    ((100, 203), ('0', '1'))
    """
    check_positive_int(n_samples, "n_samples")
    check_positive_int(n_strong, "n_strong")
    check_positive_int(n_weak, "n_weak", minimum=0)
    errors = [
        check_in_range(value, name, 0.0, 0.5)
        for name, value in (("strong_error", strong_error), ("weak_error", weak_error))
    ]
    generator = as_generator(rng)
    labels = generator.integers(0, 2, n_samples)
    wrong = generator.random((n_samples, n_strong + n_weak)) < np.repeat(errors, (n_strong, n_weak))
    negated = generator.random(n_strong + n_weak) < 0.5
    bits = (labels[:, None] == 1) ^ wrong ^ negated
    kinds = [("strong", n_strong), ("weak", n_weak)]
    names = tuple(f"{kind} {i}" for kind, n in kinds for i in range(n))
    return BinaryDataset(
        "few-strong-features", bits.astype(np.uint8), labels.astype(np.int64), feature_names=names
    )


def read_libsvm(
    path: str | os.PathLike[str], n_features: int, *, zero_based: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Read binary features and two classes from a LIBSVM text file.

    A line is ``label index:value index:value ...``; what is not listed is 0. Empty lines and what follows a
    ``#`` are skipped.

    Parameters
    ----------
    path : path
        The file.
    n_features : int
        Number of columns; every index must fit.
    zero_based : bool
        Indices count from 0, as in the files of the authors of Fourier stabilisation; False where they count
        from 1, as LIBSVM itself does.

    Returns
    -------
    features : ndarray of shape (n_samples, n_features), uint8
        0 or 1.
    labels : ndarray of shape (n_samples,), int64
        0 or 1; the label -1 of files with -1 and 1 becomes 0.

    Raises
    ------
    ValueError
        For a line of another form, a value that is not 0 or 1, an index that does not fit or comes twice, or
        labels other than 0 and 1 (or -1 and 1). The message names the line.
    OSError
        Where the file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "toy.libsvm")
    ...     with open(path, "w") as stream:
    ...         _ = stream.write("1 0:1 2:1\\n0 1:1\\n0 \\n")
    ...     features, labels = read_libsvm(path, 3)
    >>> features.tolist(), labels.tolist()
    ([[1, 0, 1], [0, 1, 0], [0, 0, 0]], [1, 0, 0])
    """
    n_columns = check_positive_int(n_features, "n_features")
    with open(path, **_TEXT) as stream:
        return _parsed(stream, n_columns, zero_based, f"path: {os.fspath(path)}")


def _parsed(
    lines: Iterable[str], n_columns: int, zero_based: bool, source: str
) -> tuple[np.ndarray, np.ndarray]:
    labels: list[int] = []
    rows: list[int] = []
    columns: list[int] = []
    first_line: dict[int, int] = {}
    for line, tokens in _tokens(lines):
        where = f"{source}, line {line}"
        label = _number(tokens[0])
        if label not in (-1, 0, 1):
            raise ValueError(f"{where}: the label is {tokens[0]!r}; 0 or 1 (or -1 and 1) is wanted")
        first_line.setdefault(int(label), line)
        found = [_column(token, n_columns, zero_based, where) for token in tokens[1:]]
        if len({column for column, _ in found}) < len(found):
            raise ValueError(f"{where}: an index comes twice; each feature may be listed once")
        chosen = [column for column, value in found if value]
        rows += [len(labels)] * len(chosen)
        columns += chosen
        labels.append(int(label))
    if not labels:
        raise ValueError(f"{source} holds no line of data")
    if {-1, 0} <= set(first_line):
        raise ValueError(
            f"{source} has the label -1 in line {first_line[-1]} and 0 in line "
            f"{first_line[0]}; two classes are wanted, 0 and 1 or -1 and 1"
        )
    features = np.zeros((len(labels), n_columns), dtype=np.uint8)
    features[rows, columns] = 1
    return features, np.maximum(np.array(labels, dtype=np.int64), 0)


def _tokens(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    for line, text in enumerate(lines, start=1):
        tokens = text.partition("#")[0].split()
        if tokens:
            yield line, tokens


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _column(token: str, n_columns: int, zero_based: bool, where: str) -> tuple[int, bool]:
    index, colon, value = token.partition(":")
    if not colon or not index.isdigit():
        raise ValueError(f"{where}: {token!r} is not index:value, such as 17:1")
    bit = _number(value)
    if bit not in (0, 1):
        raise ValueError(f"{where}: feature {index} has the value {value!r}; 0 or 1 is wanted")
    column = int(index) - (not zero_based)
    if not 0 <= column < n_columns:
        first = 0 if zero_based else 1
        hint = ""
        if zero_based and column == n_columns:
            hint = "; pass zero_based=False where the file counts from 1"
        elif column < 0:
            hint = "; pass zero_based=True where the file counts from 0"
        raise ValueError(
            f"{where}: the index {index} is outside {first}..{n_columns - 1 + first}, the {n_columns} "
            f"features that n_features asks for{hint}"
        )
    return column, bit == 1


def read_published(info: DatasetInfo, files: Mapping[str, bytes]) -> BinaryDataset:
    """Read the two LIBSVM files of a registered set: the training part, then the test part."""
    n_columns = info.counts["features"]
    parts = [
        _parsed(io.TextIOWrapper(io.BytesIO(files[source.file_name]), **_TEXT), n_columns, True, source.url)
        for source in info.sources
    ]
    return _divided(info.name, [features for features, _ in parts], [labels for _, labels in parts])


def unpack(info: DatasetInfo, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    """Read the arrays of a compact ``.npz`` file."""
    return _UNPACK[info.name](info.name, arrays)


def breast_cancer() -> BinaryDataset:
    """Compare scikit-learn's breast cancer measurements with their quartiles."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    x = np.sort(bunch.data, axis=0)
    # 569 rows: the quartiles are the values of rank 142, 284 and 426, and nothing is interpolated
    quartiles = x[[(len(x) - 1) * k // 4 for k in (1, 2, 3)]]
    return BinaryDataset(
        name="breast-cancer-binary",
        features=_beside(bunch.data > level for level in quartiles),
        labels=(bunch.target == 0).astype(np.int64),
        feature_names=_pairs(bunch.feature_names, (" > 25 %", " > 50 %", " > 75 %")),
    )


def digits() -> BinaryDataset:
    """Threshold scikit-learn's digits and tell the lower five from the upper five."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return BinaryDataset(
        name="digits-binary",
        features=(bunch.data > LIGHT_PIXEL).astype(np.uint8),
        labels=(bunch.target >= UPPER_DIGITS).astype(np.int64),
        feature_names=tuple(f"row {r} column {c} > {LIGHT_PIXEL}" for r in range(8) for c in range(8)),
    )


def _beside(masks: Any) -> np.ndarray:
    """Put the k-th columns of several masks beside each other: all bits of feature 0, then of feature 1, ..."""
    stacked = np.stack(list(masks), axis=2)
    return stacked.reshape(len(stacked), -1).astype(np.uint8)


def _pairs(names: Any, endings: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}{ending}" for name in names for ending in endings)


def _of_the_paper(name: str, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    n = int(arrays["n"])
    parts = [np.unpackbits(arrays[f"{part}_bits"], axis=1, count=n) for part in ("train", "test")]
    return _divided(name, parts, [arrays["train_y"], arrays["test_y"]])


def _spect(name: str, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    return _divided(name, [arrays["x_train"], arrays["x_test"]], [arrays["y_train"], arrays["y_test"]])


def _divided(name: str, features: list[np.ndarray], labels: list[np.ndarray]) -> BinaryDataset:
    return BinaryDataset(
        name=name,
        features=np.concatenate(features).astype(np.uint8),
        labels=np.concatenate(labels).astype(np.int64),
        n_train=len(labels[0]),
    )


def _drebin(name: str, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    bits = np.unpackbits(arrays["x_packed"], axis=1, count=int(arrays["n_features"]))
    return _whole(name, bits, arrays["y"], _pairs(arrays["feature_names"], ("",)))


def _phishing(name: str, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    bits = _beside(arrays["x"] >= level for level in (0, 1))
    return _whole(name, bits, arrays["y"] == -1, _pairs(arrays["feature_names"], (" >= 0", " >= 1")))


def _votes(name: str, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    bits = _beside(arrays["x"] == vote for vote in (1, 0))
    return _whole(name, bits, arrays["y"], _pairs(arrays["feature_names"], ("=yes", "=no")))


def _mushroom(name: str, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    letters = arrays["x_letters"]
    kinds = [np.unique(column) for column in letters.T]
    bits = np.concatenate([column[:, None] == kind for column, kind in zip(letters.T, kinds)], axis=1)
    names = [
        f"{feature}={chr(letter)}"
        for feature, kind in zip(arrays["feature_names"], kinds, strict=True)
        for letter in kind.tolist()
    ]
    return _whole(name, bits, arrays["y"], tuple(names))


def _spambase(name: str, arrays: Mapping[str, np.ndarray]) -> BinaryDataset:
    return _whole(name, arrays["x"] > 0, arrays["y"], None)


def _whole(
    name: str, bits: np.ndarray, labels: np.ndarray, feature_names: tuple[str, ...] | None
) -> BinaryDataset:
    return BinaryDataset(name, bits.astype(np.uint8), labels.astype(np.int64), feature_names=feature_names)


_UNPACK: dict[str, Callable[[str, Mapping[str, np.ndarray]], BinaryDataset]] = {
    "pdfrate-binary": _of_the_paper,
    "hidost-binary": _of_the_paper,
    "hate-speech-binary": _of_the_paper,
    "drebin215": _drebin,
    "uci-phishing": _phishing,
    "uci-votes": _votes,
    "uci-mushroom": _mushroom,
    "uci-spambase": _spambase,
    "uci-spect": _spect,
}
