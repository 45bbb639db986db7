"""The files of an unfinished sampling run: one for each stretch of each chain, from which it goes on bit for bit.

A folder holds ``run.npz``, which says what run it is, and ``chain-0003-part-00012.npz``: the draws of the part, and the
sampler's state and the generator's at its end. Nothing is pickled: a state is a NamedTuple of arrays, numbers and further
NamedTuples, which is written as arrays and a JSON description.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scinn._files import read_npz, write_npz

__all__ = ["Folder", "decode", "digest", "encode", "generator_from", "generator_state"]

FORMAT = 1
_RUN = "sampling run"
_PART = "part of a chain"


def encode(value: Any, arrays: dict[str, np.ndarray], name: str = "state") -> Any:
    """Return a JSON description of a state, and put its arrays into `arrays`."""
    if value is None or isinstance(value, bool | str | int):
        return {"plain": value}
    if isinstance(value, np.ndarray | np.generic | float):
        arrays[name] = np.asarray(value)
        if isinstance(value, np.ndarray):
            return {"array": name}
        # numpy.float64 is a float, too, and has to come back as what it was.
        return {"scalar" if isinstance(value, np.generic) else "number": name}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        return {
            "named": kind,
            "of": {f: encode(v, arrays, f"{name}/{f}") for f, v in zip(value._fields, value)},
        }
    if isinstance(value, tuple | list):
        parts = [encode(v, arrays, f"{name}/{i}") for i, v in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": parts}
    if isinstance(value, Mapping):
        return {"dict": {str(key): encode(v, arrays, f"{name}/{key}") for key, v in value.items()}}
    raise TypeError(
        f"a sampler's {name} holds a {type(value).__name__}, which a checkpoint cannot keep; arrays, numbers, text, tuples "
        "and dicts are wanted: sample without checkpoint"
    )


def decode(text: Any, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    """Return the state that :func:`encode` described."""
    [(kind, content)] = [item for item in text.items() if item[0] != "of"]
    if kind == "plain":
        return content
    if kind == "array":
        return arrays[content]
    if kind == "number":
        return float(arrays[content])
    if kind == "scalar":
        return arrays[content][()]
    if kind == "named":
        own = {name: decode(part, arrays, classes) for name, part in text["of"].items()}
        return _class(content, classes)(**own)
    if kind == "dict":
        return {name: decode(part, arrays, classes) for name, part in content.items()}
    parts = [decode(part, arrays, classes) for part in content]
    return tuple(parts) if kind == "tuple" else parts


def _class(kind: str, classes: Mapping[str, type]) -> Any:
    if kind in classes:
        return classes[kind]
    # Only what is loaded already is looked up: a file must not decide what is imported.
    found: Any = sys.modules.get(kind.partition(":")[0])
    for step in kind.partition(":")[2].split("."):
        found = getattr(found, step, None)
    if isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields"):
        return found
    raise ValueError(f"the checkpoint holds a state of class {kind}, which this sampler does not have")


def classes_of(value: Any) -> dict[str, type]:
    """Return the classes of the NamedTuples in a state, by the name under which they are written."""
    found: dict[str, type] = {}
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            found[f"{type(value).__module__}:{type(value).__qualname__}"] = type(value)
        for part in value:
            found |= classes_of(part)
    return found


def digest(*values: Any) -> str:
    """Return a hash of states and arrays, to the last bit."""
    total = hashlib.blake2b(digest_size=16)
    for value in values:
        arrays: dict[str, np.ndarray] = {}
        total.update(json.dumps(encode(value, arrays), sort_keys=True).encode())
        for name, array in arrays.items():
            total.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def generator_state(generator: np.random.Generator) -> Any:
    """Return the generator's state as JSON values."""
    state = generator.bit_generator.state
    return json.loads(json.dumps(state, default=np.ndarray.tolist))


def generator_from(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator in a state."""
    generator = np.random.default_rng(0)
    if state["bit_generator"] != generator.bit_generator.state["bit_generator"]:
        raise ValueError(
            f"the checkpoint holds a generator of kind {state['bit_generator']!r}; 'PCG64' is wanted"
        )
    generator.bit_generator.state = dict(state)
    return generator


class Folder:
    """A checkpoint's folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                f"checkpoint is {os.fspath(path)!r}, a file; a folder is wanted, new or of this run"
            )

    def key(self) -> tuple[int, tuple[str | int, ...]] | None:
        """Return seed and path of the streams of the run that the folder holds."""
        meta = self._run()
        return None if meta is None else (int(meta["identity"]["seed"]), tuple(meta["identity"]["path"]))

    def _run(self) -> dict[str, Any] | None:
        try:
            _, meta = read_npz(self.path / "run.npz")
        except FileNotFoundError:
            if self.path.is_dir() and any(self.path.glob("chain-*.npz")):
                raise ValueError(
                    f"{str(self.path)!r} holds parts of chains and no run.npz; choose another folder"
                ) from None
            return None
        if meta.get("kind") != _RUN or meta["format"] != FORMAT:
            raise ValueError(
                f"{str(self.path)!r} is no checkpoint of format {FORMAT} of a sampling run; choose another folder"
            )
        return meta

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Begin a run here, or check that the one here is the same."""
        from scinn import __version__

        here = json.loads(json.dumps(identity))
        meta = self._run()
        if meta is None:
            versions = {"scinn": __version__, "numpy": np.__version__}
            write_npz(
                self.path / "run.npz",
                {},
                {"format": FORMAT, "kind": _RUN, "identity": here, "versions": versions},
            )
            return
        there = meta["identity"]
        differences = [
            f"{name}: {there.get(name)!r} in the folder, {here.get(name)!r} now"
            for name in sorted({*there, *here})
            if there.get(name) != here.get(name)
        ]
        if differences:
            raise ValueError(
                f"checkpoint {str(self.path)!r} belongs to another run; choose another folder, or give the same "
                "arguments again:\n  " + "\n  ".join(differences)
            )

    def write(self, chain: int, part: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Write one part of a chain."""
        write_npz(self._part(chain, part), arrays, {"format": FORMAT, "kind": _PART, **meta})

    def read(self, chain: int) -> list[tuple[dict[str, np.ndarray], dict[str, Any]]]:
        """Return the parts of a chain, up to the first that is missing."""
        parts: list[tuple[dict[str, np.ndarray], dict[str, Any]]] = []
        while self._part(chain, len(parts)).exists():
            arrays, meta = read_npz(self._part(chain, len(parts)))
            if meta.get("kind") != _PART or meta["format"] != FORMAT:
                raise ValueError(
                    f"{str(self._part(chain, len(parts)))!r} is no part of a chain; choose another folder"
                )
            parts.append((arrays, meta))
        return parts

    def _part(self, chain: int, part: int) -> Path:
        return self.path / f"chain-{chain:04d}-part-{part:05d}.npz"
