"""The Flask-SQLAlchemy extension object and the session that authors get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Connection, Engine, Executable, event
from sqlalchemy.orm import DeclarativeBase, SessionTransaction

from tinybase.db import tables
from tinybase.db.loans import Loan, Loans, current_borrower
from tinybase.db.units import Joint

_ENGINES: Final = "tinybase.engines"


class Base(DeclarativeBase):
    """The base of all models."""

    metadata = tables.metadata


class _Extension(SQLAlchemy):
    """Flask-SQLAlchemy, in parts of an application as well."""

    @property
    def engines(self) -> Mapping[str | None, Engine]:
        """Return the engines of the current application, or of the one that it is a part of."""
        shared: Mapping[str | None, Engine] | None = current_app.extensions.get(_ENGINES)
        return super().engines if shared is None else shared


class Session(FlaskSession):
    """A SQLAlchemy session that also knows SQLModel's ``exec``.

    On SQLite it takes no lock while it only reads; its first write waits for other
    writers, then nobody else writes until it commits or rolls back.

    In a hook that runs inside a transaction it takes part in that: it sees what is not
    committed yet, ``commit`` adds to it, and ``rollback`` undoes what came since.

    A transaction that keeps other writers waiting for too long is taken back, and so is one of
    code that nobody waits for any more; then the session refuses to be used.
    """

    def __init__(self, db: SQLAlchemy, **options: Any) -> None:
        super().__init__(db, **{"join_transaction_mode": "create_savepoint", **options})
        self.borrower = current_borrower()
        self.loan: Loan | None = None

    @property
    def is_joined(self) -> bool:
        """Say whether it takes part in a transaction of somebody else's."""
        return isinstance(self.get_bind(), Connection)

    def get_bind(self, *arguments: Any, **options: Any) -> Any:
        """Return the engine the session was made for, else the application's.

        Or the connection of the transaction on it that the session takes part in.
        """
        bind = self.bind or super().get_bind(*arguments, **options)
        joint = Joint.current(bind) if isinstance(bind, Engine) else None
        self.borrower.require()
        return bind if joint is None else joint.connection(self) or bind

    def exec(self, statement: Executable, **options: Any) -> Any:
        """Execute a statement; a selection of one thing yields the things, not rows.

        ``session.exec(select(Record)).all()`` is a list of records. A selection of several
        columns yields rows, as ``execute`` does.
        """
        result = self.execute(statement, **options)
        columns = getattr(statement, "column_descriptions", ())
        if getattr(statement, "is_select", False) and len(columns) == 1:
            return result.scalars()
        return result


@event.listens_for(Session, "after_begin")
def _note_begin(session: Session, _: SessionTransaction, connection: Connection) -> None:
    loans = Loans.of(connection)
    if loans is not None:
        session.loan = loans.begin(connection, session.borrower) or session.loan


@event.listens_for(Session, "before_commit")
def _note_commit(session: Session) -> None:
    session.borrower.require()
    if session.loan is not None and not session.in_nested_transaction():
        session.loan.settle()
        session.loan = None


db = _Extension(model_class=Base, session_options={"class_": Session})
"""Bound to an application by ``create_app``; it holds no state of its own."""


def share_engine(part: Flask, engine: Engine) -> None:
    """Let ``db`` work in an application that is a part of another one, on the engine of that."""
    part.extensions[_ENGINES] = {None: engine}
    part.teardown_appcontext(lambda _: db.session.remove())
