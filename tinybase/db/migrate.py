"""Bringing a database to the version of this TinyBase, and telling at which it is.

Only :func:`upgrade` needs Alembic. Asking for the version is one SELECT, so that it can be
done whenever a process starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, func, inspect, select, text

from tinybase.config import Config
from tinybase.db.engine import engine_settings, prepare
from tinybase.db.session import db
from tinybase.db.work import Database
from tinybase.errors import Conflict, Unavailable
from tinybase.interruption import uninterrupted

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every revision of the scripts, the oldest first."""

HEAD = REVISIONS[-1]

UNFINISHED = f"copying-{HEAD}"
"""What a database says instead of a revision until all of a copy is there."""

_SCRIPTS = Path(__file__).with_name("migrations")
_ADVISORY_LOCK = 0x54494E59_42415345  # "TINYBASE"


@contextmanager
def opened(config: Config) -> Iterator[Engine]:
    """Open the database of an instance without an application; nothing stays open."""
    settings = engine_settings(config)
    engine = create_engine(
        settings["SQLALCHEMY_DATABASE_URI"], **settings["SQLALCHEMY_ENGINE_OPTIONS"]
    )
    prepare(engine, config)
    try:
        yield engine
    finally:
        with uninterrupted():
            engine.dispose()


def current(engine: Engine) -> str | None:
    """Return the revision of the database, ``None`` when it has no tables of TinyBase."""
    if is_missing_file(engine):
        return None
    with engine.connect() as connection:
        return _revision(connection)


def check(engine: Engine) -> None:
    """Make sure that the database is at the version of this TinyBase.

    :raises Unavailable: when it is older, newer or empty; the message says what to do.
    """
    _refuse_newer(found := current(engine))
    if found is None:
        raise Unavailable("The database has no tables yet. Run tinybase db upgrade.")
    if found != HEAD:
        raise Unavailable(
            f"The database is at revision {found}, this TinyBase needs {HEAD}. "
            "Run tinybase db upgrade."
        )


def upgrade(engine: Engine) -> str | None:
    """Bring the database to the version of this TinyBase, in one transaction.

    Several processes may do so at the same time: one does the work, the others wait for it
    and find nothing to do.

    :return: the revision before; equal to ``HEAD`` when there was nothing to do.
    :raises Unavailable: when the database was made by a newer TinyBase.
    """
    with Database(engine).write() as work:
        if engine.dialect.name == "postgresql":
            # SQLite's transaction that writes is alone anyway. Another one may take its time.
            work.connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            work.connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        before = _revision(work.connection)
        _refuse_newer(before)
        if before != HEAD:
            _refuse_foreign(work.connection, before)
            _run_scripts(work.connection)
        return before


def create(engine: Engine) -> None:
    """Make the tables of this version in an empty database without the scripts, which take long.

    For databases that nobody will upgrade, such as those of tests. One that has the tables
    stays as it is.
    """
    if current(engine) == HEAD:
        return
    db.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _run_scripts(connection: Connection) -> None:
    # Alembic is needed once in the life of a database, its import costs every start.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def _revision(connection: Connection) -> str | None:
    _refuse_encoding(connection)
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _refuse_newer(found: str | None) -> None:
    if found == UNFINISHED:
        raise Unavailable(
            "The database is an unfinished copy. Run the same tinybase db copy again to finish it."
        )
    if found is not None and found not in REVISIONS:
        raise Unavailable(
            f"The database is at revision {found}, which this TinyBase does not know: a newer "
            "one made it. Update TinyBase, or restore a backup made before the update."
        )


def _refuse_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold every text, before it has any."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise Unavailable(
            f"The database has the encoding {encoding}; TinyBase needs UTF8. Make another one: "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0."
        )


def _refuse_foreign(connection: Connection, before: str | None) -> None:
    """Do not mix our tables with somebody else's."""
    if before is None and inspect(connection).has_table("users"):
        raise Conflict(
            "The database already has a table users that TinyBase did not make. "
            "Set database.url to a database of its own."
        )


def is_missing_file(engine: Engine) -> bool:
    """Say whether connecting would only create an empty SQLite file."""
    name = engine.url.database
    return engine.dialect.name == "sqlite" and bool(name) and not Path(str(name)).exists()
