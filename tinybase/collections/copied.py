"""The indexes on declared fields in a database that records were copied into."""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from tinybase.collections.expressions import expressions_of
from tinybase.collections.indexes import wanted_indexes
from tinybase.collections.schema import parse_schema
from tinybase.db import tables
from tinybase.errors import Conflict, one_line

COLLECTIONS = tables.collections


def make_indexes(connection: Connection) -> None:
    """Make the indexes of all collections, within the transaction of the connection.

    :raises Conflict: when the database cannot index what a field has; the message names it.
    """
    expressions = expressions_of(connection.engine)
    columns = (COLLECTIONS.c.id, COLLECTIONS.c.name, COLLECTIONS.c.schema)
    for id_, name, schema in connection.execute(select(*columns)).all():
        for spec in parse_schema(schema):
            for statement in wanted_indexes(expressions, id_, [spec]).values():
                _make(connection, statement, f"{name}.{spec.name}")


def _make(connection: Connection, statement: str, field: str) -> None:
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError as error:
        raise Conflict(
            f"The field {field} cannot be indexed in the target: {one_line(error.orig)}. Change "
            "its values or its schema in the source, and run the command again."
        ) from error
