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

from scinn._version import __version__
from scinn.exceptions import MissingExtraError, OutputLockedError
from scinn.papers import PAPERS

if TYPE_CHECKING:
    from rich.console import Console

    from scinn.reproduce.runner import RunConfig, RunResult

__all__ = ["app", "main"]

_VERDICT_COLOURS = {
    "reproduced": "green",
    "direction holds": "yellow",
    "not reproduced": "red",
    "not run": "bright_black",
}


class _Failure(click.ClickException):
    """Something could not be done: one line, exit code 1."""

    exit_code = 1


class _BadInput(click.ClickException):
    """What came cannot be used: one line, exit code 2."""

    exit_code = 2


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    # Into a file or a pipe tables keep their full width: what is cut off there cannot be read by anybody.
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=200)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


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
        _print_json([paper.to_dict() for paper in PAPERS.values()])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("key", "status", "paper", "what it gives you"):
        table.add_column(name, overflow="fold")
    for paper in PAPERS.values():
        status = "[green]built[/]" if paper.status == "built" else "[bright_black]planned[/]"
        place = paper.venue if str(paper.year) in paper.venue else f"{paper.venue} {paper.year}"
        table.add_row(paper.key, status, f"{paper.title} ({place})", paper.subject)
    _console().print(table)


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
        raise _Failure(str(error)) from error
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
    _console().print(table)
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
    console = _console()

    def show(done: Any) -> None:
        mark = "[green]holds[/] " if done.passed else "[red]FAILS[/] "
        error = f"{done.worst.worst_error:.1e} of {done.worst.tolerance:.0e}"
        line = f"{mark} {done.property.id:<48} {done.n_cases - done.n_failed:>4}/{done.n_cases} cases"
        console.print(f"{line}  worst {error}  {done.seconds:.1f} s", soft_wrap=True)
        if not done.passed:
            console.print(f"       {done.worst.detail}", markup=False)
            for path in done.scripts:
                console.print(f"       repeat it: python {path}", markup=False)

    reports = registry.verify_papers(names or None, cases, seed, None if as_json else show, folder=out)
    n_failed = sum(not done.passed for done in reports)
    if as_json:
        _print_json({"seed": seed, "cases": cases, "properties": [done.to_dict() for done in reports]})
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
        _print_json(record)
    else:
        click.echo(benchmarks.format_record(record))


@app.command()
@click.argument("model", metavar="MODEL", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--validation", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Samples to choose neurons with: an .npz of features and labels.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Write the stabilised network there; without it, only report.")  # fmt: skip
@click.option("--test", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              help="Further samples, to judge with.")  # fmt: skip
@click.option("--floor", type=click.FloatRange(0, 1), default=None, help="Least validation accuracy.")
@click.option("--max-drop", type=click.FloatRange(0, 1), default=None,
              help="By how much it may fall instead.  [default: 0.01]")  # fmt: skip
@click.option(
    "--method", type=click.Choice(["gmbc", "gmb", "gmbb", "logn"]), default="gmbc", show_default=True
)
@click.option("--benefit", type=click.Choice(["proxy", "exact"]), default="proxy", show_default=True,
              help="Rank neurons as the paper does, or by the exact gain in distance.")  # fmt: skip
@click.option(
    "--layers", type=click.Choice(["hidden", "output", "both"]), default="hidden", show_default=True
)
@click.option("--p", type=click.FloatRange(1), default=1.0, show_default=True,
              help="Of the l_p distance, up to inf.")  # fmt: skip
@click.option("--threshold-rule", type=click.Choice(["keep", "zero", "joint", "match"]), default="keep",
              show_default=True, help="What becomes of the neurons' thresholds.")  # fmt: skip
@click.option("--encoding", type=click.Choice(["auto", "bits", "signs"]), default="auto", show_default=True,
              help="What the samples hold.")  # fmt: skip
@click.option("--model-encoding", type=click.Choice(["bits", "signs"]), default=None,
              help="What a scinn.nn.Network was trained on; needed for one.")  # fmt: skip
@click.option("--attack", type=click.Choice(["none", "jsma"]), default="none", show_default=True,
              help="Attack the network before and after.")  # fmt: skip
@click.option("--attack-samples", type=click.IntRange(1), default=None, help="How many; default: all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="For drawing samples.")
@click.option("--force", is_flag=True, help="Overwrite OUT. MODEL is never overwritten.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stabilize(
    model: Path, validation: Path, floor: float | None, max_drop: float | None, layers: str, as_json: bool, **options: Any
) -> None:  # fmt: skip
    """Make a detector on binary features harder to evade: stabilise its hidden neurons.

    MODEL is a file of ShallowNetwork.save or scinn.nn.Network.save with one hidden layer, and OUT becomes one of the
    same kind. Samples come in .npz files with the arrays features (0/1 or -1/+1) and labels (0, 1, ...).

    \b
    scinn stabilize model.npz --floor 0.99 --validation val.npz --test test.npz --attack jsma -o stable.npz
    """
    from scinn.robustness.command import stabilize_file

    if floor is not None and max_drop is not None:
        raise click.UsageError("--floor and --max-drop exclude each other; give one of them")
    chosen = ("hidden", "output") if layers == "both" else (layers,)
    try:
        found = stabilize_file(model, validation, floor=floor, max_drop=max_drop, layers=chosen,
                               callback=lambda message: click.echo(message, err=True), **options)  # fmt: skip
    except ValueError as error:
        raise _Failure(str(error)) from error
    if as_json:
        _print_json(found)
    else:
        _show_stabilization(found)


def _show_stabilization(found: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from scinn.robustness.command import ending, neuron_rows, summary_rows

    console = _console()
    for rows, right in ((neuron_rows(found), slice(0, 6)), (summary_rows(found), slice(1, 3))):
        table = Table(box=None, pad_edge=False)
        for name in rows[0]:
            table.add_column(name, justify="right" if name in rows[0][right] else "left", overflow="fold")
        for row in rows[1:]:
            table.add_row(*map(escape, row))
        console.print(table)
        click.echo()
    click.echo(ending(found))


@app.command()
@click.argument("data", metavar="DATA.npz", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kernel", required=True, metavar="KERNEL",
              help="gaussian:W, box:W, laplace:W or moffat:W with the width W in units of x; identity; integration; or "
              "FILE.npy with the kernel's taps, or a matrix.")  # fmt: skip
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder for the report.")
@click.option("--prior", default="cauchy-gaussian", show_default=True, metavar="PRIOR",
              help="Network: cauchy-gaussian, cauchy, gaussian. Others: gp, cauchy-difference, besov, tv.")  # fmt: skip
@click.option("--boundary", default="reflect", show_default=True, metavar="HOW",
              help="The function beyond its ends: reflect, zero, periodic, nearest, mirror.")  # fmt: skip
@click.option("--grid", metavar="N", help="Unknowns, N or NxM; default: as many as data.")
@click.option("--noise", type=float, help="Standard deviation of the noise.")
@click.option("--noise-level", type=float, help="The same as a share of the size of y.")
@click.option("--noise-convention", default="max", show_default=True, metavar="SIZE",
              help="What --noise-level is a share of: max: the largest size in y, norm: its root mean square.")  # fmt: skip
@click.option("--widths", metavar="D1,D2,...", help="Of the network's hidden layers.  [default: 20,20]")
@click.option("--scales", metavar="S,...",
              help="Network: weights of all layers / biases; gp: length,std; cauchy-difference: gamma,start; besov: "
              "smoothness,scale; tv: weight. Relative to the domain's half width and the function's size.  [default: "
              "10,3,1/10,3,0.5 for a signal, 6,3,1/6,3,0.5 for an image]")  # fmt: skip
@click.option("--sampler", default="auto", show_default=True, metavar="NAME",
              help="collapsed-pcn, collapsed-inf-hmc, pcn, inf-mala, inf-hmc, elliptical-slice.")  # fmt: skip
@click.option("--chains", type=int, default=4, show_default=True, help="At least 2.")
@click.option("--draws", type=int, default=500, show_default=True, help="Kept of each chain.")
@click.option("--thin", type=int, help="Steps between draws.  [default: by sampler]")
@click.option("--warmup", type=int, help="Steps before the first draw.  [default: by sampler]")
@click.option("--starts", type=int, help="Of the MAP estimate.  [default: one a chain]")
@click.option("--jobs", type=int, help="Processes.  [default: one a core]")
@click.option("--seed", type=int, default=0, show_default=True, help="Root seed.")
@click.option("--checkpoint", type=click.Path(file_okay=False, path_type=Path),
              help="Folder in which an interrupted run goes on.")  # fmt: skip
@click.option("--map-only", is_flag=True, help="No sampling: one estimate, no uncertainty.")
@click.option("--force", is_flag=True, help="Replace a report in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json.")
@click.option("--quiet", is_flag=True, help="No progress, no table.")
@click.pass_context
def invert(ctx: click.Context, data: Path, as_json: bool, quiet: bool, **options: Any) -> None:
    """Recover a signal or an image, its edges and its uncertainty from blurred noisy data.

    DATA.npz holds y, shape (m,) or (m_a, m_b), and may hold the coordinates x (or x_a and x_b; by default the longest side
    is [-1, 1]), noise_std (a number, or one for each datum) and truth. Without any noise it is estimated from the data. OUT
    gets report.html, figures, result.npz and result.json, all at once at the end.

    With the default settings a signal of 128 data takes less than a minute on two cores. Whether that was enough the report
    says first.

    \b
    scinn invert signal.npz --kernel gaussian:0.05 --prior cauchy-gaussian -o OUT
    scinn invert image.npz --kernel psf.npy --boundary nearest --noise 0.02 -o OUT --checkpoint RUN
    """
    import shlex

    from scinn.inverse.command import ending, invert_file, summary_rows

    def say(message: str) -> None:
        if not quiet:
            click.echo(message, err=True)

    command = shlex.join(["scinn", "invert", str(data), *_given(ctx)])
    try:
        report = invert_file(data, command=command, callback=say, **options)
    except ValueError as error:
        raise _BadInput(str(error)) from error
    if as_json:
        _print_json(report)
    elif not quiet:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, show_header=False)
        for row in summary_rows(report):
            table.add_row(*row)
        _console().print(table, markup=False)
        click.echo(f"\n{ending(report)}")


def _given(ctx: click.Context) -> list[str]:
    """Return the options that were set on the line, as they would be written again."""
    from click.core import ParameterSource

    out: list[str] = []
    for parameter in ctx.command.params:
        name = parameter.name or ""
        skipped = isinstance(parameter, click.Argument) or name in ("as_json", "quiet", "force")
        if skipped or ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        option = max(parameter.opts, key=len)
        out += [option] if getattr(parameter, "is_flag", False) else [option, str(ctx.params[name])]
    return out


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
        _print_json(
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
    _console().print(table)


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
        raise _Failure(str(error)) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        _print_json({name: str(path) for name, path in paths.items()})
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
        _print_json(found)
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
        _print_json(state)
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
