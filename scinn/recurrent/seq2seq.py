"""Sequence to sequence with attention, where encoder and decoder are undone instead of stored.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
5.2. Notation: ``S`` and ``T`` steps of source and target, ``B`` rows, ``E`` features of an embedding, ``H`` units of
a layer.

Layer ``l`` of the decoder begins in the last state of the encoder's layer ``l``. The decoder's top state attends to one
context vector for each source step, which may be (``context``):

* ``"hidden"``: the encoder's whole top state, which then is stored at every step and not undone;
* ``"slice"``: its first ``n_slice`` units, stored in full, while all others are undone;
* ``"embedding"``: the embedding of the source's symbol, which costs nothing, because it is looked up again;
* ``"slice_embedding"``: both, the embedding first.

The gradient by the contexts is added up over all steps of the decoder, and goes into the encoder's top state when the
encoder's step is undone. Losses are asked for by blocks of steps, so that no more than a block of logits exists.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scinn._files import read_npz, write_npz
from scinn._input import as_index_array, check_in_range, check_positive_int
from scinn.nn.layer import check_dtype
from scinn.nn.network import copy_arrays
from scinn.random import Key, RandomState, as_generator
from scinn.recurrent.attention import Attention
from scinn.recurrent.attention_head import AttentionHead
from scinn.recurrent.cells import CELLS, build_cell, memory_options
from scinn.recurrent.contexts import CONTEXTS, ContextSource
from scinn.recurrent.decoding import Hypothesis, beam_search
from scinn.recurrent.heads import EmbeddingStream
from scinn.recurrent.masks import dropout_mask
from scinn.recurrent.streaming import blas_threads

if TYPE_CHECKING:
    from scinn.recurrent.memory import MemoryReport

__all__ = ["CELLS", "CONTEXTS", "Encoded", "Seq2Seq", "Seq2SeqStep"]

_FORMAT = 1
_KIND = "sequence to sequence"


class Seq2SeqStep(NamedTuple):
    """A batch's loss, its gradients, and what encoder and decoder remembered for them.

    Parameters
    ----------
    loss : float
        Cross-entropy in nats, summed over symbols and divided by the number of rows.
    nats_per_token : float
        The same sum divided by the number of symbols predicted; its exponential is the perplexity.
    n_tokens : int
        Symbols predicted.
    n_source_tokens : int
        Symbols read by the encoder.
    grads : dict of str to ndarray
        Gradients of ``loss`` under the names of the parameters.
    encoder_memory, decoder_memory : MemoryReport
        Those of reversible cells leave out the padding behind the rows' ends; ordinary cells store it.
    attention_bytes : int
        Bytes of the contexts and of their gradient, which live through the decoder's pass whatever the cell.
    """

    loss: float
    nats_per_token: float
    n_tokens: int
    n_source_tokens: int
    grads: dict[str, np.ndarray]
    encoder_memory: MemoryReport
    decoder_memory: MemoryReport
    attention_bytes: int


class Encoded(NamedTuple):
    """A batch of sources, read: what the decoder begins with and attends to.

    Parameters
    ----------
    state : tuple of tuple of ndarray
        The encoder's last state.
    memory : ndarray, shape (S, B, n_context)
        Context vectors.
    lengths : ndarray of int, shape (B,)
    """

    state: Any
    memory: np.ndarray
    lengths: np.ndarray


class Seq2Seq:
    """Encoder, decoder, and attention between them.

    Parameters
    ----------
    n_source, n_target : int
        Symbols of the two languages.
    n_embedding, n_hidden : int
        Features of an embedding; units of a layer, even for the reversible cells.
    n_layers : int, default 1
        Layers of the encoder, and of the decoder.
    cell : {"rev_gru", "rev_lstm", "gru", "lstm"}
        The ordinary cells store all states and gates.
    context : {"hidden", "embedding", "slice", "slice_embedding"}
        What is attended to; ``"emb"`` and ``"slice_emb"`` are other names.
    n_slice : int, optional
        Units of a slice, at most half of ``n_hidden`` for reversible cells; only for the contexts with slices.
    max_forget_bits, coder, exactness, arithmetic
        Of the reversible cells, as for :class:`~scinn.recurrent.RevGRU`; for others the defaults must be left.
    bounded : float or None, default None
        Of ``"rev_lstm"``, as for :class:`~scinn.recurrent.RevLSTM`.
    compat : bool, default False
        Of ``"rev_gru"``, as for :class:`~scinn.recurrent.RevGRU`.
    dropout : float, default 0
        Share dropped of embedded inputs, between layers, of the decoder's output and of slices.
    dropout_input, dropout_hidden, dropout_output, dropout_context : float, optional
        One of the four, where it is not ``dropout``. Masks hold for all steps of a batch.
    block : int, default 8
        Steps of a block.
    init_scale : float, optional
        Draw all weights uniformly within this distance of 0, as the paper does with 0.1; default: the cells' own
        rule, and 0.1 for the embeddings.
    dtype : dtype, default float32
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Attributes
    ----------
    params : dict of str to ndarray
        ``source_embedding`` (n_source, E), ``target_embedding`` (n_target, E), those of the two networks behind
        ``encoder.`` and ``decoder.``, ``attention.weight_score``, ``attention.weight_out``, ``output.weight`` (H,
        n_target) and ``output.bias``.

    Notes
    -----
    Rows stop at their lengths: afterwards they change no state and store no bits.

    References
    ----------
    MacKay et al. (2018), section 5.2 and table 3; Luong, Pham and Manning (2015) for the attention.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.random import Key
    >>> model = Seq2Seq(7, 6, 8, 8, context="slice_embedding", n_slice=2, rng=0)
    >>> source, target = np.array([[3, 4], [5, 0]]), np.array([[1, 1], [3, 4], [2, 2]])
    >>> step = model.loss_and_gradients(source, [2, 1], target, [3, 3], key=Key(0))
    >>> step.n_tokens, sorted(step.grads) == sorted(model.params)
    (4, True)
    """

    def __init__(
        self,
        n_source: int,
        n_target: int,
        n_embedding: int,
        n_hidden: int,
        n_layers: int = 1,
        *,
        cell: str = "rev_gru",
        context: str = "slice_embedding",
        n_slice: int | None = None,
        max_forget_bits: float | None = 3.0,
        bounded: float | None = None,
        coder: str = "rans",
        exactness: str = "A",
        compat: bool = False,
        arithmetic: str = "fixed",
        dropout: float = 0.0,
        dropout_input: float | None = None,
        dropout_hidden: float | None = None,
        dropout_output: float | None = None,
        dropout_context: float | None = None,
        block: int = 8,
        init_scale: float | None = None,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        self.n_source = check_positive_int(n_source, "n_source")
        self.n_target = check_positive_int(n_target, "n_target")
        self.n_hidden = check_positive_int(n_hidden, "n_hidden")
        self.cell = cell
        sizes = {
            "n_source": self.n_source, "n_target": self.n_target, "n_hidden": self.n_hidden,
            "n_embedding": check_positive_int(n_embedding, "n_embedding"),
            "n_layers": check_positive_int(n_layers, "n_layers"),
        }  # fmt: skip
        self._rates = {
            name: check_in_range(dropout if rate is None else rate, name, 0.0, 1.0, inclusive="left")
            for name, rate in (
                ("dropout_input", dropout_input),
                ("dropout_hidden", dropout_hidden),
                ("dropout_output", dropout_output),
                ("dropout_context", dropout_context),
            )
        }
        options: dict[str, Any] = {
            "max_forget_bits": max_forget_bits, "bounded": bounded, "coder": coder, "exactness": exactness,
            "compat": bool(compat), "arithmetic": arithmetic, "block": check_positive_int(block, "block"),
            "dtype": str(check_dtype(dtype)),
        }  # fmt: skip
        if init_scale is not None:
            init_scale = check_in_range(init_scale, "init_scale", 0.0)
        generator = as_generator(rng)
        self.encoder, self.decoder = (
            build_cell(
                cell, sizes["n_embedding"], self.n_hidden, sizes["n_layers"],
                dropout=self._rates["dropout_hidden"], rng=generator, **options,
            )
            for _ in range(2)
        )  # fmt: skip
        self._contexts = ContextSource(
            context, n_slice, cell, n_hidden=self.n_hidden, n_embedding=sizes["n_embedding"]
        )
        self.context, self.n_slice = self._contexts.name, self._contexts.n_slice
        self._config = {
            **sizes, "cell": cell, **options, "init_scale": init_scale, "context": self.context,
            "n_slice": self.n_slice, **self._rates,
        }  # fmt: skip
        self._draw_parameters(generator)

    def _draw_parameters(self, rng: np.random.Generator) -> None:
        """Draw attention, embeddings and output, and bring all parameters together."""
        dtype, width, init_scale = self.encoder.dtype, self._config["n_embedding"], self._config["init_scale"]
        self.attention = Attention(self.n_hidden, self._contexts.n_features, dtype=dtype, rng=rng)
        scale = 0.1 if init_scale is None else init_scale
        bound = 1.0 / np.sqrt(self.n_hidden) if init_scale is None else scale

        def uniform(shape: tuple[int, ...], within: float) -> np.ndarray:
            return rng.uniform(-within, within, shape).astype(dtype)

        self.params = {
            "source_embedding": uniform((self.n_source, width), scale),
            "target_embedding": uniform((self.n_target, width), scale),
            **{f"encoder.{name}": value for name, value in self.encoder.params.items()},
            **{f"decoder.{name}": value for name, value in self.decoder.params.items()},
            **{f"attention.{name}": value for name, value in self.attention.params.items()},
            "output.weight": uniform((self.n_hidden, self.n_target), bound),
            "output.bias": np.zeros(self.n_target, dtype),
        }
        if init_scale is not None:
            for name, value in self.params.items():
                if "bias" not in name:
                    value[...] = uniform(value.shape, scale)
        #: Nothing that is not trained: here for the training loop.
        self.state: dict[str, np.ndarray] = {}

    # What it is

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the parameters."""
        return self.params["output.weight"].dtype

    @property
    def n_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(value.size for value in self.params.values())

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return dict(self._config)

    def __repr__(self) -> str:
        c = self._config
        return (
            f"Seq2Seq({self.n_source} -> {self.n_target}; {c['n_layers']} + {c['n_layers']} layers of {self.cell} with "
            f"{self.n_hidden} units, context {self.context!r}; {self.n_parameters} parameters)"
        )

    def update_state(self, saved: Any) -> None:
        """Do nothing: here for the training loop."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file."""
        write_npz(path, self.params, {"format": _FORMAT, "kind": _KIND, "config": self.config()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Seq2Seq:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        Seq2Seq

        Raises
        ------
        ValueError
            For a file of something else.
        """
        arrays, meta = read_npz(path)
        if meta.get("kind") != _KIND or meta.get("format") != _FORMAT:
            raise ValueError(f"{path} holds no Seq2Seq of format {_FORMAT}, but {meta.get('kind')!r}")
        model = cls(**meta["config"])
        copy_arrays(model.params, arrays, "the model")
        return model

    # Training

    def loss_and_gradients(
        self,
        source: Any,
        source_lengths: Any,
        target: Any,
        target_lengths: Any,
        *,
        key: Key | None = None,
        train: bool = True,
        memory: str | None = None,
        segment: int | None = None,
        budget_bytes: int | None = None,
        monitor: bool = False,
    ) -> Seq2SeqStep:
        """Return the loss of a batch of pairs, and its gradients.

        Parameters
        ----------
        source : array_like of int, shape (S, B)
            Symbols of the sources.
        source_lengths : array_like of int, shape (B,)
            From 1 to S; what lies behind is not looked at, but must be symbols.
        target : array_like of int, shape (T, B)
            Symbols of the targets, that of the beginning first and that of the end last: step ``t`` reads row ``t`` and
            predicts row ``t + 1``.
        target_lengths : array_like of int, shape (B,)
            From 2 to T.
        key : Key, optional
            Address of the masks of dropout.
        train : bool, default True
            Whether there is dropout.
        memory : {"reverse", "store", "checkpoint", "hybrid", "auto"}, optional
            How reversible cells remember, see :meth:`~scinn.recurrent.RevGRU.forward_pass`; default ``"reverse"``.
            Ordinary cells know ``"store"`` alone.
        segment, budget_bytes : int, optional
            As in :meth:`~scinn.recurrent.RevGRU.forward_pass`; a budget is that of encoder and of decoder each.
        monitor : bool, default False
            Count what each unit forgets in each step.

        Returns
        -------
        Seq2SeqStep

        Raises
        ------
        TypeError, ValueError
            For symbols or lengths out of range, or dropout without a key.
        ReversibilityError
            Where steps did not come back to the bits where they began.
        """
        source, source_lengths = self._checked(source, source_lengths, "source", self.n_source, 1)
        target, target_lengths = self._checked(target, target_lengths, "target", self.n_target, 2)
        n_rows = source.shape[1]
        if target.shape[1] != n_rows or n_rows == 0:
            raise ValueError(
                f"source has {n_rows} rows, target {target.shape[1]}; wanted the same number, at least 1"
            )
        options = {"train": train, **memory_options(self.cell, memory, segment, budget_bytes, monitor)}
        masks = self._draw_masks(n_rows, key, train)
        with blas_threads(1):
            return self._step((source, source_lengths, target, target_lengths), masks, key, options)

    def _step(
        self,
        pairs: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        masks: dict[str, np.ndarray | None],
        key: Key | None,
        options: dict[str, Any],
    ) -> Seq2SeqStep:
        """Go forward through encoder and decoder, and back."""
        source, source_lengths, target, target_lengths = pairs
        encoder: Any = self.encoder
        decoder: Any = self.decoder
        keys = [None if key is None else key.child(name) for name in ("encoder", "decoder")]
        keep, n_rows = self._contexts.keep, source.shape[1]
        encoder_in = EmbeddingStream(source, self.params["source_embedding"], mask=masks["source"])
        encoder_trace = encoder.forward_pass(
            encoder_in, lengths=source_lengths, key=keys[0], keep=keep, **options
        )
        kept = encoder_trace.kept if keep else None
        contexts = self._contexts.vectors(encoder_in, kept, masks["context"])
        decoder_in = EmbeddingStream(target[:-1], self.params["target_embedding"], mask=masks["target"])
        decoder_trace = decoder.forward_pass(
            decoder_in, state=encoder_trace.state, lengths=target_lengths - 1, key=keys[1], **options
        )
        head = self._head(contexts, source_lengths, target, target_lengths, masks["output"])
        decoded = decoder.backward_pass(decoder_trace, head)
        encoder_gradient = self._contexts.gradient(encoder_in, head.dcontexts, masks["context"])
        encoded = encoder.backward_pass(encoder_trace, encoder_gradient, dstate=decoded.dstate)
        grads = {
            "source_embedding": encoder_in.grad,
            "target_embedding": decoder_in.grad,
            **{f"encoder.{name}": value for name, value in encoded.grads.items()},
            **{f"decoder.{name}": value for name, value in decoded.grads.items()},
            **head.grads,
        }
        n_tokens = int((target_lengths - 1).sum())
        return Seq2SeqStep(
            head.nats / n_rows,
            head.nats / n_tokens,
            n_tokens,
            int(source_lengths.sum()),
            {name: grads[name] for name in self.params},
            encoder_trace.memory_report(),
            decoder_trace.memory_report(),
            contexts.nbytes + head.dcontexts.nbytes,
        )

    def _draw_masks(self, n_rows: int, key: Key | None, train: bool) -> dict[str, np.ndarray | None]:
        """Draw the masks of a batch, one of shape (n_rows, n_features) for all steps of each."""
        width, rates = self._config["n_embedding"], self._rates
        masks: dict[str, np.ndarray | None] = {}
        for name, rate, size in (
            ("source", rates["dropout_input"], width),
            ("target", rates["dropout_input"], width),
            ("output", rates["dropout_output"], self.n_hidden),
            ("context", rates["dropout_context"], self._contexts.keep),
        ):
            masks[name] = None
            if train and rate and size:
                if key is None:
                    raise ValueError(
                        "the model drops units in training: pass key=scinn.random.Key(seed), or train=False"
                    )
                masks[name] = dropout_mask(key.child("mask", name), (n_rows, size), rate, self.dtype)
        return masks

    def _head(
        self,
        contexts: np.ndarray,
        source_lengths: np.ndarray,
        target: np.ndarray,
        target_lengths: np.ndarray,
        mask: np.ndarray | None,
    ) -> AttentionHead:
        """Return what turns the decoder's outputs into the loss of the symbols that come next."""
        weight, bias = self.params["output.weight"], self.params["output.bias"]
        return AttentionHead(
            self.attention, weight, bias, contexts, source_lengths, target[1:], target_lengths - 1, mask
        )

    # Evaluation

    def encode(self, source: Any, source_lengths: Any) -> Encoded:
        """Read a batch of sources, in evaluation.

        Parameters
        ----------
        source : array_like of int, shape (S, B)
        source_lengths : array_like of int, shape (B,)

        Returns
        -------
        Encoded
        """
        source, lengths = self._checked(source, source_lengths, "source", self.n_source, 1)
        stream = EmbeddingStream(source, self.params["source_embedding"])
        keep = self._contexts.keep
        with blas_threads(1):
            outputs, state = self.encoder.run(stream.block(0, len(source)), lengths=lengths)
        kept = outputs[..., :keep] if keep else None
        return Encoded(state, self._contexts.vectors(stream, kept), lengths)

    def evaluate(
        self, source: Any, source_lengths: Any, target: Any, target_lengths: Any
    ) -> tuple[float, int]:
        """Return the cross-entropy of a batch in nats, summed, and the number of symbols.

        Parameters
        ----------
        source, source_lengths, target, target_lengths
            As for :meth:`loss_and_gradients`.

        Returns
        -------
        nats : float
        n_tokens : int
        """
        encoded = self.encode(source, source_lengths)
        target, lengths = self._checked(target, target_lengths, "target", self.n_target, 2)
        if target.shape[1] != len(encoded.lengths):
            raise ValueError(f"source has {len(encoded.lengths)} rows, target {target.shape[1]}")
        x = self.params["target_embedding"][target[:-1]]
        head = self._head(encoded.memory, encoded.lengths, target, lengths, None)
        nats, block = 0.0, self._config["block"]
        with blas_threads(1):
            outputs, _ = self.decoder.run(x, encoded.state, lengths=lengths - 1)
            for first in range(0, len(outputs), block):
                end = min(first + block, len(outputs))
                nats += head.loss(first, end, outputs[first:end])
        return nats, int((lengths - 1).sum())

    def decode_step(
        self, tokens: np.ndarray, state: Any, memory: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        """Take one step of the decoder, in evaluation.

        Parameters
        ----------
        tokens : ndarray of int, shape (B,)
            Symbols that are read.
        state : tuple of tuple of ndarray
            The decoder's.
        memory, lengths
            As in :class:`Encoded`.

        Returns
        -------
        log_probabilities : ndarray, shape (B, n_target)
        state : tuple of tuple of ndarray
        attention : ndarray, shape (B, S)
        """
        with blas_threads(1):
            outputs, state = self.decoder.run(self.params["target_embedding"][tokens][None], state)
            attended, saved = self.attention.forward(outputs, memory, lengths=lengths)
            logits = attended[0] @ self.params["output.weight"] + self.params["output.bias"]
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits, state, saved.weights[0]

    def beam_search(
        self, source: Any, source_lengths: Any, *, begin: int, end: int, beam: int = 5, **options: Any
    ) -> list[list[Hypothesis]]:
        """Translate a batch.

        Parameters
        ----------
        source : array_like of int, shape (S, B)
        source_lengths : array_like of int, shape (B,)
        begin, end : int
            The symbols that begin and end a target.
        beam : int, default 5
        **options
            ``max_steps``, ``length_penalty``, ``n_best``, ``forbidden`` of :func:`scinn.recurrent.beam_search`.

        Returns
        -------
        list of list of Hypothesis
            For each row, best first.
        """
        encoded = self.encode(source, source_lengths)
        beam = check_positive_int(beam, "beam")
        for name, symbol in (("begin", begin), ("end", end)):
            if check_positive_int(symbol, name, 0) >= self.n_target:
                raise ValueError(f"{name} is {symbol}; the target has the symbols 0 to {self.n_target - 1}")
        memory, lengths = np.repeat(encoded.memory, beam, axis=1), np.repeat(encoded.lengths, beam)

        def step(tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any, np.ndarray]:
            return self.decode_step(tokens, state, memory, lengths)

        return beam_search(
            step, encoded.state, len(encoded.lengths), begin=begin, end=end, beam=beam, **options
        )

    def greedy(
        self, source: Any, source_lengths: Any, *, begin: int, end: int, **options: Any
    ) -> list[Hypothesis]:
        """Translate a batch by the most probable symbol at every step.

        Parameters
        ----------
        source, source_lengths, begin, end, **options
            As for :meth:`beam_search`.

        Returns
        -------
        list of Hypothesis
        """
        found = self.beam_search(source, source_lengths, begin=begin, end=end, beam=1, **options)
        return [hypotheses[0] for hypotheses in found]

    def _checked(
        self, ids: Any, lengths: Any, name: str, n_symbols: int, shortest: int
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = as_index_array(ids, name, n=n_symbols, ndim=2)
        lengths = as_index_array(lengths, f"{name}_lengths")
        if len(lengths) != ids.shape[1]:
            raise ValueError(
                f"{name}_lengths has {len(lengths)} entries, {name} {ids.shape[1]} rows (shape {ids.shape}); arrays of "
                "symbols have shape (steps, rows)"
            )
        if lengths.size and (lengths.min() < shortest or lengths.max() > len(ids)):
            raise ValueError(
                f"{name}_lengths must lie between {shortest} and the {len(ids)} steps of {name}, got {lengths.min()} to "
                f"{lengths.max()}"
            )
        return ids, lengths
