"""Optimisers: objects of hyper-parameters. Their state is a flat dict of arrays that the caller owns.

``state`` holds ``"step"`` and one array ``"<parameter>/<slot>"`` per parameter and slot, so that it is saved,
sliced and compared by the rules that hold for parameters. A parameter without a gradient is left alone, which
is not the same as a zero gradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]

WeightDecay = float | Mapping[str, float]


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base class: a frozen set of hyper-parameters with :meth:`init` and :meth:`step`.

    Subclasses name their arrays per parameter in ``slots`` and write :meth:`_update`.
    """

    learning_rate: float

    slots: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        _check("learning_rate", self.learning_rate, low=0.0)
        decay = getattr(self, "weight_decay", 0.0)
        for value in decay.values() if isinstance(decay, Mapping) else (decay,):
            _check("weight_decay", value, low=0.0)

    def init(self, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the state before the first step.

        Parameters
        ----------
        params : mapping of str to ndarray
            The parameters to train.

        Returns
        -------
        dict of str to ndarray
            ``"step"`` (int64 scalar array) and zeros under ``"<parameter>/<slot>"``.
        """
        state = {"step": np.zeros((), dtype=np.int64)}
        for name, value in params.items():
            for slot in self._used_slots():
                state[f"{name}/{slot}"] = np.zeros(value.shape, value.dtype)
        return state

    def step(
        self,
        params: Mapping[str, np.ndarray],
        grads: Mapping[str, np.ndarray],
        state: dict[str, np.ndarray],
        learning_rate: float | None = None,
    ) -> None:
        """Update parameters and state in place.

        Parameters
        ----------
        params : mapping of str to ndarray
            The parameters; those named in ``grads`` change.
        grads : mapping of str to ndarray
            Gradients by the parameters' names.
        state : dict of str to ndarray
            From :meth:`init`.
        learning_rate : float, optional
            The rate of this step, for schedules; default: the optimiser's own.

        Raises
        ------
        ValueError
            For a gradient of an unknown parameter, or one of another shape or dtype.
        """
        rate = self.learning_rate if learning_rate is None else float(learning_rate)
        for name, grad in grads.items():
            if name not in params:
                raise ValueError(
                    f"there is a gradient for {name!r}, which is no parameter; known: {list(params)}"
                )
            if grad.shape != params[name].shape or grad.dtype != params[name].dtype:
                raise ValueError(
                    f"the gradient of {name!r} is {grad.dtype} {grad.shape}, "
                    f"the parameter {params[name].dtype} {params[name].shape}"
                )
        state["step"] += 1
        count = int(state["step"])
        for name, grad in grads.items():
            slots = {slot: state[f"{name}/{slot}"] for slot in self._used_slots()}
            # Kernels take C order; an array in another order is updated through a copy.
            param = np.require(params[name], requirements="C")
            grad = np.require(grad, requirements="C")
            self._update(param, grad, slots, rate, count, self._decay(name))
            if param is not params[name]:
                params[name][...] = param

    def _used_slots(self) -> tuple[str, ...]:
        return self.slots

    def _decay(self, name: str) -> float:
        decay = getattr(self, "weight_decay", 0.0)
        return float(decay.get(name, 0.0)) if isinstance(decay, Mapping) else float(decay)

    @abstractmethod
    def _update(
        self,
        param: np.ndarray,
        grad: np.ndarray,
        slots: dict[str, np.ndarray],
        rate: float,
        count: int,
        decay: float,
    ) -> None:
        """Update one parameter in place; ``count`` is 1 at the first step."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent.

    ``g = grad + weight_decay p``; with momentum ``v = momentum v + g`` and ``p -= learning_rate v``, with
    Nesterov's look-ahead ``p -= learning_rate (g + momentum v)``.

    Parameters
    ----------
    learning_rate : float, default 0.1
    momentum : float, default 0
        In [0, 1).
    nesterov : bool, default False
        Needs momentum > 0.
    weight_decay : float or mapping of str to float, default 0
        L2 coefficient added to the gradient; a mapping gives it by parameter name (0 for names it lacks).

    Examples
    --------
    >>> import numpy as np
    >>> params = {"w": np.array([1.0])}
    >>> optimizer = SGD(0.5)
    >>> optimizer.step(params, {"w": np.array([1.0])}, optimizer.init(params))
    >>> float(params["w"][0])
    0.5
    """

    learning_rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: WeightDecay = 0.0

    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("momentum", self.momentum, low=0.0, below=1.0)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs momentum > 0")

    def _used_slots(self) -> tuple[str, ...]:
        return self.slots if self.momentum else ()

    def _update(
        self,
        param: np.ndarray,
        grad: np.ndarray,
        slots: dict[str, np.ndarray],
        rate: float,
        count: int,
        decay: float,
    ) -> None:
        from scinn.kernels.optimizers import sgd_step

        sgd_step(param, grad, slots.get("momentum"), rate, self.momentum, decay, self.nesterov)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, with L2 regularisation added to the gradient (PyTorch's meaning of ``weight_decay``).

    ``g = grad + weight_decay p``, ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``,
    ``p -= learning_rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)``.

    Parameters
    ----------
    learning_rate : float, default 1e-3
    betas : (float, float), default (0.9, 0.999)
    eps : float, default 1e-8
    weight_decay : float or mapping of str to float, default 0
        L2 coefficient; a mapping gives it by parameter name (0 for names it lacks).

    Notes
    -----
    The step ``t`` is the optimiser's, common to all parameters.

    References
    ----------
    D. P. Kingma and J. Ba (2015), Adam: a method for stochastic optimization, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> params = {"w": np.array([1.0, 1.0])}
    >>> optimizer = Adam(0.1)
    >>> optimizer.step(params, {"w": np.array([5.0, -0.2])}, optimizer.init(params))
    >>> np.round(params["w"], 6).tolist()
    [0.9, 1.1]
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: WeightDecay = 0.0

    slots: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {self.betas!r}")
        for beta in self.betas:
            _check("betas", beta, low=0.0, below=1.0)
        _check("eps", self.eps, low=0.0)

    def _update(
        self,
        param: np.ndarray,
        grad: np.ndarray,
        slots: dict[str, np.ndarray],
        rate: float,
        count: int,
        decay: float,
    ) -> None:
        from scinn.kernels.optimizers import adam_step

        first, second = slots["first_moment"], slots["second_moment"]
        adam_step(param, grad, first, second, count, rate, *self.betas, self.eps, decay, self.decoupled)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: ``p *= 1 - learning_rate weight_decay`` before Adam's step.

    Parameters
    ----------
    learning_rate : float, default 1e-3
    betas : (float, float), default (0.9, 0.999)
    eps : float, default 1e-8
    weight_decay : float or mapping of str to float, default 0.01

    References
    ----------
    I. Loshchilov and F. Hutter (2019), Decoupled weight decay regularization, algorithm 2.

    Examples
    --------
    >>> AdamW().weight_decay
    0.01
    """

    weight_decay: WeightDecay = 0.01

    decoupled: ClassVar[bool] = True


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad: ``s += g^2``, ``p -= learning_rate g / (sqrt(s) + eps)`` with ``g = grad + weight_decay p``.

    Parameters
    ----------
    learning_rate : float, default 0.01
    eps : float, default 1e-10
    weight_decay : float or mapping of str to float, default 0

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer (2011), Adaptive subgradient methods, figure 1.

    Examples
    --------
    >>> Adagrad().learning_rate
    0.01
    """

    learning_rate: float = 0.01
    eps: float = 1e-10
    weight_decay: WeightDecay = 0.0

    slots: ClassVar[tuple[str, ...]] = ("square_sum",)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("eps", self.eps, low=0.0)

    def _update(
        self,
        param: np.ndarray,
        grad: np.ndarray,
        slots: dict[str, np.ndarray],
        rate: float,
        count: int,
        decay: float,
    ) -> None:
        g = grad + decay * param if decay else grad
        total = slots["square_sum"]
        total += g * g
        param -= rate * g / (np.sqrt(total) + self.eps)


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adadelta: steps in the units of the parameters.

    ``s = r s + (1 - r) g^2``, ``d = g sqrt(u + eps) / sqrt(s + eps)``, ``u = r u + (1 - r) d^2`` and
    ``p -= learning_rate d``, with ``g = grad + weight_decay p``.

    Parameters
    ----------
    learning_rate : float, default 1.0
    rho : float, default 0.9
        The decay ``r``.
    eps : float, default 1e-6
    weight_decay : float or mapping of str to float, default 0

    References
    ----------
    M. D. Zeiler (2012), ADADELTA: an adaptive learning rate method, algorithm 1.

    Examples
    --------
    >>> Adadelta().rho
    0.9
    """

    learning_rate: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: WeightDecay = 0.0

    slots: ClassVar[tuple[str, ...]] = ("square_average", "step_average")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("rho", self.rho, low=0.0, below=1.0)
        _check("eps", self.eps, low=0.0)

    def _update(
        self,
        param: np.ndarray,
        grad: np.ndarray,
        slots: dict[str, np.ndarray],
        rate: float,
        count: int,
        decay: float,
    ) -> None:
        g = grad + decay * param if decay else grad
        square, steps = slots["square_average"], slots["step_average"]
        square *= self.rho
        square += (1.0 - self.rho) * (g * g)
        delta = g * np.sqrt(steps + self.eps) / np.sqrt(square + self.eps)
        steps *= self.rho
        steps += (1.0 - self.rho) * (delta * delta)
        param -= rate * delta


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop: ``s = r s + (1 - r) g^2``, ``p -= learning_rate g / (sqrt(s) + eps)``.

    Parameters
    ----------
    learning_rate : float, default 0.01
    rho : float, default 0.99
        The decay ``r``.
    eps : float, default 1e-8
    momentum : float, default 0
        With momentum ``v = momentum v + g / (sqrt(s) + eps)`` and ``p -= learning_rate v``.
    weight_decay : float or mapping of str to float, default 0

    References
    ----------
    T. Tieleman and G. Hinton (2012), Lecture 6.5: rmsprop.

    Examples
    --------
    >>> RMSprop().rho
    0.99
    """

    learning_rate: float = 0.01
    rho: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: WeightDecay = 0.0

    slots: ClassVar[tuple[str, ...]] = ("square_average", "momentum")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("rho", self.rho, low=0.0, below=1.0)
        _check("eps", self.eps, low=0.0)
        _check("momentum", self.momentum, low=0.0, below=1.0)

    def _used_slots(self) -> tuple[str, ...]:
        return self.slots if self.momentum else self.slots[:1]

    def _update(
        self,
        param: np.ndarray,
        grad: np.ndarray,
        slots: dict[str, np.ndarray],
        rate: float,
        count: int,
        decay: float,
    ) -> None:
        g = grad + decay * param if decay else grad
        square = slots["square_average"]
        square *= self.rho
        square += (1.0 - self.rho) * (g * g)
        step = g / (np.sqrt(square) + self.eps)
        if self.momentum:
            velocity = slots["momentum"]
            velocity *= self.momentum
            velocity += step
            step = velocity
        param -= rate * step


def _check(name: str, value: float, *, low: float, below: float | None = None) -> None:
    inside = isinstance(value, int | float | np.number) and value >= low and (below is None or value < below)
    if not inside or not np.isfinite(value):
        wanted = f"in [{low:g}, {below:g})" if below is not None else f"a finite number >= {low:g}"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
