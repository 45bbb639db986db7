"""Samplers of inverse problems beside CUQIpy, emcee, blackjax, numpyro and PyMC, and pCN beside what its parts cost.

Three posteriors, each handed over as arrays: a linear-Gaussian deconvolution, known in closed form, and a deconvolution
under network priors whose weights are Cauchy throughout, or Cauchy below a Gaussian last layer (Li, Dunlop, Stadler 2022,
arXiv 2112.10663). An effective draw costs the processor time of all chains over the least bulk effective sample size of
the function's values on the grid; both sides start from the same states and stop by the same rule.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scinn.bench.inverse_worker import (
    Chains,
    Target,
    as_target,
    numpy_functions,
    sample_until,
)
from scinn.bench.peers import run_peer
from scinn.bench.rows import Benchmark, Callback, Row, duration
from scinn.bench.timing import measure, one_thread
from scinn.inverse import (
    PCN,
    CollapsedInfHMC,
    CollapsedPCN,
    Convolution1D,
    EllipticalSlice,
    GaussianProcessPrior,
    InfHMC,
    InverseProblem,
    Posterior,
    StableNNPrior,
    uniform_grid,
)
from scinn.inverse.diagnostics import ess, rhat
from scinn.kernels.elementary import tanh64_array
from scinn.kernels.heavy_tails import transform_block
from scinn.kernels.mcmc import fill_normal

__all__ = ["PCN_BENCHMARK", "run_pcn"]

#: Chains count as converged below this R-hat ...
CONVERGED = 1.05
#: ... and are extended until they are below this, or their time is up.
GOAL = 1.01
N_CHAINS = 4
_CAUCHY = 1


class Case(NamedTuple):
    """A posterior, and states in which chains start."""

    name: str
    posterior: Posterior
    #: What travels to the peers.
    arrays: dict[str, np.ndarray]
    beta: float

    @property
    def target(self) -> Target:
        """The same posterior in NumPy."""
        return as_target(self.arrays)


class Ours(NamedTuple):
    """A sampler of scinn and how long its blocks are."""

    name: str
    build: Callable[[Posterior], Any]
    n_warm_up: int
    n_block: int
    thin: int


class Peer(NamedTuple):
    """A sampler of a peer: its task, the package whose version is shown, and options of the task."""

    name: str
    task: str
    package: str
    options: Mapping[str, Any]


class Outcome(NamedTuple):
    """What a run of chains came to."""

    name: str
    r_hat: float
    ess: float
    seconds: float
    n_steps: int
    warm_up: float
    note: str = ""

    @property
    def converged(self) -> bool:
        """Whether an effective sample size means anything."""
        return self.r_hat < CONVERGED

    @property
    def seconds_per_draw(self) -> float:
        """Processor time of an effective draw, warm-up excluded."""
        return self.seconds / self.ess

    def words(self) -> str:
        """Return what was measured, as a note."""
        run = f"{duration(self.seconds)} and {self.n_steps:,} steps"
        if self.converged:
            text = f"R-hat {self.r_hat:.3f}, ESS {self.ess:.0f} in {run}, {1 / self.seconds_per_draw:.3g} per second"
        else:
            text = f"did not converge: R-hat {self.r_hat:.2f} after {run} (ESS {self.ess:.0f}, which is no measurement)"
        return f"{text}; warm-up {duration(self.warm_up)}{self.note}"

    def numbers(self) -> dict[str, Any]:
        """Return what was measured, as JSON; None stands for an R-hat that is not finite."""
        return {
            "sampler": self.name,
            "converged": self.converged,
            "r_hat": self.r_hat if np.isfinite(self.r_hat) else None,
            "ess": self.ess,
            "cpu_seconds": self.seconds,
            "warm_up_seconds": self.warm_up,
            "n_steps": self.n_steps,
            "ess_per_second": self.ess / self.seconds if self.converged else None,
        }


def target_arrays(posterior: Posterior) -> dict[str, np.ndarray]:
    """Return a posterior as the arrays from which :func:`~scinn.bench.inverse_worker.as_target` rebuilds it."""
    model = posterior.model
    none = np.zeros((1, 0))
    if model.kind == 0:
        field = posterior.prior.on(posterior.problem.grid)
        scales = np.repeat(model.weight_scales, model.widths)
        arrays = {"operator": model.left * scales, "field": field.matrix * scales, "points": none}
        arrays |= {
            "widths": np.zeros(0, np.int64),
            "cauchy": np.zeros(0, np.int64),
            "scales": np.zeros((2, 0)),
        }
    else:
        arrays = {
            "operator": model.inverse_sd[:, None] * model.left,
            "field": np.zeros((0, 0)),
            "points": model.points,
            "widths": model.widths,
            "cauchy": (model.laws == _CAUCHY).astype(np.int64),
            "scales": np.stack([model.weight_scales, model.bias_scales]),
        }
    return arrays | {"data": model.data}


def _deconvolution(
    n: int, width: float, noise: float, truth: Callable[[np.ndarray], np.ndarray], seed: int
) -> Any:
    """Return a problem with data at every second point, made on the same grid: samplers are compared, not answers."""
    grid = uniform_grid(n)
    operator = Convolution1D(grid, "gaussian", width, rows=slice(None, None, 2))
    rng = np.random.default_rng(seed)
    data = operator.apply(truth(grid.points[:, 0])) + noise * rng.standard_normal(operator.shape[0])
    return InverseProblem(operator, data, noise_std=noise, grid=grid)


def _jumps(x: np.ndarray) -> np.ndarray:
    steps = ((-0.75, -0.45, 1.0), (-0.2, 0.05, 0.4), (0.3, 0.7, -0.6))
    out = np.zeros_like(x)
    for low, high, height in steps:
        out[(x > low) & (x < high)] = height
    return out


def _network(laws: tuple[str, ...], widths: tuple[int, ...] = (1, 10, 10, 1), n: int = 65) -> Posterior:
    """Return the posterior of the jump function under a network prior."""
    prior = StableNNPrior(widths, law=laws, weight_scale=(10, 3, 1), bias_scale=(10, 3, 0.5))
    return Posterior(prior, _deconvolution(n, 0.08, 0.1, _jumps, 3))


def linear_case(rng: np.random.Generator) -> Case:
    """Return the linear problem, and exact draws of its posterior to start from."""
    problem = _deconvolution(64, 0.06, 0.2, lambda x: 1.0 * ((x > -0.5) & (x < 0.1)), 0)
    posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    arrays = target_arrays(posterior)
    images = arrays["operator"]
    covariance = np.linalg.inv(np.eye(posterior.dim) + images.T @ images)
    root = np.linalg.cholesky(covariance)
    draws = covariance @ (images.T @ arrays["data"]) + rng.standard_normal((160, posterior.dim)) @ root.T
    starts = {"starts": draws[:N_CHAINS], "walkers": draws}
    return Case(f"(i) linear-Gaussian, d = {posterior.dim}", posterior, arrays | starts, 0.11)


def network_case(laws: tuple[str, ...], name: str, rng: np.random.Generator, n_steps: int) -> Case:
    """Return a network's posterior, and where long chains of pCN from prior draws end to start from."""
    posterior = _network(laws)
    build = CollapsedPCN if posterior.can_collapse else PCN
    walkers = []
    with one_thread():
        for _ in range(N_CHAINS):
            sampler = build(posterior)
            state = sampler.warmup(rng, sampler.init(rng.standard_normal(posterior.dim), rng), n_steps // 4)
            state, _ = sampler.run(rng, state, n_steps)
            _, info = sampler.run(rng, state, n_steps, keep_every=n_steps // 80)
            walkers.append(info.positions)
    starts = {"starts": np.array([kept[-1] for kept in walkers]), "walkers": np.concatenate(walkers)}
    return Case(f"{name}, d = {posterior.dim}", posterior, target_arrays(posterior) | starts, 0.005)


# Steps per second.


def _step_seconds(
    posterior: Posterior, start: np.ndarray, beta: float, timing: Mapping[str, Any], n: int
) -> float:
    rng = np.random.default_rng(0)
    sampler = PCN(posterior, beta=beta)
    state = sampler.init(start, rng)
    return measure(lambda: sampler.run(rng, state, n, keep_every=1), **timing).seconds / n


def step_row(case: Case, timing: Mapping[str, Any], n: int, n_long: int) -> Row:
    """Time a step of pCN on both sides, with the same step size from the same state."""
    start = case.arrays["starts"][0]
    seconds = _step_seconds(case.posterior, start, case.beta, timing, n)
    note = f"{1 / seconds:,.0f} steps per second"
    numbers: dict[str, Any] = {"steps_per_second": 1 / seconds, "beta": case.beta}
    options = {"beta": case.beta, "n_repeats": max(3, timing["n_repeats"]), "n_long": n_long}
    answer = run_peer("cuqipy_steps", case.arrays, options)
    title = f"{case.name}: a step of pCN"
    if not answer:
        return Row(title, seconds, "CUQIpy PCN", None, f"{note}; not run: {answer.reason}", numbers)
    ours = case.posterior.predict(start)
    gap = float(np.abs(answer.arrays["value"] - ours).max() / max(1.0, np.abs(ours).max()))
    slow = answer.info["seconds_long"]
    note += (
        f"; there {1 / answer.info['seconds']:,.0f} in calls of 100, {1 / slow:,.0f} in one of {n_long:,}; both keep all "
        f"positions; predictions differ by {gap:.0e}"
    )
    numbers |= {"gap": gap, "peer": answer.info}
    name = f"CUQIpy PCN {answer.info['versions']['cuqipy']}"
    return Row(title, seconds, name, answer.info["seconds"], note, numbers)


def part_seconds(timing: Mapping[str, Any]) -> dict[str, float]:
    """Measure what pCN is made of: a normal number, a Cauchy transform, a tanh, and an operation of a matrix product."""
    rng = np.random.default_rng(0)
    x, out = rng.standard_normal(4096), np.empty(4096)
    wide = rng.standard_normal((80, 129))
    square, product = rng.standard_normal((80, 80)), np.empty((80, 129))
    no_table = np.empty((0, 0))
    seconds = {
        "normal": measure(lambda: fill_normal(rng, out), **timing).seconds / 4096,
        "transform": measure(lambda: transform_block(_CAUCHY, 1.0, no_table, x, out), **timing).seconds
        / 4096,
        "tanh": measure(lambda: tanh64_array(x, out), **timing).seconds / 4096,
    }
    product_seconds = measure(lambda: np.dot(square, wide, out=product), **timing).seconds
    return seconds | {"flop": product_seconds / (2 * 80 * 80 * 129)}


def floor_seconds(parts: Mapping[str, float], widths: tuple[int, ...], n: int, m: int) -> float:
    """Return what a step costs at least where nothing but its parts took time, one after the other."""
    dim = sum((i + 1) * o for i, o in itertools.pairwise(widths))
    flops = 2 * n * sum(i * o for i, o in itertools.pairwise(widths)) + 2 * m * n
    elementwise = dim * (parts["normal"] + parts["transform"]) + n * sum(widths[1:-1]) * parts["tanh"]
    return elementwise + flops * parts["flop"]


def floor_rows(sizes: tuple[int, ...], timing: Mapping[str, Any]) -> list[Row]:
    """Time pCN under all-Cauchy networks of several widths beside the sum of its parts."""
    parts, rows = part_seconds(timing), []
    words = ", ".join(f"{name} {1e9 * parts[name]:.2g} ns" for name in ("normal", "transform", "tanh"))
    words += f", products {1e-9 / parts['flop']:.1f} Gflop/s"
    for width in sizes:
        widths, n = (1, width, width, 1), 65 if width == 10 else 129
        posterior = _network(("cauchy",) * 3, widths, n)
        rng = np.random.default_rng(0)
        sampler = PCN(posterior, beta=0.01)
        state = sampler.warmup(rng, sampler.init(0.1 * rng.standard_normal(posterior.dim), rng), 500)
        n_steps = 200 if width == 10 else 50
        seconds = measure(partial(sampler.run, rng, state, n_steps), **timing).seconds / n_steps
        floor = floor_seconds(parts, widths, n, posterior.n_data)
        title = f"all-Cauchy [1,{width},{width},1], d = {posterior.dim}: a step of pCN"
        note = f"{1 / seconds:,.0f} steps per second, {100 * floor / seconds:.0f} % of the floor's speed; {words}"
        numbers = {"steps_per_second": 1 / seconds, "parts": parts, "floor_seconds": floor}
        rows.append(Row(title, seconds, "its parts", floor, note, numbers))
    return rows


# Effective draws.


def judge(name: str, chains: Chains, warm_up: float, note: str = "") -> Outcome:
    """Diagnose the function's values by the same estimators for every sampler."""
    worst = float(np.max(rhat(chains.values)))
    least = float(np.min(ess(chains.values)))
    # A chain that never moves has an R-hat that is not a number.
    worst = worst if np.isfinite(worst) else float("inf")
    return Outcome(name, worst, least, chains.seconds, chains.n_steps, warm_up, note)


def run_ours(case: Case, ours: Ours, cap: float, seed: int = 0) -> Outcome:
    """Warm up a chain from each start, then extend them until they agree or the time is up."""
    target, sampler = case.target, ours.build(case.posterior)
    rngs = [np.random.default_rng(own) for own in np.random.SeedSequence(seed).spawn(N_CHAINS)]
    # What is still to compile compiles here, on random numbers of its own.
    spare = np.random.default_rng(0)
    state = sampler.init(case.arrays["starts"][0], spare)
    sampler.run(spare, sampler.warmup(spare, state, 2), 1)

    def advance(chain: Any) -> Any:
        rng, state = chain
        state, info = sampler.run(rng, state, ours.n_block, keep_every=ours.thin)
        return (rng, state), info.positions, ours.n_block

    with one_thread():
        begun = time.process_time()
        chains = []
        for rng, start in zip(rngs, case.arrays["starts"]):
            chains.append((rng, sampler.warmup(rng, sampler.init(start, rng), ours.n_warm_up)))
        warm_up = time.process_time() - begun
        drawn = sample_until(advance, chains, partial(numpy_functions, target), cap=cap, goal=GOAL)
    return judge(ours.name, drawn, warm_up)


def run_theirs(case: Case, peer: Peer) -> Outcome | str:
    """Run a sampler of a peer from the same states; a string says why it did not run."""
    options = {"seed": 0, "goal": GOAL, **peer.options}
    answer = run_peer(peer.task, case.arrays, options)
    if not answer:
        return answer.reason
    values = answer.arrays["values"]
    note = ""
    if "n_walkers" in answer.info:
        note = f"; {answer.info['n_walkers']} walkers, diagnosed as so many chains"
    chains = Chains(values, answer.info["seconds"], answer.info["n_steps"])
    name = f"{peer.name} {answer.info['versions'][peer.package]}"
    return judge(name, chains, answer.info["warm_up"], note)


def own_row(case: Case, outcome: Outcome) -> Row:
    """Return a sampler of ours as a row: per effective draw, or the time in which it did not converge."""
    if outcome.converged:
        return Row(
            f"{case.name}: an effective draw, {outcome.name}",
            outcome.seconds_per_draw,
            "",
            None,
            outcome.words(),
            outcome.numbers(),
        )
    title = f"{case.name}: run of {outcome.name} without convergence"
    return Row(title, outcome.seconds, "", None, outcome.words(), outcome.numbers())


def peer_row(case: Case, best: Outcome, peer: Peer, theirs: Outcome | str) -> Row:
    """Return a peer's sampler beside the best of ours; there is no ratio where either did not converge."""
    if best.converged:
        title = f"{case.name}: an effective draw, {best.name}"
        seconds = best.seconds_per_draw
    else:
        title = f"{case.name}: run of {best.name} without convergence"
        seconds = best.seconds
    numbers: dict[str, Any] = {"ours": best.numbers()}
    if isinstance(theirs, str):
        return Row(title, seconds, peer.name, None, f"not run: {theirs}", numbers)
    numbers["peer"] = theirs.numbers()
    both = best.converged and theirs.converged
    return Row(
        title,
        seconds,
        theirs.name,
        theirs.seconds_per_draw if both else None,
        f"there {theirs.words()}",
        numbers,
    )


def sampler_rows(
    case: Case, ours: list[Ours], peers: list[Peer], caps: Mapping[str, float], callback: Callback
) -> list[Row]:
    """Run every sampler on one posterior; peers stand beside the best of ours."""
    outcomes = []
    for each in ours:
        callback(f"pcn: {case.name}, {each.name}")
        outcomes.append(run_ours(case, each, caps[each.name]))
    # The cheapest of those that converged, else the one that came nearest.
    best = min(outcomes, key=lambda o: (0, o.seconds_per_draw) if o.converged else (1, o.r_hat))
    rows = [own_row(case, outcome) for outcome in outcomes]
    for peer in peers:
        callback(f"pcn: {case.name}, {peer.name}")
        rows.append(peer_row(case, best, peer, run_theirs(case, peer)))
    return rows


def _cuqipy(sampler: str, cap: float, n_block: int, n_warm_up: int, **settings: Any) -> Peer:
    options = {"sampler": sampler, "cap": cap, "n_block": n_block, "thin": max(1, n_block // 20)}
    return Peer(
        f"CUQIpy {sampler}",
        "cuqipy_sampler",
        "cuqipy",
        {**options, "n_warm_up": n_warm_up, "settings": settings},
    )


def _blackjax(sampler: str, cap: float, n_block: int, thin: int, n_warm_up: int, **settings: Any) -> Peer:
    options = {"sampler": sampler, "cap": cap, "n_block": n_block, "thin": thin, "n_warm_up": n_warm_up}
    names = {"nuts": "NUTS", "hmc": "HMC", "elliptical_slice": "elliptical slice"}
    return Peer(
        f"blackjax {names[sampler]}", "blackjax_sampler", "blackjax", {**options, "settings": settings}
    )


def _emcee(cap: float, n_block: int, n_warm_up: int) -> Peer:
    options = {"cap": cap, "n_block": n_block, "thin": n_block // 2, "n_warm_up": n_warm_up}
    return Peer("emcee stretch move", "emcee_stretch", "emcee", options)


def _numpyro(cap: float, n_warm_up: int, **settings: Any) -> Peer:
    options = {"cap": cap, "n_block": 10, "thin": 1, "n_warm_up": n_warm_up, "settings": settings}
    return Peer("numpyro NUTS", "numpyro_nuts", "numpyro", options)


def _pymc(n_draws: int, n_warm_up: int, **settings: Any) -> Peer:
    options = {"n_draws": n_draws, "n_warm_up": n_warm_up, "settings": settings}
    return Peer("PyMC NUTS", "pymc_nuts", "pymc", options)


def _peers(kind: str, quick: bool) -> list[Peer]:
    if quick:
        return {
            "linear": [
                _cuqipy("PCN", 0.5, 100, 100),
                _blackjax("hmc", 0.5, 100, 10, 100, num_integration_steps=20),
            ],
            "cauchy": [],
            "mixed": [_emcee(0.5, 10, 10)],
        }[kind]
    if kind == "linear":
        return [
            _cuqipy("PCN", 10.0, 100, 500),
            # It does not tune this one; the step is that at which half of the proposals are accepted.
            _cuqipy("MALA", 8.0, 100, 0, scale=0.012),
            _cuqipy("NUTS", 10.0, 2, 50),
            _cuqipy("LinearRTO", 6.0, 50, 0),
            _emcee(10.0, 100, 500),
            _blackjax("nuts", 5.0, 20, 1, 500),
            _blackjax("hmc", 5.0, 100, 5, 500, num_integration_steps=20),
            _blackjax("elliptical_slice", 8.0, 500, 50, 0),
            _numpyro(5.0, 500),
            _pymc(500, 500),
        ]
    common = [
        _cuqipy("PCN", 8.0, 100, 500),
        _cuqipy("NUTS", 8.0, 1, 5, max_depth=6),
        _emcee(8.0, 100, 200),
    ]
    if kind == "cauchy":
        return [
            *common,
            _blackjax("nuts", 25.0, 5, 1, 300),
            _blackjax("hmc", 20.0, 100, 10, 500, num_integration_steps=20),
        ]
    return [
        *common,
        _blackjax("nuts", 80.0, 5, 1, 500),
        _blackjax("hmc", 25.0, 100, 10, 500, num_integration_steps=20),
        _blackjax("elliptical_slice", 8.0, 500, 50, 0),
        _numpyro(20.0, 200, max_tree_depth=8),
        _pymc(100, 200, max_treedepth=8),
    ]


def _ours(kind: str) -> list[Ours]:
    pcn = Ours("pCN", PCN, 2000, 2000, 50)
    if kind == "linear":
        hmc = partial(InfHMC, step_size=0.1, n_leapfrog=12)
        return [
            pcn,
            Ours("elliptical slice", EllipticalSlice, 10, 500, 10),
            Ours("infinity-HMC", hmc, 300, 100, 1),
        ]
    hmc = partial(InfHMC, step_size=0.01, n_leapfrog=20)
    samplers = [pcn, Ours("infinity-HMC", hmc, 500, 100, 10)]
    if kind == "mixed":
        collapsed = partial(CollapsedInfHMC, step_size=0.03, n_leapfrog=20)
        samplers += [
            Ours("collapsed pCN", CollapsedPCN, 2000, 1000, 50),
            Ours("collapsed infinity-HMC", collapsed, 500, 50, 2),
        ]
    return samplers


def _caps(kind: str, quick: bool) -> dict[str, float]:
    if quick:
        return {each.name: 0.3 for each in _ours(kind)}
    return {
        "linear": {"pCN": 10.0, "elliptical slice": 6.0, "infinity-HMC": 5.0},
        "cauchy": {"pCN": 20.0, "infinity-HMC": 20.0},
        "mixed": {"pCN": 15.0, "infinity-HMC": 15.0, "collapsed pCN": 40.0, "collapsed infinity-HMC": 25.0},
    }[kind]


def run_pcn(quick: bool, callback: Callback) -> list[Row]:
    """Time steps of pCN, then effective draws of every sampler on three posteriors."""
    timing: dict[str, Any] = {"n_repeats": 1 if quick else 5, "at_least": 0.02 if quick else 0.5}
    rng = np.random.default_rng(1)
    n_steps = 2000 if quick else 40_000
    callback("pcn: states to start from")
    cases = {
        "linear": linear_case(rng),
        "cauchy": network_case(("cauchy",) * 3, "(ii) all-Cauchy [1,10,10,1]", rng, n_steps),
        "mixed": network_case(
            ("cauchy", "cauchy", "gaussian"), "(iii) Cauchy-Gaussian [1,10,10,1]", rng, n_steps
        ),
    }
    rows = []
    for kind in ("linear", "cauchy"):
        callback(f"pcn: {cases[kind].name}, steps")
        rows.append(step_row(cases[kind], timing, 1000, 500 if quick else 10_000))
    callback("pcn: floors")
    rows += floor_rows((10,) if quick else (10, 40, 80), timing)
    for kind, case in cases.items():
        rows += sampler_rows(case, _ours(kind), _peers(kind, quick), _caps(kind, quick), callback)
    return rows


PCN_BENCHMARK = Benchmark(
    "pcn",
    "Samplers of inverse problems",
    "One thread, four chains (emcee: as many walkers as it needs), float64. A peer gets the posterior's arrays and writes "
    "it in NumPy, JAX or PyTensor; all start from the same states, exact draws for (i). An effective draw is processor time "
    "over the least bulk ESS of the function's values on the grid, without compiling and warm-up. Chains go on until R-hat "
    f"is below {GOAL} or their time is up; where it stays above {CONVERGED} there is no time of an effective draw. blackjax "
    "adapts on one chain for all four; PyMC draws a fixed number.",
    run_pcn,
)
