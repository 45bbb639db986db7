"""Fused runs of the samplers that use gradients: infinity-MALA (pCNL), infinity-HMC, and the ordinary MALA and HMC.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Shape, notation and order of random numbers are those of :mod:`scinn.kernels.mcmc`; besides,
``gradient`` (d,) holds the gradient of the misfit at the position and is replaced. One step of each, in words:
:mod:`scinn.reference.mcmc_gradient`.

Ratios are in forms that never subtract two sums over all coordinates from each other. An infinite misfit is a rejection.
"""

from __future__ import annotations

import math

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels.inverse_model import misfit_gradient, workspace
from scinn.kernels.mcmc import adapted, fill_normal, finish, misfit_ratio, probability

__all__ = ["hamiltonian", "langevin"]


@jit
def _dot(a, b):
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@jit
def _prior_reversible_ratio(u, v, g, h, delta, temperature):
    """Return the part of rho(u, v) - rho(v, u) that holds gradients: g at u, h at v."""
    total = 0.0
    for j in range(len(u)):
        at, to = temperature * g[j], temperature * h[j]
        total += 0.5 * (v[j] - u[j]) * (at + to)
        total += 0.25 * delta * ((u[j] + v[j]) * (at - to) + (at - to) * (at + to))
    return total


@jit
def _ordinary_ratio(u, v, g, h, step, temperature):
    """Return log pi(v)/pi(u) without misfits, plus log q(v -> u) - log q(u -> v) of MALA."""
    total = 0.0
    for j in range(len(u)):
        at, to = temperature * g[j] + u[j], temperature * h[j] + v[j]
        move = v[j] - u[j]
        total += 0.5 * move * (at + to) - 0.5 * move * (u[j] + v[j])
        total += 0.125 * step * (at - to) * (at + to)
    return total


@jit
def langevin(
    model, rng, n, adapt, position, gradient, scalars, factor, ordinary, temperature, goal, last, keep_every, positions,
    trace,
):  # fmt: skip
    """Run n steps of infinity-MALA with step ``h = factor * scalars[1]``, or of the ordinary MALA.

    pCNL with step delta is infinity-MALA with ``h = 2 delta``.
    """
    d = len(position)
    work = workspace(model)
    proposal, slope, nothing = np.empty(d), np.empty(d), np.empty(0)
    value, size, t = scalars[0], scalars[1], scalars[2]
    for i in range(n):
        step = factor * size
        if ordinary:
            keep, pull, move = 1.0 - 0.5 * step, 0.5 * step, math.sqrt(step)
        else:
            keep = (1.0 - 0.25 * step) / (1.0 + 0.25 * step)
            move = math.sqrt(step) / (1.0 + 0.25 * step)
            pull = 0.5 * math.sqrt(step) * move
        pull *= temperature
        exponential = rng.standard_exponential()
        for j in range(d):
            proposal[j] = keep * position[j] - pull * gradient[j] + move * rng.standard_normal()
        proposed = misfit_gradient(model, proposal, work, slope)
        log_ratio = misfit_ratio(value, proposed, temperature)
        if ordinary:
            log_ratio += _ordinary_ratio(position, proposal, gradient, slope, step, temperature)
        else:
            log_ratio += _prior_reversible_ratio(position, proposal, gradient, slope, 0.5 * step, temperature)
        if proposed == math.inf:
            log_ratio = -math.inf
        chance = probability(log_ratio)
        accepted = log_ratio >= -exponential
        if accepted:
            position, proposal = proposal, position
            gradient, slope = slope, gradient
            value = proposed
        if adapt:
            size = adapted(size, chance, goal, t, 1e-8, 10.0)
            t += 1.0
        finish(
            model, work, i, n, position, last, nothing, keep_every, positions, trace[i],
            (1.0 if accepted else 0.0, chance, proposed, value, 1.0),
        )  # fmt: skip
    scalars[0], scalars[1], scalars[2] = value, size, t
    return position, gradient


@jit
def _kick(p, g, size):
    """Subtract ``size * g`` from p in place."""
    for j in range(len(p)):
        p[j] -= size * g[j]


@jit
def _rotating_trajectory(model, work, q, p, g, step, n_leapfrog, temperature):
    """Move q, p and g along; return the misfit, the change of energy without that of the misfit, and the gradients used.

    A half kick changes the kinetic energy by ``-(e/2) <p, g> + (e^2/8) |g|^2`` with p before it, the second one of a step by
    ``-(e/2) <p, g> - (e^2/8) |g|^2`` with p after it; rotations change no energy.
    """
    size = 0.5 * step * temperature
    cosine, sine = math.cos(step), math.sin(step)
    energy, value = 0.5 * size * size * _dot(g, g), 0.0
    for k in range(n_leapfrog):
        energy -= size * _dot(p, g)
        _kick(p, g, size)
        for j in range(len(q)):
            x = q[j]
            q[j] = cosine * x + sine * p[j]
            p[j] = cosine * p[j] - sine * x
        value = misfit_gradient(model, q, work, g)
        if value == math.inf:
            return value, math.inf, k + 1
        _kick(p, g, size)
        energy -= size * _dot(p, g)
    return value, energy - 0.5 * size * size * _dot(g, g), n_leapfrog


@jit
def _drifting_trajectory(model, work, q, p, g, step, n_leapfrog, temperature):
    """The same for the leapfrog of the ordinary HMC, where the prior is a part of the force."""
    size, half = 0.5 * step * temperature, 0.5 * step
    energy, value = -0.5 * (_dot(q, q) + _dot(p, p)), 0.0
    for k in range(n_leapfrog):
        _kick(p, g, size)
        for j in range(len(q)):
            p[j] -= half * q[j]
            q[j] += step * p[j]
        value = misfit_gradient(model, q, work, g)
        if value == math.inf:
            return value, math.inf, k + 1
        _kick(p, g, size)
        _kick(p, q, half)
    return value, energy + 0.5 * (_dot(q, q) + _dot(p, p)), n_leapfrog


@jit
def hamiltonian(
    model, rng, n, adapt, position, gradient, scalars, n_leapfrog, jitter, ordinary, temperature, goal, last, keep_every,
    positions, trace,
):  # fmt: skip
    """Run n steps of infinity-HMC, or of the ordinary HMC; step sizes are spread by ``jitter`` to both sides."""
    d = len(position)
    work = workspace(model)
    q, p, g, last_noise = np.empty(d), np.empty(d), np.empty(d), np.empty(len(last))
    value, size, t = scalars[0], scalars[1], scalars[2]
    for i in range(n):
        step = size * (1.0 + jitter * (2.0 * rng.random() - 1.0)) if jitter > 0.0 else size
        exponential = rng.standard_exponential()
        fill_normal(rng, p)
        for j in range(d):
            q[j], g[j] = position[j], gradient[j]
        if ordinary:
            proposed, energy, count = _drifting_trajectory(
                model, work, q, p, g, step, n_leapfrog, temperature
            )
        else:
            proposed, energy, count = _rotating_trajectory(
                model, work, q, p, g, step, n_leapfrog, temperature
            )
        log_ratio = misfit_ratio(value, proposed, temperature) - energy
        chance = probability(log_ratio)
        accepted = log_ratio >= -exponential
        if accepted:
            position, q = q, position
            gradient, g = g, gradient
            value = proposed
        if adapt:
            size = adapted(size, chance, goal, t, 1e-6, 1.2)
            t += 1.0
        fill_normal(rng, last_noise)
        finish(
            model, work, i, n, position, last, last_noise, keep_every, positions, trace[i],
            (1.0 if accepted else 0.0, chance, proposed, value, float(count)),
        )  # fmt: skip
    scalars[0], scalars[1], scalars[2] = value, size, t
    return position, gradient
