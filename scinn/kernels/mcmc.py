"""Fused runs of the samplers that use no gradient: pCN with its variants, random walk, elliptical slice.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Target: ``exp(-t Phi(xi))`` with respect to ``N(0, I)``; Phi is the misfit of a model, see
:mod:`scinn.kernels.inverse_model`. One step of each, in words: :mod:`scinn.reference.mcmc`.

All runs have one shape: ``position`` (d,) and ``scalars`` (misfit, step size, steps of adaptation so far) are replaced, each
row of ``trace`` (n, 5) tells of one step, and after each ``keep_every`` steps a row of ``positions`` is filled. Nothing else
is carried from one step to the next, so that a run gives the bits of its steps made one by one.

Where ``last`` (k,) is not empty, the model is a collapsed one and ``last`` holds the coordinates of its last layer. They are
drawn anew after each step given the others. The chain does not depend on them: only the draws that somebody sees are
computed, the random numbers of the others are passed over.

Order of random numbers in a step: choice in the ladder, exponential, normals, uniforms, normals of the last layer.
"""

from __future__ import annotations

import math

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels.collapsed_model import draw_last_layer
from scinn.kernels.inverse_model import misfit, workspace

__all__ = ["elliptical_slice", "pcn", "random_walk"]

ACCEPTED, PROBABILITY, PROPOSED, MISFIT, EVALUATIONS = 0, 1, 2, 3, 4
MAX_SHRINKS = 200
# Adapted variances of coordinates stay above this, so that no coordinate is frozen.
LEAST_VARIANCE = 1e-4


@jit
def adapted(step, rate, goal, t, least, most):
    """Return a step size moved towards the acceptance rate ``goal``, less and less as t grows."""
    return min(max(step * math.exp((rate - goal) / (t + 10.0) ** 0.6), least), most)


@jit
def probability(log_ratio):
    """Return min(1, exp(log_ratio)), and 0 for NaN."""
    if log_ratio >= 0.0:
        return 1.0
    return math.exp(log_ratio) if log_ratio < 0.0 else 0.0


@jit
def misfit_ratio(current, proposed, temperature):
    """Return t (Phi(u) - Phi(v)), which is 0 at t = 0 and for two infinite misfits."""
    if temperature == 0.0 or current == proposed:
        return 0.0
    return temperature * (current - proposed)


@jit
def fill_normal(rng, out):
    """Fill ``out`` with standard normals."""
    for j in range(len(out)):
        out[j] = rng.standard_normal()


@jit(inline="always")
def finish(model, work, i, n, position, last, noise, keep_every, positions, row, entries):
    """Draw the last layer where it is seen, keep the position where asked, and write the row of the trace."""
    for k in range(len(entries)):
        row[k] = entries[k]
    kept = keep_every > 0 and (i + 1) % keep_every == 0
    if len(last) > 0 and (kept or i == n - 1):
        draw_last_layer(model, position, noise, work, last)
    if kept:
        target = positions[(i + 1) // keep_every - 1]
        for j in range(len(position)):
            target[j] = position[j]
        for j in range(len(last)):
            target[len(position) + j] = last[j]


@jit
def _propose(position, noise, beta, variances, proposal):
    """Fill ``proposal`` with that of pCN, with variances of their own for the first coordinates or along some vectors."""
    keep = math.sqrt((1.0 - beta) * (1.0 + beta))
    for j in range(len(variances)):
        variance = min(1.0, max(LEAST_VARIANCE, variances[j]))
        move = beta * math.sqrt(variance)
        proposal[j] = math.sqrt((1.0 - move) * (1.0 + move)) * position[j] + move * noise[j]
    for j in range(len(variances), len(position)):
        proposal[j] = keep * position[j] + beta * noise[j]


@jit
def _bend(position, noise, beta, vectors, columns, eigenvalues, proposal):
    """Change a pCN proposal to that of gpCN, ``v + V [(a - a0) V^T u + (s - b) V^T w]``."""
    r = len(eigenvalues)
    along, across = np.zeros(r), np.zeros(r)
    for j in range(len(position)):
        for k in range(r):
            along[k] += columns[j, k] * position[j]
            across[k] += columns[j, k] * noise[j]
    keep = math.sqrt((1.0 - beta) * (1.0 + beta))
    for k in range(r):
        move = beta / math.sqrt(1.0 + eigenvalues[k])
        factor = (math.sqrt((1.0 - move) * (1.0 + move)) - keep) * along[k] + (move - beta) * across[k]
        for j in range(len(position)):
            proposal[j] += factor * vectors[k, j]


@jit
def _learn_variances(position, mean, variances, t):
    """Move running means and variances of the first coordinates; later steps weigh more, each ever less."""
    gain = 2.0 / (t + 100.0)
    for j in range(len(variances)):
        delta = position[j] - mean[j]
        mean[j] += gain * delta
        variances[j] = (1.0 - gain) * (variances[j] + gain * delta * delta)


@jit
def pcn(
    model, rng, n, adapt, position, scalars, ladder, early, temperature, goal, mean, variances, vectors, eigenvalues,
    last, keep_every, positions, trace,
):  # fmt: skip
    """Run n steps of pCN; gpCN with ``vectors`` (r, d), adaptive pCN with ``variances`` (k,), collapsed with ``last``.

    ``ladder`` holds factors of the step size, one of which is drawn for each step. Without ``early`` every misfit is
    computed to its end, so that the acceptance probability is exact.
    """
    d = len(position)
    work = workspace(model)
    columns = vectors.T.copy()
    noise, proposal, last_noise = np.empty(d), np.empty(d), np.empty(len(last))
    value, beta, t = scalars[0], scalars[1], scalars[2]
    for i in range(n):
        factor = ladder[int(rng.random() * len(ladder))] if len(ladder) > 1 else ladder[0]
        size = min(1.0, beta * factor)
        limit = rng.standard_exponential()
        limit = value + limit / temperature if temperature > 0.0 else math.inf
        fill_normal(rng, noise)
        _propose(position, noise, size, variances, proposal)
        if len(eigenvalues) > 0:
            _bend(position, noise, size, vectors, columns, eigenvalues, proposal)
        proposed = misfit(model, proposal, work, limit if early else math.inf)
        chance = probability(misfit_ratio(value, proposed, temperature))
        accepted = proposed <= limit
        if accepted:
            position, proposal = proposal, position
            value = proposed
        if adapt:
            # The event and not its probability, which early rejection leaves unknown.
            beta = adapted(beta, 1.0 if accepted else 0.0, goal, t, 1e-4, 0.999)
            t += 1.0
            _learn_variances(position, mean, variances, t)
        fill_normal(rng, last_noise)
        finish(
            model, work, i, n, position, last, last_noise, keep_every, positions, trace[i],
            (1.0 if accepted else 0.0, chance, proposed, value, 1.0),
        )  # fmt: skip
    scalars[0], scalars[1], scalars[2] = value, beta, t
    return position


@jit
def random_walk(
    model, rng, n, adapt, position, scalars, early, temperature, goal, last, keep_every, positions, trace
):
    """Run n steps of random-walk Metropolis in white coordinates."""
    d = len(position)
    work = workspace(model)
    proposal, nothing = np.empty(d), np.empty(0)
    value, step, t = scalars[0], scalars[1], scalars[2]
    for i in range(n):
        exponential = rng.standard_exponential()
        prior = 0.0
        for j in range(d):
            move = step * rng.standard_normal()
            proposal[j] = position[j] + move
            prior -= 0.5 * move * (position[j] + proposal[j])
        limit = value + (exponential + prior) / temperature if temperature > 0.0 else math.inf
        proposed = misfit(model, proposal, work, limit if early else math.inf)
        log_ratio = misfit_ratio(value, proposed, temperature) + prior
        accepted = log_ratio >= -exponential
        if accepted:
            position, proposal = proposal, position
            value = proposed
        if adapt:
            step = adapted(step, 1.0 if accepted else 0.0, goal, t, 1e-6, 10.0)
            t += 1.0
        finish(
            model, work, i, n, position, last, nothing, keep_every, positions, trace[i],
            (1.0 if accepted else 0.0, probability(log_ratio), proposed, value, 1.0),
        )  # fmt: skip
    scalars[0], scalars[1], scalars[2] = value, step, t
    return position


@jit
def elliptical_slice(
    model, rng, n, position, scalars, early, temperature, last, keep_every, positions, trace
):
    """Run n steps of elliptical slice sampling; the step size in ``scalars`` has no part in it."""
    d = len(position)
    work = workspace(model)
    noise, proposal, nothing = np.empty(d), np.empty(d), np.empty(0)
    value = scalars[0]
    for i in range(n):
        limit = rng.standard_exponential()
        limit = value + limit / temperature if temperature > 0.0 else math.inf
        fill_normal(rng, noise)
        angle = 2.0 * math.pi * rng.random()
        low, high = angle - 2.0 * math.pi, angle
        proposed, accepted, count = math.inf, False, 0
        while not accepted and count < MAX_SHRINKS:
            cosine, sine = math.cos(angle), math.sin(angle)
            for j in range(d):
                proposal[j] = cosine * position[j] + sine * noise[j]
            proposed = misfit(model, proposal, work, limit if early else math.inf)
            count += 1
            accepted = proposed <= limit
            if not accepted:
                if angle < 0.0:
                    low = angle
                else:
                    high = angle
                angle = low + (high - low) * rng.random()
        if accepted:
            position, proposal = proposal, position
            value = proposed
        finish(
            model, work, i, n, position, last, nothing, keep_every, positions, trace[i],
            (1.0 if accepted else 0.0, 1.0 if accepted else 0.0, proposed, value, float(count)),
        )  # fmt: skip
    scalars[0] = value
    return position
