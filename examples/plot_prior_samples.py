"""
Functions drawn from networks with random weights
=================================================

Before any data: what do functions look like whose weights are Gaussian, or Cauchy? On a line and on a square, with
three hidden layers of 50 units.
"""

import matplotlib.pyplot as plt
import numpy as np

from scinn.inverse import StableNNPrior

x = np.linspace(-1, 1, 801)
axis = np.linspace(-1, 1, 64)
points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
options = {"weight_scale": (10, 3, 3, 1), "bias_scale": (10, 3, 3, 0.5)}

# %%
# How much of a function's variation is its largest step between neighbouring points? For a smooth function that share
# falls with the grid's spacing; where there is a jump it stays.
for law in ("gaussian", "cauchy"):
    draws = StableNNPrior([1, 40, 40, 1], law=law, weight_scale=(3, 1.5, 1.5), bias_scale=(2, 2, 0.5))
    xi = draws.sample(0, 200)
    for n in (129, 2049):
        steps = np.abs(np.diff(draws.forward(xi, np.linspace(-1, 1, n)), axis=1))
        share = np.median(steps.max(axis=1) / steps.sum(axis=1))
        print(f"{law:>8}, {n:>4} points: the largest step is {100 * share:.2f} % of the variation (median)")


# %%
# **What the paper claims**: with heavy-tailed weights the functions look discontinuous already at finite width, in any
# dimension.
#
# **What you see**: Gaussian weights make smooth functions. With Cauchy weights single weights are so large that their unit
# switches within less than a pixel: jumps on the line, edges along lines and curves in the square. (Each function is
# scaled to the range from 0 to 1; for Cauchy weights the ranges differ by orders of magnitude.)
def scaled(values):
    """Map the range of a function to 0 to 1."""
    return (values - values.min()) / np.ptp(values)


figure, axes = plt.subplots(2, 4, figsize=(12, 5.2), layout="constrained", width_ratios=(1.8, 1, 1, 1))
for row, law in zip(axes, ("gaussian", "cauchy")):
    line = StableNNPrior([1, 50, 50, 50, 1], law=law, **options)
    for values in line.sample(1, 4, x):
        row[0].plot(x, scaled(values), lw=1)
    row[0].set(ylabel=f"{law.capitalize()} weights\nu, scaled", xlabel="x")
    square = StableNNPrior([2, 50, 50, 50, 1], law=law, **options)
    for ax, values in zip(row[1:], square.sample(2, 3, points)):
        ax.imshow(
            scaled(values).reshape(64, 64),
            origin="lower",
            extent=(-1, 1, -1, 1),
            cmap="RdBu_r",
            vmin=0,
            vmax=1,
        )
plt.show()
