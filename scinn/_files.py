"""Files that are written whole or not at all: ``.npz`` with a JSON description, JSON, text."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = ["read_npz", "write_json", "write_npz", "write_text"]

_META = "meta"


def _replace(path: str | os.PathLike[str], write: Callable[[IO[bytes]], None]) -> None:
    """Write a temporary file beside ``path``, force it to disk, and rename it over ``path``."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    # Without this a power cut may forget the rename; systems that cannot open a folder have no such call.
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    """Turn what JSON does not know, but callers hold, into what it knows."""
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(
        f"cannot write a {type(value).__name__} as JSON: {value!r}; pass numbers, strings, lists or dicts"
    )


def _dump_json(obj: Any, indent: int | None = None) -> str:
    return json.dumps(obj, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain)


def write_npz(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> None:
    """Write named arrays and a JSON description as one ``.npz`` file, atomically and without pickle.

    Parameters
    ----------
    path : path
        The file; its folder is made where it is missing.
    arrays : mapping of str to ndarray
        Arrays of numbers, booleans or fixed-width strings. The name ``"meta"`` is taken.
    meta : mapping
        JSON values; must hold an integer ``"format"``.

    Raises
    ------
    ValueError
        For the name ``"meta"``, a missing format number, or NaN in ``meta``.
    TypeError
        For arrays of objects, and values that JSON does not know.
    """
    number = meta.get("format")
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise ValueError(f"meta must hold an integer 'format' number, got {number!r}")
    if _META in arrays:
        raise ValueError("arrays must not use the name 'meta', which holds the description; rename the array")
    entries = {name: np.asanyarray(array) for name, array in arrays.items()}
    for name, array in entries.items():
        if array.dtype.hasobject:
            raise TypeError(
                f"arrays[{name!r}] holds Python objects; convert it to numbers or fixed-width strings"
            )
    entries[_META] = np.frombuffer(_dump_json(meta).encode(), dtype=np.uint8)

    def write(stream: IO[bytes]) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, array in entries.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    _replace(path, write)


def read_npz(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`write_npz` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays, in the order in which they were written.
    meta : dict
        The description, with its ``"format"`` number.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where the file is damaged, was not written by this package, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array, not an archive of arrays")
            arrays = {name: archive[name] for name in archive.files}
        if _META not in arrays:
            raise ValueError("it has no 'meta' entry")
        meta = json.loads(arrays.pop(_META).tobytes().decode())
        if not isinstance(meta, dict) or not isinstance(meta.get("format"), int):
            raise ValueError("its 'meta' entry has no format number")
    except FileNotFoundError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        RuntimeError,
        zipfile.BadZipFile,
        AttributeError,
    ) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a file saved by scinn, or is damaged: {error}"
        ) from error
    return arrays, meta


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write a JSON file atomically; NumPy numbers and arrays become numbers and lists.

    Parameters
    ----------
    path : path
        The file; its folder is made where it is missing.
    obj : object
        Dicts, lists, strings, finite numbers, booleans, None; keys keep their order.

    Raises
    ------
    ValueError
        For NaN and infinities, which JSON does not have: use None.
    """
    write_text(path, _dump_json(obj, indent=2) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically, line ends unchanged.

    Parameters
    ----------
    path : path
        The file; its folder is made where it is missing.
    text : str
        The content.
    """
    content = text.encode("utf-8")

    def write(stream: IO[bytes]) -> None:
        stream.write(content)

    _replace(path, write)
