"""Claims as data: what a paper says, how it is checked here, and the cells of computation that the check needs.

A paper module (``scinn/reproduce/<paper>.py``, listed in :data:`MODULES`) exposes three things:

``CLAIMS : tuple[Claim, ...]``
    Written before they are run. A claim never computes: it *asks* for cells and judges their results.
``EXPERIMENTS : dict[str, Callable[[dict, int], dict]]``
    Name -> function of (parameters, seed) that returns a dictionary that JSON can hold (NumPy scalars and arrays
    are converted to numbers and lists). It must be defined at the top of its module, must not print, and must
    depend on nothing but its two arguments and the data set named in ``params["dataset"]``.
``figures(results, budget) -> list[FigureSpec]``
    Optional. Gets the results of every cell of the run (some may be missing: leave out what cannot be drawn).

How a run goes: the runner calls ``claim.next_cells(budget, seed, results)`` of every claim, runs the cells that are
new, and asks again until no claim names a cell that has not been run. So tuning in two stages (candidates on the
validation set first, then the winner with all seeds) is one function that looks at what is there already. Cells
are shared: two claims that name an equal cell get one computation. Then ``claim.evaluate(budget, results)``
judges; ``results`` holds only the cells that this very claim asked for, so a claim run alone gives the numbers it
gives in a full run.

Cells are journaled under (experiment, parameters, seed, protocol, data checksum, version, code, libraries). "Code" is a
hash of the numerical subpackages and of the one file in which the experiment function is defined: keep
experiments and claims in separate files where a reworded claim should not run experiments again.

Example
-------
>>> def cells(budget, seed, results):
...     n = claim.parameters_of(budget)["n_seeds"]
...     return [Cell("coin", {"dataset": None, "n": 100}, s) for s in seeds(seed, n)]
>>> def judge(budget, results):
...     mean, sd, n = summarize([r["heads"] for r in results.values()])
...     good = abs(mean - 50.0) < 5.0
...     return Outcome(mean, sd, n, "reproduced" if good else "not reproduced", f"mean {mean:.1f} against 50")
>>> claim = Claim(
...     paper="framelets", name="coin", parameters={"n": 100}, statement="A fair coin shows heads half the time.",
...     reported=50.0, source="Table 1", protocol="Toss 100 times.",
...     budgets={"smoke": {"n_seeds": 2}, "quick": {"n_seeds": 3}, "full": {"n_seeds": 10}},
...     success_rule="within 5 points of 50", unit="%", next_cells=cells, evaluate=judge)
>>> claim.id
'framelets:coin[n=100]'
>>> len(claim.next_cells("smoke", 0, Results()))
2
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BUDGETS",
    "MODULES",
    "VERDICTS",
    "Cell",
    "Claim",
    "FigureSpec",
    "Outcome",
    "Results",
    "as_json",
    "canonical",
    "half_width_90",
    "load_module",
    "seeds",
    "select_claims",
    "sign_flip_test",
    "summarize",
]

BUDGETS = ("smoke", "quick", "full")
VERDICTS = ("reproduced", "direction holds", "not reproduced", "not run")

#: Paper key -> the module that holds its claims. A paper is listed here when it is built.
MODULES: dict[str, str] = {
    "framelets": "scinn.reproduce.framelets",
    "fourier-stabilization": "scinn.reproduce.fourier_stabilization",
    "heavy-tailed-priors": "scinn.reproduce.heavy_tailed_priors",
    "reversible-rnn": "scinn.reproduce.reversible_rnn",
}


def _plain(value: Any) -> Any:
    """Convert what experiments return (NumPy scalars and arrays) for the JSON encoder."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(
        f"an experiment's result must hold only what JSON can hold, got {type(value).__name__}: {value!r}"
    )


def as_json(value: Any) -> Any:
    """Return `value` as it will look after a round trip through the journal.

    Every result goes through this, whether it was just computed or read back, so that a resumed run sees
    exactly what an uninterrupted one sees.

    Parameters
    ----------
    value : object
        Dictionaries, lists, tuples, strings, numbers, None, NumPy scalars and arrays.

    Returns
    -------
    object
        The same with lists for tuples and arrays, and Python numbers for NumPy's.

    Examples
    --------
    >>> as_json({"a": (1, np.float64(0.5)), "b": np.arange(2)})
    {'a': [1, 0.5], 'b': [0, 1]}
    """
    return json.loads(json.dumps(value, default=_plain))


def canonical(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces.

    Examples
    --------
    >>> canonical({"b": 1, "a": (2, None)})
    '{"a":[2,null],"b":1}'
    """
    return json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"))


class Cell:
    """One unit of computation: an experiment, its parameters and a seed. Equal cells are computed once.

    Parameters
    ----------
    experiment : str
        Key in the paper module's ``EXPERIMENTS``.
    params : mapping
        What JSON can hold. ``params["dataset"]`` (a name, a list of names or None) names the registered data whose
        checksum guards the journaled result.
    seed : int
        Non-negative.

    Examples
    --------
    >>> Cell("fit", {"width": 8, "dataset": "cora"}, 0) == Cell("fit", {"dataset": "cora", "width": 8}, 0)
    True
    >>> Cell("fit", {"width": 8, "dataset": "cora"}, 3)
    Cell('fit', dataset='cora', width=8, seed=3)
    """

    __slots__ = ("_text", "experiment", "seed")

    def __init__(self, experiment: str, params: Mapping[str, Any], seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
        self.experiment = experiment
        self.seed = int(seed)
        self._text = canonical(dict(params))

    @property
    def params(self) -> dict[str, Any]:
        """A fresh copy of the parameters, in sorted order."""
        return json.loads(self._text)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the registered data sets that the cell reads."""
        names = self.params.get("dataset")
        if names is None:
            return ()
        return (names,) if isinstance(names, str) else tuple(names)

    @property
    def protocol_hash(self) -> str:
        """Sixteen hexadecimal digits that stand for the experiment and its parameters."""
        return hashlib.sha256(f"{self.experiment} {self._text}".encode()).hexdigest()[:16]

    @property
    def sort_key(self) -> tuple[str, str, int]:
        """Experiment, text of the parameters, seed."""
        return (self.experiment, self._text, self.seed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.sort_key == other.sort_key

    def __hash__(self) -> int:
        return hash(self.sort_key)

    def __repr__(self) -> str:
        inside = "".join(f", {name}={value!r}" for name, value in self.params.items())
        return f"Cell({self.experiment!r}{inside}, seed={self.seed})"


class Results(Mapping[Cell, dict[str, Any]]):
    """What the cells of a run gave. Iteration is in sorted order of the cells, never in order of computation.

    Examples
    --------
    >>> results = Results({Cell("fit", {"width": 8}, 1): {"score": 2.0}, Cell("fit", {"width": 8}, 0): {"score": 1.0}})
    >>> [r["score"] for r in results.values()]
    [1.0, 2.0]
    >>> results.select("fit", width=8).pluck("score")
    [1.0, 2.0]
    >>> len(results.select("fit", width=16))
    0
    """

    def __init__(self, items: Mapping[Cell, dict[str, Any]] | None = None) -> None:
        source = dict(items or {})
        self._items = {cell: source[cell] for cell in sorted(source, key=lambda c: c.sort_key)}

    def __getitem__(self, cell: Cell) -> dict[str, Any]:
        return self._items[cell]

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def has(self, cells: Iterable[Cell]) -> bool:
        """Say whether all of `cells` have been run: the guard in front of a second stage."""
        return all(cell in self._items for cell in cells)

    def select(self, experiment: str | None = None, **params: Any) -> Results:
        """Return the results of one experiment whose parameters have the given values (absent ones do not match)."""
        wanted = as_json(params)

        def fits(cell: Cell) -> bool:
            if experiment is not None and cell.experiment != experiment:
                return False
            own = cell.params
            return all(name in own and own[name] == value for name, value in wanted.items())

        return Results({cell: result for cell, result in self._items.items() if fits(cell)})

    def pluck(self, name: str) -> list[Any]:
        """Return one entry of every result, in order of the cells."""
        return [result[name] for result in self._items.values()]


@dataclass(frozen=True)
class Outcome:
    """The judgement of one claim.

    Parameters
    ----------
    mean, sd : float or None
        Measured value and its spread (standard deviation over seeds, n - 1 in the denominator).
    n : int
        How many values stand behind `mean`.
    verdict : str
        One of ``VERDICTS``.
    reason : str
        One sentence with the numbers that decided.
    extra : dict
        Printable details (a control's accuracy, a p value): shown in the report, kept in ``details.json``.
    """

    mean: float | None
    sd: float | None
    n: int
    verdict: str
    reason: str
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}; got {self.verdict!r}")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of a paper, made checkable before it is checked.

    Parameters
    ----------
    paper : str
        Key in :data:`scinn.papers.PAPERS`.
    name : str
        Short name; with `parameters` it makes the id ``paper:name[key=value,...]``.
    statement : str
        What is claimed, in plain words.
    reported, reported_sd : float or None
        The paper's number; None where it gives none or it could not be read.
    source : str
        Where the number stands (``"Table 1"``), or who asks where the question is ours.
    protocol : str
        How it is measured here.
    success_rule : str
        The effect that counts and the test, in words; `evaluate` does what it says.
    unit : str
        Unit of the measured value, ``""`` for a plain number.
    budgets : mapping
        ``{"smoke": {...}, "quick": {...}, "full": {...}}``: what differs between the budgets.
    next_cells : callable
        ``(budget, seed, results) -> list[Cell]``: every cell it needs as far as it can tell now.
    evaluate : callable
        ``(budget, results) -> Outcome``.
    parameters : mapping
        Written in brackets in the id.
    dataset : tuple of str
        Registered data sets; where one is not on this machine the claim is ``not run`` and says how to get it.
    """

    paper: str
    name: str
    statement: str
    reported: float | None
    source: str
    protocol: str
    success_rule: str
    unit: str
    budgets: Mapping[str, Mapping[str, Any]]
    next_cells: Callable[[str, int, Results], Sequence[Cell]]
    evaluate: Callable[[str, Results], Outcome]
    reported_sd: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dataset: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        missing = [budget for budget in BUDGETS if budget not in self.budgets]
        if missing:
            raise ValueError(f"claim {self.id}: budgets has no entry for {', '.join(missing)}")

    @property
    def id(self) -> str:
        """``paper:name`` or ``paper:name[key=value,...]``, what a user types to run this claim alone."""
        inside = ",".join(f"{key}={value}" for key, value in self.parameters.items())
        return f"{self.paper}:{self.name}" + (f"[{inside}]" if inside else "")

    def parameters_of(self, budget: str) -> dict[str, Any]:
        """Return what `budget` sets, as a fresh dictionary."""
        return dict(self.budgets[budget])


@dataclass(frozen=True)
class FigureSpec:
    """One figure of the report: the drawing, its words and the numbers behind it.

    Parameters
    ----------
    name : str
        File name without ending, unique within the paper.
    title, caption : str
        Plain text; the caption says what to look at.
    figure : matplotlib.figure.Figure
        Drawn without pyplot; :func:`scinn.reproduce.figures.new_figure` gives one in the house style.
    rows : sequence of dict
        The numbers, written as CSV; all with the same keys.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    rows: Sequence[Mapping[str, Any]] = ()


def seeds(seed: int, n: int) -> list[int]:
    """Return the `n` cell seeds of a run with ``--seed seed``; runs with different seeds share none.

    Examples
    --------
    >>> seeds(0, 3), seeds(2, 2)
    ([0, 1, 2], [2000, 2001])
    """
    if not 0 <= n <= 1000:
        raise ValueError(f"n must be between 0 and 1000, got {n!r}")
    return [1000 * seed + i for i in range(n)]


def summarize(values: Sequence[float]) -> tuple[float | None, float | None, int]:
    """Return mean, standard deviation (n - 1) and count; no spread from a single value.

    Examples
    --------
    >>> summarize([1.0, 3.0])
    (2.0, 1.4142135623730951, 2)
    >>> summarize([5.0])
    (5.0, None, 1)
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        return None, None, 0
    mean = float(data.mean())
    return mean, (float(data.std(ddof=1)) if data.size > 1 else None), int(data.size)


def half_width_90(sd: float | None, n: int) -> float:
    """Return the half width of the 90 % interval of Student's t for a mean; infinite for a single value.

    Parameters
    ----------
    sd : float or None
        Standard deviation (n - 1) of the values.
    n : int
        How many there are.

    Returns
    -------
    float

    Examples
    --------
    >>> round(half_width_90(1.0, 10), 4)
    0.5797
    """
    if n < 2 or sd is None:
        return float("inf")
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.95)) * sd / float(np.sqrt(n))


def sign_flip_test(differences: Sequence[float]) -> float:
    """One-sided p value that the mean of paired differences is positive, by flipping signs (exact up to n = 16).

    Under the null hypothesis each difference is as likely positive as negative; p is the share of sign patterns whose
    sum is at least the observed one. Beyond n = 16 a fixed sample of 65 536 patterns is used, the observed included.

    Parameters
    ----------
    differences : sequence of float, shape (n,)
        One per seed or split, paired.

    Returns
    -------
    float
        p value; 1.0 for an empty sequence. The smallest possible is ``2 ** -n``.

    Raises
    ------
    ValueError
        For NaN or infinity.

    Examples
    --------
    >>> sign_flip_test([1.0, 2.0, 0.5])
    0.125
    """
    d = np.asarray(differences, dtype=np.float64)
    n = d.size
    if n == 0:
        return 1.0
    if not np.all(np.isfinite(d)):
        raise ValueError(
            f"differences holds {d[~np.isfinite(d)][0]}; the sign-flip test takes finite numbers"
        )
    observed = d.sum()
    if n <= 16:
        patterns = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) * 2 - 1
        sums = patterns @ d
    else:
        rng = np.random.default_rng(0)
        sums = np.empty(65536)
        sums[0] = observed
        for start in range(1, 65536, 4096):
            stop = min(start + 4096, 65536)
            sums[start:stop] = (rng.integers(0, 2, size=(stop - start, n)) * 2 - 1) @ d
    slack = 1e-12 * max(1.0, float(np.abs(d).sum()))
    return float(np.mean(sums >= observed - slack))


def load_module(paper: str) -> ModuleType:
    """Import the module that holds a paper's claims."""
    return importlib.import_module(MODULES[paper])


def select_claims(names: Sequence[str] = ()) -> list[Claim]:
    """Return the claims that `names` select, in the order of their modules, each once.

    Parameters
    ----------
    names : sequence of str
        Paper keys (all their claims), claim ids, or ids without brackets (every claim of that name). Empty: everything
        that is built.

    Returns
    -------
    list of Claim

    Raises
    ------
    ValueError
        For a name that selects nothing, with the nearest names that exist.
    """
    from scinn.papers import PAPERS, nearest

    if not names:
        return [claim for paper in MODULES for claim in load_module(paper).CLAIMS]
    wanted: set[str] = set()
    for name in names:
        paper = name.partition(":")[0]
        if paper not in MODULES:
            if paper in PAPERS:
                raise ValueError(
                    f"{paper} is planned and has no claims yet; built so far: {', '.join(MODULES)}"
                )
            raise ValueError(f"no paper is called {paper!r}{nearest(paper, [*MODULES, *PAPERS])}")
        claims = load_module(paper).CLAIMS
        found = [c.id for c in claims if name in (c.paper, c.id, c.id.partition("[")[0])]
        if not found:
            raise ValueError(f"no claim is called {name!r}{nearest(name, _names(claims))}")
        wanted.update(found)
    papers = {name.partition(":")[0] for name in names}
    return [
        claim
        for paper in MODULES
        if paper in papers
        for claim in load_module(paper).CLAIMS
        if claim.id in wanted
    ]


def _names(claims: Iterable[Claim]) -> list[str]:
    return [name for claim in claims for name in (claim.id, claim.id.partition("[")[0])]
