"""
Store, check points, or undo?
=============================

Training a recurrent network goes back over all steps. What it needs there can be stored, computed again from
checkpoints, or undone from a tape of forgotten bits; the last two go together. Which takes the least memory
depends on the length of the sequence.
"""

import matplotlib.pyplot as plt
import numpy as np

from scinn.recurrent import RevGRU, plan_memory

# %%
# ``plan_memory`` counts the bytes and the extra passes of each way, and takes the one with the fewest passes
# that fits into the budget. On short sequences that is reversal.
print(plan_memory(280, 20, 256, budget_bytes=20 * 2**20))
print(plan_memory(20_000, 20, 256, budget_bytes=20 * 2**20))

# %%
# Nothing is promised that does not fit.
try:
    plan_memory(20_000, 20, 256, budget_bytes=2**20)
except ValueError as error:
    print(error)

# %%
# What a step forgets is measured on a network, here without training. Then each way is taken in turn, on 1000
# steps. Losses differ in the sixth digit where a tape begins anew at each checkpoint, since a tape hides digits in
# the low bits of the states; the gradients are those of the states that were computed.
n_rows, n_hidden, n_steps = 5, 64, 1000
network = RevGRU(8, n_hidden, rng=0)
x = np.random.default_rng(0).normal(size=(n_steps, n_rows, 8)).astype(np.float32)
forgotten = network.forward_pass(x, monitor=True).memory_report().forgotten_per_unit_step
print(f"{forgotten:.2f} bits of a unit are forgotten in a step")
measured = {}
for mode in ("store", "reverse", "checkpoint", "hybrid"):
    option = plan_memory(n_steps, n_rows, n_hidden, bits_per_unit=forgotten).option(mode)
    result = network.loss_and_gradients(
        x, lambda first, end, y: (float((y * y).sum() / 2), y), memory=mode, segment=option.segment
    )
    measured[mode] = (result.memory.stored_bits + result.memory.kept_bits) / 8
    print(f"{mode:<11}{measured[mode] / 1024:8.0f} KiB, loss {result.loss:.4f}")

# %%
# **What the paper claims**: reversal takes far less memory than storing states.
#
# **What you see**: so it does, by a fixed factor. But checkpoints grow with the square root of the length only.
# They overtake reversal after about (64 / b)\ :sup:`2` steps, if a step forgets b bits. Both together take the
# least, at one more pass forward.
lengths = np.unique(np.geomspace(16, 100_000, 60).astype(int))
plans = [plan_memory(int(n), n_rows, n_hidden, bits_per_unit=forgotten) for n in lengths]
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=(1.3, 1))
styles = {
    "store": ("0.4", "all states"),
    "checkpoint": ("C1", "checkpoints"),
    "reverse": ("C0", "reversal (tape)"),
    "hybrid": ("C2", "checkpoints and tape"),
}
per_unit = 8 / (n_rows * n_hidden)
for mode, (color, label) in styles.items():
    options = [plan.option(mode) for plan in plans]
    left.loglog(
        lengths, [per_unit * (o.state_bytes + o.tape_bytes) for o in options], color=color, label=label
    )
    left.plot(n_steps, per_unit * measured[mode], "o", color=color, mec="k")
left.plot([], [], "o", color="w", mec="k", label="measured")
left.axvline((64 / forgotten) ** 2, color="0.7", ls=":")
left.text((64 / forgotten) ** 2, 40, " (64 / b)²", color="0.4", fontsize=9)
left.set(xlabel="time steps", ylabel="remembered (bits of a unit and row)")
left.set_title(f"a step forgets b = {forgotten:.2f} bits of a unit")
left.legend(fontsize=8)

# %%
# The plan for one long batch, with working arrays, against a budget.
plan_memory(20_000, 20, 256, budget_bytes=20 * 2**20).plot(right)
right.set(xscale="log", xlim=(1, 3000), title="20 000 steps, 20 rows, 256 units, b = 2")
plt.show()
