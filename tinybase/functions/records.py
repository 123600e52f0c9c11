"""``ctx.records``: records for code of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import EllipsisType
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text

from tinybase.actors import Actor
from tinybase.db import Session
from tinybase.errors import Conflict


class StoredRecord(Protocol):
    """One record; ``data`` has every field that its collection declares."""

    @property
    def id(self) -> UUID:
        """The id of the record."""

    @property
    def collection_id(self) -> UUID:
        """The id of its collection."""

    @property
    def owner_id(self) -> UUID | None:
        """Whose it is; ``None`` is nobody's."""

    @property
    def data(self) -> dict[str, Any]:
        """Its content."""

    @property
    def version(self) -> int:
        """How often it has been written."""

    @property
    def created_at(self) -> datetime:
        """When it was created."""

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""


class StoredRecords(Protocol):
    """One page of records."""

    @property
    def records(self) -> Sequence[StoredRecord]:
        """The records of the page."""

    @property
    def total(self) -> int | None:
        """How many match, if that was asked for."""

    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins; ``None`` on the last one."""


class RecordsService(Protocol):
    """The service for records, as far as functions need it."""

    def list(
        self,
        actor: Actor,
        collection: str,
        *,
        filters: Mapping[str, Any],
        sort: str,
        limit: int,
        offset: int,
        cursor: str | None,
        count: bool,
    ) -> StoredRecords:
        """Return a page of records."""

    def get(self, actor: Actor, collection: str, record_id: UUID) -> StoredRecord:
        """Return a record."""

    def create(
        self,
        actor: Actor,
        collection: str,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | None,
        hooks: bool,
    ) -> StoredRecord:
        """Store a record."""

    def update(
        self,
        actor: Actor,
        collection: str,
        record_id: UUID,
        changes: Mapping[str, Any],
        *,
        owner_id: UUID | None,
        if_match: Any,
        hooks: bool,
    ) -> StoredRecord:
        """Replace some fields of a record."""

    def delete(
        self, actor: Actor, collection: str, record_id: UUID, *, if_match: Any, hooks: bool
    ) -> None:
        """Delete a record."""


class ContextRecords:
    """Reads and writes records as the server itself.

    The data is checked against the schema and the hooks of extensions run, as over HTTP,
    but access rules do not refuse: code of the server is trusted and decides for itself
    what ``ctx.user_id`` may do. What it creates belongs to the calling user.

    Every write is committed at once, in a transaction of its own. While ``ctx.db`` has
    written something that is not committed yet, a write here is refused, because each
    would wait for the other.

    In the hooks that run inside a transaction everything here takes part in that: reads see
    what is not committed yet, and what is written is committed with the rest or not at all.
    What ``ctx.db`` has written so far is added to it first.

    With ``hooks=False`` no extension is asked or told of a write, not even the one that
    writes.
    """

    def __init__(
        self, records: RecordsService, session: Session, user_id: UUID | None, actor: Actor
    ) -> None:
        self._records = records
        self._session = session
        self._user_id = user_id
        self._actor = actor

    def list(
        self,
        collection: str,
        *,
        filters: Mapping[str, Any] | None = None,
        sort: str = "-created_at",
        limit: int = 100,
        offset: int = 0,
        cursor: str | None = None,
        count: bool = True,
    ) -> StoredRecords:
        """Return one page of the records of a collection.

        :param filters: such as ``{"status": "open", "price": {"gte": 3}}``.
        :param sort: fields, each with ``-`` for descending: ``"-price,created_at"``.
        :param cursor: ``next_cursor`` of the page before, with the same filters and sort;
            instead of ``offset``, and as quick for the last page as for the first.
        :raises NotFound: if there is no such collection.
        :raises BadRequest: for a filter or an order that the schema does not allow, or a
            cursor of another list.
        """
        return self._records.list(
            self._actor,
            collection,
            filters=filters or {},
            sort=sort,
            limit=limit,
            offset=offset,
            cursor=cursor,
            count=count,
        )

    def get(self, collection: str, record_id: UUID) -> StoredRecord:
        """Return one record.

        :raises NotFound: if there is no such record or collection.
        """
        return self._records.get(self._actor, collection, record_id)

    def create(
        self,
        collection: str,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | EllipsisType | None = ...,
        hooks: bool = True,
    ) -> StoredRecord:
        """Store a new record.

        :param owner_id: somebody other than the calling user, or ``None`` for nobody.
        :param hooks: call the hooks of extensions.
        :raises Invalid: with everything that is wrong with the data.
        """
        require_free_database(self._session, "ctx.records")
        owner = self._user_id if isinstance(owner_id, EllipsisType) else owner_id
        return self._records.create(self._actor, collection, data, owner_id=owner, hooks=hooks)

    def update(
        self,
        collection: str,
        record_id: UUID,
        changes: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        version: int | None = None,
        hooks: bool = True,
    ) -> StoredRecord:
        """Replace the given fields of a record and keep the others.

        :param owner_id: whose it is from now on.
        :param version: the version that must still be the current one.
        :param hooks: call the hooks of extensions.
        :raises PreconditionFailed: if it is not.
        """
        require_free_database(self._session, "ctx.records")
        return self._records.update(
            self._actor,
            collection,
            record_id,
            changes,
            owner_id=owner_id,
            if_match=_versions(version),
            hooks=hooks,
        )

    def delete(
        self,
        collection: str,
        record_id: UUID,
        *,
        version: int | None = None,
        hooks: bool = True,
    ) -> None:
        """Delete a record.

        :param version: the version that must still be the current one.
        :param hooks: call the hooks of extensions.
        :raises PreconditionFailed: if it is not.
        """
        require_free_database(self._session, "ctx.records")
        self._records.delete(
            self._actor, collection, record_id, if_match=_versions(version), hooks=hooks
        )


def require_free_database(session: Session, writer: str) -> None:
    """Make sure that another transaction may write, unless all is one transaction anyway.

    :param writer: what is about to write, as authors call it.
    :raises Conflict: while the session holds locks that the other transaction waits for.
    """
    session.borrower.require()
    if _has_uncommitted_writes(session) and not session.is_joined:
        raise Conflict(
            f"ctx.db has written something that is not committed, so {writer} would wait for "
            "it for ever. Call ctx.db.commit() first."
        )


def _versions(version: int | None) -> frozenset[int] | None:
    return None if version is None else frozenset({version})


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
