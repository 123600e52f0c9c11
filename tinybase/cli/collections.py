"""``tinybase collections``: named sets of records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tinybase.actors import SYSTEM
from tinybase.api.collections import CollectionResponse
from tinybase.cli import context
from tinybase.cli.documents import read_object
from tinybase.cli.output import (
    confirm,
    counted,
    details,
    emit_json,
    json_option,
    note,
    table,
    yes_option,
)
from tinybase.collections.changes import Report
from tinybase.collections.compiled import DATA
from tinybase.config import Config

name_argument = click.argument("name")
schema_option = click.option(
    "--schema", metavar="JSON", help="The fields, as in the REST API; - reads stdin."
)
options_option = click.option(
    "--options", metavar="JSON", help="Access rules and more, as in the REST API."
)

_NONE = (
    "There are none. Make one with tinybase collections create NAME; "
    "those of extensions are made when the server starts."
)


@click.group("collections")
def command() -> None:
    """List, show, create, update, delete and disown collections."""


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all collections by name."""
    with context.services() as services:
        found, _ = services.collections.list(SYSTEM)
    if as_json:
        emit_json(CollectionResponse(many=True).dump(found))
        return
    rows = [
        {
            "name": collection.name,
            "label": collection.label,
            "fields": len(collection.compiled.specs),
            "access": ", ".join(f"{what}: {who}" for what, who in collection.access.items()),
        }
        for collection in found
    ]
    columns = ["Name", "Label", "Fields", "Access"]
    table(rows, columns, empty=_NONE)


@command.command("show")
@name_argument
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show one collection with its schema, options and access rules."""
    with context.services() as services:
        found = CollectionResponse().dump(services.collections.get(name))
    if as_json:
        emit_json(found)
    else:
        details(found)


@command.command("create")
@name_argument
@click.option("--label", help="What people read. Default: the name.")
@schema_option
@options_option
@json_option
def create(
    *, name: str, label: str | None, schema: str | None, options: str | None, as_json: bool
) -> None:
    """Make a collection.

    Who may do what is decided by collections.default_access, unless --options states it.

    \b
    Examples:
      tinybase collections create notes --schema '{"fields": [{"name": "text"}]}'
      tinybase collections create posts --options '{"access": {"list": "public"}}'
    """
    with context.services(load=True) as services:
        made = services.collections.create(
            name,
            label=label,
            schema=_read(schema, services.config),
            options=_read(options, services.config),
        )
    if as_json:
        emit_json(CollectionResponse().dump(made))
    else:
        note(f"Made the collection {made.name}.")


@command.command("update")
@name_argument
@click.option("--label", help="What people read.")
@schema_option
@options_option
@click.option("--dry-run", is_flag=True, help="Report which records would not fit; do nothing.")
@click.option("--force", is_flag=True, help="Change the schema although records do not fit it.")
@json_option
def update(
    *,
    name: str,
    label: str | None,
    schema: str | None,
    options: str | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Change a collection, while it is being written to.

    What is given takes the place of the whole; the rest stays. Fields that are no more in
    --schema are not shown any more. A dry run ends with 1 if records would not fit.

    \b
    Examples:
      tinybase collections show notes --json > notes.json
      tinybase collections update notes --schema "$(jq .schema notes.json)" --dry-run
      tinybase collections update notes --label Notes
    """
    if label is None and schema is None and options is None:
        raise click.UsageError("Say what to change: --label, --schema or --options.")
    with context.services(load=True) as services:
        changes: dict[str, Any] = {
            "label": label,
            "schema": _read(schema, services.config),
            "options": _read(options, services.config),
        }
        if dry_run:
            _tell(services.collections.check(name, **changes), as_json=as_json)
            return
        if schema is not None and not as_json:
            note("Going through the records, which others may write meanwhile.")
        changed = services.collections.update(name, **changes, force=force)
    if as_json:
        emit_json(CollectionResponse().dump(changed))
    else:
        note(f"Changed the collection {changed.name}; it is version {changed.version} now.")


def _read(document: str | None, config: Config) -> dict[str, Any] | None:
    return None if document is None else read_object(document, config)


def _tell(report: Report, *, as_json: bool) -> None:
    """Print what a change of schema would meet with, and end with 1 if it would be refused."""
    if as_json:
        emit_json(report.as_dict())
    else:
        rows = [
            {"record": each["record_id"], "field": _field(error["loc"]), "why": error["msg"]}
            for each in report.conflicts
            for error in each["errors"]
        ]
        checked = counted(report.records_checked, "record")
        table(rows, ["Record", "Field", "Why"], empty=f"Checked {checked}; all of them fit.")
    if report.conflicts:
        click.get_current_context().exit(1)


def _field(place: Sequence[str | int]) -> str:
    return ".".join(map(str, place[len(DATA) :]))


@command.command("disown")
@name_argument
@yes_option
@json_option
def disown(*, name: str, yes: bool, as_json: bool) -> None:
    """Take a collection from the extension that it belongs to, and keep its records.

    It is an ordinary collection then: whoever its rules admit reaches the records, also if the
    extension guarded them. The extension has to be switched off, and will not run again while
    the collection is there.

    \b
    Example:
      tinybase extensions disable shop
      tinybase collections disown orders
    """
    with context.services(load=True) as services:
        access = services.collections.get(name).access
        rules = ", ".join(f"{what}: {who}" for what, who in access.items())
        confirm(f"Open the collection {name} to whom its rules admit ({rules})?", yes=yes)
        owner = services.extensions.data.disown(name)
    if as_json:
        emit_json({"name": name, "extension": owner})
    else:
        note(f"The collection {name} belongs to {owner} no more.")


@command.command("delete")
@name_argument
@yes_option
def delete(*, name: str, yes: bool) -> None:
    """Delete a collection with all its records."""
    with context.services(load=True) as services:
        services.collections.get(name)
        total = services.records.list(SYSTEM, name, limit=1).total
        if total:
            confirm(f"Delete the collection {name} with its {total} records?", yes=yes)
        services.collections.delete(name)
    note(f"Deleted the collection {name}.")
