"""``tinybase records``: the records of a collection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

import click

from tinybase.actors import SYSTEM
from tinybase.cli import context
from tinybase.cli.documents import json_argument, read_object
from tinybase.cli.output import details, emit_json, json_option, note, table
from tinybase.cli.transfer import export, import_
from tinybase.cli.users import find
from tinybase.collections.preconditions import Versions
from tinybase.collections.query import NEWEST_FIRST
from tinybase.collections.records import DEFAULT_LIMIT, RecordRow
from tinybase.collections.terms import Term, parse_terms

_FILTER = re.compile(r"([^\[\]=]+)(\[[^\[\]=]+\])?=(.*)", re.DOTALL)

collection_argument = click.argument("collection")
id_argument = click.argument("record_id", metavar="ID", type=click.UUID)
owner_option = click.option("--owner", metavar="USER", help="Whose it is: an e-mail or an id.")
version_option = click.option(
    "--if-version", type=int, metavar="N", help="Only if the record is at this version."
)


@click.group("records")
def command() -> None:
    """Read and write the records of a collection.

    What is written goes through the same checks and hooks as over HTTP, as the operator,
    whom no access rule stops.
    """


command.add_command(import_)
command.add_command(export)


@command.command("list")
@collection_argument
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD[OP]=VALUE",
    help="Only records for which it holds; may be repeated. Without [OP] it is [eq].",
)
@click.option("--sort", metavar="KEYS", help="As in -price,created_at. Default: newest first.")
@click.option("--limit", type=click.IntRange(1, 1000), default=DEFAULT_LIMIT, show_default=True)
@click.option("--offset", type=click.IntRange(0, 10_000_000), default=0, show_default=True)
@json_option
def list_(
    *,
    collection: str,
    filters: tuple[str, ...],
    sort: str | None,
    limit: int,
    offset: int,
    as_json: bool,
) -> None:
    """List records.

    \b
    Examples:
      tinybase records list posts --sort -created_at --limit 10
      tinybase records list posts --filter 'status=open' --filter 'price[gte]=3'
    """
    with context.services() as services:
        page = services.records.list(
            SYSTEM,
            collection,
            filters=_terms(filters),
            sort=NEWEST_FIRST if sort is None else sort,
            limit=limit,
            offset=offset,
        )
    if as_json:
        emit_json(page.records)
        return
    rows = [{"id": r.id, "data": r.data, "version": r.version} for r in page.records]
    table(rows, ["Id", "Data", "Version"], empty="There are none.")
    shown = offset + len(page.records)
    if page.total is not None and shown < page.total:
        note(f"{page.total - shown} more: ask with --offset {shown}.")


@command.command("get")
@collection_argument
@id_argument
@json_option
def get(*, collection: str, record_id: UUID, as_json: bool) -> None:
    """Show one record."""
    with context.services() as services:
        _show(services.records.get(SYSTEM, collection, record_id), as_json=as_json)


@command.command("create")
@collection_argument
@json_argument
@owner_option
@json_option
def create(*, collection: str, document: str | None, owner: str | None, as_json: bool) -> None:
    """Store a new record; JSON is its data, - reads it from stdin.

    \b
    Examples:
      tinybase records create posts '{"title": "Hello"}'
      tinybase records create posts - < post.json
    """
    with context.services(load=True) as services:
        made = services.records.create(
            SYSTEM,
            collection,
            read_object(document, services.config),
            owner_id=None if owner is None else find(services.users, owner).id,
        )
    _show(made, as_json=as_json)


@command.command("update")
@collection_argument
@id_argument
@json_argument
@owner_option
@version_option
@json_option
def update(
    *,
    collection: str,
    record_id: UUID,
    document: str | None,
    owner: str | None,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Replace the given fields of a record; the others stay as they are.

    \b
    Example:
      tinybase records update posts 0190b6c3-0000-7000-8000-000000000000 '{"title": "Bye"}'
    """
    with context.services(load=True) as services:
        changed = services.records.update(
            SYSTEM,
            collection,
            record_id,
            read_object(document, services.config),
            owner_id=None if owner is None else find(services.users, owner).id,
            if_match=_versions(if_version),
        )
    _show(changed, as_json=as_json)


@command.command("delete")
@collection_argument
@id_argument
@version_option
def delete(*, collection: str, record_id: UUID, if_version: int | None) -> None:
    """Delete a record."""
    with context.services(load=True) as services:
        services.records.delete(SYSTEM, collection, record_id, if_match=_versions(if_version))
    note(f"Deleted the record {record_id}.")


def _terms(filters: Iterable[str]) -> list[Term]:
    """Read filters; they differ from those of a query string in where the brackets are."""
    pairs = []
    for text in filters:
        match = _FILTER.fullmatch(text)
        if match is None:
            raise click.BadParameter(
                f"{text!r} is no filter. Write FIELD=VALUE or FIELD[OP]=VALUE.",
                param_hint="--filter",
            )
        field, operator, value = match.groups(default="")
        pairs.append((f"filter[{field}]{operator}", value))
    return parse_terms(pairs)


def _versions(version: int | None) -> Versions | None:
    return None if version is None else Versions.of(version)


def _show(record: RecordRow, *, as_json: bool) -> None:
    if as_json:
        emit_json(record)
    else:
        details(
            {
                "id": record.id,
                "owner": record.owner_id,
                "version": record.version,
                "created": record.created_at,
                "updated": record.updated_at,
                "data": record.data,
            }
        )
