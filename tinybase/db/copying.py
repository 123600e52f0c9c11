"""Copying all of a database into another one, of the same kind or not.

Tables are copied one after another in the order of their keys, many rows to a transaction. An
attempt that ended early is carried on: what it has left is compared with the source and kept
where it is the same. Until everything is verified the version of the target says that it is
unfinished, so that nobody serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Table, func, inspect, select, text

from tinybase.config import Config
from tinybase.db import migrate
from tinybase.db.exclusive import alone
from tinybase.db.portable_rows import Digest, append, batches
from tinybase.db.session import db
from tinybase.errors import Conflict

Say = Callable[[str], None]
Finish = Callable[[Connection], None]

_VERSION = "alembic_version"
_SET_VERSION = text(f"UPDATE {_VERSION} SET version_num = :version")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to copy, and what the target has: nothing, a part of it, or a whole instance.

    ``left_out`` are tables of the source that are not TinyBase's.
    """

    rows: Mapping[str, int]
    target: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """The rows and the SHA-256 of each table; ``kept`` rows were there before."""

    rows: Mapping[str, int]
    digests: Mapping[str, str]
    kept: int
    left_out: tuple[str, ...]


def plan(source: Config, target: Config) -> Plan:
    """Say what :func:`copy` would do.

    :raises Conflict: when it would refuse to.
    """
    with _source(source, target) as reading:
        return Plan(_counts(reading), _state(target), _strangers(reading))


def copy(source: Config, target: Config, finish: Finish, say: Say) -> Copied:
    """Copy a database that nobody else uses, and verify the copy.

    :param finish: makes in the target what belongs to its kind, in the last transaction.
    :raises Conflict: when either is in use, the target has other data, or a row does not fit.
    """
    with _source(source, target) as reading:
        state = _state(target)
        if state == "empty":
            with migrate.opened(target) as engine:
                migrate.upgrade(engine)
        with alone(target, what="The target") as writing:
            if state == "complete":
                return _compare(reading, writing, say)
            _set_version(writing, migrate.UNFINISHED)
            tables = {table: _copy_table(reading, writing, table, say) for table in _tables()}
            _verify(writing, {table: digest for table, (digest, _) in tables.items()}, say)
            _complete(writing, finish, say)
        return _result(
            reading,
            {table: digest for table, (digest, _) in tables.items()},
            kept=sum(kept for _, kept in tables.values()),
        )


@contextmanager
def _source(source: Config, target: Config) -> Iterator[Connection]:
    """Open the source as it is at one moment; nobody writes to it in the block."""
    with migrate.opened(source) as engine, migrate.opened(target) as other:
        if engine.url == other.url:
            raise Conflict("The source and the target are the same. Name another database.")
        migrate.check(engine)
    with alone(source, what="The source") as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
            names = ", ".join(table.name for table in _tables())
            connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE MODE")
        yield connection


def _tables() -> list[Table]:
    """Return what is copied, parents first."""
    return list(db.metadata.sorted_tables)


def _state(target: Config) -> str:
    """Say whether the target is empty, unfinished or complete.

    :raises Conflict: when it has tables of somebody else's.
    """
    with migrate.opened(target) as engine:
        found = migrate.current(engine)
        if found is None and migrate.is_missing_file(engine):
            return "empty"
        _refuse_strangers(engine, found)
        if found == migrate.UNFINISHED:
            return "unfinished"
        if found is None:
            return "empty"
        migrate.check(engine)
        with engine.connect() as connection:
            return "complete" if any(_counts(connection).values()) else "empty"


def _refuse_strangers(engine: Engine, found: str | None) -> None:
    with engine.connect() as connection:
        ours = () if found is None else {*db.metadata.tables, _VERSION}
        strangers = sorted(set(inspect(connection).get_table_names()) - set(ours))
    if strangers:
        raise Conflict(
            f"The target has a table {strangers[0]} that TinyBase did not make. Name an empty "
            "database."
        )


def _strangers(connection: Connection) -> tuple[str, ...]:
    found = set(inspect(connection).get_table_names())
    return tuple(sorted(found - {*db.metadata.tables, _VERSION}))


def _counts(connection: Connection) -> dict[str, int]:
    query = {table: select(func.count()).select_from(table) for table in _tables()}
    return {table.name: connection.scalar(count) or 0 for table, count in query.items()}


def _copy_table(
    source: Connection, target: Connection, table: Table, say: Say
) -> tuple[Digest, int]:
    """Copy what is missing of a table; return the digest of the source, and what was there."""
    say(f"Reading what is there of {table.name}")
    there, digest = _digest(target, table), Digest()
    target.rollback()
    if there.rows:
        for rows in batches(source, table, until=there.last):
            digest.add(table, rows)
        if digest != there:
            _empty(target, table)
            digest = Digest()
    kept = digest.rows
    total = source.scalar(select(func.count()).select_from(table))
    for rows in batches(source, table, after=digest.last):
        append(target, table, rows)
        digest.add(table, rows)
        say(f"Copying {table.name}, {digest.rows:,} of {total:,}")
    return digest, kept


def _digest(connection: Connection, table: Table) -> Digest:
    digest = Digest()
    for rows in batches(connection, table):
        digest.add(table, rows)
    return digest


def _empty(connection: Connection, table: Table) -> None:
    with connection.begin():
        connection.execute(table.delete())


def _verify(target: Connection, digests: Mapping[Table, Digest], say: Say) -> None:
    for table, digest in digests.items():
        say(f"Verifying {table.name}")
        if _digest(target, table) != digest:
            raise Conflict(
                f"The copy of {table.name} is not what the source has. Empty the target, and "
                "run the command again."
            )
    target.rollback()


def _compare(source: Connection, target: Connection, say: Say) -> Copied:
    """Accept a whole instance in the target only if it is this one."""
    digests = {}
    for table in _tables():
        say(f"Comparing {table.name}")
        digests[table] = _digest(source, table)
        if digests[table] != _digest(target, table):
            raise Conflict("The target has the data of an instance. Name an empty database.")
    return _result(source, digests, kept=sum(digest.rows for digest in digests.values()))


def _complete(target: Connection, finish: Finish, say: Say) -> None:
    say("Making indexes")
    if target.dialect.name == "postgresql":
        # What was committed before is then on the disk as well.
        target.exec_driver_sql("SET LOCAL synchronous_commit = on")
    else:
        target.exec_driver_sql("BEGIN")
    finish(target)
    target.exec_driver_sql("ANALYZE")
    target.execute(_SET_VERSION, {"version": migrate.HEAD})
    target.commit()


def _set_version(target: Connection, version: str) -> None:
    with target.begin():
        target.execute(_SET_VERSION, {"version": version})


def _result(source: Connection, digests: Mapping[Table, Digest], *, kept: int) -> Copied:
    return Copied(
        {table.name: digest.rows for table, digest in digests.items()},
        {table.name: digest.hexdigest() for table, digest in digests.items()},
        kept,
        _strangers(source),
    )
