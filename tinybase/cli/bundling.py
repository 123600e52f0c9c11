"""``tinybase extensions bundle`` and ``install --from-bundle``: by a file, without a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinybase.cli import context
from tinybase.cli.lifecycle import tell_changes
from tinybase.cli.output import confirm, counted, emit_json, json_option, note, printable
from tinybase.cli.plan import NOTICE, document_of
from tinybase.cli.plan_screen import changes_lines, plan_lines

if TYPE_CHECKING:
    from tinybase.packages.bundles import BundlePlan

_FILE = click.Path(dir_okay=False, path_type=Path)

bundle_option = click.option(
    "--from-bundle",
    "bundle",
    metavar="FILE",
    type=_FILE,
    help="Take the whole set of extensions from a bundle; nothing is fetched.",
)


@click.command("bundle")
@click.argument("file", type=_FILE)
@json_option
def bundle(*, file: Path, as_json: bool) -> None:
    """Write everything that is installed into FILE, for a machine without a network.

    It contains extensions.lock and the wheels of the extensions and of all that they need;
    install --from-bundle takes it. The other machine has to have the same system, Python and
    TinyBase. The same set gives the same bytes. It contains no data and no settings.

    \b
    Examples:
      tinybase extensions bundle extensions.zip
      tinybase extensions bundle /media/stick/extensions.zip --json
    """
    with context.services() as services:
        done = services.extensions.bundles.write(file)
    if done.expects:
        note(
            f"Not in it: {', '.join(done.expects)}, which came with the environment of TinyBase "
            "here. The other machine has to have that too; install it there with pip."
        )
    if as_json:
        emit_json(done)
        return
    click.echo(
        f"Wrote {done.file}: {counted(len(done.extensions), 'extension')}, "
        f"{counted(len(done.packages), 'other package')}, {done.size:,} bytes."
    )
    click.echo(f"SHA-256 {done.sha256}")


def add_to(group: click.Group) -> None:
    """Add the command to a group."""
    group.add_command(bundle)


def install_bundle(file: Path, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Make the set of a bundle the one in force, as ``install --from-bundle`` does."""
    with context.services() as services:
        service = services.extensions.bundles
        if dry_run:
            _show(service.plan(file), as_json=as_json)
            return
        done = service.install(file, confirm=partial(_ask, file, yes=yes), progress=note)
        found = services.extensions.list() if as_json else ()
    if as_json:
        emit_json([item for item in found if item.managed])
        return
    for change in done:
        click.echo(printable(str(change)))
    if not done:
        click.echo(f"What {file} contains is installed.")


def _ask(file: Path, plan: BundlePlan, *, yes: bool) -> None:
    _tell(plan, note)
    note(f"\n{NOTICE}")
    confirm(f"Install what {file} contains, and nothing else?", yes=yes)


def _show(plan: BundlePlan, *, as_json: bool) -> None:
    if as_json:
        emit_json(_document(plan))
        return
    _tell(plan, click.echo)
    note("\nNothing was changed.")


def _tell(plan: BundlePlan, say: Callable[[str], None]) -> None:
    """Show the new extensions in full, what is different in others, and every change."""
    for item in plan.new:
        for line in plan_lines(item):
            say(line)
        say("")
    for update in plan.updates:
        say(printable(f"{update.name} {update.before} -> {update.after}"))
        for line in changes_lines(update.changes):
            say(f"  {line}")
    say("In place of what is installed now:")
    tell_changes(plan.changes, say)


def _document(plan: BundlePlan) -> dict[str, object]:
    return {
        "changes": plan.changes,
        "new": [document_of(item) for item in plan.new],
        "updates": plan.updates,
    }
