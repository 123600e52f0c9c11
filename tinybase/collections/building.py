"""Making and dropping the indexes on declared fields, while others read and write.

SQLite does it within the transaction that changes a schema, since it has one writer anyway.
PostgreSQL would keep everybody from writing records meanwhile, so there it is done
concurrently: new indexes are there before the schema says so, old ones go afterwards. What a
process leaves behind that dies in between is repaired when the next one starts.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tinybase.collections.indexes import Definitions, sync_indexes
from tinybase.db import Database
from tinybase.db.units import Joint
from tinybase.errors import Conflict, Invalid, Unavailable

_log = logging.getLogger(__name__)

_ADVISORY_LOCK = 0x54494E59_494E4458  # "TINYINDX"
_POLL_SECONDS = 0.05
_NEXT = "_next"
_OURS = re.compile("[iu]x_records_[0-9a-f]{24}(_next)?")
_FOUND = text(
    "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE i.indrelid = CAST('records' AS regclass)"
)


class IndexBuilder:
    """Moves the indexes of a database from one set of definitions to another.

    :param patience: for how many seconds one waits for another who does the same.
    """

    def __init__(self, database: Database, patience: float) -> None:
        self._database = database
        self._patience = patience
        self.is_concurrent = database.engine.dialect.name == "postgresql"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one, of all processes and hosts, who changes schemas in the block.

        :raises Conflict: inside the transaction of somebody else's.
        :raises Unavailable: ``database_busy`` when another one does so for too long.
        """
        if Joint.current(self._database.engine) is not None:
            # On every database: an extension that is written on SQLite shall run on the other.
            raise Conflict(
                "Schemas and indexes cannot be changed inside the transaction of a write, because "
                "that may have to wait for its end. Change them in on_startup, or in a handler "
                "that runs after the commit."
            )
        if not self.is_concurrent:
            yield
            return
        deadline = time.monotonic() + self._patience
        with self._database.connect() as connection:
            # Not a statement that waits: building an index would wait for the end of it.
            while not _try_lock(connection):
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "Another schema is being changed; try again.",
                        code="database_busy",
                        headers={"Retry-After": "5"},
                    )
                time.sleep(_POLL_SECONDS)
            yield

    def sync(self, connection: Connection, old: Definitions, new: Definitions) -> None:
        """Do in the transaction that changes a schema what can be done there."""
        if not self.is_concurrent:
            sync_indexes(connection, old, new)

    @contextmanager
    def moved(self, old: Definitions, new: Definitions) -> Iterator[None]:
        """Do around the transaction what must not be done in it; whose turn it is calls this."""
        if not self.is_concurrent:
            yield
            return
        added = {name: each for name, each in new.items() if old.get(name) != each}
        names = {name: name + _NEXT if name in old else name for name in added}
        try:
            for name, definition in added.items():
                self._build(names[name], definition.replace(name, names[name]))
            yield
        except BaseException:
            self._drop(names.values())
            raise
        self._drop(name for name in old if name not in new or name in added)
        for name in added:
            if names[name] != name:
                self._try(f"ALTER INDEX {names[name]} RENAME TO {name}")

    def repair(self, wanted: Definitions) -> None:
        """Drop what nobody wants and make what is missing, unless somebody is at it."""
        if not self.is_concurrent:
            return
        with self._database.connect() as connection:
            if not _try_lock(connection):
                return
            rows = connection.execute(_FOUND).all()
            found = {name: is_valid for name, is_valid in rows if _OURS.fullmatch(name)}
            good = {name for name, is_valid in found.items() if is_valid and name in wanted}
            self._drop(found.keys() - good)
            for name in wanted:
                if name not in good:
                    _log.warning("the index %s was missing; it is made again", name)
                    self._build(name, wanted[name])

    def _build(self, name: str, definition: str) -> None:
        self._execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        try:
            self._execute(definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
        except IntegrityError as error:
            fault = "Records have the same value of a field that is to be unique; change them."
            raise Conflict(fault, code="schema_conflict", conflicts=[]) from error
        except Invalid as error:
            fault = "Records have texts that are too long to be indexed; shorten them."
            raise Conflict(fault, code="schema_conflict", conflicts=[]) from error

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            self._try(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

    def _try(self, statement: str) -> None:
        """Do what :meth:`repair` does if it cannot be done now."""
        try:
            self._execute(statement)
        except (DBAPIError, Unavailable) as error:
            _log.warning("the next start will do this: %s (%s)", statement, error)

    def _execute(self, statement: str) -> None:
        with self._database.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(statement)


def _try_lock(connection: Connection) -> bool:
    # Without a bound parameter: the portal of such a statement would keep its snapshot until
    # the end of the transaction, for which the building of an index waits.
    locked = connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_ADVISORY_LOCK})")
    return bool(locked.scalar_one())
