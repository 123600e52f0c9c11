"""``ctx.records``: records for code of the server."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text

from tinybase.actors import SYSTEM, Actor
from tinybase.db import Session
from tinybase.errors import Conflict


class RecordsService(Protocol):
    """The service for records, as far as functions need it."""

    def list(self, actor: Actor, collection: str, **query: Any) -> Any:
        """Return a page of records."""

    def get(self, actor: Actor, collection: str, record_id: UUID) -> Any:
        """Return a record."""

    def create(
        self, actor: Actor, collection: str, data: Mapping[str, Any], *, owner_id: UUID | None
    ) -> Any:
        """Store a record."""

    def update(
        self,
        actor: Actor,
        collection: str,
        record_id: UUID,
        data: Mapping[str, Any],
        **options: Any,
    ) -> Any:
        """Change some fields of a record."""

    def delete(self, actor: Actor, collection: str, record_id: UUID, **options: Any) -> Any:
        """Delete a record."""


class ContextRecords:
    """Reads and writes records as the server itself.

    The data is checked against the schema and the hooks of extensions run, as over HTTP,
    but access rules do not refuse: code of the server is trusted and decides for itself
    what ``ctx.user_id`` may do. What it creates belongs to the calling user.

    Every write is committed at once, in a transaction of its own. While ``ctx.db`` has
    written something that is not committed yet, a write here is refused, because each
    would wait for the other.
    """

    def __init__(self, records: RecordsService, session: Session, user_id: UUID | None) -> None:
        self._records = records
        self._session = session
        self._user_id = user_id

    def list(self, collection: str, **query: Any) -> Any:
        """Return a page of the records of a collection; ``query`` is that of the REST API."""
        return self._records.list(SYSTEM, collection, **query)

    def get(self, collection: str, record_id: UUID) -> Any:
        """Return a record.

        :raises NotFound: if there is no such record or collection.
        """
        return self._records.get(SYSTEM, collection, record_id)

    def create(
        self,
        collection: str,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | EllipsisType | None = ...,
    ) -> Any:
        """Store a record and return it.

        :param owner_id: somebody other than the calling user, or ``None`` for nobody.
        """
        self._require_free_database()
        owner = self._user_id if isinstance(owner_id, EllipsisType) else owner_id
        return self._records.create(SYSTEM, collection, data, owner_id=owner)

    def update(
        self, collection: str, record_id: UUID, data: Mapping[str, Any], **options: Any
    ) -> Any:
        """Replace the fields given in ``data``, keep the others, and return the record."""
        self._require_free_database()
        return self._records.update(SYSTEM, collection, record_id, data, **options)

    def delete(self, collection: str, record_id: UUID, **options: Any) -> None:
        """Delete a record."""
        self._require_free_database()
        self._records.delete(SYSTEM, collection, record_id, **options)

    def _require_free_database(self) -> None:
        if _has_uncommitted_writes(self._session):
            raise Conflict(
                "ctx.db has written something that is not committed, so ctx.records would wait "
                "for it for ever. Call ctx.db.commit() first."
            )


def _has_uncommitted_writes(session: Session) -> bool:
    """Say whether the transaction of a session has written, and so holds locks."""
    if not session.in_transaction():
        return False
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        # A transaction is given a number with its first write.
        return session.scalar(text("SELECT pg_current_xact_id_if_assigned()")) is not None
    # SQLite's driver begins a transaction with the first write, not with a read.
    return bool(getattr(connection.connection.dbapi_connection, "in_transaction", False))
