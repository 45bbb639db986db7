"""
How tight is the polynomial frame?
==================================

The exact transform keeps the energy of every signal. In practice its filters are replaced by Chebyshev
polynomials; the paper and its code take two coefficients for each filter. How much is lost, and what does it
cost to lose nothing?
"""

import matplotlib.pyplot as plt
import numpy as np

from scinn.datasets import ring_graph
from scinn.graphs import FrameletTransform, Graph

graph = Graph.from_scipy(ring_graph(200).adjacency)

# %%
# The defect is the largest deviation from 1 of the sum of squared responses, over the whole spectrum. With
# two coefficients it is 0.57, and the worst place is the eigenvalue 0: the smooth part of any signal comes
# back 1.57 times too large.
report = FrameletTransform(graph, n_coefficients=2).tightness_report()
print(report)

# %%
# A constant signal on a ring is purely smooth. The transpose rebuilds it with that factor; the true inverse
# does not.
ones = np.ones(graph.n_nodes)
for n in (2, 3, 4, 8):
    transform = FrameletTransform(graph, n_coefficients=n)
    coefficients = transform.analyze(ones)
    print(
        f"n = {n}: transpose gives {transform.synthesize(coefficients).mean():.6f}, "
        f"inverse gives {transform.inverse(coefficients).mean():.6f}"
    )

# %%
# **What the paper claims**: framelets are a tight frame, so that reconstruction is perfect.
#
# **What you see**: that holds for the exact filters. For polynomials it never holds exactly, since the
# leading coefficients of a sum of squares cannot cancel; but the defect falls geometrically, and with 12
# coefficients the Haar frame is tight to about 1e-13.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
numbers = np.arange(2, 21)
for bank in ("haar", "linear", "quadratic"):
    defects = [
        FrameletTransform(graph, bank=bank, n_coefficients=int(n)).tightness_report().defect for n in numbers
    ]
    left.semilogy(numbers, np.maximum(defects, 1e-16), "o-", ms=4, label=bank)
left.axhline(2.2e-16, color="0.6", lw=1, ls=":")
left.set(xlabel="Chebyshev coefficients of a filter", ylabel="tightness defect", xticks=[2, 4, 8, 12, 16, 20])
left.legend()
eigenvalues = np.linspace(0, 2, 400)
for n in (2, 3, 4):
    energy = (FrameletTransform(graph, n_coefficients=n).evaluate(eigenvalues) ** 2).sum(axis=0)
    right.plot(eigenvalues, energy, label=f"n = {n}")
right.axhline(1, color="0.3", lw=1)
right.set(xlabel="eigenvalue of the Laplacian", ylabel="sum of squared responses", title="Haar, two levels")
right.legend()
plt.show()
