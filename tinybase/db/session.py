"""The Flask-SQLAlchemy extension object and the session that authors get."""

from __future__ import annotations

from typing import Any

from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Executable
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The base of all models."""


class Session(FlaskSession):
    """A SQLAlchemy session that also knows SQLModel's ``exec``.

    On SQLite it takes no lock while it only reads; its first write waits for other
    writers, then nobody else writes until it commits or rolls back.
    """

    def get_bind(self, *arguments: Any, **options: Any) -> Any:
        """Return the engine the session was made for, else the application's."""
        return self.bind or super().get_bind(*arguments, **options)

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


db = SQLAlchemy(model_class=Base, session_options={"class_": Session})
"""Bound to an application by ``create_app``; it holds no state of its own."""
