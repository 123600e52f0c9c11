"""The database: its version, rows without their owners, calls without end, open doors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import text

from tinybase.actors import SYSTEM
from tinybase.api.services import Services
from tinybase.cli.database import opened
from tinybase.cli.doctor.finding import Finding, error, info, warning
from tinybase.collections.access import Operation, Rule
from tinybase.collections.collection import Collection
from tinybase.collections.query_scans import scanned_fields
from tinybase.config import Config
from tinybase.db import Database, migrate
from tinybase.errors import Unavailable

_READING = [operation for operation in Operation if operation.only_reads]
_WRITING = [operation for operation in Operation if not operation.only_reads]


def check_revision(config: Config) -> Iterator[Finding]:
    """Look whether the database is at the version of this TinyBase."""
    with opened(config) as engine:
        try:
            migrate.check(engine)
        except Unavailable as fault:
            what, _, remedy = fault.detail.partition(". ")
            yield error("database_revision", f"{what}.", engine.url.render_as_string(), remedy)


def check(services: Services) -> Iterator[Finding]:
    """Look at what is in the database."""
    yield from _orphans(services.database)
    abandoned = services.functions.count_abandoned()
    if abandoned:
        yield warning(
            "calls_abandoned",
            f"{abandoned} function calls are recorded as running, and their process is gone.",
            "function_calls",
            "The next start of the server records them as failed; if it runs, restart it.",
        )
    collections, _ = services.collections.list(SYSTEM)
    for collection in collections:
        yield from _open_doors(collection, services.config.collections.default_access)
        yield from _missing_indexes(collection, services.database)
    if not services.users.list(is_admin=True, limit=1)[1]:
        yield warning("no_admin", "Nobody is admin.", "users", "Run tinybase admin add EMAIL.")


def _orphans(database: Database) -> Iterator[Finding]:
    """Look for rows that refer to missing ones; PostgreSQL itself never lets that happen."""
    if database.engine.dialect.name != "sqlite":
        return
    with database.connect() as connection:
        rows = connection.execute(text("PRAGMA foreign_key_check"))
        found = Counter((row[0], row[2]) for row in rows)
    for (table, parent), count in sorted(found.items()):
        yield error(
            "rows_orphaned",
            f"{count} rows of {table} belong to rows of {parent} that do not exist.",
            table,
            "Something other than TinyBase wrote to the file. Restore a backup, or delete them.",
        )


def _open_doors(collection: Collection, default: str) -> Iterator[Finding]:
    """Report what everybody may do with records, signed in or not."""
    stated = collection.options.get("access") or {}
    rules = collection.rules
    reading = [item for item in _READING if rules.rule(item) is Rule.PUBLIC]
    writing = [item for item in _WRITING if rules.rule(item) is Rule.PUBLIC]
    where = f"collection {collection.name}"
    if writing:
        yield warning(
            "public_writing",
            f"Everybody may {_told(writing)} records of {collection.name}, signed in or not.",
            where,
            "If that is not meant, set its access rules to auth, owner or admin.",
        )
    if reading and not any(str(item) in stated for item in _READING):
        yield warning(
            "public_by_default",
            f"Everybody may {_told(reading)} records of {collection.name}, because "
            f"collections.default_access is {default}.",
            where,
            "State its access rules, or set collections.default_access to private.",
        )
    elif reading:
        yield info(
            "public_reading",
            f"Everybody may {_told(reading)} records of {collection.name}, signed in or not.",
            where,
        )


def _missing_indexes(collection: Collection, database: Database) -> Iterator[Finding]:
    """Report the fields that lists of a large collection needed an index on."""
    for name in scanned_fields(database, collection):
        yield warning(
            "index_missing",
            f"Lists of {collection.name} that need the field {name} read the whole collection.",
            f"collection {collection.name}, field {name}",
            'Give the field "indexed": true, or leave it if such lists are rare.',
        )


def _told(operations: list[Operation]) -> str:
    return " and ".join(operation.value for operation in operations)
