"""The runner: asks the claims for cells, runs what is missing, judges, and writes the output folder."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scinn._files import write_json, write_text
from scinn._machine import usable_cores
from scinn._version import __version__
from scinn.reproduce.claims import BUDGETS, Cell, Claim, Outcome, Results, as_json, load_module, select_claims
from scinn.reproduce.environment import code_hash, environment, freeze, libraries
from scinn.reproduce.journal import Journal, OutputLock, cell_key, read_records

__all__ = ["SCHEMA", "Progress", "RunConfig", "RunResult", "merge", "rerun_command", "run"]

#: Version of ``claims.json``; its keys never change within a number.
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What to run and how.

    Parameters
    ----------
    names : tuple of str
        Papers and claims; empty for everything that is built.
    budget : {"smoke", "quick", "full"}
        How much to compute.
    seed : int
        Root seed, below 2**31.
    jobs : int
        Worker processes; 0 takes one per usable core.
    threads : int
        Threads of BLAS and Numba inside one cell.
    out : Path
        Output folder.
    shard : (int, int), optional
        ``(i, n)``: run only the i-th of n slices of the cells, i from 1.
    reuse : tuple of Path
        Other output folders whose results may be used.
    """

    names: tuple[str, ...] = ()
    budget: str = "quick"
    seed: int = 0
    jobs: int = 1
    threads: int = 1
    out: Path = Path("report")
    shard: tuple[int, int] | None = None
    reuse: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.budget not in BUDGETS:
            raise ValueError(f"budget must be one of {', '.join(BUDGETS)}; got {self.budget!r}")
        for name, value, low in (
            ("seed", self.seed, 0),
            ("jobs", self.jobs, 0),
            ("threads", self.threads, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**31:
                raise ValueError(f"{name} must be an integer of at least {low}; got {value!r}")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise ValueError(f"shard must be (i, n) with 1 <= i <= n; got {self.shard!r}")

    @property
    def workers(self) -> int:
        """Worker processes in truth: never more than the usable cores can give `threads` each."""
        most = max(1, usable_cores() // self.threads)
        return most if self.jobs == 0 else min(self.jobs, most)

    def to_toml(self) -> str:
        """Return the text of ``run.toml``, which repeats the run."""
        names = ", ".join(f'"{name}"' for name in self.names)
        lines = [
            f"# scinn {__version__}: repeats this run with `scinn reproduce --config run.toml --out DIR`",
            f"claims = [{names}]",
            f'budget = "{self.budget}"',
            f"seed = {self.seed}",
            f"threads = {self.threads}",
        ]
        if self.shard is not None:
            lines.append(f'shard = "{self.shard[0]}/{self.shard[1]}"')
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Progress:
    """Where a run stands; the argument of a progress callback.

    Parameters
    ----------
    phase : str
        ``"fetching"``, ``"running"``, ``"judging"`` or ``"drawing"``.
    done, total : int
        Cells; the total grows when a claim asks for a second stage.
    reused : int
        Cells among `done` that came out of the journal.
    label : str
        The cell that ended last.
    """

    phase: str
    done: int
    total: int
    reused: int
    label: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a run wrote.

    Parameters
    ----------
    out : Path
        The output folder.
    records : list of dict
        The list ``claims`` of ``claims.json``.
    details : dict
        Claim id -> further printable numbers, as in ``details.json``.
    n_run, n_reused : int
        Cells computed now, and taken from the journal.
    seconds : float
        Computing time of all cells together, journaled ones included.
    errors : list of str
        What went wrong; a claim that does not hold is no error.
    notes : list of str
        What a user should know: why recorded cells ran again, for example.
    """

    out: Path
    records: list[dict[str, Any]]
    details: dict[str, dict[str, Any]]
    n_run: int
    n_reused: int
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Asker:
    """A claim and the cells it has asked for so far."""

    claim: Claim
    asked: dict[Cell, None] = field(default_factory=dict)
    reason: str | None = None  # why it cannot be run at all


@dataclass
class _Ledger:
    """Every result that is known in this run."""

    done: dict[tuple[str, Cell], dict[str, Any]] = field(default_factory=dict)
    seconds: dict[tuple[str, Cell], float] = field(default_factory=dict)
    failed: dict[tuple[str, Cell], str] = field(default_factory=dict)
    unavailable: dict[tuple[str, Cell], str] = field(default_factory=dict)
    computed: int = 0
    reused: int = 0
    changed: dict[str, int] = field(default_factory=dict)

    def results(self, asker: _Asker) -> Results:
        paper = asker.claim.paper
        return Results({cell: self.done[paper, cell] for cell in asker.asked if (paper, cell) in self.done})


def rerun_command(claim_id: str, budget: str, seed: int) -> str:
    """Return the line that runs one claim again."""
    return f"scinn reproduce {shlex.quote(claim_id)} --budget {budget} --seed {seed}"


def _missing_data(claim: Claim, failures: Mapping[str, str]) -> str | None:
    if not claim.dataset:
        return None
    from scinn import datasets

    missing = [name for name in claim.dataset if not datasets.available(name)]
    if not missing:
        return None
    by_hand = any(datasets.lookup(name).hand_made is not None for name in missing)
    way = "how to make it:" if by_hand else "get it with:"
    text = f"data: {', '.join(missing)} not on this machine; {way} scinn data fetch {' '.join(missing)}"
    whys = [f"{name}: {failures[name]}" for name in missing if name in failures]
    return f"{text} ({'; '.join(whys)})" if whys else text


def _ask(askers: Sequence[_Asker], config: RunConfig, ledger: _Ledger) -> bool:
    """Let every claim name its cells; say whether one of them named a new one."""
    grew = False
    for asker in askers:
        if asker.reason is not None:
            continue
        try:
            wanted = asker.claim.next_cells(config.budget, config.seed, ledger.results(asker))
        except Exception as error:
            asker.reason = f"error: {type(error).__name__}: {error} (while choosing cells)"
            continue
        new = [cell for cell in wanted if cell not in asker.asked]
        asker.asked.update(dict.fromkeys(new))
        grew = grew or bool(new)
    return grew


def _in_shard(paper: str, cell: Cell, shard: tuple[int, int] | None) -> bool:
    """Seeds of one protocol go round the shards, so that equal work is spread evenly."""
    return shard is None or (int(cell.protocol_hash, 16) + cell.seed) % shard[1] == shard[0] - 1


def _collect(
    askers: Sequence[_Asker],
    config: RunConfig,
    ledger: _Ledger,
    execute: Callable[[list[tuple[str, Cell]]], None],
) -> None:
    """Ask and run in turns until nobody names a new cell."""
    while True:
        grew = _ask(askers, config, ledger)
        everything = dict.fromkeys((a.claim.paper, cell) for a in askers for cell in a.asked)
        known = (ledger.done, ledger.failed, ledger.unavailable)
        pending = [task for task in everything if not any(task in place for place in known)]
        pending = [task for task in pending if _in_shard(*task, config.shard)]
        if pending:
            execute(pending)
        elif not grew:
            return


class _Executor:
    """Takes cells from the journal where their key is there, runs the others and journals them."""

    def __init__(
        self,
        config: RunConfig,
        journal: Journal,
        ledger: _Ledger,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.config, self.journal, self.ledger, self.progress = config, journal, ledger, progress
        self._checksums: dict[str, str] = {}
        self._libraries = libraries()

    def identity(self, paper: str, cell: Cell) -> dict[str, Any]:
        from scinn import datasets

        for name in cell.datasets:
            if name not in self._checksums:
                self._checksums[name] = datasets.checksum(name)
        experiment = load_module(paper).EXPERIMENTS.get(cell.experiment)
        source = experiment.__code__.co_filename if hasattr(experiment, "__code__") else None
        return {
            "data": {name: self._checksums[name] for name in cell.datasets},
            "version": __version__,
            "code": code_hash(source),
            "libraries": self._libraries,
        }

    def __call__(self, pending: list[tuple[str, Cell]]) -> None:
        from scinn.reproduce.cells import run_cells

        ledger, todo, records = self.ledger, [], []
        for paper, cell in pending:
            identity = self.identity(paper, cell)
            key = cell_key(paper, cell, **identity)
            record = self.journal.get(key)
            if record is not None:
                ledger.done[paper, cell] = record["result"]
                ledger.seconds[paper, cell] = record["seconds"]
                ledger.reused += 1
                continue
            changed = self.journal.why_not(paper, cell, identity)
            if changed:
                ledger.changed[changed] = ledger.changed.get(changed, 0) + 1
            todo.append((paper, cell))
            records.append({"key": key, "paper": paper, **_described(cell), **identity})
        self.tell(len(todo), "")
        with closing(run_cells(todo, jobs=self.config.workers, threads=self.config.threads)) as outcomes:
            for outcome in outcomes:
                task = todo[outcome.position]
                if outcome.result is not None:
                    record = records[outcome.position] | {
                        "seconds": outcome.seconds,
                        "result": outcome.result,
                    }
                    self.journal.append(record)
                    ledger.done[task], ledger.seconds[task] = outcome.result, outcome.seconds
                elif outcome.unavailable:
                    ledger.unavailable[task] = outcome.error or ""
                else:
                    ledger.failed[task] = outcome.error or ""
                ledger.computed += 1
                self.todo -= 1
                self.tell(self.todo, f"{task[0]}: {task[1].experiment} seed {task[1].seed}")

    def tell(self, todo: int, label: str, phase: str = "running") -> None:
        """Report progress; `todo` cells are still to be run."""
        self.todo = todo
        if self.progress is not None:
            done = self.ledger.computed + self.ledger.reused
            self.progress(Progress(phase, done, done + todo, self.ledger.reused, label))


def _described(cell: Cell) -> dict[str, Any]:
    return {
        "experiment": cell.experiment,
        "params": cell.params,
        "seed": cell.seed,
        "protocol": cell.protocol_hash,
    }


def _judge(asker: _Asker, config: RunConfig, ledger: _Ledger) -> Outcome:
    claim = asker.claim
    tasks = [(claim.paper, cell) for cell in asker.asked]
    reason = asker.reason
    if reason is None:
        broken = [ledger.failed[task] for task in tasks if task in ledger.failed]
        absent = [ledger.unavailable[task] for task in tasks if task in ledger.unavailable]
        waiting = sum(task not in ledger.done for task in tasks)
        if broken:
            reason = f"error: {broken[0]}"
        elif absent:
            reason = f"data: {absent[0]}"
        elif waiting:
            reason = f"incomplete: {waiting} of {len(tasks)} cells are in other shards or not run yet"
    if reason is None:
        try:
            return claim.evaluate(config.budget, ledger.results(asker))
        except Exception as error:
            reason = f"error: {type(error).__name__}: {error} (while judging)"
    return Outcome(None, None, 0, "not run", reason)


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON has no word for, by None."""
    value = as_json(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _record(asker: _Asker, outcome: Outcome, config: RunConfig, ledger: _Ledger) -> dict[str, Any]:
    """One element of ``claims`` in ``claims.json``; the keys are frozen by ``SCHEMA``."""
    claim = asker.claim
    return {
        "paper": claim.paper,
        "claim": claim.id,
        "statement": claim.statement,
        "reported": claim.reported,
        "source": claim.source,
        "dataset": ", ".join(claim.dataset) or "generated",
        "protocol": {
            "text": claim.protocol,
            "budget": config.budget,
            "parameters": claim.parameters_of(config.budget),
        },
        "success_rule": claim.success_rule,
        "seeds": sorted({cell.seed for cell in asker.asked}),
        "measured": _finite({"mean": outcome.mean, "sd": outcome.sd, "n": outcome.n}),
        "unit": claim.unit,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "seconds": round(sum(ledger.seconds.get((claim.paper, cell), 0.0) for cell in asker.asked), 3),
        "environment": environment(config.threads),
    }


def _write(
    config: RunConfig,
    askers: Sequence[_Asker],
    ledger: _Ledger,
    notes: list[str],
    tell: Callable[[str], None] = lambda phase: None,
) -> RunResult:
    """Judge, draw and write everything but the journal."""
    from scinn.reproduce.figures import draw
    from scinn.reproduce.report import render

    tell("judging")
    outcomes = [_judge(asker, config, ledger) for asker in askers]
    records = [_record(asker, outcome, config, ledger) for asker, outcome in zip(askers, outcomes)]
    reported_sd = {a.claim.id: a.claim.reported_sd for a in askers}
    details = {record["claim"]: _finite(outcome.extra) for record, outcome in zip(records, outcomes)}
    errors = [f"{r['claim']}: {r['reason']}" for r in records if r["reason"].startswith("error: ")]
    tell("drawing")
    figures = []
    for paper in dict.fromkeys(asker.claim.paper for asker in askers):
        cells: dict[Cell, dict[str, Any]] = {}
        for asker in askers:
            if asker.claim.paper == paper:
                cells.update(ledger.results(asker))
        try:
            figures += draw(paper, Results(cells), config.budget, config.out)
        except Exception as error:
            errors.append(f"figures of {paper}: {type(error).__name__}: {error}")
    head = {"schema": SCHEMA, "scinn": __version__, "budget": config.budget, "seed": config.seed}
    write_json(config.out / "claims.json", {**head, "claims": records})
    captions = [{"file": f.stem, "title": f.title, "caption": f.caption} for f in figures]
    write_json(config.out / "details.json", {**head, "details": details, "figures": captions})
    seconds = sum(ledger.seconds.values())
    result = RunResult(config.out, records, details, ledger.computed, ledger.reused, seconds, errors, notes)
    page = render(result, config, figures, reported_sd)
    write_text(config.out / "index.html", page)
    return result


def _fetch_missing(claims: Sequence[Claim], tell: Callable[[str], None]) -> dict[str, str]:
    """Download the sets that claims want and this machine lacks; return why one was refused or not reached.

    Where the network does not answer for one set, the others are not tried.
    """
    from scinn import datasets
    from scinn.datasets.store import is_offline
    from scinn.exceptions import ChecksumError, DataUnavailableError

    failures: dict[str, str] = {}
    names = dict.fromkeys(name for claim in claims for name in claim.dataset)
    for name in () if is_offline() else names:
        if datasets.available(name) or datasets.lookup(name).hand_made is not None:
            continue
        tell(name)
        try:
            datasets.fetch(name)
        except ChecksumError as error:
            failures[name] = str(error).splitlines()[0]
        except (DataUnavailableError, OSError):
            failures[name] = "its download failed"
            break
    return failures


def run(config: RunConfig, progress: Callable[[Progress], None] | None = None) -> RunResult:
    """Run claims, or go on with an interrupted run, and write the output folder.

    Writes ``journal.jsonl`` as it goes, then ``claims.json``, ``details.json``, ``index.html``, ``figures/``,
    ``run.toml`` and ``environment.txt``. Cells that the journal holds under the same code, data and versions are
    not run again, so that a run killed at any moment and started again gives the same measured values.

    Parameters
    ----------
    config : RunConfig
        What to run.
    progress : callable, optional
        Called with a :class:`Progress` after every cell.

    Returns
    -------
    RunResult

    Raises
    ------
    ValueError
        For a name that is no paper and no claim.
    OutputLockedError
        Where another process writes into the folder.
    KeyboardInterrupt
        Passed on; every finished cell is in the journal.
    """
    claims = select_claims(config.names)
    config.out.mkdir(parents=True, exist_ok=True)
    with OutputLock(config.out):
        write_text(config.out / "run.toml", config.to_toml())
        write_text(config.out / "environment.txt", freeze())
        journal = Journal(config.out / "journal.jsonl", [folder / "journal.jsonl" for folder in config.reuse])
        ledger = _Ledger()
        executor = _Executor(config, journal, ledger, progress)
        failures = _fetch_missing(claims, lambda name: executor.tell(0, name, "fetching"))
        askers = [_Asker(claim, reason=_missing_data(claim, failures)) for claim in claims]
        _collect(askers, config, ledger, executor)
        notes = [
            f"{n} recorded cell{'s' if n > 1 else ''} ran again: {what} changed since"
            for what, n in sorted(ledger.changed.items())
        ]
        return _write(config, askers, ledger, notes, lambda phase: executor.tell(0, "", phase))


def _merged_settings(folders: Sequence[Path]) -> tuple[tuple[str, ...], str, int, int]:
    import tomllib

    settings = []
    for folder in folders:
        path = folder / "run.toml"
        if not path.exists():
            raise ValueError(f"{folder} is no output folder of scinn reproduce: it has no run.toml")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            settings.append((tuple(table["claims"]), table["budget"], table["seed"], table["threads"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged ({type(error).__name__}: {error}): run the same command again, which writes it anew"
            ) from error
    for folder, other in zip(folders[1:], settings[1:]):
        if other[1:3] != settings[0][1:3]:
            raise ValueError(
                f"{folder} is a run with budget {other[1]} and seed {other[2]}, {folders[0]} one with budget "
                f"{settings[0][1]} and seed {settings[0][2]}: only shards of one run can be merged"
            )
    names = () if any(not s[0] for s in settings) else tuple(dict.fromkeys(n for s in settings for n in s[0]))
    return names, settings[0][1], settings[0][2], settings[0][3]


def merge(folders: Sequence[Path], out: Path, *, mixed: bool = False) -> RunResult:
    """Merge the journals of several runs (shards of one) and write one output folder from them.

    Parameters
    ----------
    folders : sequence of Path
        Output folders of runs with the same budget and seed.
    out : Path
        Where to write; it can be gone on with by ``scinn reproduce --out``.
    mixed : bool
        Accept journals that were written by different versions, code, libraries or data.

    Returns
    -------
    RunResult
        Nothing is computed; claims with missing cells are ``not run`` and say how many are missing.

    Raises
    ------
    ValueError
        Where the runs do not belong together, or two journals disagree about a cell.
    """
    names, budget, seed, threads = _merged_settings(folders)
    config = RunConfig(names=names, budget=budget, seed=seed, threads=threads, out=out)
    askers = [_Asker(claim) for claim in select_claims(names)]
    ledger = _Ledger()
    found: dict[tuple[str, Cell], dict[str, Any]] = {}
    for folder in folders:
        for record in read_records(folder / "journal.jsonl"):
            cell = Cell(record["experiment"], record["params"], record["seed"])
            other = found.setdefault((record["paper"], cell), record)
            same_key = other["key"] == record["key"]
            if same_key and other["result"] != record["result"]:
                raise ValueError(f"{folder}: the result of {cell!r} differs from that of another folder")
            if not same_key and not mixed:
                raise ValueError(
                    f"{folder}: {cell!r} was computed by other code, data or libraries; --mixed takes it"
                )
    _refuse_mixed(found.values(), mixed)
    for task, record in found.items():
        ledger.done[task], ledger.seconds[task] = record["result"], record["seconds"]
        ledger.reused += 1
    while _ask(askers, config, ledger):
        pass
    for asker in askers:
        if asker.reason is None and not any((asker.claim.paper, c) in found for c in asker.asked):
            asker.reason = _missing_data(asker.claim, {})
    out.mkdir(parents=True, exist_ok=True)
    with OutputLock(out):
        journal = Journal(out / "journal.jsonl")
        for record in found.values():
            if journal.get(record["key"]) is None:
                journal.append({name: value for name, value in record.items() if name != "format"})
        write_text(out / "run.toml", config.to_toml())
        write_text(out / "environment.txt", (folders[0] / "environment.txt").read_text(encoding="utf-8"))
        return _write(
            config, askers, ledger, [f"merged from {len(folders)} folder{'s' * (len(folders) > 1)}"]
        )


def _refuse_mixed(records: Iterable[dict[str, Any]], mixed: bool) -> None:
    kinds: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for record in records:
        kinds.setdefault((record["paper"], record["experiment"]), set()).add(
            (record["version"], record["code"])
        )
    for (paper, experiment), versions in kinds.items():
        if len(versions) > 1 and not mixed:
            raise ValueError(
                f"{paper}: {experiment} was run by {len(versions)} different versions of the code "
                f"({', '.join(sorted(' '.join(v) for v in versions))}); run them with one, or pass --mixed"
            )
