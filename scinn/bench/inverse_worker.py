"""What the peers are asked to do for the benchmark of samplers on inverse problems.

Loaded by ``peer_worker.py`` from its own folder, and by scinn for what both sides share: the posterior in NumPy, the
stopping rule and the clock. At the top it imports nothing but NumPy, SciPy and the standard library.

A posterior density with respect to N(0, I) is exp(-|F(xi) - y|^2 / 2), F and y divided by the noise's standard deviation.
F is linear in xi, or a tanh network's values on a grid that an operator observes; its weights are normal or Cauchy.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

ROOT_HALF = math.sqrt(0.5)
#: Where a Cauchy variable of that quantile still is a float64.
LARGEST = 37.0


class Target(NamedTuple):
    """A posterior as arrays; `xp` below is NumPy, jax.numpy or pytensor.tensor."""

    #: Maps the function on the grid, or for a linear problem xi itself, to the data.
    operator: np.ndarray
    data: np.ndarray
    #: Maps xi to the function on the grid; without elements for a network.
    field: np.ndarray
    points: np.ndarray
    widths: tuple[int, ...]
    #: 1 for each layer whose weights are Cauchy, else 0.
    cauchy: tuple[int, ...]
    #: Of weights and biases, layer by layer.
    scales: np.ndarray

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        if self.field.size:
            return self.field.shape[1]
        return sum((i + 1) * o for i, o in itertools.pairwise(self.widths))


def as_target(arrays: dict[str, np.ndarray]) -> Target:
    """Rebuild a posterior from the arrays that travelled."""
    return Target(
        operator=arrays["operator"],
        data=arrays["data"],
        field=arrays["field"],
        points=arrays["points"],
        widths=tuple(int(width) for width in arrays["widths"]),
        cauchy=tuple(int(flag) for flag in arrays["cauchy"]),
        scales=arrays["scales"],
    )


def cauchy(xp: Any, erfc: Any, xi: Any) -> Any:
    """Turn normal variables into Cauchy variables, right far out in the tails."""
    tail = 0.5 * erfc(xp.minimum(xp.abs(xi), LARGEST) * ROOT_HALF)
    return xp.sign(xi) / xp.tan(math.pi * tail)


def layers(target: Target, xp: Any, erfc: Any, xi: Any) -> list[tuple[Any, Any]]:
    """Return weights and biases of each layer; `xi` may have axes before its last."""
    out, start = [], 0
    for layer, (inner, outer) in enumerate(itertools.pairwise(target.widths)):
        stop = start + (inner + 1) * outer
        theta = xi[..., start:stop]
        if target.cauchy[layer]:
            theta = cauchy(xp, erfc, theta)
        split = inner * outer
        weights = target.scales[0, layer] * theta[..., :split].reshape((*xi.shape[:-1], outer, inner))
        out.append((weights, target.scales[1, layer] * theta[..., split:]))
        start = stop
    return out


def functions(target: Target, xp: Any, erfc: Any, xi: Any) -> Any:
    """Return the function on the grid for coordinates along the last axis."""
    if target.field.size:
        return xi @ target.field.T
    values: Any = target.points
    for layer, (weights, biases) in enumerate(layers(target, xp, erfc, xi)):
        values = weights @ values + biases[..., None]
        if layer < len(target.widths) - 2:
            values = xp.tanh(values)
    return values[..., 0, :]


def predictions(target: Target, xp: Any, erfc: Any, xi: Any) -> Any:
    """Return F(xi)."""
    return (xi if target.field.size else functions(target, xp, erfc, xi)) @ target.operator.T


def log_likelihood(target: Target, xp: Any, erfc: Any, xi: Any) -> Any:
    """Return -|F(xi) - y|^2 / 2."""
    return -0.5 * ((predictions(target, xp, erfc, xi) - target.data) ** 2).sum(-1)


def numpy_functions(target: Target, xi: np.ndarray) -> np.ndarray:
    """Return the functions of a block of positions."""
    result: np.ndarray = functions(target, np, special.erfc, np.asarray(xi))
    return result


def numpy_predictions(target: Target, xi: np.ndarray) -> np.ndarray:
    """Return F of one position or several."""
    with np.errstate(over="ignore", invalid="ignore"):
        result: np.ndarray = predictions(target, np, special.erfc, np.asarray(xi))
    return result


def pull_back(target: Target, xi: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the transposed Jacobian of F times a vector."""
    direction = direction @ target.operator
    if target.field.size:
        return direction
    network = layers(target, np, special.erfc, xi)
    values = [target.points]
    for weights, biases in network[:-1]:
        values.append(np.tanh(weights @ values[-1] + biases[:, None]))
    delta = direction[None, :]
    parts: list[np.ndarray] = []
    for layer in reversed(range(len(network))):
        below = values[layer]
        scale_w, scale_b = target.scales[:, layer]
        parts[:0] = [scale_w * (delta @ below.T).ravel(), scale_b * delta.sum(axis=1)]
        if layer:
            delta = (network[layer][0].T @ delta) * (1 - below**2)
    gradient, start = np.concatenate(parts), 0
    for layer, (inner, outer) in enumerate(itertools.pairwise(target.widths)):
        stop = start + (inner + 1) * outer
        if target.cauchy[layer]:
            here = xi[start:stop]
            slope = 1 + cauchy(np, special.erfc, here) ** 2
            gradient[start:stop] *= math.sqrt(math.pi / 2) * np.exp(-0.5 * here**2) * slope
        start = stop
    return gradient


def rank_r_hat(values: np.ndarray) -> float:
    """Return the largest rank-normalised split R-hat (Vehtari et al. 2021) of (chains, draws, functions)."""
    half = values.shape[1] // 2
    halves = np.concatenate([values[:, :half], values[:, -half:]])
    worst = 0.0
    for column in np.moveaxis(halves, -1, 0):
        for each in (column, np.abs(column - np.median(column))):
            ranks = stats.rankdata(each, axis=None).reshape(each.shape)
            scores = special.ndtri((ranks - 0.375) / (each.size + 0.25))
            within = scores.var(axis=1, ddof=1).mean()
            between = half * scores.mean(axis=1).var(ddof=1)
            worst = max(worst, math.sqrt((between / within + half - 1) / half)) if within > 0 else math.inf
    return worst


class Chains(NamedTuple):
    """What a sampler left behind."""

    #: Functions on the grid: chains, draws, points.
    values: np.ndarray
    seconds: float
    n_steps: int


def sample_until(
    advance: Callable[[Any], tuple[Any, np.ndarray, int]],
    states: Sequence[Any],
    evaluate: Callable[[np.ndarray], np.ndarray],
    *,
    cap: float,
    goal: float,
) -> Chains:
    """Extend chains in turn until R-hat is below `goal` or `cap` seconds of processor time have gone by.

    ``advance(state)`` returns the next state, positions and a number of steps; a position may be a whole ensemble, whose
    walkers then are chains. R-hat is looked at after 1/16, 1/8, 1/4, 1/2 and all of the time only, so that a lucky moment
    has few chances. Functions are evaluated off the clock.
    """
    states, seconds, n_steps, look = list(states), 0.0, 0, cap / 16
    drawn: list[list[np.ndarray]] = [[] for _ in states]
    while True:
        for i, state in enumerate(states):
            start = time.process_time()
            states[i], positions, n = advance(state)
            seconds += time.process_time() - start
            n_steps += n
            drawn[i].append(evaluate(positions))
        if seconds < look or sum(len(block) for block in drawn[0]) < 8:
            continue
        values = np.stack([np.concatenate(blocks) for blocks in drawn])
        if values.ndim == 4:
            # Walkers side by side become chains.
            values = np.moveaxis(values, 2, 1).reshape(-1, values.shape[1], values.shape[3])
        if seconds >= cap or rank_r_hat(values) < goal:
            return Chains(values, seconds, n_steps)
        look = min(2 * look, cap)


def _answer(
    chains: Chains, warm_up: float, *packages: str, **more: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    versions = {name: metadata.version(name) for name in ("numpy", *packages)}
    info = {"seconds": chains.seconds, "n_steps": chains.n_steps, "warm_up": warm_up, "versions": versions}
    return {"values": chains.values}, info | more


def _sample(advance: Any, states: Sequence[Any], target: Target, options: dict[str, Any]) -> Chains:
    return sample_until(
        advance,
        states,
        lambda positions: numpy_functions(target, positions),
        cap=options["cap"],
        goal=options["goal"],
    )


def _cuqi_posterior(cuqi: Any, target: Target) -> Any:
    """Return the posterior as users of CUQIpy write it."""
    x = cuqi.distribution.Gaussian(np.zeros(target.dim), 1.0, name="x")
    if target.field.size:
        model = cuqi.model.LinearModel(target.operator)
    else:
        model = cuqi.model.Model(
            lambda x: numpy_predictions(target, x),
            range_geometry=len(target.data),
            domain_geometry=target.dim,
            gradient=lambda direction, x: pull_back(target, np.asarray(x), np.asarray(direction)),
        )
    y = cuqi.distribution.Gaussian(model(x), 1.0, name="y")
    return cuqi.distribution.JointDistribution(x, y)(y=target.data)


def _quiet_cuqi(need: Any) -> Any:
    # Its progress bar draws nothing then; what it shows is still computed.
    os.environ["TQDM_DISABLE"] = "1"
    cuqi = need("cuqi")
    cuqi.config.PROGRESS_BAR_DYNAMIC_UPDATE = False
    return cuqi


def cuqipy_steps(arrays: Any, options: Any, need: Any) -> Any:
    """Time steps of CUQIpy's PCN in short calls and in one long call."""
    cuqi, target = _quiet_cuqi(need), as_target(arrays)
    posterior = _cuqi_posterior(cuqi, target)
    found = {}
    # The acceptance rate that it shows is averaged over the whole call in each step, so that long calls are slower.
    for name, n, n_repeats in (("short", 100, options["n_repeats"]), ("long", options["n_long"], 1)):
        found[name] = math.inf
        for _ in range(n_repeats):
            sampler = cuqi.sampler.PCN(posterior, scale=options["beta"], initial_point=arrays["starts"][0])
            sampler.sample(1)
            start = time.process_time()
            sampler.sample(n)
            found[name] = min(found[name], (time.process_time() - start) / n)
    check = numpy_predictions(target, arrays["starts"][0])
    versions = {name: metadata.version(name) for name in ("numpy", "cuqipy")}
    return {"value": check}, {"seconds": found["short"], "seconds_long": found["long"], "versions": versions}


def cuqipy_sampler(arrays: Any, options: Any, need: Any) -> Any:
    """Run PCN, MALA, NUTS or LinearRTO of CUQIpy."""
    cuqi, target = _quiet_cuqi(need), as_target(arrays)
    posterior, kind = _cuqi_posterior(cuqi, target), getattr(cuqi.sampler, options["sampler"])
    # It draws from NumPy's global generator.
    np.random.seed(options["seed"])  # noqa: NPY002
    begun = time.process_time()
    samplers = []
    for start in arrays["starts"]:
        sampler = kind(posterior, initial_point=start, **options.get("settings", {}))
        if options["n_warm_up"]:
            sampler.warmup(options["n_warm_up"])
        samplers.append(sampler)
    warm_up = time.process_time() - begun
    n, thin = options["n_block"], options["thin"]

    def advance(sampler: Any) -> Any:
        sampler.sample(n)
        return sampler, np.array(sampler._samples[-n::thin]), n

    return _answer(_sample(advance, samplers, target, options), warm_up, "cuqipy")


def emcee_stretch(arrays: Any, options: Any, need: Any) -> Any:
    """Run emcee's stretch move on an ensemble; the likelihood takes half of the walkers at once."""
    emcee, target = need("emcee"), as_target(arrays)
    n, thin = options["n_block"], options["thin"]

    def log_density(xi: np.ndarray) -> np.ndarray:
        misfit = ((numpy_predictions(target, xi) - target.data) ** 2).sum(axis=-1)
        value = -0.5 * (misfit + (xi**2).sum(axis=-1))
        return np.where(np.isnan(value), -np.inf, value)

    walkers = arrays["walkers"]
    sampler = emcee.EnsembleSampler(*walkers.shape, log_density, vectorize=True)
    sampler.random_state = np.random.RandomState(options["seed"]).get_state()

    def advance(state: Any) -> Any:
        sampler.reset()
        state = sampler.run_mcmc(state, n // thin, thin_by=thin)
        return state, sampler.get_chain(), n * len(walkers)

    start = time.process_time()
    state = sampler.run_mcmc(walkers, options["n_warm_up"])
    warm_up = time.process_time() - start
    return _answer(_sample(advance, [state], target, options), warm_up, "emcee", n_walkers=len(walkers))


def _jax(need: Any) -> Any:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    jax = need("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


class Jitted(NamedTuple):
    """A sampler in JAX: both functions take and return a pytree that holds the state and the random key."""

    start: Callable[[Any, Any], Any]
    step: Callable[[Any], tuple[Any, Any]]


def _densities(jax: Any, target: Target) -> tuple[Any, Any]:
    erfc = jax.scipy.special.erfc

    def likelihood(xi: Any) -> Any:
        return log_likelihood(target, jax.numpy, erfc, xi)

    return likelihood, lambda xi: likelihood(xi) - 0.5 * xi @ xi


def _compiled(jax: Any, function: Any, *examples: Any) -> Any:
    return jax.jit(function).lower(*examples).compile()


def _run_jax(
    jax: Any, sampler: Jitted, keys: Any, target: Target, arrays: Any, options: Any
) -> tuple[Chains, float]:
    """Compile, then start a chain from each position and extend them."""
    n_draws, thin = options["n_block"] // options["thin"], options["thin"]

    def block(carry: Any) -> Any:
        def draw(carry: Any, _: Any) -> Any:
            carry = jax.lax.fori_loop(0, thin - 1, lambda _, c: sampler.step(c)[0], carry)
            return sampler.step(carry)

        return jax.lax.scan(draw, carry, None, length=n_draws)

    starts = jax.numpy.asarray(arrays["starts"])
    start = _compiled(jax, sampler.start, keys[0], starts[0])
    begun = time.process_time()
    states = [jax.block_until_ready(start(key, xi)) for key, xi in zip(keys, starts)]
    warm_up = time.process_time() - begun
    run = _compiled(jax, block, states[0])

    def advance(carry: Any) -> Any:
        carry, positions = jax.block_until_ready(run(carry))
        return carry, np.asarray(positions), n_draws * thin

    return _sample(advance, states, target, options), warm_up


def _carried(jax: Any, kernel: Any) -> Any:
    def step(carry: Any) -> Any:
        state, key = carry
        key, own = jax.random.split(key)
        state, _ = kernel(own, state)
        return (state, key), state.position

    return step


def blackjax_sampler(arrays: Any, options: Any, need: Any) -> Any:
    """Run NUTS or HMC after blackjax's window adaptation on one chain, or elliptical slice sampling, which needs none."""
    jax = _jax(need)
    blackjax, target = need("blackjax"), as_target(arrays)
    likelihood, density = _densities(jax, target)
    keys = jax.random.split(jax.random.key(options["seed"]), 1 + len(arrays["starts"]))
    adaptation, adapted = 0.0, {}
    if options["sampler"] == "elliptical_slice":
        # The prior's variances; the mean of both is zero.
        algorithm = blackjax.elliptical_slice(
            likelihood, mean=jax.numpy.zeros(target.dim), cov=jax.numpy.ones(target.dim)
        )
    else:
        method, settings = getattr(blackjax, options["sampler"]), options.get("settings", {})
        window = blackjax.window_adaptation(method, density, **settings)

        def adapt(key: Any, position: Any) -> Any:
            return window.run(key, position, num_steps=options["n_warm_up"])[0].parameters

        first = jax.numpy.asarray(arrays["starts"][0])
        run = _compiled(jax, adapt, keys[0], first)
        begun = time.process_time()
        found = jax.block_until_ready(run(keys[0], first))
        adaptation = time.process_time() - begun
        adapted = {"step_size": float(found["step_size"])}
        algorithm = method(density, **found)
    sampler = Jitted(lambda key, xi: (algorithm.init(xi), key), _carried(jax, algorithm.step))
    chains, warm_up = _run_jax(jax, sampler, keys[1:], target, arrays, options)
    return _answer(chains, adaptation + warm_up, "blackjax", "jax", **adapted)


def numpyro_nuts(arrays: Any, options: Any, need: Any) -> Any:
    """Run numpyro's NUTS, adapted in each chain."""
    jax = _jax(need)
    kernel_of, target = need("numpyro.infer").NUTS, as_target(arrays)
    _, density = _densities(jax, target)
    kernel = kernel_of(potential_fn=lambda xi: -density(xi), **options.get("settings", {}))
    # Called once outside of what is compiled: it prepares functions that the compiled one uses.
    first = jax.numpy.asarray(arrays["starts"][0])
    kernel.init(jax.random.PRNGKey(0), options["n_warm_up"], first, (), {})

    def step(state: Any) -> Any:
        state = kernel.sample(state, (), {})
        return state, state.z

    def start(key: Any, xi: Any) -> Any:
        state = kernel.init(key, options["n_warm_up"], xi, (), {})
        return jax.lax.fori_loop(0, options["n_warm_up"], lambda _, s: step(s)[0], state)

    keys = jax.random.split(jax.random.PRNGKey(options["seed"]), len(arrays["starts"]))
    chains, warm_up = _run_jax(jax, Jitted(start, step), keys, target, arrays, options)
    return _answer(chains, warm_up, "numpyro", "jax")


def pymc_nuts(arrays: Any, options: Any, need: Any) -> Any:
    """Run PyMC's NUTS for a number of draws; tuning is not counted."""
    pytensor, pm = need("pytensor.tensor"), need("pymc")
    target = as_target(arrays)
    with pm.Model() as model:
        xi = pm.Normal("xi", shape=target.dim)
        # Shapes are unknown to the compiler's shape[:-1] of a vector, so that the layers are told apart here.
        pm.Potential("likelihood", _pytensor_likelihood(pytensor, target, xi))
    clock: dict[int, list[float]] = {}

    def note(trace: Any, draw: Any) -> None:
        # A chain's clock starts with the last step of its tuning.
        if draw.tuning or draw.chain not in clock:
            clock[draw.chain] = [time.process_time()] * 2
        else:
            clock[draw.chain][1] = time.process_time()

    starts = [{"xi": start} for start in arrays["starts"]]
    settings = {"progressbar": False, "compute_convergence_checks": False, "return_inferencedata": False}
    with model:
        begun = time.process_time()
        step = pm.NUTS(**options.get("settings", {}))
        compiled = time.process_time() - begun
        trace = pm.sample(
            options["n_draws"],
            tune=options["n_warm_up"],
            chains=len(starts),
            cores=1,
            step=step,
            initvals=starts,
            random_seed=options["seed"],
            callback=note,
            **settings,
        )
    total = time.process_time() - begun - compiled
    seconds = sum(last - first for first, last in clock.values())
    values = np.stack([numpy_functions(target, chain) for chain in trace.get_values("xi", combine=False)])
    chains = Chains(values, seconds, len(starts) * options["n_draws"])
    return _answer(chains, total - seconds, "pymc", "pytensor")


def _pytensor_likelihood(tensor: ModuleType, target: Target, xi: Any) -> Any:
    return log_likelihood(target, tensor, tensor.erfc, xi)


#: Called with arrays, options and the importer that reports what is missing.
TASKS: dict[str, Callable[[Any, Any, Any], tuple[dict[str, Any], dict[str, Any]]]] = {
    "cuqipy_steps": cuqipy_steps,
    "cuqipy_sampler": cuqipy_sampler,
    "emcee_stretch": emcee_stretch,
    "blackjax_sampler": blackjax_sampler,
    "numpyro_nuts": numpyro_nuts,
    "pymc_nuts": pymc_nuts,
}
