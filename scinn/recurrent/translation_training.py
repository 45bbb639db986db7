"""Training of translation models: minibatches of similar lengths, clipped gradients, a rate that falls, checkpoints.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
5.2 and the settings of its code: stochastic gradient descent with a rate that is halved whenever the perplexity of
the validation pairs rises, gradients clipped to norm 5, minibatches of 64.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from scinn._input import check_in_range, check_positive_int
from scinn.datasets import SequenceBatch, bucketed_batches
from scinn.nn.history import History
from scinn.nn.optimizers import SGD, Optimizer
from scinn.nn.schedules import ReduceLROnPlateau
from scinn.nn.training import fit
from scinn.random import Key
from scinn.recurrent.cells import memory_options
from scinn.recurrent.language_training import clip_gradients
from scinn.recurrent.seq2seq import Seq2Seq

__all__ = ["HalveOnRise", "TranslationEvaluation", "evaluate_translation", "train_translation"]

Pairs = tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]


class TranslationEvaluation(NamedTuple):
    """How well a model predicts given translations.

    Parameters
    ----------
    nats_per_token : float
    perplexity : float
        Its exponential.
    n_tokens : int
        Symbols predicted, the ends of sentences included.
    """

    nats_per_token: float
    perplexity: float
    n_tokens: int


@dataclass(frozen=True)
class HalveOnRise(ReduceLROnPlateau):
    """Multiply the rate by ``factor`` after every epoch whose monitored value is above that of the epoch before.

    Parameters
    ----------
    learning_rate : float
        The rate at the beginning.
    factor : float, default 0.5
        In (0, 1).

    Notes
    -----
    A pure function of the values, replayed from the first epoch. The other fields are those of
    :class:`~scinn.nn.ReduceLROnPlateau`; of these ``minimum`` and ``mode`` are obeyed.

    Examples
    --------
    >>> schedule = HalveOnRise(1.0)
    >>> schedule([]), schedule([9.0, 8.0]), schedule([9.0, 8.0, 8.5, 8.4])
    (1.0, 1.0, 0.5)
    """

    factor: float = 0.5

    def __call__(self, values: Sequence[float]) -> float:
        """Return the rate of the next epoch.

        Parameters
        ----------
        values : sequence of float
            The monitored value of each epoch so far.

        Returns
        -------
        float
        """
        rate, sign = self.learning_rate, 1.0 if self.mode == "min" else -1.0
        for before, value in pairwise(values):
            # A value that is no number is a rise too.
            if not sign * value <= sign * before:
                rate = max(rate * self.factor, self.minimum)
        return rate


def evaluate_translation(model: Seq2Seq, pairs: Pairs, *, batch_size: int = 64) -> TranslationEvaluation:
    """Return how well a model predicts given translations, each symbol from those before it.

    Parameters
    ----------
    model : Seq2Seq
    pairs : tuple of two sequences of sequences of int
        Sources and targets, as :func:`scinn.datasets.encode_pairs` returns them.
    batch_size : int, default 64

    Returns
    -------
    TranslationEvaluation

    Raises
    ------
    ValueError
        Where there are no pairs.

    Examples
    --------
    >>> model = Seq2Seq(6, 6, 4, 4, context="embedding", rng=0)
    >>> evaluate_translation(model, ([[4], [5, 4]], [[2, 4, 3], [2, 5, 4, 3]])).n_tokens
    5
    """
    nats, n_tokens = 0.0, 0
    for batch in bucketed_batches(*pairs, batch_size, epoch=None):
        own, count = model.evaluate(*_arrays(batch))
        nats, n_tokens = nats + own, n_tokens + count
    if n_tokens == 0:
        raise ValueError("there are no pairs to evaluate; check the split")
    mean = nats / n_tokens
    return TranslationEvaluation(mean, math.exp(mean) if mean < 700 else math.inf, n_tokens)


def train_translation(
    model: Seq2Seq,
    train: Pairs,
    valid: Pairs,
    *,
    n_epochs: int,
    key: Key | int,
    batch_size: int = 64,
    optimizer: Optimizer | None = None,
    learning_rate: float = 0.2,
    schedule: Callable[[Any], float] | None = None,
    clip: float | None = 5.0,
    stop_below: float = 0.001,
    patience: int | None = None,
    memory: str | None = None,
    segment: int | None = None,
    budget_bytes: int | None = None,
    monitor: bool = False,
    callback: Callable[[dict[str, Any]], bool | None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = True,
) -> History:
    """Train a model in place, and at the end give it the parameters of its best epoch.

    Parameters
    ----------
    model : Seq2Seq
    train, valid : tuple of two sequences of sequences of int
        Sources and targets, as :func:`scinn.datasets.encode_pairs` returns them.
    n_epochs : int
        Number of epochs in all, those of a resumed checkpoint included.
    key : Key or int
        Root of all random numbers: order of the pairs, dropout.
    batch_size : int, default 64
    optimizer : Optimizer, optional
        Any of :mod:`scinn.nn`, with its own rate; default plain gradient descent with ``learning_rate``.
    learning_rate : float, default 0.2
        First rate of the default optimiser. The paper's code takes 0.2 for GRU and RevGRU, 1.0 for LSTM, 0.5 for
        RevLSTM.
    schedule : callable, optional
        As in :func:`scinn.nn.fit`; default :class:`HalveOnRise` from the optimiser's rate.
    clip : float or None, default 5
        Largest norm of all gradients together; larger ones are scaled down.
    stop_below : float, default 0.001
        Stop where the next epoch's rate would be smaller; not with a schedule of one's own that counts steps.
    patience : int, optional
        Stop after this many epochs without a better validation.
    memory, segment, budget_bytes
        How reversible cells remember, see :meth:`Seq2Seq.loss_and_gradients`.
    monitor : bool, default False
        Count the bits that reversible cells forget, for ``encoder_ideal_ratio`` and ``decoder_ideal_ratio``.
    callback : callable, optional
        Called with each epoch's record; a true answer stops.
    checkpoint : path, optional
        File to keep the whole run in.
    checkpoint_every : int, default 1
    resume : bool, default True
        Go on from ``checkpoint`` where it exists; the result is that of one uninterrupted run, bit for bit.

    Returns
    -------
    History
        Records with ``train_loss`` and ``val_loss`` (nats per symbol), ``val_perplexity``, ``learning_rate``,
        ``encoder_ratio`` and ``decoder_ratio`` (memory of the states of all steps, padding not counted, over memory
        used, in all minibatches), and ``gradient_norm`` (mean, before clipping).

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit, or a checkpoint of another run.
    FloatingPointError
        Where the loss is not finite.

    References
    ----------
    MacKay et al. (2018), section 5.2.

    Examples
    --------
    >>> from scinn.nn import Adam
    >>> model = Seq2Seq(6, 6, 8, 8, context="embedding", rng=0)
    >>> pairs = [[4], [5], [4, 5]], [[2, 4, 3], [2, 5, 3], [2, 4, 5, 3]]
    >>> history = train_translation(model, pairs, pairs, n_epochs=30, key=0, optimizer=Adam(0.03))
    >>> bool(history["val_perplexity"][-1] < history["val_perplexity"][0])
    True
    """
    if not isinstance(model, Seq2Seq):
        raise TypeError(f"model must be a Seq2Seq, got {type(model).__name__}")
    root = Key(key) if isinstance(key, int | np.integer) and not isinstance(key, bool) else key
    if not isinstance(root, Key):
        raise TypeError(f"key must be a scinn.random.Key or an int, got {type(key).__name__}")
    if optimizer is None:
        optimizer = SGD(check_in_range(learning_rate, "learning_rate", 0.0, inclusive="neither"))
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be one of scinn.nn.optimizers, got {type(optimizer).__name__}")
    # Refused here, and not at the first minibatch.
    memory_options(model.cell, memory, segment, budget_bytes, monitor)
    run = _Run(
        train=train,
        valid=valid,
        batch_size=check_positive_int(batch_size, "batch_size"),
        clip=None if clip is None else check_in_range(clip, "clip", 0.0, inclusive="neither"),
        options={"memory": memory, "segment": segment, "budget_bytes": budget_bytes, "monitor": monitor},
        schedule=HalveOnRise(optimizer.learning_rate) if schedule is None else schedule,
        stop_below=check_in_range(stop_below, "stop_below", 0.0),
        callback=callback,
        perplexities=_recorded_perplexities(checkpoint) if resume else [],
    )
    if run.perplexities and run.rate_is_small():
        # The run in the file had stopped by itself.
        n_epochs = min(n_epochs, len(run.perplexities))
    # Trained like a layer, without being one: it has no forward of its own.
    network: Any = model
    return fit(
        network, None, run.batches, optimizer=optimizer, n_epochs=n_epochs, key=root, validate=run.validate,
        monitor="val_perplexity", mode="min", patience=patience, schedule=run.schedule, callback=run.after,
        checkpoint=checkpoint, checkpoint_every=checkpoint_every, resume=resume, loss_and_gradients=run.step,
    )  # fmt: skip


class _Pairs(NamedTuple):
    """A minibatch, with which symbols the loss counts: by their number the training loop weights minibatches."""

    source: np.ndarray
    source_lengths: np.ndarray
    target: np.ndarray
    target_lengths: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Which symbols are predicted, shape (T - 1, B)."""
        return np.arange(1, len(self.target))[:, None] < self.target_lengths


@dataclass
class _Run:
    """What the training loop asks for: minibatches, a step, a validation, and whether to stop."""

    train: Pairs
    valid: Pairs
    batch_size: int
    clip: float | None
    options: dict[str, Any]
    schedule: Callable[[Any], float]
    stop_below: float
    callback: Callable[[dict[str, Any]], bool | None] | None
    perplexities: list[float]

    def __post_init__(self) -> None:
        self.tally = _Tally()

    def batches(self, epoch_key: Key) -> Iterable[_Pairs]:
        """Yield the minibatches of an epoch."""
        self.tally.clear()
        for batch in bucketed_batches(*self.train, self.batch_size, seed=epoch_key):
            yield _Pairs(*_arrays(batch))

    def step(self, model: Any, batch: _Pairs, key: Key) -> tuple[float, dict[str, np.ndarray], None]:
        """Return the loss of a minibatch and its gradients, clipped."""
        result = model.loss_and_gradients(*batch[:4], key=key, **self.options)
        grads, norm = clip_gradients(result.grads, self.clip)
        self.tally.add(result, norm)
        return result.nats_per_token, grads, None

    def validate(self, model: Any) -> dict[str, float]:
        """Return the scores of the validation pairs, and what the epoch's steps remembered."""
        score = evaluate_translation(model, self.valid, batch_size=self.batch_size)
        return {
            "val_loss": score.nats_per_token,
            "val_perplexity": score.perplexity,
            **self.tally.record(),
        }

    def after(self, record: dict[str, Any]) -> bool:
        """Return whether to stop after an epoch."""
        stop = self.callback is not None and bool(self.callback(record))
        self.perplexities.append(record["val_perplexity"])
        return stop or self.rate_is_small()

    def rate_is_small(self) -> bool:
        """Return whether the next epoch's rate is below that at which training stops."""
        # Other schedules may count steps instead of epochs.
        by_epoch = isinstance(self.schedule, ReduceLROnPlateau)
        return by_epoch and self.schedule(self.perplexities) < self.stop_below


class _Tally:
    """What an epoch's steps remembered and how large their gradients were."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin an epoch."""
        self._bits: dict[str, list[float]] = {"encoder": [0.0] * 3, "decoder": [0.0] * 3}
        self._norms: list[float] = []
        self._ideal = True

    def add(self, result: Any, norm: float) -> None:
        """Count a step."""
        self._norms.append(norm)
        for name, n_tokens in (("encoder", result.n_source_tokens), ("decoder", result.n_tokens)):
            report = getattr(result, f"{name}_memory")
            # Padding is not counted, since no tape holds any of it.
            # Ordinary cells count steps behind the rows' ends.
            counted = report.n_steps * report.n_rows if report.n_row_steps is None else report.n_row_steps
            naive = report.naive_bits * n_tokens / counted
            self._ideal = self._ideal and report.ideal_bits is not None
            used = report.stored_bits + report.kept_bits
            ideal = (report.ideal_bits or 0.0) + report.kept_bits
            self._bits[name] = [a + b for a, b in zip(self._bits[name], (naive, used, ideal))]

    def record(self) -> dict[str, float]:
        """Return the epoch's means."""
        record = {"gradient_norm": float(np.mean(self._norms))}
        for name, (naive, used, ideal) in self._bits.items():
            record[f"{name}_ratio"] = naive / used if used else math.inf
            if self._ideal:
                record[f"{name}_ideal_ratio"] = naive / ideal if ideal else math.inf
        return record


def _arrays(batch: SequenceBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return batch.source, batch.source_lengths, batch.target, batch.target_lengths


def _recorded_perplexities(checkpoint: str | os.PathLike[str] | None) -> list[float]:
    """Return the validation perplexities of the epochs that a checkpoint holds."""
    if checkpoint is None or not os.path.exists(checkpoint):
        return []
    from scinn._files import read_npz

    _, meta = read_npz(checkpoint)
    return [
        float(record["val_perplexity"]) for record in meta.get("records", ()) if "val_perplexity" in record
    ]
