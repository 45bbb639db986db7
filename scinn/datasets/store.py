"""Files on disk and on the net: where they lie, what their checksum is, how they are fetched."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from scinn.datasets.info import DatasetInfo, HandMade, SourceFile
from scinn.datasets.text import ParallelText
from scinn.exceptions import ChecksumError, DataUnavailableError

__all__ = [
    "arrays_checksum",
    "cache_directory",
    "content_checksum",
    "data_directory",
    "how_to_get",
    "is_offline",
]

TIMEOUT_SECONDS = 60
_HASHED_AT_ONCE = 1 << 20


def data_directory() -> Path | None:
    """Return the directory named by ``$SCINN_DATA``, or None."""
    value = os.environ.get("SCINN_DATA", "").strip()
    return Path(value).expanduser() if value else None


def cache_directory() -> Path:
    """Return the directory that keeps downloaded sets: ``$SCINN_CACHE/datasets`` or the user's cache."""
    value = os.environ.get("SCINN_CACHE", "").strip()
    if value:
        return Path(value).expanduser() / "datasets"
    import pooch

    return Path(pooch.os_cache("scinn")) / "datasets"


def is_offline() -> bool:
    """Tell whether ``$SCINN_OFFLINE`` forbids downloads."""
    return os.environ.get("SCINN_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def how_to_get(info: DatasetInfo) -> str:
    """Say in a few lines where the files of a set come from and what their checksums are."""
    if info.unavailable:
        return f"{info.name} is not offered: {info.unavailable}."
    if info.kind != "archive":
        varies = f" Its content depends on {info.varies}." if info.varies else ""
        return f"{info.name} is {info.kind}: scinn.datasets.load({info.name!r}) needs no file.{varies}"
    if info.hand_made is not None:
        return _how_to_make(info, info.hand_made)
    sources = "\n".join(f"  {s.url}\n    {s.sum}" for s in info.sources)
    compact = f"; there {info.file} (sha256 {info.file_sha256}) is accepted too" if info.file else ""
    content = (
        f"its arrays must have the content sha256 {info.content_sha256}."
        if info.content_sha256
        else f"the records rebuilt from its arrays must have the md5 {', '.join(info.record_md5)}."
    )
    return (
        f"To get {info.name}: with a network, load or `scinn data fetch {info.name}` downloads it once "
        f"(unset SCINN_OFFLINE) from\n{sources}\n"
        f"Without one, run `scinn data fetch {info.name} --to DIR` elsewhere, carry DIR over, and set "
        f"SCINN_DATA to it{compact}.\n"
        f"Whatever the file, {content}"
    )


def _how_to_make(info: DatasetInfo, made: HandMade) -> str:
    recipe = "".join(f"  {line}\n" for line in made.recipe.splitlines())
    return (
        f"To get {info.name}: the original (licence: {info.licence}) stands at\n  {made.url}\n"
        f"It is not downloaded, because {made.reason}.\n"
        f"Get it there, make {info.file} of it, put that into a folder, and set SCINN_DATA to the folder. The "
        f"file holds {made.arrays}:\n{recipe}"
        f"One packing has the sha256 {info.file_sha256}; any other is accepted, if the set read from it has the "
        f"content sha256 {info.content_sha256}. So is {info.name}.npz, which `scinn data fetch {info.name} --to "
        f"DIR` writes where the file is."
    )


def altered(info: DatasetInfo, path: Path, found: str) -> str:
    """Say that a compact file, in whatever packing, does not hold the recorded arrays."""
    again = "get" if info.hand_made is None else "make"
    return (
        f"{info.name}: {path} has been altered or damaged, or was made of other data: expected sha256 "
        f"{info.file_sha256} (of its arrays {info.content_sha256}), found {found}. Remove the file and {again} it "
        f"again.\n{how_to_get(info)}"
    )


def content_checksum(dataset: tuple[Any, ...]) -> str:
    """Checksum of the arrays of a dataset, the same for every packing, platform and index width.

    Parameters
    ----------
    dataset : NamedTuple
        What :func:`scinn.datasets.load` returns.

    Returns
    -------
    str
        sha256 over field names, shapes and values: integers as 64-bit, floats as double precision,
        little-endian, texts in UTF-8.
    """
    return arrays_checksum(to_arrays(dataset))


def arrays_checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Checksum of named arrays, whatever their order, width and layout in memory.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Booleans, integers, floats or fixed-width strings.

    Returns
    -------
    str
        sha256 as in :func:`content_checksum`.
    """
    digest = hashlib.sha256()
    for key, value in sorted(arrays.items()):
        array = np.asarray(value)
        if array.dtype.kind == "U":
            digest.update(f"{key}:U:{array.shape};".encode())
            for text in array.reshape(-1).tolist():
                # the length first, so that no two lists of texts run together into the same bytes
                digest.update(f"{len(text.encode())}:{text}".encode())
            continue
        kind = {"b": "<u1", "i": "<i8", "u": "<i8", "f": "<f8"}[array.dtype.kind]
        digest.update(f"{key}:{array.dtype.kind.replace('u', 'i')}:{array.shape};".encode())
        flat = np.ascontiguousarray(array).reshape(-1)
        # in pieces: images of one byte a pixel would else need sixteen times their size
        for start in range(0, flat.size, _HASHED_AT_ONCE):
            digest.update(flat[start : start + _HASHED_AT_ONCE].astype(kind).tobytes())
    return digest.hexdigest()


def to_arrays(dataset: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """Flatten a dataset into arrays that an ``.npz`` file can hold; the name is left out."""
    arrays: dict[str, np.ndarray] = {}
    for field in dataset._fields:  # type: ignore[attr-defined]
        value = getattr(dataset, field)
        if field == "name" or value is None:
            continue
        if isinstance(value, csr_array):
            for part in ("data", "indices", "indptr"):
                arrays[f"{field}.{part}"] = getattr(value, part)
            arrays[f"{field}.shape"] = np.array(value.shape)
        elif isinstance(value, ParallelText):
            for part, sentences in zip(value._fields, value):
                arrays[f"{field}.{part}"] = _packed_sentences(sentences, field)
        else:
            arrays[field] = np.asarray(value)
    return arrays


def from_arrays(kind: type, name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """Undo :func:`to_arrays`."""
    values: dict[str, Any] = {"name": name}
    for key, array in arrays.items():
        field, _, part = key.partition(".")
        if part == "shape":
            triple = tuple(arrays[f"{field}.{p}"] for p in ("data", "indices", "indptr"))
            values[field] = csr_array(triple, shape=(int(array[0]), int(array[1])))
        elif part == "source":
            sides = (arrays[f"{field}.{p}"] for p in ParallelText._fields)
            values[field] = ParallelText(*map(_unpacked_sentences, sides))
        elif not part:
            if array.ndim == 0:
                values[field] = array.item()
            else:
                values[field] = tuple(array.tolist()) if array.dtype.kind == "U" else array
    return kind(**values)


def _packed_sentences(sentences: Sequence[str], field: str) -> np.ndarray:
    """Return the bytes of sentences, a line each: an array of texts would give each the room of the longest."""
    broken = next((sentence for sentence in sentences if "\n" in sentence), None)
    if broken is not None:
        raise ValueError(f"{field}: a sentence holds a line end: {broken!r}; join its lines")
    text = "".join(f"{sentence}\n" for sentence in sentences)
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def _unpacked_sentences(array: np.ndarray) -> tuple[str, ...]:
    return tuple(array.tobytes().decode("utf-8").split("\n")[:-1])


def sha256(content: bytes) -> str:
    """Return the checksum of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    """Return the checksum of bytes that older publishers give; it tells damage, not forgery."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def read_checked(path: Path, info: DatasetInfo, expected: str) -> bytes:
    """Read a file once and hand its bytes out only if their checksum is the expected one."""
    content = path.read_bytes()
    found = sha256(content)
    if found != expected:
        raise ChecksumError(
            f"{info.name}: {path} has been altered or damaged: expected sha256 {expected}, found {found}. "
            f"Remove the file and get it again.\n{how_to_get(info)}"
        )
    return content


def is_own_file(path: Path) -> bool:
    """Tell whether a file was written by :func:`scinn.datasets.fetch`, and is no compact one of its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "meta.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def unpack_npz(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file, never unpickling."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def check_content(dataset: tuple[Any, ...], info: DatasetInfo, where: str) -> None:
    """Refuse a dataset whose arrays are not those that the registry records."""
    found = content_checksum(dataset)
    if found != info.content_sha256:
        raise ChecksumError(
            f"{info.name}: the arrays read from {where} are not the published ones: expected content sha256 "
            f"{info.content_sha256}, found {found}."
        )


def download(info: DatasetInfo) -> dict[str, bytes]:
    """Fetch the official files of a set, each held against its checksum.

    Returns
    -------
    dict of str to bytes
        Content under each file's name.

    Raises
    ------
    DataUnavailableError
        Offline, or the publisher did not answer, or the set is one that is not downloaded.
    ChecksumError
        A file differs from the recorded one.
    """
    if info.hand_made is not None:
        raise DataUnavailableError(
            f"{info.name}: {info.file} is neither in $SCINN_DATA nor in the cache ({cache_directory()}).\n"
            f"{how_to_get(info)}"
        )
    if is_offline():
        raise DataUnavailableError(
            f"{info.name} is neither in $SCINN_DATA nor in the cache ({cache_directory()}), and "
            f"SCINN_OFFLINE forbids "
            f"the download.\n{how_to_get(info)}"
        )
    return {source.file_name: _download_one(info, source) for source in info.sources}


def _download_one(info: DatasetInfo, source: SourceFile) -> bytes:
    import pooch

    # pooch.retrieve would report on stderr and write a file of its own choosing; the library stays silent and
    # keeps nothing unchecked, so only the transfer is pooch's
    fetch = pooch.HTTPDownloader(progressbar=False, timeout=TIMEOUT_SECONDS)
    with tempfile.TemporaryDirectory(prefix="scinn-") as folder:
        path = Path(folder) / source.file_name
        try:
            fetch(source.url, str(path), None)
        except (OSError, ValueError) as error:
            raise DataUnavailableError(
                f"{info.name}: {source.url} could not be downloaded ({error}).\n{how_to_get(info)}"
            ) from error
        content = path.read_bytes()
    if source.repackable:
        return content
    expected = source.sha256 or source.md5
    found = sha256(content) if source.sha256 else md5(content)
    if found != expected:
        raise ChecksumError(
            f"{info.name}: {source.url} gave an altered file: expected {source.sum}, found {found}."
        )
    return content
