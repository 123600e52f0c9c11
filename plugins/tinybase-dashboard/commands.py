"""The failures for the command line: ``tinybase x tinybase-dashboard``."""

from __future__ import annotations

import json
from typing import Any

import click

from tinybase.extensions import command, pass_context
from tinybase.functions import Context

from .failures import forget, latest


@command
@click.command("failures")
@click.option("--limit", "-n", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@pass_context
def show_failures(ctx: Context, limit: int, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Show what failed lately, the newest first."""
    found = latest(ctx, limit)
    if as_json:
        click.echo(json.dumps({"failures": found}, indent=2))
        return
    for failure in found:
        click.echo(line(failure))
    if not found:
        click.echo("Nothing has failed lately.")


@command
@click.command("clear")
@pass_context
def clear_failures(ctx: Context) -> None:
    """Forget what failed."""
    click.echo(f"Forgot {forget(ctx)} failures.")


def line(failure: dict[str, Any]) -> str:
    """Return a failure in one line."""
    where = failure["handler"] or " ".join(filter(None, (failure["method"], failure["path"])))
    message = " ".join((failure["message"] or "").split())
    return f"{failure['at']}  {where or failure['source']}: {failure['error_type']}: {message}"
