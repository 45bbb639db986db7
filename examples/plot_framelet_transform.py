"""
Split a graph signal into scales
================================

A framelet transform splits a signal on the nodes of a graph into one smooth part and detail parts at several
scales. Here the graph joins near points of the unit square, and the signal is smooth on four pieces with
jumps between them.
"""

import matplotlib.pyplot as plt
import numpy as np

from scinn.datasets import piecewise_smooth_signal, random_geometric_graph
from scinn.graphs import FrameletTransform, Graph

adjacency, coordinates = random_geometric_graph(1500, mean_degree=12, rng=0)
graph = Graph.from_scipy(adjacency)
signal = piecewise_smooth_signal(coordinates, n_pieces=4, rng=3)

# %%
# Three levels of the Haar bank give one low-pass band and three detail bands. ``n_coefficients="auto"`` takes
# as many Chebyshev coefficients as a frame needs that is tight to 1e-7.
transform = FrameletTransform(graph, bank="haar", levels=3, n_coefficients="auto")
coefficients = transform.analyze(signal)
print(transform)
print("bands (filter, level):", transform.bands)
print("coefficients:", coefficients.shape, coefficients.dtype)

# %%
# Tight means that energy is kept and that the transpose rebuilds the signal.
energy = np.sum(coefficients**2) / np.sum(signal**2)
error = np.abs(transform.synthesize(coefficients) - signal).max()
print(f"energy of the coefficients / energy of the signal = {energy:.9f}")
print(f"largest error after analysis and synthesis = {error:.1e}")

# %%
# The filters, as functions of the eigenvalue: each detail band looks at a part of the spectrum, and the
# squares add up to one.
figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
transform.plot(ax=ax)
ax.set_title("Responses of the bands")

# %%
# **What the paper claims**: the transform separates low-pass and high-pass information at several scales,
# without loss.
#
# **What you see**: the low-pass band is the signal with its jumps smoothed; the detail bands are close to
# zero inside the pieces and large along the jumps. The finer the band, the thinner the line.
figure, axes = plt.subplots(1, 5, figsize=(12.5, 2.9), layout="constrained", sharex=True, sharey=True)
panels = [("signal", signal), *((f"band {band}", c) for band, c in zip(transform.bands, coefficients))]
for ax, (title, values) in zip(axes, panels):
    detail = title not in ("signal", f"band {transform.bands[0]}")
    limit = np.abs(coefficients[1:]).max() / 2 if detail else np.abs(signal).max()
    colours = "RdBu_r" if detail else "viridis"
    low = -limit if detail else signal.min()
    drawn = ax.scatter(
        *coordinates.T, c=values, s=7, cmap=colours, vmin=low, vmax=limit if detail else signal.max()
    )
    figure.colorbar(drawn, ax=ax, shrink=0.7)
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
plt.show()
