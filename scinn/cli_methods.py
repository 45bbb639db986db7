"""The commands that run one method on a user's own files: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scinn._terminal import BadInputError, FailureError, console, print_json

__all__ = ["invert", "stabilize"]


@click.command()
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
        raise FailureError(str(error)) from error
    if as_json:
        print_json(found)
    else:
        _show_stabilization(found)


def _show_stabilization(found: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from scinn.robustness.command import ending, neuron_rows, summary_rows

    screen = console()
    for rows, right in ((neuron_rows(found), slice(0, 6)), (summary_rows(found), slice(1, 3))):
        table = Table(box=None, pad_edge=False)
        for name in rows[0]:
            table.add_column(name, justify="right" if name in rows[0][right] else "left", overflow="fold")
        for row in rows[1:]:
            table.add_row(*map(escape, row))
        screen.print(table)
        click.echo()
    click.echo(ending(found))


@click.command()
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
        raise BadInputError(str(error)) from error
    if as_json:
        print_json(report)
    elif not quiet:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, show_header=False)
        for row in summary_rows(report):
            table.add_row(*row)
        console().print(table, markup=False)
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
