"""
What does a network forget, and when?
=====================================

A reversible network undoes its steps, so that the states of a sequence need not be stored. It can only do so
with the bits that its forget gates destroy, which it keeps on a tape. The tape therefore measures to the bit
what is forgotten: by which unit, and at which character of a text.
"""

import matplotlib.pyplot as plt
import numpy as np

from scinn import datasets
from scinn.nn.optimizers import Adam
from scinn.recurrent import LanguageModel, train_language_model

# %%
# A small model of characters learns from the help texts that every Python holds. A step may forget at most 3 of
# the 32 bits of a unit.
text = datasets.load("python-topics", level="characters")
model = LanguageModel(len(text.vocabulary), 32, 96, tied=False, max_forget_bits=3, rng=0)
history = train_language_model(
    model, text.train[:120_000], text.valid[:8_000], n_epochs=2, key=0, n_rows=20, n_steps=25,
    optimizer=Adam(1e-2), clip=1.0,
)  # fmt: skip
print(f"bits per character: {np.array(history['valid_loss']) / np.log(2)}")

# %%
# Twenty stretches of held-out text, 400 characters each. Every step's gates say what is forgotten at the least,
# the tape what is stored.
n_rows, n_steps = 20, 400
ids = text.valid[: n_rows * (n_steps + 1)].reshape(n_rows, n_steps + 1).T
report = model.loss_and_gradients(ids[:-1], ids[1:], train=False, monitor=True).memory
print(report)

network, state, tapes = model.cell, None, model.cell.make_tapes(n_rows)
stored = []
for t in range(n_steps):
    _, state = network.run(model.params["embedding"][ids[t : t + 1]], state, tapes)
    stored.append(len(tapes))
forgotten = report.forgotten_by_step() * report.n_units * n_rows

# %%
# **What the paper claims**: 10 to 15 times less memory than storing all states, in word models of 3 bits.
#
# **What you see**: the tape lies on the ideal, up to the 64 bits with which each row's coder begins. Both grow
# with the number of steps, as the states do, but far below them.
kilobytes = 8 * 1024
steps = np.arange(1, n_steps + 1)
figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
ax.loglog(steps, steps * report.state_bits / kilobytes, color="0.4", label="all states, 32 bits a unit")
ax.loglog(steps, np.array(stored) / kilobytes, lw=2, label="tape")
ax.loglog(steps, np.cumsum(forgotten) / kilobytes, "k--", lw=1, label="forgotten (ideal tape)")
ax.set(xlabel="time step (characters read)", ylabel=f"memory of {n_rows} rows (KiB)")
ax.set_title(f"after {n_steps} steps {report.ratio:.1f} times less than all states")
ax.legend()

# %%
# One row alone shows what is forgotten at which character. Units are sorted by what they forget on average: some
# keep nearly everything, others lose their 3 bits at each step.
one = model.loss_and_gradients(ids[:-1, 2:3], ids[1:, 2:3], train=False, monitor=True).memory
bits = one.forgotten[0]
symbols = [text.vocabulary[i] for i in ids[:-1, 2]]
first, end = 100, 170
order = np.argsort(bits.mean(axis=0))
figure, (above, below) = plt.subplots(
    2, 1, figsize=(10, 5.4), layout="constrained", height_ratios=(1, 2.2), sharex=True
)
above.bar(np.arange(first, end), bits[first:end].mean(axis=1), color="C0")
above.set(ylabel="mean bits\nforgotten", title="what one step forgets of the 32 bits of a unit")
image = below.imshow(
    bits[first:end, order].T, aspect="auto", origin="lower", interpolation="nearest",
    extent=(first - 0.5, end - 0.5, -0.5, len(order) - 0.5), vmin=0, vmax=3,
)  # fmt: skip
shown = {" ": "␣", "\n": "⏎"}
below.set_xticks(np.arange(first, end), [shown.get(s, s) for s in symbols[first:end]], fontsize=8)
below.set(xlabel="character read", ylabel="unit, sorted")
figure.colorbar(image, ax=below, label="bits forgotten")

# %%
# By kind of character, over all rows: most at a space, where a word ends. Single steps either keep a unit or forget
# as much of it as the limit allows.
kinds = {
    "letter": str.isalpha,
    "digit": str.isdigit,
    "space": lambda s: s == " ",
    "new line": lambda s: s == "\n",
}
by_kind = {name: [] for name in (*kinds, "other sign")}
for row in range(n_rows):
    own = model.loss_and_gradients(ids[:-1, row : row + 1], ids[1:, row : row + 1], train=False, monitor=True)
    for symbol, lost in zip((text.vocabulary[i] for i in ids[:-1, row]), own.memory.forgotten_by_step()):
        kind = next((name for name, holds in kinds.items() if holds(symbol)), "other sign")
        by_kind[kind].append(lost)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
names = [name for name, lost in by_kind.items() if lost]
bars = left.bar(names, [np.mean(by_kind[name]) for name in names])
left.bar_label(bars, fmt="%.2f", fontsize=8)
left.set(xlabel="character read", ylabel="bits forgotten of a unit (mean)")
counts, edges = one.histogram(30)
right.stairs(counts / counts.sum(), edges, fill=True)
right.set(xlabel="bits forgotten of a unit in a step (one row)", ylabel="share of units and steps")
plt.show()
