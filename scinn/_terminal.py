"""What every command prints with: a console, JSON, and errors of one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BadInputError", "FailureError", "console", "print_json"]


class FailureError(click.ClickException):
    """Something could not be done: one line, exit code 1."""

    exit_code = 1


class BadInputError(click.ClickException):
    """What came cannot be used: one line, exit code 2."""

    exit_code = 2


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    own = Console(stderr=stderr, highlight=False, soft_wrap=False)
    # Into a file or a pipe tables keep their full width: what is cut off there cannot be read by anybody.
    return own if own.is_terminal else Console(stderr=stderr, highlight=False, width=200)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
