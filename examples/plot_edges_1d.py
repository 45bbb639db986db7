"""
Edges of a blurred signal, and how sure one can be of them
===========================================================

A signal with six jumps was blurred, sampled at every second point and disturbed by noise. Two networks with random
weights serve as priors: one with Gaussian weights, one whose hidden layers have Cauchy weights.
"""

import matplotlib.pyplot as plt

from scinn.inverse import CollapsedPCN, Posterior, StableNNPrior, deconvolution_1d, map_estimate, sample

problem = deconvolution_1d(65, width=0.08, noise_std=0.1, inverse_crime=True, rng=0)
print(problem)

# %%
# The last layer is Gaussian in both, so that it can be integrated out: the sampler moves the hidden layers alone and
# draws the last one from its exact conditional law. Convergence is judged on the function, not on the weights, which
# have no meaning of their own. These chains are short, as the summary says; a minute more makes them better.
chains, estimates = {}, {}
for name, law in (("Gaussian", "gaussian"), ("Cauchy", ("cauchy", "cauchy", "gaussian"))):
    prior = StableNNPrior([1, 10, 10, 1], law=law, weight_scale=(10, 3, 1), bias_scale=(10, 3, 0.5))
    posterior = Posterior(prior, problem)
    estimates[name] = map_estimate(posterior, coordinates="projected", n_starts=4, max_iter=500, rng=0).best
    chains[name] = sample(
        CollapsedPCN,
        posterior,
        n_draws=500,
        n_chains=4,
        n_warmup=10_000,
        thin=100,
        rng=0,
        keep_positions=False,
    )
    print(name, chains[name].summary())

# %%
# **What the paper claims**: heavy-tailed weights give point estimates with a lower error where the truth has jumps, and
# uncertainty that is qualitatively more useful.
#
# **What you see**: from far the two posteriors look alike. With Cauchy weights the function is flatter between the edges,
# and the posterior probability of a step between neighbouring points also finds the lower edges on the right, which
# Gaussian weights turn into slopes. The small box in the middle is too low for this blur and noise: neither finds it.
x = problem.grid.points[:, 0]
figure, axes = plt.subplots(
    2, 2, figsize=(10, 5.5), sharex=True, sharey="row", height_ratios=(2, 1), layout="constrained"
)
for column, (name, found) in enumerate(chains.items()):
    top, bottom = axes[:, column]
    low, median, high = found.quantile([0.05, 0.5, 0.95])
    top.fill_between(x, low, high, alpha=0.3, lw=0, color=f"C{column}", label="90 % interval")
    top.plot(x, median, color=f"C{column}", label="median")
    top.plot(x, estimates[name].field, "--", color="0.2", lw=1, label="MAP estimate")
    top.plot(x, problem.truth, color="C2", lw=1, label="truth")
    top.plot(x[::2], problem.data, ".", color="0.6", ms=4, label="data")
    top.set_title(f"{name} hidden layers")
    bottom.bar(0.5 * (x[1:] + x[:-1]), found.jump_probability(0.2), width=x[1] - x[0], color=f"C{column}")
    bottom.set_xlabel("x")
axes[0, 0].set_ylabel("u(x)")
axes[0, 0].legend(fontsize=8)
axes[1, 0].set_ylabel("P(|step| > 0.2)")
plt.show()
