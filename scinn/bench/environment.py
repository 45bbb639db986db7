"""What a timing depends on: versions, processor, threads."""

from __future__ import annotations

import platform
from importlib import metadata

from scinn._machine import cpu_name, usable_cores
from scinn._version import __version__

__all__ = ["environment"]


def environment() -> dict[str, str | int]:
    """Return versions, processor, cores and threads of this process.

    Returns
    -------
    dict
        Plain strings and integers, fit for JSON.

    Examples
    --------
    >>> sorted(environment())[:3]
    ['cores', 'cpu', 'numba']
    """
    versions = {name: metadata.version(name) for name in ("numpy", "scipy", "numba")}
    return {
        "scinn": __version__,
        "python": platform.python_version(),
        **versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "threads": 1,
    }
