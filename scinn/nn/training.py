"""The training loop: epochs of batches, early stopping, and checkpoints that resume bit for bit.

All random numbers are addressed (epoch and batch are part of the key), schedules are functions of the step
and early stopping is a function of the history, so a checkpoint holds arrays and records and nothing else.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field, is_dataclass
from typing import Any, NamedTuple

import numpy as np

from scinn.nn.history import History, best_epoch
from scinn.nn.layer import Layer
from scinn.nn.network import copy_arrays
from scinn.nn.optimizers import Optimizer
from scinn.nn.schedules import ReduceLROnPlateau
from scinn.random import Key

__all__ = ["Batch", "fit", "minibatches"]

FORMAT = 1


class Batch(NamedTuple):
    """What one step of training sees.

    Parameters
    ----------
    inputs : ndarray, CSR array, or tuple of them
        The network's positional inputs.
    target : Any
        Handed to the loss.
    context : mapping of str to Any
        The network's keyword context, for example ``{"graph": graph}``.
    mask : ndarray of bool, optional
        Handed to the loss as ``mask=``, for example the training nodes of a graph.

    Examples
    --------
    >>> import numpy as np
    >>> Batch(np.ones((2, 3)), np.array([0, 1])).context
    {}
    """

    inputs: Any
    target: Any
    context: Mapping[str, Any] = {}
    mask: np.ndarray | None = None


Batches = Callable[[Key], Iterable[Any]] | Iterable[Any]
LossFunction = Callable[..., tuple[float, Any]]
LossAndGradients = Callable[[Any, Any, Key], tuple[float, Mapping[str, np.ndarray], Any]]


def minibatches(
    inputs: Any,
    target: Any,
    *,
    batch_size: int,
    shuffle: bool = True,
    drop_last: bool = False,
    augment: Callable[[Any, Key], Any] | None = None,
) -> Callable[[Key], Iterable[Batch]]:
    """Return a function that cuts arrays into batches, in an order that the epoch's key decides.

    Parameters
    ----------
    inputs : ndarray, CSR array, or tuple of them
        Rows are samples.
    target : ndarray
        As many rows.
    batch_size : int
        Rows of a batch; the last one may be shorter.
    shuffle : bool, default True
        Whether each epoch has an order of its own.
    drop_last : bool, default False
        Leave out a last batch that is shorter (batch normalisation refuses one of a single row).
    augment : callable, optional
        ``augment(inputs, key)`` returns the changed input of one batch (a tuple where ``inputs`` is one). The key
        depends on the epoch and the batch alone, so that any batch can be made again by itself; see
        :func:`scinn.datasets.random_crop_flip`.

    Returns
    -------
    callable
        ``batches(key)`` yields :class:`Batch`.

    Raises
    ------
    ValueError
        Where the arrays differ in their numbers of rows, or are empty.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.random import Key
    >>> batches = minibatches(np.arange(5.0)[:, None], np.arange(5), batch_size=2)
    >>> [len(batch.target) for batch in batches(Key(0))]
    [2, 2, 1]
    """
    arrays = inputs if isinstance(inputs, tuple) else (inputs,)
    target = np.asarray(target)
    n_rows = target.shape[0] if target.ndim else 0
    for i, array in enumerate(arrays):
        if array.shape[0] != n_rows:
            raise ValueError(f"input {i} has {array.shape[0]} rows, target {n_rows}; they must be equal")
    if n_rows == 0:
        raise ValueError("there are no rows to make batches of")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}")
    if drop_last and batch_size > n_rows:
        raise ValueError(
            f"drop_last=True leaves no batch: batch_size is {batch_size}, there are {n_rows} rows"
        )

    def batches(key: Key) -> Iterable[Batch]:
        order = key.child("shuffle").generator().permutation(n_rows) if shuffle else np.arange(n_rows)
        for i, start in enumerate(range(0, n_rows, batch_size)):
            rows = order[start : start + batch_size]
            if drop_last and len(rows) < batch_size:
                return
            batch = tuple(array[rows] for array in arrays)
            if augment is not None:
                changed = augment(batch if isinstance(inputs, tuple) else batch[0], key.child("augment", i))
                batch = changed if isinstance(changed, tuple) else (changed,)
            yield Batch(batch, target[rows])

    return batches


def fit(
    network: Layer,
    loss_function: LossFunction | None,
    batches: Batches,
    *,
    optimizer: Optimizer,
    n_epochs: int,
    key: Key | int,
    validate: Callable[[Any], Mapping[str, float]] | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    patience: int | None = None,
    restore_best: bool = True,
    schedule: Callable[[Any], float] | None = None,
    callback: Callable[[dict[str, Any]], bool | None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = True,
    loss_and_gradients: LossAndGradients | None = None,
) -> History:
    """Train a network in place.

    Each step runs forward in training mode, loss, backward, the optimiser, and ``network.update_state``. BLAS
    is held to one thread meanwhile, so that the bits do not depend on the number of cores.

    Parameters
    ----------
    network : Layer
        Usually a :class:`~scinn.nn.Network`.
    loss_function : callable or None
        ``loss_function(y, target)``, or ``loss_function(y, target, mask=mask)`` for batches with a mask,
        returns ``(loss, dy)``: any loss of :mod:`scinn.nn`. None where ``loss_and_gradients`` is given.
    batches : callable or iterable
        ``batches(epoch_key)`` yields what :class:`Batch` describes, see :func:`minibatches`; or a fixed list
        of batches, one for full-batch training.
    optimizer : Optimizer
    n_epochs : int
        Number of epochs in all, those of a resumed checkpoint included.
    key : Key or int
        Root of all random numbers: shuffling, dropout.
    validate : callable, optional
        ``validate(network)`` returns a mapping of metrics, recorded after each epoch.
    monitor : str, optional
        The metric that compares epochs; default ``"val_loss"`` with ``validate``, else ``"train_loss"``.
    mode : {"min", "max"}, optional
        Whether small values are good; default: ``"min"`` for names that end in "loss" or "error", else
        ``"max"``.
    patience : int, optional
        Stop after this many epochs without a new best.
    restore_best : bool, default True
        At the end give the network the arrays of its best epoch; only with ``validate``, ``monitor`` or
        ``patience``.
    schedule : callable, optional
        ``schedule(step)`` returns the rate of the step, see :mod:`scinn.nn.schedules`; a
        :class:`~scinn.nn.ReduceLROnPlateau` gets the monitored values instead.
    callback : callable, optional
        Called with each epoch's record; a true answer stops.
    checkpoint : path, optional
        File to keep the whole run in, written every ``checkpoint_every`` epochs and at the end.
    checkpoint_every : int, default 1
    resume : bool, default True
        Go on from ``checkpoint`` where it exists; the result is that of one uninterrupted run, bit for bit.
    loss_and_gradients : callable, optional
        ``loss_and_gradients(network, batch, key)`` returns ``(loss, grads, saved)``, for steps of another
        form.

    Returns
    -------
    History
        Records with ``"epoch"``, ``"train_loss"`` (batches weighted by their numbers of counted rows),
        ``"learning_rate"`` and the metrics.

    Raises
    ------
    ValueError
        For arguments that do not fit together, a checkpoint of another run, or an epoch without batches.
    FloatingPointError
        Where the loss is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.nn import Adam, Dense, Network, fit, minibatches, softmax_cross_entropy
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> labels = (x[:, 0] > 0).astype(int)
    >>> network = Network.sequential(Dense(2, 2, rng=0))
    >>> history = fit(
    ...     network, softmax_cross_entropy, minibatches(x, labels, batch_size=16),
    ...     optimizer=Adam(0.1), n_epochs=20, key=0,
    ... )
    >>> bool(history["train_loss"][-1] < 0.3)
    True
    """
    key = Key(key) if isinstance(key, int) else key
    if not isinstance(key, Key):
        raise TypeError(f"key must be a scinn.random.Key or an int, got {type(key).__name__}")
    if (loss_function is None) == (loss_and_gradients is None):
        raise ValueError("give exactly one of loss_function and loss_and_gradients")
    for name, count in (
        ("n_epochs", n_epochs),
        ("patience", patience),
        ("checkpoint_every", checkpoint_every),
    ):
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise ValueError(f"{name} must be a positive integer, got {count!r}")
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
    tracked = bool(validate or monitor or patience or isinstance(schedule, ReduceLROnPlateau))
    if tracked and monitor is None:
        monitor = "val_loss" if validate is not None else "train_loss"
    if monitor is not None and mode is None:
        mode = "min" if monitor.endswith(("loss", "error")) else "max"
    run = _Run(network, optimizer, key, monitor, mode or "min", schedule)
    step = loss_and_gradients or _supervised(loss_function)
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        run.load(checkpoint, n_epochs)
    return run.train(
        batches, step, n_epochs, validate, patience, restore_best, callback, checkpoint, checkpoint_every
    )


def _supervised(loss_function: LossFunction | None) -> LossAndGradients:
    """Turn a loss of predictions and target into a step on a :class:`Batch`."""
    assert loss_function is not None

    def loss_and_gradients(network: Any, batch: Any, key: Key) -> tuple[float, Mapping[str, np.ndarray], Any]:
        batch = batch if isinstance(batch, Batch) else Batch(*batch)
        inputs = batch.inputs if isinstance(batch.inputs, tuple) else (batch.inputs,)
        y, saved = network.forward(*inputs, train=True, key=key, **batch.context)
        options = {} if batch.mask is None else {"mask": batch.mask}
        loss, dy = loss_function(y, batch.target, **options)
        _, grads = network.backward(saved, dy)
        return loss, grads, saved

    return loss_and_gradients


def _weight(batch: Any) -> int:
    """Return how many rows of a batch the loss counts."""
    mask, target = getattr(batch, "mask", None), getattr(batch, "target", None)
    if mask is not None:
        return int(np.count_nonzero(mask))
    return len(target) if isinstance(target, Sized) else 1


@dataclass
class _Run:
    """The state of one training run, all of which a checkpoint holds."""

    network: Any
    optimizer: Optimizer
    key: Key
    monitor: str | None
    mode: str
    schedule: Callable[[Any], float] | None
    records: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)
    stopped: str = "finished"

    def __post_init__(self) -> None:
        self.optimizer_state = self.optimizer.init(self.network.params)

    def train(
        self,
        batches: Batches,
        step: LossAndGradients,
        n_epochs: int,
        validate: Callable[[Any], Mapping[str, float]] | None,
        patience: int | None,
        restore_best: bool,
        callback: Callable[[dict[str, Any]], bool | None] | None,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_every: int,
    ) -> History:
        from threadpoolctl import threadpool_limits

        started = time.perf_counter()
        with threadpool_limits(limits=1, user_api="blas"):
            while len(self.records) < n_epochs and not self._out_of_patience(patience):
                record = self._epoch(batches, step)
                if validate is not None:
                    record |= {name: float(value) for name, value in validate(self.network).items()}
                self._keep(record)
                stop = callback is not None and bool(callback(dict(record)))
                last = stop or len(self.records) == n_epochs or self._out_of_patience(patience)
                if checkpoint is not None and (last or len(self.records) % checkpoint_every == 0):
                    self.save(checkpoint)
                if stop:
                    self.stopped = "callback"
                    break
        if self.stopped != "callback" and self._out_of_patience(patience):
            self.stopped = "patience"
        if restore_best and self.best:
            copy_arrays(_named_arrays(self.network), self.best, "the network")
        seconds = time.perf_counter() - started
        return History(tuple(self.records), self.monitor, self.mode, self.stopped, seconds)

    def _values(self) -> list[float]:
        return [] if self.monitor is None else [record[self.monitor] for record in self.records]

    def _out_of_patience(self, patience: int | None) -> bool:
        if patience is None or not self.records:
            return False
        best = best_epoch(self._values(), self.mode)
        return len(self.records) - 1 - (-1 if best is None else best) >= patience

    def _epoch(self, batches: Batches, step: LossAndGradients) -> dict[str, Any]:
        epoch = len(self.records)
        plateau = isinstance(self.schedule, ReduceLROnPlateau)
        rate = self.schedule(self._values()) if plateau and self.schedule is not None else None
        total, weight = 0.0, 0
        stream = batches(self.key.child("batches", epoch)) if callable(batches) else batches
        for i, batch in enumerate(stream):
            if self.schedule is not None and not plateau:
                rate = float(self.schedule(int(self.optimizer_state["step"])))
            loss, grads, saved = step(self.network, batch, self.key.child("step", epoch, i))
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in epoch {epoch}, batch {i}: lower the learning rate or check the "
                    "data"
                )
            self.optimizer.step(self.network.params, grads, self.optimizer_state, rate)
            self.network.update_state(saved)
            del saved, grads
            total += float(loss) * _weight(batch)
            weight += _weight(batch)
        if weight == 0:
            raise ValueError(
                f"epoch {epoch} had no batches; `batches` must be a function of the epoch's key or a list, "
                "not a generator that is used up"
            )
        rate = self.optimizer.learning_rate if rate is None else rate
        return {"epoch": epoch, "train_loss": total / weight, "learning_rate": float(rate)}

    def _keep(self, record: dict[str, Any]) -> None:
        if self.monitor is not None and self.monitor not in record:
            raise ValueError(f"monitor={self.monitor!r} is not among the recorded values {list(record)}")
        self.records.append(record)
        if self.monitor is not None and best_epoch(self._values(), self.mode) == record["epoch"]:
            self.best = {name: value.copy() for name, value in _named_arrays(self.network).items()}

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be of this run."""
        return {
            "seed": int(self.key.seed),
            "path": [*self.key.path],
            "optimizer": repr(self.optimizer),
            "schedule": repr(self.schedule) if is_dataclass(self.schedule) else None,
            "monitor": self.monitor,
            "mode": self.mode,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole run to one file."""
        from scinn import __version__
        from scinn._files import write_npz

        arrays = _named_arrays(self.network)
        arrays |= {f"optimizer/{name}": value for name, value in self.optimizer_state.items()}
        arrays |= {f"best/{name}": value for name, value in self.best.items()}
        meta = {
            "format": FORMAT,
            "kind": "training checkpoint",
            "identity": self._identity(),
            "records": [_encode(record) for record in self.records],
            "versions": {"scinn": __version__, "numpy": np.__version__},
        }
        write_npz(path, arrays, meta)

    def load(self, path: str | os.PathLike[str], n_epochs: int) -> None:
        """Take over the run that a file holds, after checking that it is this one."""
        from scinn._files import read_npz

        arrays, meta = read_npz(path)
        if meta.get("kind") != "training checkpoint" or meta.get("format") != FORMAT:
            raise ValueError(f"{path} is not a training checkpoint of format {FORMAT}; choose another file")
        here = self._identity()
        differences = [
            f"{name}: {meta['identity'].get(name)!r} in the file, {value!r} now"
            for name, value in here.items()
            if meta["identity"].get(name) != value
        ]
        if differences:
            raise ValueError(
                f"{path} belongs to another run (resume=False starts anew):\n  " + "\n  ".join(differences)
            )
        if len(meta["records"]) > n_epochs:
            raise ValueError(
                f"{path} holds {len(meta['records'])} epochs, n_epochs is {n_epochs}; raise n_epochs"
            )
        best = {name[5:]: value for name, value in arrays.items() if name.startswith("best/")}
        targets = _named_arrays(self.network)
        targets |= {f"optimizer/{name}": value for name, value in self.optimizer_state.items()}
        current = {name: value for name, value in arrays.items() if not name.startswith("best/")}
        copy_arrays(targets, current, "this run")
        self.best = best
        self.records = [_decode(record) for record in meta["records"]]


def _named_arrays(network: Any) -> dict[str, np.ndarray]:
    named = {f"params/{name}": value for name, value in network.params.items()}
    return named | {f"state/{name}": value for name, value in network.state.items()}


def _encode(record: Mapping[str, Any]) -> dict[str, Any]:
    """Write values that JSON lacks (NaN, infinities) as strings."""
    return {name: value if math.isfinite(value) else repr(float(value)) for name, value in record.items()}


def _decode(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(value) if isinstance(value, str) else value for name, value in record.items()}
