"""Language models over reversible or ordinary recurrent networks: embedding, network, softmax over all symbols.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. ``V``
symbols have vectors of ``E`` numbers; a network with ``H`` outputs predicts each symbol from those before it. A loss
is in nats per token, its exponential is the perplexity.

All masks of dropout hold for a whole call ("variational") and come from the call's key, so that the pass back, or a run
resumed elsewhere, finds the same ones: of the embedding's rows, of the inputs, between layers, of the outputs, and of
the recurrent weights (weight drop).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scinn._files import read_npz, write_npz
from scinn._input import as_index_array, check_in_range, check_positive_int
from scinn.nn.layer import check_dtype
from scinn.random import Key, RandomState, as_generator
from scinn.recurrent.cells import CELLS, build_cell, is_reversible, memory_options
from scinn.recurrent.heads import EmbeddingStream, SoftmaxHead
from scinn.recurrent.masks import dropout_mask
from scinn.recurrent.streaming import blas_threads

if TYPE_CHECKING:
    from scinn.recurrent.memory import MemoryReport

__all__ = ["CELLS", "Evaluation", "LanguageModel", "LanguageStep", "token_columns"]

FORMAT = 1
_KIND = "language model"
_INITIAL_RANGE = 0.1


class LanguageStep(NamedTuple):
    """A loss on one stretch of text and its gradients.

    Attributes
    ----------
    loss : float
        Mean nats per token.
    grads : dict of str to ndarray
        Under the names of the model's ``params``.
    state : tuple of tuple of ndarray
        The network's last state, from which the next stretch goes on.
    memory : MemoryReport
        What was remembered for the pass back.
    """

    loss: float
    grads: dict[str, np.ndarray]
    state: Any
    memory: MemoryReport


class Evaluation(NamedTuple):
    """How well a model predicts a text.

    Attributes
    ----------
    nats : float
        Mean loss per token.
    n_tokens : int
        Tokens that were predicted.

    Examples
    --------
    >>> evaluation = Evaluation(nats=2.0, n_tokens=10)
    >>> round(evaluation.perplexity, 4), round(evaluation.bits, 4)
    (7.3891, 2.8854)
    """

    nats: float
    n_tokens: int

    @property
    def perplexity(self) -> float:
        """``exp(nats)``."""
        return math.exp(self.nats) if self.nats < 709 else math.inf

    @property
    def bits(self) -> float:
        """Mean loss per token in bits; for text read by characters, bits per character."""
        return self.nats / math.log(2)


class LanguageModel:
    """A model that predicts each symbol of a text from those before it.

    Parameters
    ----------
    n_symbols : int
        Size of the vocabulary.
    n_embedding : int
        Numbers in the vector of a symbol.
    n_hidden : int or sequence of int
        Units of the network, one number for all layers or one for each; even for reversible cells.
    n_layers : int, default 1
        Layers of the network.
    cell : {"rev_gru", "rev_lstm", "gru", "lstm"}
        :class:`~scinn.recurrent.RevGRU`, :class:`~scinn.recurrent.RevLSTM`, or the ordinary cells of :mod:`scinn.nn`,
        which store all their states.
    tied : bool, default True
        Whether the output's matrix is the embedding (without its dropout); the last layer then has ``n_embedding``
        units.
    dropout_input, dropout_hidden, dropout_output, dropout_embedding, weight_drop : float, default 0
        Probabilities with which training drops inputs of the network, units between layers, outputs of the last layer,
        whole symbols at the input, and recurrent weights.
    max_forget_bits, coder, exactness, arithmetic
        Of reversible cells, as in :class:`~scinn.recurrent.RevGRU`; for others the defaults must be left.
    block : int, default 8
        Steps of a block, in which the loss is asked for.
    bounded : float or None
        Of ``"rev_lstm"``, as in :class:`~scinn.recurrent.RevLSTM`.
    compat : bool, default False
        Of ``"rev_gru"``, as in :class:`~scinn.recurrent.RevGRU`.
    dtype : dtype, default float32
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values; those of embedding and output are uniform within 0.1, biases zero.

    Notes
    -----
    ``params`` holds ``"embedding"`` (n_symbols, n_embedding), the network's parameters as ``"cell.<name>"``,
    ``"output.bias"`` (n_symbols,) and, where it is not tied, ``"output.weight"`` (n_out, n_symbols). The arrays are
    shared with ``cell``, the network; optimisers change them in place.

    References
    ----------
    MacKay et al. (2018), section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> model = LanguageModel(5, 8, 8, rng=0)
    >>> ids = np.arange(24).reshape(12, 2) % 5
    >>> step = model.loss_and_gradients(ids[:-1], ids[1:])
    >>> 1.4 < step.loss < 1.8, sorted(step.grads) == sorted(model.params)
    (True, True)
    >>> model.generate([0, 1], 4, rng=0).shape
    (4,)
    """

    def __init__(
        self,
        n_symbols: int,
        n_embedding: int,
        n_hidden: int | Sequence[int],
        n_layers: int = 1,
        *,
        cell: str = "rev_gru",
        tied: bool = True,
        max_forget_bits: float | None = 3.0,
        bounded: float | None = None,
        compat: bool = False,
        coder: str = "rans",
        exactness: str = "A",
        arithmetic: str = "fixed",
        dropout_input: float = 0.0,
        dropout_hidden: float = 0.0,
        dropout_output: float = 0.0,
        dropout_embedding: float = 0.0,
        weight_drop: float = 0.0,
        block: int = 8,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        self.n_symbols = check_positive_int(n_symbols, "n_symbols")
        self.n_embedding = check_positive_int(n_embedding, "n_embedding")
        self.cell_name, self.tied = cell, bool(tied)
        rates = {
            "dropout_input": dropout_input,
            "dropout_output": dropout_output,
            "dropout_embedding": dropout_embedding,
        }
        self.dropout = {
            name: check_in_range(rate, name, 0.0, 1.0, inclusive="left") for name, rate in rates.items()
        }
        dropout_hidden = check_in_range(dropout_hidden, "dropout_hidden", 0.0, 1.0, inclusive="left")
        dtype, generator = check_dtype(dtype), as_generator(rng)
        self._config = {
            "max_forget_bits": max_forget_bits, "bounded": bounded, "compat": bool(compat), "coder": coder,
            "exactness": exactness, "arithmetic": arithmetic,
        }  # fmt: skip
        embedding = _uniform(generator, (self.n_symbols, self.n_embedding), dtype)
        self.cell = build_cell(
            cell, self.n_embedding, n_hidden, n_layers, dropout=dropout_hidden, weight_drop=weight_drop,
            block=block, dtype=dtype, rng=generator, **self._config,
        )  # fmt: skip
        if self.tied and self.cell.n_out != self.n_embedding:
            raise ValueError(
                f"tied=True needs a last layer as wide as the embedding, which is {self.n_embedding}, and it has "
                f"{self.cell.n_out} units; give n_hidden for each layer, ending with {self.n_embedding}, or tied=False"
            )
        self.params: dict[str, np.ndarray] = {"embedding": embedding}
        self.params |= {f"cell.{name}": value for name, value in self.cell.params.items()}
        self.params["output.bias"] = np.zeros(self.n_symbols, dtype)
        if not self.tied:
            self.params["output.weight"] = _uniform(generator, (self.cell.n_out, self.n_symbols), dtype)

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the parameters."""
        return self.params["embedding"].dtype

    @property
    def n_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(value.size for value in self.params.values())

    @property
    def is_reversible(self) -> bool:
        """Whether the network's steps can be undone."""
        return is_reversible(self.cell_name)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {
            "n_symbols": self.n_symbols,
            "n_embedding": self.n_embedding,
            "n_hidden": list(self.cell.n_hidden_by_layer),
            "n_layers": self.cell.n_layers,
            "cell": self.cell_name,
            "tied": self.tied,
            **self._config,
            **self.dropout,
            "dropout_hidden": self.cell.dropout,
            "weight_drop": self.cell.weight_drop,
            "block": self.cell.block,
            "dtype": str(self.dtype),
        }

    def __repr__(self) -> str:
        hidden = ", ".join(str(width) for width in self.cell.n_hidden_by_layer)
        ends = "tied" if self.tied else "own output matrix"
        return (
            f"LanguageModel({self.n_symbols} symbols, {self.n_embedding} -> {hidden}; {self.cell_name}, {ends}; "
            f"{self.n_parameters} parameters)"
        )

    def loss_and_gradients(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        *,
        state: Any = None,
        key: Key | None = None,
        train: bool = True,
        memory: str | None = None,
        segment: int | None = None,
        budget_bytes: int | None = None,
        monitor: bool = False,
    ) -> LanguageStep:
        """Return the loss on a stretch of text and its gradients.

        Parameters
        ----------
        inputs : ndarray of int, shape (n_steps, n_rows)
            Tokens; each column is a text of its own.
        targets : ndarray of int, shape (n_steps, n_rows)
            The tokens that follow them.
        state : tuple of tuple of ndarray, optional
            The network's first state, usually the last one of the stretch before; no gradient reaches beyond it.
            Default zeros.
        key : Key, optional
            Address of the masks; needed in training with dropout.
        train : bool, default True
            Whether anything is dropped.
        memory : {"reverse", "store", "checkpoint", "hybrid", "auto"}, optional
            How a reversible network remembers, see :meth:`~scinn.recurrent.RevGRU.forward_pass`; default ``"reverse"``.
            Ordinary cells know ``"store"`` alone.
        segment, budget_bytes : int, optional
            As in :meth:`~scinn.recurrent.RevGRU.forward_pass`.
        monitor : bool, default False
            Count the bits that each unit of a reversible network forgets.

        Returns
        -------
        LanguageStep

        Raises
        ------
        TypeError, ValueError
            For tokens that are no symbols, shapes that do not fit, or a missing key.
        ReversibilityError
            Where a reversible network does not come back to the bits where it began.
        """
        inputs, targets = self._checked(inputs, targets)
        options = memory_options(self.cell_name, memory, segment, budget_bytes, monitor)
        dropping = any(self.dropout.values()) or self.cell.dropout or self.cell.weight_drop
        if train and dropping and not isinstance(key, Key):
            raise ValueError(
                f"this model drops units or weights in training, and key is {key!r}: pass key=scinn.random.Key(seed), "
                "another for each call, or train=False"
            )
        n_rows, masked = inputs.shape[1], train and isinstance(key, Key)
        root = key if isinstance(key, Key) else Key(0)

        def mask(name: str, *shape: int) -> np.ndarray | None:
            rate = self.dropout[f"dropout_{name}"] if masked else 0.0
            return dropout_mask(root.child(name), shape, rate, self.dtype)

        head = self._head(targets, mask=mask("output", n_rows, self.cell.n_out))
        stream = EmbeddingStream(
            inputs,
            self.params["embedding"],
            row_scale=mask("embedding", self.n_symbols),
            mask=mask("input", n_rows, self.n_embedding),
            grad=head.grads["weight"].T if self.tied else None,
        )
        losses: list[float] = []

        def output_gradient(first: int, end: int, outputs: np.ndarray) -> np.ndarray:
            loss, doutputs = head(first, end, outputs)
            losses.append(loss)
            return doutputs

        cell: Any = self.cell
        with blas_threads(1):
            trace = cell.forward_pass(stream, state=state, key=root.child("cell"), train=masked, **options)
            gradients = cell.backward_pass(trace, output_gradient)
        grads = {"embedding": stream.grad}
        grads |= {f"cell.{name}": value for name, value in gradients.grads.items()}
        grads["output.bias"] = head.grads["bias"]
        if not self.tied:
            grads["output.weight"] = head.grads["weight"]
        return LanguageStep(
            sum(losses), {name: grads[name] for name in self.params}, trace.state, trace.memory_report()
        )

    def evaluate(self, ids: np.ndarray, *, n_rows: int = 10, n_steps: int = 70) -> Evaluation:
        """Return how well the model predicts a text, without dropout and without tapes.

        Parameters
        ----------
        ids : ndarray of int, shape (n_tokens,)
            The text.
        n_rows : int, default 10
            Equal parts of the text that are read side by side; fewer than ``n_rows`` tokens at its end are left out,
            and each part begins without what came before it.
        n_steps : int, default 70
            Steps that are computed together.

        Returns
        -------
        Evaluation

        Raises
        ------
        TypeError, ValueError
            For tokens that are no symbols, or a text too short for so many rows.
        """
        columns = token_columns(self._ids(ids, "ids", 1), n_rows)
        n_steps = check_positive_int(n_steps, "n_steps")
        n_predicted = len(columns) - 1
        total, state = 0.0, None
        cell: Any = self.cell
        with blas_threads(1):
            for start in range(0, n_predicted, n_steps):
                end = min(start + n_steps, n_predicted)
                outputs, state = cell.run(self.params["embedding"][columns[start:end]], state)
                head = self._head(columns[start + 1 : end + 1], scale=1.0)
                total += head.loss(0, end - start, outputs)
        n_tokens = n_predicted * columns.shape[1]
        return Evaluation(total / n_tokens, n_tokens)

    def generate(
        self,
        prompt: Any,
        n_tokens: int,
        *,
        temperature: float = 1.0,
        n_best: int | None = None,
        rng: RandomState = None,
    ) -> np.ndarray:
        """Continue a text with tokens drawn from the model.

        Parameters
        ----------
        prompt : array_like of int, shape (n,)
            The text's beginning, at least one token, such as ``dataset.encode("The ")`` of a
            :class:`~scinn.datasets.TextDataset`, whose ``decode`` turns the result into text.
        n_tokens : int
            How many tokens to add.
        temperature : float, default 1
            Logits are divided by it: below 1 draws are more certain, and 0 takes the most probable token.
        n_best : int, optional
            Draw from this many most probable tokens only.
        rng : int, SeedSequence, Generator, Key or None
            Source of the draws.

        Returns
        -------
        ndarray of int64, shape (n_tokens,)
            The new tokens.

        Raises
        ------
        TypeError, ValueError
            For an empty prompt, or tokens that are no symbols.
        """
        ids = self._ids(prompt, "prompt", 1)
        if not ids.size:
            raise ValueError(
                "prompt is empty; at least one token is wanted, such as that of a sentence's end"
            )
        n_tokens = check_positive_int(n_tokens, "n_tokens", 0)
        temperature = check_in_range(temperature, "temperature", 0.0)
        n_best = self.n_symbols if n_best is None else check_positive_int(n_best, "n_best")
        generator = as_generator(rng)
        weight, bias = self._output()
        new = np.empty(n_tokens, dtype=np.int64)
        cell: Any = self.cell
        with blas_threads(1):
            outputs, state = cell.run(self.params["embedding"][ids[:, None]])
            for i in range(n_tokens):
                logits = (outputs[-1, 0] @ weight + bias).astype(np.float64)
                new[i] = _draw(logits, temperature, n_best, generator)
                if i + 1 < n_tokens:
                    outputs, state = cell.run(self.params["embedding"][new[i : i + 1, None]], state)
        return new

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an ``.npz`` file.

        Parameters
        ----------
        path : path-like
            Replaced as a whole or not at all.
        """
        write_npz(path, self.params, {"format": FORMAT, "kind": _KIND, "config": self.config()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LanguageModel:
        """Read a model that :meth:`save` wrote.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        LanguageModel

        Raises
        ------
        FileNotFoundError, ValueError
            Where there is no such file, or it holds something else.
        """
        arrays, meta = read_npz(path)
        if meta.get("kind") != _KIND or meta.get("format") != FORMAT:
            raise ValueError(f"{os.fspath(path)!r} holds no language model of format {FORMAT}")
        model = cls(**meta["config"], rng=0)
        shapes = {name: value.shape for name, value in arrays.items()}
        if shapes != {name: value.shape for name, value in model.params.items()}:
            raise ValueError(f"{os.fspath(path)!r} is damaged: its arrays do not fit its description")
        for name, value in model.params.items():
            value[...] = arrays[name]
        return model

    def _output(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrix (n_out, n_symbols) and the bias of the output."""
        weight = self.params["embedding"].T if self.tied else self.params["output.weight"]
        return weight, self.params["output.bias"]

    def _head(self, targets: np.ndarray, **options: Any) -> SoftmaxHead:
        weight, bias = self._output()
        return SoftmaxHead(weight, bias, targets, **options)

    def _ids(self, ids: Any, name: str, ndim: int) -> np.ndarray:
        return as_index_array(ids, name, n=self.n_symbols, ndim=ndim)

    def _checked(self, inputs: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = self._ids(inputs, "inputs", 2), self._ids(targets, "targets", 2)
        if inputs.shape != targets.shape or not inputs.size:
            raise ValueError(
                f"inputs and targets must have one shape (n_steps, n_rows) with at least one token, got {inputs.shape} and "
                f"{targets.shape}"
            )
        return inputs, targets


def token_columns(ids: np.ndarray, n_rows: int) -> np.ndarray:
    """Cut a text into equal parts that are read side by side.

    Parameters
    ----------
    ids : ndarray of int, shape (n_tokens,)
    n_rows : int
        Number of parts; tokens at the end that fill no row of the result are left out.

    Returns
    -------
    ndarray of int, shape (n_tokens // n_rows, n_rows)
        One part a column.

    Raises
    ------
    ValueError
        Where a part would have fewer than two tokens, so that there is nothing to predict.

    Examples
    --------
    >>> import numpy as np
    >>> token_columns(np.arange(7), 2).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    from scinn.datasets.text_batches import batch_stream

    n_rows = check_positive_int(n_rows, "n_rows")
    length = len(ids) // n_rows
    if length < 2:
        raise ValueError(
            f"a text of {len(ids)} tokens in {n_rows} rows has {length} tokens a row, and at least 2 are wanted; use fewer "
            "rows or more text"
        )
    return batch_stream(ids, n_rows)


def _uniform(generator: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return generator.uniform(-_INITIAL_RANGE, _INITIAL_RANGE, shape).astype(dtype)


def _draw(logits: np.ndarray, temperature: float, n_best: int, generator: np.random.Generator) -> int:
    """Draw a symbol from the softmax of logits, or take the largest for a temperature of zero."""
    if not np.isfinite(logits).all():
        raise ValueError("the model's logits are not finite; it was trained until it diverged")
    if temperature == 0.0:
        return int(logits.argmax())
    candidates = np.arange(len(logits))
    if n_best < len(logits):
        candidates = np.sort(np.argsort(-logits, kind="stable")[:n_best])
    shifted = (logits[candidates] - logits.max()) / temperature
    cumulated = np.cumsum(np.exp(shifted))
    position = np.searchsorted(cumulated, generator.random() * cumulated[-1], side="right")
    return int(candidates[min(int(position), len(candidates) - 1)])
