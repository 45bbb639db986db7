"""The command line: parses, calls, prints. Results go to standard output, everything else to standard error.

Exit codes: 0 done; 1 a check failed or something could not be done; 2 the command was not understood or an optional
dependency is missing; 130 interrupted. A claim that does not hold is a result, not an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scinn._terminal import FailureError, console, print_json
from scinn._version import __version__
from scinn.cli_methods import invert, stabilize
from scinn.exceptions import MissingExtraError, OutputLockedError
from scinn.papers import PAPERS

if TYPE_CHECKING:
    from scinn.reproduce.runner import RunConfig, RunResult

__all__ = ["app", "main"]

_VERDICT_COLOURS = {
    "reproduced": "green",
    "direction holds": "yellow",
    "not reproduced": "red",
    "not run": "bright_black",
}


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a check failed, 2 not understood, 130 interrupted.",
)
@click.version_option(__version__, prog_name="scinn")
def app() -> None:
    """Neural-network papers as transparent, fast, verified CPU reference implementations.

    Start with: scinn reproduce framelets --budget smoke
    """


@app.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def papers(as_json: bool) -> None:
    """List the eleven papers and say which are built."""
    if as_json:
        print_json([paper.to_dict() for paper in PAPERS.values()])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("key", "status", "paper", "what it gives you"):
        table.add_column(name, overflow="fold")
    for paper in PAPERS.values():
        status = "[green]built[/]" if paper.status == "built" else "[bright_black]planned[/]"
        place = paper.venue if str(paper.year) in paper.venue else f"{paper.venue} {paper.year}"
        table.add_row(paper.key, status, f"{paper.title} ({place})", paper.subject)
    console().print(table)


def _shard(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    first, slash, last = value.partition("/")
    if not (slash and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise click.BadParameter(f"{value!r} is no slice; write i/n with 1 <= i <= n, for example 1/4")
    return int(first), int(last)


def _config_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Make the values of a file the defaults of the other options, so that flags on the line still win."""
    if value is None:
        return None
    import tomllib

    from scinn.papers import nearest

    try:
        table = tomllib.loads(value.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{value} cannot be read: {error}") from error
    known = {"claims", "budget", "seed", "jobs", "threads", "out", "shard"}
    for name in table:
        if name not in known:
            raise click.BadParameter(f"{value} has an unknown key {name!r}{nearest(name, known)}")
    names = table.pop("claims", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise click.BadParameter(f"{value}: claims must be a list of names, got {names!r}")
    ctx.default_map = {**(ctx.default_map or {}), **table}
    ctx.meta["scinn.claims"] = tuple(names)
    return value


@app.command()
@click.argument("names", nargs=-1, metavar="[PAPER|CLAIM]...")
@click.option("--budget", type=click.Choice(["smoke", "quick", "full"]), default="quick", show_default=True,
              help="smoke: under a minute a paper; quick: minutes; full: as the paper.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Root seed.")
@click.option("--jobs", type=click.IntRange(0), default=0, help="Worker processes; default: one a core.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, envvar="SCINN_NUM_THREADS",
              help="Threads of BLAS and Numba in one experiment.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("report"),
              show_default=True, help="Output folder; running again goes on there.")  # fmt: skip
@click.option(
    "--shard", callback=_shard, metavar="I/N", help="Run the I-th of N slices; join with scinn report."
)
@click.option("--reuse", type=click.Path(exists=True, file_okay=False, path_type=Path), multiple=True,
              help="Further output folder whose results may be used.")  # fmt: skip
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), callback=_config_file, is_eager=True,
              help="A run.toml; options on the line win.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress, no table.")
@click.option("--json", "as_json", is_flag=True, help="Print claims.json.")
@click.pass_context
def reproduce(
    ctx: click.Context,
    names: tuple[str, ...],
    budget: str,
    seed: int,
    jobs: int,
    threads: int,
    out: Path,
    shard: tuple[int, int] | None,
    reuse: tuple[Path, ...],
    config: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Rerun the claims of papers and write a report.

    Without names every claim of every built paper is run. A run that is interrupted anywhere goes on when the same
    command is given again.

    \b
    scinn reproduce framelets --budget smoke
    scinn reproduce 'framelets:accuracy[dataset=cora,variant=relu]' --budget full --jobs 2
    """
    from scinn.reproduce.claims import select_claims
    from scinn.reproduce.progress import ProgressDisplay
    from scinn.reproduce.runner import RunConfig, run

    chosen = names or ctx.meta.get("scinn.claims", ())
    try:
        select_claims(chosen)
        settings = RunConfig(names=chosen, budget=budget, seed=seed, jobs=jobs, threads=threads, out=out,
                             shard=shard, reuse=reuse)  # fmt: skip
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if jobs > settings.workers and not quiet:
        click.echo(
            f"--jobs {jobs} x --threads {threads} is more than the cores here: {settings.workers} jobs",
            err=True,
        )
    try:
        with ProgressDisplay(quiet=quiet) as display:
            result = run(settings, display)
    except KeyboardInterrupt:
        click.echo(
            f"interrupted; every finished experiment is kept in {out}.\nGo on with: {_again(settings)}",
            err=True,
        )
        ctx.exit(130)
    except ValueError as error:
        raise FailureError(str(error)) from error
    _show_run(result, settings, quiet=quiet, as_json=as_json)
    if result.errors:
        ctx.exit(1)


def _again(config: RunConfig) -> str:
    import shlex

    parts = ["scinn", "reproduce", *config.names, "--budget", config.budget, "--seed", str(config.seed)]
    parts += ["--jobs", str(config.jobs)] if config.jobs else []
    parts += ["--threads", str(config.threads)] if config.threads > 1 else []
    parts += ["--shard", f"{config.shard[0]}/{config.shard[1]}"] if config.shard else []
    for folder in config.reuse:
        parts += ["--reuse", str(folder)]
    return shlex.join([*parts, "--out", str(config.out)])


def _show_run(result: RunResult, config: RunConfig, *, quiet: bool, as_json: bool) -> None:
    for error in result.errors:
        click.echo(f"error: {error}", err=True)
    if as_json:
        click.echo((result.out / "claims.json").read_text(encoding="utf-8"))
        return
    if quiet:
        return
    from rich.markup import escape
    from rich.table import Table

    from scinn.reproduce.report import duration, measured_text, number_text

    table = Table(box=None, pad_edge=False, row_styles=["", "dim"] if len(result.records) > 12 else None)
    table.add_column("claim", overflow="fold")
    for name in ("paper", "measured", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", overflow="fold")
    for record in result.records:
        unit = f" {record['unit']}" if record["unit"] else ""
        measured = measured_text(record)
        verdict = record["verdict"]
        table.add_row(
            escape(record["claim"]),
            number_text(record["reported"], record["unit"]),
            measured + unit * (measured != "–"),
            str(record["measured"]["n"] or "–"),
            f"[{_VERDICT_COLOURS[verdict]}]{verdict}[/]",
            escape(record["reason"]),
        )
    console().print(table)
    counts = [f"{n} {v}" for v in _VERDICT_COLOURS if (n := sum(r["verdict"] == v for r in result.records))]
    click.echo(f"\n{len(result.records)} claims: {', '.join(counts)}.")
    click.echo(
        f"{result.n_run} experiments run, {result.n_reused} taken from the journal; "
        f"{duration(result.seconds)} of computing."
    )
    for note in result.notes:
        click.echo(f"note: {note}")
    click.echo(f"One row again: scinn reproduce 'CLAIM' --budget {config.budget} --seed {config.seed}")
    click.echo(f"Report: {result.out / 'index.html'}")


@app.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...",
                type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where to write."
)
@click.option("--mixed", is_flag=True, help="Accept runs of different code, data or libraries.")
@click.option("--json", "as_json", is_flag=True, help="Print claims.json.")
@click.pass_context
def report(ctx: click.Context, folders: tuple[Path, ...], out: Path, mixed: bool, as_json: bool) -> None:
    """Join the shards of a run into one report, or write a report anew."""
    from scinn.reproduce.runner import RunConfig, merge

    try:
        result = merge(folders, out, mixed=mixed)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    head = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    config = RunConfig(budget=head["budget"], seed=head["seed"], out=out)
    _show_run(result, config, quiet=False, as_json=as_json)
    if result.errors:
        ctx.exit(1)


@app.command()
@click.argument("names", nargs=-1, metavar="[PAPER]...")
@click.option("--cases", type=click.IntRange(1), default=25, show_default=True, help="Cases a theorem.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Root seed.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Folder for scripts that repeat failing cases.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(
    ctx: click.Context, names: tuple[str, ...], cases: int, seed: int, out: Path | None, as_json: bool
) -> None:
    """Try the theorems of papers on random cases."""
    from scinn.papers import nearest
    from scinn.verify import registry

    for name in names:
        if name not in registry.MODULES:
            planned = (
                f"{name} is planned and has no theorems yet"
                if name in PAPERS
                else f"no paper is called {name!r}"
            )
            raise click.UsageError(planned + nearest(name, registry.MODULES))
    screen = console()

    def show(done: Any) -> None:
        mark = "[green]holds[/] " if done.passed else "[red]FAILS[/] "
        error = f"{done.worst.worst_error:.1e} of {done.worst.tolerance:.0e}"
        line = f"{mark} {done.property.id:<48} {done.n_cases - done.n_failed:>4}/{done.n_cases} cases"
        screen.print(f"{line}  worst {error}  {done.seconds:.1f} s", soft_wrap=True)
        if not done.passed:
            screen.print(f"       {done.worst.detail}", markup=False)
            for path in done.scripts:
                screen.print(f"       repeat it: python {path}", markup=False)

    reports = registry.verify_papers(names or None, cases, seed, None if as_json else show, folder=out)
    n_failed = sum(not done.passed for done in reports)
    if as_json:
        print_json({"seed": seed, "cases": cases, "properties": [done.to_dict() for done in reports]})
    else:
        click.echo(
            f"{len(reports) - n_failed} of {len(reports)} theorems hold on {cases} cases each (seed {seed})."
        )
    if n_failed:
        ctx.exit(1)


@app.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Smaller sizes, fewer repetitions.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Write JSON there."
)
@click.option("--merge", is_flag=True, help="Keep the other benchmarks that the file of --out holds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(names: tuple[str, ...], quick: bool, out: Path | None, merge: bool, as_json: bool) -> None:
    """Time kernels and transforms beside named peers, each on one thread."""
    from scinn import bench as benchmarks
    from scinn.papers import nearest

    if merge and out is None:
        raise click.UsageError("--merge needs --out, the file whose other benchmarks are kept")
    for name in names:
        if name not in benchmarks.BENCHMARKS:
            raise click.UsageError(f"no benchmark is called {name!r}{nearest(name, benchmarks.BENCHMARKS)}")
    # Read before the long run, so that a file that is no record is refused at once.
    try:
        kept = benchmarks.read_record(out) if merge and out is not None and out.is_file() else None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    record = benchmarks.run(names, quick=quick, callback=lambda message: click.echo(message, err=True))
    if out is not None:
        from scinn._files import write_json

        write_json(out, benchmarks.merge(kept, record) if kept else record)
    if as_json:
        print_json(record)
    else:
        click.echo(benchmarks.format_record(record))


app.add_command(stabilize)
app.add_command(invert)


@app.group()
def data() -> None:
    """List and fetch data sets."""


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data_list(as_json: bool) -> None:
    """List the data sets and say which are on this machine."""
    from scinn import datasets

    rows = [(datasets.DATASETS[name], datasets.available(name)) for name in datasets.list_datasets()]
    if as_json:
        fields = ("name", "kind", "task", "title", "licence", "origin", "citation", "content_sha256")
        print_json(
            [
                {field: getattr(info, field) for field in fields}
                | {"counts": dict(info.counts), "available": here}
                for info, here in rows
            ]
        )
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "here", "kind", "task", "what", "licence"):
        table.add_column(column, overflow="fold")
    for info, here in rows:
        table.add_row(
            info.name, "[green]yes[/]" if here else "no", info.kind, info.task, info.title, info.licence
        )
    console().print(table)


@data.command("fetch")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Write NAME.npz files there; use it later as $SCINN_DATA.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data_fetch(names: tuple[str, ...], to: Path | None, as_json: bool) -> None:
    """Fetch data sets from their publishers and check them; without names, all that come in files."""
    from scinn import datasets
    from scinn.exceptions import ChecksumError, DataUnavailableError

    def show(name: str, done: int, total: int) -> None:
        click.echo(f"{done} of {total}: {name}", err=True)

    try:
        paths = datasets.fetch(list(names) or None, to=to, callback=show)
    except (DataUnavailableError, ChecksumError, OSError) as error:
        raise FailureError(str(error)) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json({name: str(path) for name, path in paths.items()})
    else:
        for name, path in paths.items():
            click.echo(f"{name}: {path}")


@app.command()
@click.argument("names", nargs=-1, metavar="[PAPER]...")
@click.option(
    "--format", "form", type=click.Choice(["bibtex", "text", "cff"]), default="bibtex", show_default=True
)
@click.option("--run", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None,
              help="Cite what the run in this output folder used.")  # fmt: skip
def cite(names: tuple[str, ...], form: str, folder: Path | None) -> None:
    """Print how to cite papers, entries of the bibliography or (without names) scinn itself.

    With --run, what a finished run used: its papers, data sets and scinn.
    """
    from scinn.papers import cite as citation

    if folder is not None:
        names = (*names, *_used_by(folder))
    try:
        click.echo(citation(*names, format=form))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _used_by(folder: Path) -> list[str]:
    """Keys of the papers, data sets and of scinn itself that a run used."""
    try:
        records = json.loads((folder / "claims.json").read_text(encoding="utf-8"))["claims"]
    except (OSError, ValueError, KeyError) as error:
        raise click.UsageError(f"{folder} holds no claims.json of a finished run") from error
    from scinn.datasets import DATASETS, lookup

    ran = [record for record in records if record["verdict"] != "not run"]
    names = [name for record in ran for name in record["dataset"].split(", ") if name != "generated"]
    sets = [lookup(name).citation for name in names if lookup(name).name in DATASETS]
    return list(dict.fromkeys([*(record["paper"] for record in records), *filter(None, sets), "scinn"]))


@app.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--no-test", is_flag=True, help="Leave out the self-test.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, no_test: bool) -> None:
    """Print what a bug report needs: versions, threads, cache, data, and a self-test."""
    from scinn.reproduce.doctor import diagnose

    found = diagnose(test_seconds=0.0 if no_test else 5.0)
    if as_json:
        print_json(found)
    else:
        _show_diagnosis(found)
    if found["self_test"] is not None and not found["self_test"]["passed"]:
        ctx.exit(1)


def _show_diagnosis(found: dict[str, Any]) -> None:
    def line(name: str, value: Any) -> None:
        click.echo(f"{name:<16} {value}")

    for name, value in found["environment"].items():
        line(name, value)
    for pool in found["thread_pools"]:
        line("thread pool", ", ".join(f"{name} {value}" for name, value in pool.items() if value))
    numba = found["numba"]
    line("numba threads", f"{numba['threads']}, layer {numba['threading_layer']}")
    if numba["jit_disabled"]:
        line("numba", "the compiler is switched off (NUMBA_DISABLE_JIT)")
    line("kernel cache", _cache_text(found["kernel_cache"]))
    for name, value in found["variables"].items():
        line(name, value)
    here = [name for name, there in found["datasets"].items() if there]
    missing = [name for name, there in found["datasets"].items() if not there]
    line("data sets", ", ".join(here))
    if missing:
        line("not here", f"{', '.join(missing)} (scinn data fetch NAME)")
    test = found["self_test"]
    if test is not None:
        verdict = "passed" if test["passed"] else "FAILED"
        line(
            "self-test",
            f"{verdict}: {test['n_checked']} of {test['n_known']} theorems in {test['seconds']} s",
        )
        for failure in test["failed"]:
            click.echo(f"  {failure}")


def _cache_text(cache: dict[str, Any]) -> str:
    if not cache["writable"]:
        return "not writable: kernels are compiled anew in every process (set NUMBA_CACHE_DIR)"
    return f"{cache['path']}: {cache['n_files']} files, {cache['n_bytes'] / 2**20:.1f} MiB"


@app.command()
@click.argument("names", nargs=-1, metavar="[PAPER]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def warmup(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Compile the kernels that papers need, so that the first real call is quick."""
    from scinn.reproduce.doctor import warmup as warm

    def show(label: str, done: int, total: int) -> None:
        if label:
            click.echo(f"{done + 1} of {total}: {label}", err=True)

    try:
        state = warm(names, show)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json(state)
    else:
        click.echo(f"ready after {state['seconds']} s; kernel cache {_cache_text(state)}")
    for message in state["errors"]:
        click.echo(f"error: {message}", err=True)
    if state["errors"]:
        ctx.exit(1)


def _run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    try:
        code = app.main(args=arguments, prog_name="scinn", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except MissingExtraError as error:
        click.echo(f"Error: {error}", err=True)
        return 2
    except (OutputLockedError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    return code if isinstance(code, int) else 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``scinn`` command."""
    sys.exit(_run(arguments))


if __name__ == "__main__":
    main()
