"""``tinybase extensions history`` and what else there is to do after the installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from tinybase.cli import context
from tinybase.cli.extension_settings import given_along, set_option
from tinybase.cli.idle import tell_idle
from tinybase.cli.names import optional_names_argument
from tinybase.cli.output import (
    confirm,
    emit_json,
    json_option,
    note,
    printable,
    table,
    yes_option,
)
from tinybase.cli.plan import NOTICE
from tinybase.packages.generations import Generations
from tinybase.packages.lock import FILE_NAME, Lock

if TYPE_CHECKING:
    from tinybase.packages.changes import Change
    from tinybase.packages.history import Generation, Rollback
    from tinybase.packages.sync import SyncPlan
    from tinybase.packages.updates import State, UpdatePlan


_ORIGINS = {
    "extension": "is an extension",
    "package": "was brought by an extension",
    "tinybase": "comes with the environment of TinyBase, where no extension can change it",
}


def _complete_number(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's form
    incomplete: str,
) -> list[CompletionItem]:
    """Offer the sets that are kept."""
    kept = Generations(Path(ctx.find_root().params.get("instance") or ".")).kept()
    numbers = (str(int(path.name)) for path in kept)
    return [CompletionItem(number) for number in numbers if number.startswith(incomplete)]


def _complete_package(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's form
    incomplete: str,
) -> list[CompletionItem]:
    """Offer what the extensions brought."""
    current = Generations(Path(ctx.find_root().params.get("instance") or ".")).current()
    names = Lock.read(current / FILE_NAME).wheels() if current else {}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.command("history")
@json_option
def history(*, as_json: bool) -> None:
    """List the sets of extensions that are kept: the last three.

    Every change makes a new set, with a number of its own. What changed is told against the
    set that it was made from.

    \b
    Examples:
      tinybase extensions history
      tinybase extensions history --json
    """
    with context.services() as services:
        found = services.extensions.history.list()
    if as_json:
        emit_json(found)
        return
    table(
        [_generation_row(item) for item in found],
        ["Number", "In force", "When", "Command", "Changes"],
        empty="Nothing was installed yet.",
    )


@click.command("rollback")
@click.option(
    "--to",
    "number",
    metavar="N",
    type=click.IntRange(min=1),
    shell_complete=_complete_number,
    help="The number of the set, as history shows it. Default: the one before.",
)
@yes_option
@json_option
def rollback(*, number: int | None, yes: bool, as_json: bool) -> None:
    """Go back to an earlier set of extensions.

    Everything is still there, so nothing is fetched or built. What was switched on or off
    stays so. Newer sets stay too: --to leads to them again.

    \b
    Examples:
      tinybase extensions rollback
      tinybase extensions rollback --to 3
    """
    with context.services() as services:
        service = services.extensions.history
        target = service.target(number)
        if target.changes:
            note(f"Generation {target.number} in place of the current one:")
            tell_changes(target.changes)
            confirm("Go back?", yes=yes)
        done = service.roll_back(target.number, progress=note)
    if as_json:
        emit_json(done)
    else:
        click.echo(_said_of(done))


@click.command("update")
@optional_names_argument
@yes_option
@click.option("--ref", help="Where to move the one that is named; it stays there.")
@set_option
@click.option(
    "--allow-needs-config",
    is_flag=True,
    help="Also update what runs now and will wait for a setting.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@json_option
def update(
    *,
    names: tuple[str, ...],
    yes: bool,
    ref: str | None,
    settings: tuple[str, ...],
    allow_needs_config: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move extensions to newer releases: those named, or all.

    One from a repository moves to the newest release, or to the newest commit where there
    are no releases. One that was asked for at a tag, branch or commit stays there unless
    --ref says otherwise; one from the package index stays within the versions that it was
    asked for in. Packages stay as they are unless they have to change. If anything fails,
    nothing is changed. So it is if one that runs would wait for a setting that is new; --set
    gives it a value in the same step.

    \b
    Examples:
      tinybase extensions update
      tinybase extensions update my-extension --dry-run
      tinybase extensions update my-extension --ref v1.2.0 --yes
      tinybase extensions update payments --set currency=EUR --set api_key
    """
    with context.services() as services:
        service = services.extensions.updates
        if dry_run:
            plan = service.plan(names, ref=ref, progress=note)
            if as_json:
                emit_json(plan)
            else:
                _tell_plan(plan)
                note("Nothing was changed.")
            return
        done = service.update(
            names,
            ref=ref,
            given=given_along(settings),
            allow_needs_config=allow_needs_config,
            confirm=partial(_ask, yes=yes),
            progress=note,
        )
        moved = {change.name for change in done.changes if change.kind == "extension"}
        after = [item for item in services.extensions.list() if item.name in moved] if moved else []
    tell_idle(after)
    if as_json:
        emit_json(done)
        return
    for kept in done.kept:
        note(f"{kept.name} {kept.version} stays: {kept.reason}.")
    for change in done.changes:
        click.echo(f"Updated {printable(str(change))}.")
    if not done.changes:
        click.echo("Nothing had to be changed.")


@click.command("sync")
@yes_option
@click.option(
    "--frozen", is_flag=True, help="Refuse a lock that would have to be changed for this machine."
)
@json_option
def sync(*, yes: bool, frozen: bool, as_json: bool) -> None:
    """Make this machine what extensions.lock says.

    Commits, versions and digests are exactly those of the file, which may come from another
    machine. Where it does not fit this one, for example another Python, what fits is found
    and written to the file; --frozen refuses that, for CI and images. What is damaged or
    missing of the installed files and of the kept wheels is brought back.

    \b
    Examples:
      tinybase extensions sync
      tinybase extensions sync --frozen --yes
    """
    with context.services() as services:
        service = services.extensions.synchronisation
        done = service.sync(frozen=frozen, confirm=partial(_ask_sync, yes=yes), progress=note)
    if as_json:
        emit_json(done)
        return
    for reason in done.adapted:
        note(f"extensions.lock was changed for this machine: {reason}.")
    for change in done.changes:
        click.echo(printable(str(change)))
    for repaired in done.repaired:
        click.echo(f"Repaired {printable(repaired)}.")
    if done.repaired:
        note("A running server keeps what it has imported already until it is restarted.")
    if not done.changes and not done.repaired:
        click.echo("This machine is what extensions.lock says.")


@click.command("check-updates")
@json_option
def check_updates(*, as_json: bool) -> None:
    """Say for every extension whether there is something newer. Nothing is changed.

    Repositories are asked for their releases, and the package index for what fits. Where
    that cannot be told, the answer is "unknown", with the reason.

    \b
    Examples:
      tinybase extensions check-updates
      tinybase extensions check-updates --json
    """
    with context.services() as services:
        found = services.extensions.updates.check(progress=note)
    if as_json:
        emit_json(found)
        return
    table(
        [
            {key: printable(str(value or "")) for key, value in asdict(item).items()}
            for item in found
        ],
        ["Name", "Version", "Status", "Latest", "Note"],
        empty="There are no extensions that could be newer.",
    )


@click.command("why")
@click.argument("package", shell_complete=_complete_package)
@json_option
def why(*, package: str, as_json: bool) -> None:
    """Say why a package is installed: which extensions need it, and through what.

    \b
    Examples:
      tinybase extensions why requests
      tinybase extensions why urllib3 --json
    """
    with context.services() as services:
        found = services.extensions.why(package)
    if as_json:
        emit_json(found)
        return
    click.echo(f"{found.name} {found.version} {_ORIGINS[found.origin]}")
    for path in found.paths:
        steps = (f"{link.name} {link.version} needs {link.needs}" for link in path[:-1])
        click.echo(f"  {printable(', '.join(steps))}")
    if not found.paths:
        click.echo("  no extension needs it")


def add_to(group: click.Group) -> None:
    """Add these commands to a group."""
    group.add_command(history)
    group.add_command(rollback)
    group.add_command(update)
    group.add_command(sync)
    group.add_command(check_updates)
    group.add_command(why)


def tell_changes(changes: Iterable[Change], say: Callable[[str], None] = note) -> None:
    """Show what comes, goes and changes, one a line."""
    for change in changes:
        say(f"  {printable(str(change))}")


def _ask(plan: UpdatePlan, *, yes: bool) -> None:
    _tell_plan(plan)
    if any(item.runs_build_code for item in plan.updates):
        note("Building runs code of theirs, with your rights.")
    confirm(f"Update {', '.join(item.name for item in plan.updates)}?", yes=yes)


def _ask_sync(plan: SyncPlan, *, yes: bool) -> None:
    note("To become what extensions.lock says:")
    tell_changes(plan.changes)
    for item in plan.repairs:
        note(f"  repair {printable(item)}")
    if plan.builds:
        note(f"Building {', '.join(plan.builds)} runs code of theirs, with your rights.")
    note(f"\n{NOTICE}")
    confirm("Do that?", yes=yes)


def _tell_plan(plan: UpdatePlan) -> None:
    """Show what changes, and nothing else of the extensions."""
    for kept in plan.kept:
        note(f"{kept.name} {kept.version} stays: {kept.reason}.")
    for item in plan.updates:
        note(f"{item.name} {_state(item.before)} -> {_state(item.after)}")
        for package in item.packages or ():
            note(f"  {package.action} {printable(package.name)} {printable(package.version)}")
        if item.packages is None:
            note("  which packages it needs is known once it is built")
        if item.changes is None:
            note("  what its code does is known once it is built")
            continue
        # It needs what reads sources, which quick commands do without.
        from tinybase.cli.plan_screen import changes_lines  # noqa: PLC0415

        for line in changes_lines(item.changes):
            note(f"  {line}")


def _state(state: State) -> str:
    known = [item for item in (state.ref, (state.commit or "")[:12]) if item]
    shown = f" ({', '.join(known)})" if known else ""
    return printable(f"{state.version or 'a version known once it is built'}{shown}")


def _generation_row(item: Generation) -> dict[str, object]:
    return {
        **asdict(item),
        "in_force": item.is_current,
        "when": datetime.fromisoformat(item.created_at),
        "command": printable(item.command),
        "changes": "; ".join(printable(str(change)) for change in item.changes),
    }


def _said_of(done: Rollback) -> str:
    if not done.changes:
        return f"Generation {done.number} is in force; nothing had to be changed."
    return f"Generation {done.number} is in force again."
