"""Several chains of one sampler: warm-up, draws, progress, processes, checkpoints.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. Notation: white coordinates ``xi``, functions ``u``, misfit ``Phi``.

Each chain has its own stream of random numbers, addressed by its number, so that the draws have the same bits whatever the
number of processes, and however often the run was stopped and taken up again. Kept are function values, which mean the
same in every chain, the misfit, and what the user records; positions where they fit.
"""

from __future__ import annotations

import functools
import inspect
import os
import secrets
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn._processes import each
from scinn.exceptions import ScinnWarning
from scinn.inverse import _checkpoints as checkpoints
from scinn.inverse.chains import Chains
from scinn.inverse.laws import Law, as_law
from scinn.random import Key, RandomState, as_generator

__all__ = ["SamplingProgress", "sample"]

_TAKEN = ("fields", "misfit", "weights", "positions")
# Progress is told, and a checkpoint written, about so many times in each of the two phases.
_PARTS = 20


class SamplingProgress(NamedTuple):
    """What a callback is told.

    Parameters
    ----------
    phase : {"warmup", "draws"}
    chain : int
        Counted from 0.
    n_done, n_total : int
        Steps of the warm-up, or draws, of this chain.
    acceptance_rate : float
        In the stretch since the last report of this chain; NaN where the sampler does not say.
    """

    phase: str
    chain: int
    n_done: int
    n_total: int
    acceptance_rate: float


@dataclass(frozen=True)
class _Task:
    """What a worker process needs to go on with any chain."""

    sampler: Any
    target_field: Callable[[np.ndarray], np.ndarray] | None
    record: dict[str, Callable[..., Any]]
    thin: int
    keep_positions: bool
    # Set where the sampler's misfit is another one, as with the last layer integrated out.
    target_misfit: Callable[[np.ndarray], float] | None


@dataclass
class _Chain:
    """Where a chain stands."""

    state: Any
    generator: np.random.Generator
    n_warmup: int = 0
    n_draws: int = 0
    n_parts: int = 0
    accepted: float = 0.0
    classes: dict[str, type] = field(default_factory=dict)


def sample(
    sampler: Any,
    posterior: Any = None,
    n_draws: int = 1000,
    n_chains: int = 4,
    n_warmup: int = 1000,
    rng: RandomState = None,
    *,
    thin: int = 1,
    initial: Any = "prior",
    record: Mapping[str, Callable[..., Any]] | None = None,
    keep_positions: bool = True,
    memory_limit: float = 2e9,
    callback: Callable[[SamplingProgress], Any] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    n_jobs: int = 1,
    block: int | None = None,
) -> Chains:
    """Run several chains of a sampler on a posterior.

    Parameters
    ----------
    sampler : callable or sampler
        A class such as ``PCN``, or any callable ``posterior -> sampler``; or a sampler that has its target already.
    posterior : Posterior or any target, optional
        What is sampled; with ``field(xi)`` functions are kept. By default the sampler's own target.
    n_draws : int, default 1000
        Draws kept of each chain.
    n_chains : int, default 4
        R-hat needs at least 2.
    n_warmup : int, default 1000
        Steps of each chain before its first draw, in which the sampler adapts; none of them is kept.
    rng : int, SeedSequence, Generator, Key or None
        Each chain has a stream of its own below this.
    thin : int, default 1
        Steps from one draw to the next.
    initial : "prior", array-like of shape (n_chains, dim), or callable, default "prior"
        Where the chains begin; a callable gets a Generator and returns a position.
    record : mapping of str to callable, optional
        Numbers or arrays to keep of each draw: ``function(xi)``, or ``function(xi, u)`` if it takes two arguments.
    keep_positions : bool, default True
        Keep the white coordinates, unless they need more than `memory_limit`, of which a warning tells.
    memory_limit : float, default 2e9
        Bytes that positions may take, and functions.
    callback : callable, optional
        Called with a :class:`SamplingProgress` after each part of each chain. An exception it raises ends the run.
    checkpoint : path, optional
        Folder to keep the run in. A run that was stopped, given again with the same arguments, goes on where it was and
        returns the same bits; a larger `n_draws` makes it longer. With ``rng=None`` the streams of the folder are used.
        Another sampler, other arrays in it, other data or another misfit are refused; functions in `record` are told apart
        by their names only.
    n_jobs : int, default 1
        Processes, -1 for one per core. The bits do not depend on it.
    block : int, optional
        Draws between two reports and checkpoints; by default a twentieth of them.

    Returns
    -------
    Chains

    Raises
    ------
    ValueError
        For arguments that do not fit together, functions beyond `memory_limit`, or a checkpoint of another run.

    Warns
    -----
    ScinnWarning
        Where positions are not kept because of `memory_limit`.

    References
    ----------
    C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import PCN, Deconvolution1D, Posterior, StableNNPrior, sample
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.3, rng=0)
    >>> posterior = Posterior(StableNNPrior([1, 5, 1], law=("cauchy", "gaussian")), problem)
    >>> chains = sample(PCN, posterior, n_draws=50, n_chains=2, n_warmup=100, rng=0, thin=5)
    >>> chains.fields.shape
    (2, 50, 33)
    """
    sizes = [
        check_positive_int(value, name, least)
        for value, name, least in (
            (n_draws, "n_draws", 1),
            (n_chains, "n_chains", 1),
            (n_warmup, "n_warmup", 0),
            (thin, "thin", 1),
        )
    ]
    n_draws, n_chains, n_warmup, thin = sizes
    block = max(1, -(-n_draws // _PARTS)) if block is None else check_positive_int(block, "block")
    workers = _n_workers(n_jobs, n_chains)
    bound, target = _bind(sampler, posterior)
    folder = None if checkpoint is None else checkpoints.Folder(checkpoint)
    key = _key(rng, folder)
    chains = _begin(bound, target, key, n_chains, initial)
    task = _task(bound, target, record, thin, keep_positions, n_chains * n_draws, memory_limit, chains[0])
    store = _Store(n_chains, n_draws)
    if folder is not None:
        folder.claim(_identity(task, target, key, chains, n_warmup))
        for number, chain in enumerate(chains):
            _go_on(chain, number, folder, store, n_draws)
    run = _Run(task, chains, store, folder, n_warmup, n_draws, block, callback)
    run.finish(workers)
    return _result(run, target, thin)


def _n_workers(n_jobs: int, n_chains: int) -> int:
    if isinstance(n_jobs, int | np.integer) and not isinstance(n_jobs, bool) and n_jobs < 0:
        from joblib import effective_n_jobs

        n_jobs = effective_n_jobs(int(n_jobs))
    return min(check_positive_int(n_jobs, "n_jobs"), n_chains)


def _bind(sampler: Any, posterior: Any) -> tuple[Any, Any]:
    """Return a sampler that has its target, and the target."""
    if not isinstance(sampler, type) and callable(getattr(sampler, "step", None)):
        target = posterior if posterior is not None else getattr(sampler, "target", None)
        if target is None:
            raise TypeError(
                f"sampler is a {type(sampler).__name__} that names no target; pass posterior, too"
            )
        return sampler, target
    if not callable(sampler):
        raise TypeError(
            f"sampler is a {type(sampler).__name__}; a class such as PCN, a callable posterior -> sampler, or a sampler "
            "with init and step is wanted"
        )
    if posterior is None:
        name = getattr(sampler, "__name__", "sampler")
        raise TypeError(f"posterior is missing: {name} has no target yet; pass sample({name}, posterior)")
    bound = sampler(posterior)
    for needed in ("init", "step"):
        if not callable(getattr(bound, needed, None)):
            raise TypeError(
                f"sampler(posterior) gave a {type(bound).__name__} without {needed!r}; pass a sampler"
            )
    return bound, posterior


def _key(rng: RandomState, folder: checkpoints.Folder | None) -> Key:
    if isinstance(rng, Key):
        return rng
    if rng is None:
        known = None if folder is None else folder.key()
        return Key(secrets.randbits(63)) if known is None else Key(*known)
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return Key(int(rng))
    return Key(int(as_generator(rng).integers(2**63)))


def _begin(sampler: Any, target: Any, key: Key, n_chains: int, initial: Any) -> list[_Chain]:
    dim = int(target.dim)
    if isinstance(initial, str):
        if initial != "prior":
            raise ValueError(f"initial is {initial!r}; 'prior', positions or a callable is wanted")
        starts = [key.child("initial", i).generator().standard_normal(dim) for i in range(n_chains)]
    elif callable(initial):
        drawn = (initial(key.child("initial", i).generator()) for i in range(n_chains))
        starts = [as_float_array(x, "initial(rng)", shape=(dim,), dtype=np.float64) for x in drawn]
    else:
        starts = list(as_float_array(initial, "initial", shape=(n_chains, dim), dtype=np.float64))
    chains = []
    for i, start in enumerate(starts):
        generator = key.child("chain", i).generator()
        state = sampler.init(np.array(start), generator)
        chains.append(_Chain(state, generator, classes=checkpoints.classes_of(state)))
    return chains


def _task(
    sampler: Any,
    target: Any,
    record: Mapping[str, Callable[..., Any]] | None,
    thin: int,
    keep_positions: bool,
    n_kept: int,
    memory_limit: float,
    first: _Chain,
) -> _Task:
    limit = check_in_range(memory_limit, "memory_limit", 0.0)
    record = dict(record or {})
    for name, function in record.items():
        if name in _TAKEN or "/" in name:
            raise ValueError(f"record holds the name {name!r}, which is taken or has a slash; choose another")
        if not callable(function):
            raise TypeError(
                f"record[{name!r}] is a {type(function).__name__}; a function of xi, or of xi and u, is wanted"
            )
    target_field = getattr(target, "field", None)
    position = np.asarray(first.state.position)
    if target_field is not None:
        needed = 8.0 * n_kept * np.size(target_field(position))
        if needed > limit:
            raise ValueError(
                f"functions would take {needed / 1e9:.3g} GB, and memory_limit is {limit / 1e9:.3g} GB; raise thin and "
                "lower n_draws, or raise memory_limit"
            )
    needed = 8.0 * n_kept * position.size
    if keep_positions and needed > limit:
        keep_positions = False
        warnings.warn(
            f"positions would take {needed / 1e9:.3g} GB, more than memory_limit = {limit / 1e9:.3g} GB, and are not kept; "
            "functions are. Raise thin and lower n_draws, raise memory_limit, or pass keep_positions=False",
            ScinnWarning,
            stacklevel=3,
        )
    # Beside rounding, for a misfit may be computed together with its gradient, or stop at NaN where a state has infinity.
    same = bool(np.isclose(np.nan_to_num(target.misfit(position), nan=np.inf), first.state.misfit, rtol=1e-9))
    return _Task(sampler, target_field, record, thin, bool(keep_positions), None if same else target.misfit)


def _identity(task: _Task, target: Any, key: Key, chains: Sequence[_Chain], n_warmup: int) -> dict[str, Any]:
    """Return what must be the same for a folder to be of this run."""
    first = chains[0].state.position
    # The misfits at the chains' beginnings, and a function, tell one posterior from another.
    fields = [] if task.target_field is None else [np.asarray(task.target_field(first))]
    return {
        "seed": int(key.seed),
        "path": list(key.path),
        "sampler": _describe(task.sampler),
        # Which repr leaves out: GPCN's directions, for one. The target has arrays of its own.
        "sampler's arrays": checkpoints.digest(
            *_arrays(
                {
                    name: value
                    for name, value in getattr(task.sampler, "__dict__", {}).items()
                    if name != "target"
                }
            )
        ),
        "data": checkpoints.digest(*_arrays([getattr(target, name, None) for name in ("data", "model")])),
        "n_chains": len(chains),
        "n_warmup": n_warmup,
        "thin": task.thin,
        "keep_positions": task.keep_positions,
        "record": sorted(task.record),
        "initial states": checkpoints.digest(*(chain.state for chain in chains), *fields),
    }


def _arrays(value: Any) -> Generator[np.ndarray, None, None]:
    """Yield the arrays of numbers in tuples, lists, mappings and partial functions."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "biufc":
            yield value
    elif isinstance(value, functools.partial):
        yield from _arrays((value.args, value.keywords))
    elif isinstance(value, tuple | list | Mapping):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _arrays(part)


def _describe(sampler: Any) -> str:
    """Return the sampler's class and settings."""
    if " at 0x" not in repr(sampler):
        return repr(sampler)
    simple = (bool, int, float, str, type(None), np.generic)
    settings = {name: value for name, value in vars(sampler).items() if isinstance(value, simple)}
    return f"{type(sampler).__qualname__}({', '.join(f'{name}={value!r}' for name, value in sorted(settings.items()))})"


class _Store:
    """Room for the draws of all chains, made when the first ones come."""

    def __init__(self, n_chains: int, n_draws: int) -> None:
        self.shape = (n_chains, n_draws)
        self.arrays: dict[str, np.ndarray] = {}

    def put(self, chain: int, start: int, part: Mapping[str, np.ndarray]) -> None:
        for name, values in part.items():
            if name not in self.arrays:
                self.arrays[name] = np.empty((*self.shape, *values.shape[1:]), dtype=values.dtype)
            self.arrays[name][chain, start : start + len(values)] = values


def _go_on(chain: _Chain, number: int, folder: checkpoints.Folder, store: _Store, n_draws: int) -> None:
    """Bring a chain to where its files end."""
    for arrays, meta in folder.read(number):
        part = {name[5:]: values for name, values in arrays.items() if name.startswith("draw/")}
        if meta["n_draws"] > n_draws:
            raise ValueError(
                f"checkpoint {str(folder.path)!r} holds more than {n_draws} draws of chain {number}; raise n_draws, or "
                "choose another folder"
            )
        store.put(number, chain.n_draws, part)
        chain.state = checkpoints.decode(meta["state"], arrays, chain.classes)
        chain.generator = checkpoints.generator_from(meta["generator"])
        chain.n_warmup, chain.n_draws = meta["n_warmup"], meta["n_draws"]
        chain.accepted += float(arrays["accepted"])
        chain.n_parts += 1


class _Run:
    """Goes round the chains, a part of each at a time."""

    def __init__(
        self,
        task: _Task,
        chains: list[_Chain],
        store: _Store,
        folder: checkpoints.Folder | None,
        n_warmup: int,
        n_draws: int,
        block: int,
        callback: Callable[[SamplingProgress], Any] | None,
    ) -> None:
        self.task, self.chains, self.store, self.folder = task, chains, store, folder
        self.n_warmup, self.n_draws, self.block, self.callback = n_warmup, n_draws, block, callback
        # For samplers whose warm-up in parts differs from one at once, the parts depend on its length alone.
        self.warmup_part = max(1, -(-n_warmup // _PARTS))

    def finish(self, n_workers: int) -> None:
        """Advance every chain to its end."""
        while True:
            todo = [self._next(number) for number in range(len(self.chains))]
            todo = [(number, n_steps, phase) for number, n_steps, phase in todo if n_steps]
            if not todo:
                return
            jobs = [
                (self.task, self.chains[number].state, self.chains[number].generator, n, phase)
                for number, n, phase in todo
            ]
            for (number, n, phase), outcome in zip(todo, each(_advance, jobs, n_workers)):
                self._take(number, n, phase, outcome)

    def _next(self, number: int) -> tuple[int, int, str]:
        chain = self.chains[number]
        if chain.n_warmup < self.n_warmup:
            return number, min(self.warmup_part, self.n_warmup - chain.n_warmup), "warmup"
        return number, min(self.block, self.n_draws - chain.n_draws), "draws"

    def _take(self, number: int, n: int, phase: str, outcome: _Part) -> None:
        chain = self.chains[number]
        chain.state, chain.generator = outcome.state, outcome.generator
        if phase == "warmup":
            chain.n_warmup += n
            done, total, steps = chain.n_warmup, self.n_warmup, n
        else:
            self.store.put(number, chain.n_draws, outcome.draws)
            chain.n_draws += n
            chain.accepted += outcome.accepted
            done, total, steps = chain.n_draws, self.n_draws, n * self.task.thin
        if self.folder is not None:
            self._write(number, outcome, phase)
        chain.n_parts += 1
        if self.callback is not None:
            self.callback(SamplingProgress(phase, number, done, total, outcome.accepted / steps))

    def _write(self, number: int, outcome: _Part, phase: str) -> None:
        assert self.folder is not None
        chain = self.chains[number]
        arrays = {f"draw/{name}": values for name, values in outcome.draws.items()}
        arrays["accepted"] = np.asarray(0.0 if phase == "warmup" else outcome.accepted)
        meta = {
            "state": checkpoints.encode(chain.state, arrays),
            "generator": checkpoints.generator_state(chain.generator),
            "n_warmup": chain.n_warmup,
            "n_draws": chain.n_draws,
        }
        self.folder.write(number, chain.n_parts, arrays, meta)


class _Part(NamedTuple):
    state: Any
    generator: np.random.Generator
    draws: dict[str, np.ndarray]
    accepted: float


def _advance(task: _Task, state: Any, generator: np.random.Generator, n: int, phase: str) -> _Part:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        if phase == "warmup":
            state, accepted = _warm_up(task.sampler, state, generator, n)
            return _Part(state, generator, {}, accepted)
        state, accepted, positions, misfits = _positions(task, state, generator, n)
        draws: dict[str, list[Any]] = {}
        for position, misfit in zip(positions, misfits):
            for name, value in _draw(task, position, misfit):
                draws.setdefault(name, []).append(value)
    return _Part(state, generator, {name: np.array(values) for name, values in draws.items()}, accepted)


def _positions(
    task: _Task, state: Any, generator: np.random.Generator, n: int
) -> tuple[Any, float, np.ndarray | list[np.ndarray], np.ndarray | list[float]]:
    """Return the state after n draws, how many proposals were accepted, and the draws with their misfits."""
    if _keeps(task.sampler):
        state, info = task.sampler.run(generator, state, n * task.thin, keep_every=task.thin)
        return state, float(info.n_accepted), info.positions, info.misfits[task.thin - 1 :: task.thin]
    accepted, positions, misfits = 0.0, [], []
    for _ in range(n):
        state, won = _steps(task.sampler, state, generator, task.thin)
        accepted += won
        positions.append(np.array(state.position))
        misfits.append(float(state.misfit))
    return state, accepted, positions, misfits


def _keeps(sampler: Any) -> bool:
    """Tell whether a sampler's run keeps positions on its way."""
    run = getattr(sampler, "run", None)
    return callable(run) and "keep_every" in inspect.signature(run).parameters


def _warm_up(sampler: Any, state: Any, generator: np.random.Generator, n: int) -> tuple[Any, float]:
    if callable(getattr(sampler, "warmup", None)):
        # What a warm-up returns is the state; how much it accepted, only its step size says.
        return sampler.warmup(generator, state, n), float("nan")
    return _steps(sampler, state, generator, n)


def _steps(sampler: Any, state: Any, generator: np.random.Generator, n: int) -> tuple[Any, float]:
    """Make n steps; return the state and how many proposals were accepted."""
    if n > 1 and callable(getattr(sampler, "run", None)):
        state, info = sampler.run(generator, state, n)
        return state, _accepted(info, n)
    total = 0.0
    for _ in range(n):
        state, info = sampler.step(generator, state)
        total += _accepted(info, 1)
    return state, total


def _accepted(info: Any, n: int) -> float:
    for name, factor in (("n_accepted", 1), ("acceptance_rate", n), ("accepted", 1)):
        value = getattr(info, name, None)
        if value is not None:
            return float(np.sum(value)) * factor
    return float("nan")


def _draw(task: _Task, position: np.ndarray, misfit: float) -> Generator[tuple[str, Any], None, None]:
    """Yield what is kept of a draw, each draw by itself: a batch might round otherwise than its parts."""
    position = np.array(position)
    yield "misfit", float(misfit if task.target_misfit is None else task.target_misfit(position))
    u = None
    if task.target_field is not None:
        u = np.array(task.target_field(position), dtype=np.float64)
        yield "fields", u
    if task.keep_positions:
        yield "positions", position
    for name, function in task.record.items():
        yield f"record/{name}", np.array(_call(function, position, u), dtype=np.float64)


def _call(function: Callable[..., Any], position: np.ndarray, u: np.ndarray | None) -> Any:
    return function(position, u) if _takes_two(function) else function(position)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) == 2


def _result(run: _Run, target: Any, thin: int) -> Chains:
    arrays = run.store.arrays
    problem = getattr(target, "problem", None)
    truth, truth_points = getattr(problem, "truth", None), None
    points = getattr(target, "points", None)
    if truth is not None:
        truth = np.asarray(truth, dtype=np.float64)
        grid = getattr(problem, "truth_grid", None)
        truth_points = points if grid is None else np.asarray(grid.points)
    return Chains(
        misfit=arrays["misfit"],
        fields=arrays.get("fields"),
        positions=arrays.get("positions"),
        records={name[7:]: values for name, values in arrays.items() if name.startswith("record/")},
        acceptance_rate=tuple(chain.accepted / (run.n_draws * thin) for chain in run.chains),
        points=None if points is None else np.asarray(points),
        truth=truth,
        truth_points=truth_points,
        sampler=type(run.task.sampler).__name__,
        n_warmup=run.n_warmup,
        thin=thin,
        mean_exists=_mean_exists(target),
    )


def _mean_exists(target: Any) -> bool | None:
    """Tell whether u(x) has a mean under the prior, and so under the posterior, whose density is at most one."""
    prior = getattr(target, "prior", None)
    known = getattr(prior, "moments_exist", None)
    if known is not None:
        return bool(known)
    laws = getattr(prior, "laws", None)
    if laws is None:
        one = getattr(prior, "law", None)
        laws = None if one is None else (one,)
    if laws is None:
        return None
    try:
        return all(_as_law(law).index > 1.0 for law in laws)
    except (TypeError, ValueError):
        # Laws of somebody else's prior.
        return None


def _as_law(law: Any) -> Law:
    return law if isinstance(law, Law) else as_law(getattr(law, "name", law))
