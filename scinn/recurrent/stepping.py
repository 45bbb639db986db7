"""Steps forward and back over an array of inputs, without gradients.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Steps
are taken in the blocks of :mod:`scinn.recurrent.layer_pass`, layer by layer within a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scinn.recurrent.layer_pass import LayerPass
from scinn.recurrent.streaming import blas_threads, draw_masks
from scinn.recurrent.tapes import Tapes

if TYPE_CHECKING:
    from scinn.recurrent.network import ReversibleNetwork, State

__all__ = ["run", "run_back"]


def run(
    net: ReversibleNetwork, x: np.ndarray, state: State, alive: np.ndarray, tapes: Tapes | None
) -> tuple[np.ndarray, State]:
    """Take all steps; return the outputs and the last state.

    Where a unit leaves the fixed-point range, the tapes are brought back to what they were, and the error is raised.
    """
    n_steps, n_rows = x.shape[:2]
    record = tapes is not None and not net.is_real
    used = Tapes.make(net.coder, n_rows, net.n_layers) if tapes is None else tapes
    outputs = np.empty((n_steps, n_rows, net.n_out), net.dtype)
    with blas_threads(net.blas_threads):
        passes = net.passes(n_rows, draw_masks(net, n_rows, None, False), keep_gates=False)
        for layer, first in zip(passes, state):
            layer.load(first)
        for start in range(0, n_steps, net.block):
            stop = min(start + net.block, n_steps)
            block = x[start:stop]
            for i, layer in enumerate(passes):
                layer.set_values(0)
                layer.begin_block(block)
                for j in range(stop - start):
                    wrong = layer.forward(j, alive[start + j], used[i], record, None)
                    if wrong >= 0:
                        which, index = divmod(wrong, layer.state[0].size)
                        error = layer.range_error(which, index, start + j)
                        if record:
                            _undo_part(passes, x, alive, used, start, i, j)
                        raise error
                block = layer.outputs(stop - start)
            outputs[start:stop] = block
    return outputs, tuple(layer.snapshot() for layer in passes)


def run_back(net: ReversibleNetwork, x: np.ndarray, state: State, alive: np.ndarray, tapes: Tapes) -> State:
    """Undo all steps; return the state before them."""
    n_rows = x.shape[1]
    with blas_threads(net.blas_threads):
        passes = net.passes(n_rows, draw_masks(net, n_rows, None, False), keep_gates=False)
        for layer, last in zip(passes, state):
            layer.load(last)
        _blocks_back(passes, x, alive, tapes)
    return tuple(layer.snapshot() for layer in passes)


def _blocks_back(passes: list[LayerPass], x: np.ndarray, alive: np.ndarray, tapes: Tapes) -> None:
    depth = passes[0].setup.depth
    for start in reversed(range(0, len(x), depth)):
        stop = min(start + depth, len(x))
        block = x[start:stop]
        for i, layer in enumerate(passes):
            layer.begin_block(block)
            layer.set_values(stop - start)
            for j in reversed(range(stop - start)):
                layer.back(j, alive[start + j], tapes[i], None)
            block = layer.outputs(stop - start)


def _undo_part(
    passes: list[LayerPass], x: np.ndarray, alive: np.ndarray, tapes: Tapes, start: int, i: int, j: int
) -> None:
    """Take off the tapes what a run put there that failed in layer ``i`` at step ``start + j``."""
    stop = min(start + passes[0].setup.depth, len(x))
    for k, layer in enumerate(passes[: i + 1]):
        done = stop - start if k < i else j
        layer.set_values(done)
        for step in reversed(range(done)):
            layer.back(step, alive[start + step], tapes[k], None)
    _blocks_back(passes, x[:start], alive, tapes)
