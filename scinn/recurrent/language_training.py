"""Training of language models: stretches of a text in order, the state carried from one to the next.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999; the
recipe (stretches of random length, clipped gradients, plain gradient descent) is that of S. Merity, N. S. Keskar, R.
Socher, "Regularizing and Optimizing LSTM Language Models", ICLR 2018, arXiv 1708.02182.

Lengths and masks are addressed by epoch and stretch, and rates are a function of the epochs' losses, so that a
checkpoint holds arrays and records alone, and a resumed run ends with the bits of an uninterrupted one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import numpy as np

from scinn._files import read_npz, write_npz
from scinn._input import as_index_array, check_in_range, check_positive_int
from scinn.nn.history import History, best_epoch
from scinn.nn.optimizers import SGD, Optimizer
from scinn.random import Key
from scinn.recurrent.language_model import LanguageModel, LanguageStep, token_columns

__all__ = ["QuarterRate", "clip_gradients", "train_language_model"]

FORMAT = 1
_KIND = "training of a language model"
_MONITOR = "valid_loss"
_SHORTEST = 5
_SPREAD = 5.0
_FULL_LENGTH_SHARE = 0.95


@dataclass(frozen=True)
class QuarterRate:
    """The paper's rule: divide the rate where validation is no better than the best of more than ``window`` epochs ago.

    After an epoch with loss ``v_e`` the rate is multiplied by ``factor`` where ``e > window`` and ``v_e`` exceeds the
    smallest of ``v_0 .. v_{e - window - 1}``. Training stops where the rate falls below ``minimum``.

    Parameters
    ----------
    learning_rate : float
        The rate at the beginning.
    factor : float, default 0.25
        In (0, 1).
    window : int, default 5
        Epochs that may pass without a new best; 0 divides after each epoch that brings none.
    minimum : float, optional
        Default ``learning_rate / 2000``, the paper's 0.01 for its 20.

    References
    ----------
    MacKay et al. (2018), appendix on experiments, and the code that came with the paper.

    Examples
    --------
    >>> rule = QuarterRate(20.0, window=1)
    >>> rule([]), rule([5.0, 4.0, 4.5]), rule([5.0, 4.0, 4.5, 4.1])
    (20.0, 20.0, 5.0)
    """

    learning_rate: float
    factor: float = 0.25
    window: int = 5
    minimum: float | None = None

    def __post_init__(self) -> None:
        check_in_range(self.learning_rate, "learning_rate", 0.0, inclusive="neither")
        check_in_range(self.factor, "factor", 0.0, 1.0, inclusive="neither")
        check_positive_int(self.window, "window", 0)
        if self.minimum is not None:
            check_in_range(self.minimum, "minimum", 0.0)

    @property
    def stop_below(self) -> float:
        """The rate below which training stops."""
        return self.learning_rate / 2000 if self.minimum is None else self.minimum

    def __call__(self, values: Sequence[float]) -> float:
        """Return the rate of the next epoch.

        Parameters
        ----------
        values : sequence of float
            The validation loss of each epoch so far.

        Returns
        -------
        float
        """
        rate = self.learning_rate
        for epoch, value in enumerate(values):
            # "not <=" counts NaN as no improvement.
            if epoch > self.window and not value <= min(values[: epoch - self.window]):
                rate *= self.factor
        return rate


def clip_gradients(
    grads: Mapping[str, np.ndarray], max_norm: float | None
) -> tuple[dict[str, np.ndarray], float]:
    """Scale gradients down to a largest norm, taken over all of them together.

    Parameters
    ----------
    grads : mapping of str to ndarray
    max_norm : float or None
        None leaves them as they are.

    Returns
    -------
    clipped : dict of str to ndarray
        The arrays that were given, or new ones ``g max_norm / norm``.
    norm : float
        Euclidean norm before.

    Raises
    ------
    FloatingPointError
        Where the norm is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> clipped, norm = clip_gradients({"a": np.array([3.0]), "b": np.array([4.0])}, 1.0)
    >>> norm, float(clipped["a"][0])
    (5.0, 0.6000000000000001)
    """
    # The dot product of a float32 array would overflow at norms of 2e19; gradients that large are no use.
    norm = math.sqrt(sum(float(np.vdot(grad, grad)) for grad in grads.values()))
    if not math.isfinite(norm):
        names = [name for name, grad in grads.items() if not np.isfinite(grad).all()]
        raise FloatingPointError(
            f"the gradients' norm is {norm} (not finite: {', '.join(names) or 'only their squares'}); lower the learning "
            "rate or check the data"
        )
    if max_norm is None or norm <= max_norm:
        return dict(grads), norm
    scale = max_norm / norm
    return {name: grad * grad.dtype.type(scale) for name, grad in grads.items()}, norm


def train_language_model(
    model: LanguageModel,
    train_ids: np.ndarray,
    valid_ids: np.ndarray,
    *,
    n_epochs: int,
    key: Key | int,
    n_rows: int = 20,
    n_steps: int = 35,
    random_length: bool = False,
    learning_rate: float = 20.0,
    clip: float | None = 0.1,
    optimizer: Optimizer | None = None,
    schedule: Callable[[Sequence[float]], float] | None = None,
    patience: int | None = None,
    restore_best: bool = True,
    valid_rows: int = 10,
    memory: str | None = None,
    segment: int | None = None,
    budget_bytes: int | None = None,
    monitor: bool = False,
    progress: Callable[[dict[str, Any]], Any] | None = None,
    callback: Callable[[dict[str, Any]], bool | None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = True,
) -> History:
    """Train a language model in place by truncated back-propagation through time.

    The text is cut into ``n_rows`` equal parts that are read side by side, ``n_steps`` tokens at a time; the state is
    carried from one stretch to the next, and begins with zeros in each epoch. The linear algebra library is held to
    one thread meanwhile, so that the bits do not depend on the number of cores.

    Parameters
    ----------
    model : LanguageModel
    train_ids, valid_ids : ndarray of int, shape (n_tokens,)
        The texts.
    n_epochs : int
        Number of epochs in all, those of a resumed checkpoint included.
    key : Key or int
        Root of all random numbers: masks, lengths.
    n_rows, n_steps : int, default 20 and 35
    random_length : bool, default False
        Draw each stretch's length: ``n_steps`` with probability 0.95, else half of it, plus a normal number of standard
        deviation 5, at least 5; the rate of the step is scaled by the length over ``n_steps``.
    learning_rate : float, default 20
        Of plain gradient descent, where no optimiser is given.
    clip : float or None, default 0.1
        Largest norm of all gradients together.
    optimizer : Optimizer, optional
        Any of :mod:`scinn.nn.optimizers`; default ``SGD(learning_rate)``.
    schedule : callable, optional
        ``schedule(losses)`` returns the rate of the next epoch from the validation losses of those before, such as
        :class:`QuarterRate` or :class:`~scinn.nn.ReduceLROnPlateau`; default ``QuarterRate`` from the optimiser's rate.
    patience : int, optional
        Stop after this many epochs without a new best.
    restore_best : bool, default True
        At the end give the model the parameters of its best epoch.
    valid_rows : int, default 10
        Parts of the validation text that are read side by side.
    memory, segment, budget_bytes, monitor
        As in :meth:`LanguageModel.loss_and_gradients`.
    progress : callable, optional
        Called after each stretch with ``"epoch"``, ``"batch"``, ``"share"`` of the epoch done, ``"loss"``,
        ``"gradient_norm"``, ``"learning_rate"``, ``"tokens_per_second"``.
    callback : callable, optional
        Called with each epoch's record; a true answer stops.
    checkpoint : path, optional
        File to keep the whole run in, written after each epoch.
    checkpoint_every : int, optional
        Write it after every so many stretches too, so that a long epoch is resumed in its middle.
    resume : bool, default True
        Go on from ``checkpoint`` where it exists.

    Returns
    -------
    History
        Monitors ``"valid_loss"``. Records hold ``"epoch"``, ``"train_loss"``, ``"valid_loss"`` (nats per token),
        ``"valid_perplexity"``, ``"learning_rate"``, ``"gradient_norm"`` (mean), ``"seconds"``, ``"bits_per_unit_step"``
        that were remembered, ``"memory_ratio"`` of 32 bits a unit and step to them, and ``"ideal_ratio"`` with
        ``monitor``. ``stopped`` is ``"finished"``, ``"patience"``, ``"callback"`` or ``"learning rate"``.

    Raises
    ------
    TypeError, ValueError
        For tokens that are no symbols, texts too short, or a checkpoint of another run.
    FloatingPointError
        Where the loss or a gradient is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> model = LanguageModel(4, 8, 8, rng=0)
    >>> ids = np.arange(400) % 4
    >>> history = train_language_model(
    ...     model, ids, ids[:100], n_epochs=3, key=0, n_rows=4, n_steps=10, learning_rate=5.0, clip=1.0
    ... )
    >>> bool(history["valid_perplexity"][-1] < 2)
    True
    """
    if not isinstance(model, LanguageModel):
        raise TypeError(f"model must be a LanguageModel, got {type(model).__name__}")
    root = Key(key) if isinstance(key, int | np.integer) and not isinstance(key, bool) else key
    if not isinstance(root, Key):
        raise TypeError(f"key must be a scinn.random.Key or an int, got {type(key).__name__}")
    n_epochs = check_positive_int(n_epochs, "n_epochs")
    if patience is not None:
        check_positive_int(patience, "patience")
    if checkpoint_every is not None:
        check_positive_int(checkpoint_every, "checkpoint_every")
    if clip is not None:
        check_in_range(clip, "clip", 0.0, inclusive="neither")
    optimizer = SGD(float(learning_rate)) if optimizer is None else optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be one of scinn.nn.optimizers, got {type(optimizer).__name__}")
    plan = _Plan(
        train=token_columns(_ids(train_ids, "train_ids", model), n_rows),
        valid=_ids(valid_ids, "valid_ids", model),
        n_steps=check_positive_int(n_steps, "n_steps"),
        random_length=bool(random_length),
        clip=clip,
        valid_rows=check_positive_int(valid_rows, "valid_rows"),
        options={"memory": memory, "segment": segment, "budget_bytes": budget_bytes, "monitor": monitor},
    )
    # Fails here for a validation text that is too short, and not after the first epoch.
    token_columns(plan.valid, plan.valid_rows)
    run = _Run(model, root, optimizer, schedule or QuarterRate(optimizer.learning_rate), plan)
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        run.load(checkpoint, n_epochs)
    return run.train(n_epochs, patience, restore_best, progress, callback, checkpoint, checkpoint_every)


@dataclass(frozen=True)
class _Plan:
    """What is trained on, and how a stretch is treated."""

    train: np.ndarray
    valid: np.ndarray
    n_steps: int
    random_length: bool
    clip: float | None
    valid_rows: int
    options: dict[str, Any]

    def length(self, key: Key) -> int:
        """Return the length of a stretch, before the text's end cuts it."""
        if not self.random_length:
            return self.n_steps
        generator = key.generator()
        middle = self.n_steps if generator.random() < _FULL_LENGTH_SHARE else self.n_steps / 2
        return max(_SHORTEST, int(generator.normal(middle, _SPREAD)))


@dataclass(frozen=True)
class _Epoch:
    """How far an epoch has come: the next stretch and its first token, and sums over the stretches before."""

    batch: int = 0
    position: int = 0
    loss: float = 0.0
    norm: float = 0.0
    seconds: float = 0.0
    stored_bits: float = 0.0
    naive_bits: float = 0.0
    ideal_bits: float = 0.0

    def after(self, step: LanguageStep, n_steps: int, n_tokens: int, norm: float, seconds: float) -> _Epoch:
        """Return the sums with one more stretch."""
        report = step.memory
        return replace(
            self,
            batch=self.batch + 1,
            position=self.position + n_steps,
            loss=self.loss + step.loss * n_tokens,
            norm=self.norm + norm,
            seconds=self.seconds + seconds,
            stored_bits=self.stored_bits + float(report.stored_bits + report.kept_bits),
            naive_bits=self.naive_bits + float(report.naive_bits),
            ideal_bits=self.ideal_bits + float(report.ideal_bits or 0.0),
        )


@dataclass
class _Run:
    """The state of one training run, all of which a checkpoint holds."""

    model: LanguageModel
    key: Key
    optimizer: Optimizer
    schedule: Callable[[Sequence[float]], float]
    plan: _Plan
    records: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)
    epoch: _Epoch = field(default_factory=_Epoch)
    state: Any = None

    def __post_init__(self) -> None:
        self.optimizer_state = self.optimizer.init(self.model.params)

    def train(
        self,
        n_epochs: int,
        patience: int | None,
        restore_best: bool,
        progress: Callable[[dict[str, Any]], Any] | None,
        callback: Callable[[dict[str, Any]], bool | None] | None,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_every: int | None,
    ) -> History:
        from threadpoolctl import threadpool_limits

        started, stopped = time.perf_counter(), "finished"
        with threadpool_limits(limits=1, user_api="blas"):
            while len(self.records) < n_epochs:
                reason = self._reason_to_stop(patience)
                if reason is not None:
                    stopped = reason
                    break
                self._run_epoch(progress, checkpoint, checkpoint_every)
                self._keep(self._record())
                if checkpoint is not None:
                    self.save(checkpoint)
                if callback is not None and callback(dict(self.records[-1])):
                    stopped = "callback"
                    break
        if restore_best and self.best:
            for name, value in self.best.items():
                self.model.params[name][...] = value
        return History(tuple(self.records), _MONITOR, "min", stopped, time.perf_counter() - started)

    def _losses(self) -> list[float]:
        return [record[_MONITOR] for record in self.records]

    def _rate(self) -> float:
        rate = float(self.schedule(self._losses()))
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"schedule returned {rate!r} as a learning rate; a finite number >= 0 is wanted")
        return rate

    def _reason_to_stop(self, patience: int | None) -> str | None:
        if not self.records or self.epoch.batch:
            return None
        if self._rate() < float(getattr(self.schedule, "stop_below", 0.0)):
            return "learning rate"
        best = best_epoch(self._losses(), "min")
        if patience is not None and len(self.records) - 1 - (-1 if best is None else best) >= patience:
            return "patience"
        return None

    def _run_epoch(
        self,
        progress: Callable[[dict[str, Any]], Any] | None,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_every: int | None,
    ) -> None:
        """Go over the text from where the epoch stands."""
        number, n_predicted, rate = len(self.records), len(self.plan.train) - 1, self._rate()
        while self.epoch.position < n_predicted:
            report = self._step(number, rate)
            if progress is not None:
                progress({"epoch": number, "share": self.epoch.position / n_predicted, **report})
            due = checkpoint_every is not None and self.epoch.batch % checkpoint_every == 0
            if checkpoint is not None and due and self.epoch.position < n_predicted:
                self.save(checkpoint)

    def _step(self, number: int, rate: float) -> dict[str, Any]:
        """Take one step of the optimiser."""
        started = time.perf_counter()
        plan, batch, first = self.plan, self.epoch.batch, self.epoch.position
        wanted = plan.length(self.key.child("length", number, batch))
        end = min(first + wanted, len(plan.train) - 1)
        step = self.model.loss_and_gradients(
            plan.train[first:end],
            plan.train[first + 1 : end + 1],
            state=self.state,
            key=self.key.child("step", number, batch),
            **plan.options,
        )
        if not math.isfinite(step.loss):
            raise FloatingPointError(
                f"the loss is {step.loss} in epoch {number}, stretch {batch}: lower the learning rate or check the data"
            )
        grads, norm = clip_gradients(step.grads, plan.clip)
        used_rate = rate * (end - first) / plan.n_steps if plan.random_length else rate
        self.optimizer.step(self.model.params, grads, self.optimizer_state, used_rate)
        self.state = step.state
        n_tokens = (end - first) * plan.train.shape[1]
        seconds = time.perf_counter() - started
        self.epoch = self.epoch.after(step, end - first, n_tokens, norm, seconds)
        return {
            "batch": batch,
            "loss": step.loss,
            "gradient_norm": norm,
            "learning_rate": used_rate,
            "tokens_per_second": n_tokens / max(seconds, 1e-9),
        }

    def _record(self) -> dict[str, Any]:
        """Return what the finished epoch has come to, and make ready for the next one."""
        epoch, plan = self.epoch, self.plan
        valid = self.model.evaluate(plan.valid, n_rows=plan.valid_rows)
        record = {
            "epoch": len(self.records),
            "train_loss": epoch.loss / (epoch.position * plan.train.shape[1]),
            "valid_loss": valid.nats,
            "valid_perplexity": valid.perplexity,
            "learning_rate": self._rate(),
            "gradient_norm": epoch.norm / epoch.batch,
            "seconds": epoch.seconds,
            "bits_per_unit_step": 32.0 * epoch.stored_bits / epoch.naive_bits,
            "memory_ratio": epoch.naive_bits / epoch.stored_bits if epoch.stored_bits else math.inf,
        }
        if epoch.ideal_bits:
            record["ideal_ratio"] = epoch.naive_bits / epoch.ideal_bits
        self.epoch, self.state = _Epoch(), None
        return record

    def _keep(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        if best_epoch(self._losses(), "min") == record["epoch"]:
            self.best = {name: value.copy() for name, value in self.model.params.items()}

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be of this run."""
        plan = self.plan
        return {
            "model": self.model.config(),
            "seed": int(self.key.seed),
            "path": [*self.key.path],
            "optimizer": repr(self.optimizer),
            "schedule": repr(self.schedule) if is_dataclass(self.schedule) else None,
            "train": [*plan.train.shape, _checksum(plan.train)],
            "valid": [*plan.valid.shape, _checksum(plan.valid)],
            "n_steps": plan.n_steps,
            "random_length": plan.random_length,
            "clip": plan.clip,
            "valid_rows": plan.valid_rows,
            # Ways of remembering hide other digits in the states, which changes bits but not the method.
            "options": {name: value for name, value in plan.options.items() if name != "monitor"},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole run to one file."""
        from scinn import __version__

        arrays = {f"params/{name}": value for name, value in self.model.params.items()}
        arrays |= {f"optimizer/{name}": value for name, value in self.optimizer_state.items()}
        arrays |= {f"best/{name}": value for name, value in self.best.items()}
        if self.state is not None:
            arrays |= {
                f"state/{i}/{j}": array for i, layer in enumerate(self.state) for j, array in enumerate(layer)
            }
        meta = {
            "format": FORMAT,
            "kind": _KIND,
            "identity": self._identity(),
            "records": [_encode(record) for record in self.records],
            "epoch": _encode(vars(self.epoch)),
            "versions": {"scinn": __version__, "numpy": np.__version__},
        }
        write_npz(path, arrays, meta)

    def load(self, path: str | os.PathLike[str], n_epochs: int) -> None:
        """Take over the run that a file holds, after checking that it is this one."""
        arrays, meta = read_npz(path)
        if meta.get("kind") != _KIND or meta.get("format") != FORMAT:
            raise ValueError(f"{path} is not a {_KIND} of format {FORMAT}; choose another file")
        differences = [
            f"{name}: {meta['identity'].get(name)!r} in the file, {value!r} now"
            for name, value in self._identity().items()
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
        targets = {f"params/{name}": value for name, value in self.model.params.items()}
        targets |= {f"optimizer/{name}": value for name, value in self.optimizer_state.items()}
        for name, value in targets.items():
            if name not in arrays or arrays[name].shape != value.shape:
                raise ValueError(f"{path} is damaged: {name!r} is missing or has another shape")
        for name, value in targets.items():
            value[...] = arrays[name]
        self.best = {name[5:]: value for name, value in arrays.items() if name.startswith("best/")}
        layers: dict[int, list[np.ndarray]] = {}
        for name, value in arrays.items():
            if name.startswith("state/"):
                layers.setdefault(int(name.split("/")[1]), []).append(value)
        self.state = tuple(tuple(layers[i]) for i in sorted(layers)) if layers else None
        self.records = [_decode(record) for record in meta["records"]]
        self.epoch = _Epoch(**_decode(meta["epoch"]))


def _ids(ids: Any, name: str, model: LanguageModel) -> np.ndarray:
    return as_index_array(ids, name, n=model.n_symbols)


def _checksum(array: np.ndarray) -> int:
    import zlib

    return zlib.crc32(array.tobytes())


def _encode(record: Mapping[str, Any]) -> dict[str, Any]:
    """Write values that JSON lacks (infinities) as strings."""
    return {name: value if math.isfinite(value) else repr(float(value)) for name, value in record.items()}


def _decode(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(value) if isinstance(value, str) else value for name, value in record.items()}
