"""What ``scinn invert`` is asked for: prior, scales, sampler and lengths of a run, checked and completed.

C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and
Imaging 16(5), 2022, arXiv 2112.10663. Notation, and the units in which priors are set: :mod:`scinn.inverse.command_data`.
A unit of the first layer bends near ``-b/w`` over a length of about ``1/|w|``; for a domain of half width 1 a scale of 10
for both w and b lets jumps be anywhere and steep.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from scinn._input import check_choice, check_positive_int

__all__ = ["LAWS", "LENGTHS", "PRIORS", "SAMPLERS", "SMALL_STEP", "Plan", "make_plan"]

PRIORS = ("cauchy-gaussian", "cauchy", "gaussian", "gp", "cauchy-difference", "besov", "tv")
SAMPLERS = ("auto", "collapsed-pcn", "collapsed-inf-hmc", "pcn", "inf-mala", "inf-hmc", "elliptical-slice")
#: Steps between draws and steps of warm-up: what a run takes where nothing is said.
_STEPS = {
    "collapsed-pcn": (40, 10_000),
    "collapsed-inf-hmc": (2, 500),
    "pcn": (80, 20_000),
    "inf-mala": (20, 5_000),
    "inf-hmc": (3, 800),
    "elliptical-slice": (8, 2_000),
}
SMALL_STEP = {"collapsed-inf-hmc": 0.02, "inf-hmc": 0.02, "inf-mala": 0.01}
LAWS = {
    "cauchy": "cauchy",
    "gaussian": "gaussian",
    "cauchy-gaussian": ("cauchy", "gaussian"),
}
#: Hidden widths, and scales of first, further and last layers, by the dimension of the domain.
_WIDTHS = {1: (20, 20), 2: (20, 20)}
_NETWORK_SCALES = {1: ((10.0, 3.0, 1.0), (10.0, 3.0, 0.5)), 2: ((6.0, 3.0, 1.0), (6.0, 3.0, 0.5))}
#: Numbers that other priors take, with their defaults.
_NUMBERS: dict[str, dict[str, float | str]] = {
    "gp": {"length": "evidence", "std": 1.0},
    "cauchy-difference": {"gamma": 0.05, "start": 1.0},
    "besov": {"smoothness": 1.0, "scale": 0.1},
    "tv": {"weight": "discrepancy"},
}
LENGTHS = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Plan:
    """What is asked for, checked; scales and numbers are in the prior's units."""

    prior: str
    widths: tuple[int, ...]
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]
    numbers: dict[str, float | str]
    sampler: str
    chains: int
    draws: int
    thin: int
    warmup: int
    starts: int
    seed: int
    jobs: int

    @property
    def is_network(self) -> bool:
        """Whether the prior is a network."""
        return self.prior in LAWS


def _network_numbers(
    scales: str | None, n_hidden: int, dimension: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the scales of weights and biases, one for each of the ``n_hidden + 1`` layers."""
    if scales is None:
        return tuple(  # type: ignore[return-value]
            (first, *([deeper] * (n_hidden - 1)), last) for first, deeper, last in _NETWORK_SCALES[dimension]
        )
    halves = scales.split("/")
    values = [_floats(half, "--scales") for half in halves]
    if len(values) != 2 or any(len(half) != n_hidden + 1 for half in values):
        example = ",".join(["10", *["3"] * (n_hidden - 1), "1"])
        raise ValueError(
            f"--scales is {scales!r}; {n_hidden + 1} numbers for the weights, a slash and as many for the biases are "
            f"wanted, for example {example}/{example}"
        )
    return values[0], values[1]


def _floats(text: str, name: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{name} is {text!r}; numbers with commas between them are wanted") from None
    if not all(np.isfinite(value) and value > 0 for value in values):
        raise ValueError(f"{name} is {text!r}; positive numbers are wanted")
    return values


def _other_numbers(prior: str, scales: str | None) -> dict[str, float | str]:
    names = dict(_NUMBERS.get(prior, {}))
    if scales is None:
        return names
    values = _floats(scales, "--scales")
    if len(values) > len(names):
        raise ValueError(f"--scales is {scales!r}; prior {prior} takes {','.join(names)}")
    return names | dict(zip(names, values))


def _hidden(widths: str | None, prior: str, dimension: int) -> tuple[int, ...]:
    if prior not in LAWS:
        if widths is not None:
            raise ValueError(f"--widths is for networks, and the prior is {prior}")
        return ()
    if widths is None:
        return _WIDTHS[dimension]
    parts = widths.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ValueError(f"--widths is {widths!r}; widths of the hidden layers are wanted, for example 20,20")
    return tuple(int(part) for part in parts)


def _sampler_name(sampler: str, prior: str) -> str:
    check_choice(sampler, "sampler", SAMPLERS)
    if prior in ("gp", "tv"):
        if sampler != "auto":
            why = "is sampled exactly" if prior == "gp" else "gives one estimate and no posterior"
            raise ValueError(f"--sampler is {sampler!r}, but prior {prior} {why}; leave it out")
        return "exact" if prior == "gp" else "none"
    if sampler == "auto":
        return "collapsed-pcn" if prior in ("cauchy-gaussian", "gaussian") else "inf-hmc"
    if sampler.startswith("collapsed") and prior not in ("cauchy-gaussian", "gaussian"):
        raise ValueError(
            f"--sampler is {sampler!r}, which needs a network with a Gaussian last layer, and the prior is {prior}; use "
            "--prior cauchy-gaussian, or --sampler inf-hmc"
        )
    return sampler


def make_plan(
    dimension: int,
    *,
    prior: str,
    widths: str | None,
    scales: str | None,
    sampler: str,
    chains: int,
    draws: int,
    thin: int | None,
    warmup: int | None,
    starts: int | None,
    jobs: int | None,
    seed: int,
    map_only: bool,
) -> Plan:
    """Check what is asked for, and fill in what is not.

    Parameters
    ----------
    dimension : {1, 2}
        Of the grid.
    prior, widths, scales, sampler, chains, draws, thin, warmup, starts, jobs, seed, map_only
        See :func:`scinn.inverse.command.invert_file`.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        For what does not fit.

    Examples
    --------
    >>> plan = make_plan(
    ...     1, prior="cauchy-gaussian", widths=None, scales=None, sampler="auto", chains=4, draws=500, thin=None,
    ...     warmup=None, starts=None, jobs=1, seed=0, map_only=False,
    ... )
    >>> plan.sampler, plan.widths, plan.weight_scale
    ('collapsed-pcn', (20, 20), (10.0, 3.0, 1.0))
    """
    check_choice(prior, "prior", PRIORS)
    if prior == "cauchy-difference" and dimension > 1:
        raise ValueError(
            "--prior cauchy-difference is for signals, and y is an image; use cauchy-gaussian or besov"
        )
    hidden = _hidden(widths, prior, dimension)
    network = _network_numbers(scales, len(hidden), dimension) if hidden else ((), ())
    name = "none" if map_only else _sampler_name(sampler, prior)
    check_positive_int(chains, "chains")
    if chains < 2 and not map_only and prior != "tv":
        raise ValueError(
            f"--chains is {chains}, too few for R-hat, which compares chains with each other; at least 2 are wanted"
        )
    usual_thin, usual_warmup = _STEPS.get(name, (1, 0))
    if thin is None and dimension == 2:
        # A step of an image costs about ten times as much.
        usual_thin, usual_warmup = max(1, usual_thin // 4), usual_warmup // 4
    return Plan(
        prior=prior,
        widths=hidden,
        weight_scale=network[0],
        bias_scale=network[1],
        numbers={} if hidden else _other_numbers(prior, scales),
        sampler=name,
        chains=chains,
        draws=check_positive_int(draws, "draws", 4),
        thin=usual_thin if thin is None else check_positive_int(thin, "thin"),
        warmup=usual_warmup if warmup is None else check_positive_int(warmup, "warmup", 0),
        starts=max(chains, 2) if starts is None else check_positive_int(starts, "starts"),
        seed=check_positive_int(seed, "seed", 0),
        jobs=min(chains, os.cpu_count() or 1) if not jobs else check_positive_int(jobs, "jobs"),
    )
