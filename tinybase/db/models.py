"""The tables, as SQLAlchemy models.

``User``, ``Collection`` and ``Record`` are part of what extensions may rely on; reading
them is always fine. Write records through ``ctx.records``, so that they are checked and
the hooks of other extensions run.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from tinybase.db.session import db
from tinybase.db.types import Guid, Instant, Json, OptionalJson, utcnow


class User(db.Model):  # type: ignore[name-defined,misc]
    """Somebody who can sign in. ``email_key`` is the case-folded form that is unique."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(512), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class Token(db.Model):  # type: ignore[name-defined,misc]
    """A token that was handed out, known only by its SHA-256 digest.

    ``kind`` is ``access``, ``refresh``, ``application`` or ``reset``. All tokens that
    descend from one login share ``session_id``. A token is dead when ``revoked_at`` is set;
    a refresh token that was exchanged for a new one also has ``rotated_at``. ``claims`` is
    what extensions keep with the tokens of a session.
    """

    __tablename__ = "tokens"

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    user_id: Mapped[UUID | None] = mapped_column(
        Guid, ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    session_id: Mapped[UUID | None] = mapped_column(Guid, index=True)
    name: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(String(500))
    scopes: Mapped[list[str]] = mapped_column(Json, default=list)
    claims: Mapped[dict[str, Any] | None] = mapped_column(OptionalJson)
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    rotated_at: Mapped[datetime | None] = mapped_column(Instant)


class Collection(db.Model):  # type: ignore[name-defined,misc]
    """A named set of records with a schema. ``schema`` and ``options`` are as given.

    ``guarded_by`` is the extension without which only admins reach the records.
    """

    __tablename__ = "collections"

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    label: Mapped[str] = mapped_column(String(200))
    schema: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    guarded_by: Mapped[str | None] = mapped_column(String(255))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class Record(db.Model):  # type: ignore[name-defined,misc]
    """One record. ``data`` is its content, ``version`` counts its effective writes from 1."""

    __tablename__ = "records"
    __table_args__ = (Index("ix_records_newest", "collection_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    collection_id: Mapped[UUID] = mapped_column(
        Guid, ForeignKey("collections.id", ondelete="CASCADE")
    )
    owner_id: Mapped[UUID | None] = mapped_column(
        Guid, ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    data: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class UnindexedScan(db.Model):  # type: ignore[name-defined,misc]
    """A field for want of whose index a list has read a whole large collection."""

    __tablename__ = "unindexed_scans"

    collection_id: Mapped[UUID] = mapped_column(
        Guid, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    field: Mapped[str] = mapped_column(String(63), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class FunctionCall(db.Model):  # type: ignore[name-defined,misc]
    """One call of a server function: who, when, how long and how it ended.

    ``caller`` is what the limit of concurrent calls counts by: a user, a token or an
    address. ``host`` is the machine that runs it.
    """

    __tablename__ = "function_calls"
    __table_args__ = (Index("ix_function_calls_running", "status", "caller"),)

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    function_name: Mapped[str] = mapped_column(String(100), index=True)
    status: Mapped[str] = mapped_column(String(16))
    trigger_type: Mapped[str] = mapped_column(String(16), default="manual")
    trigger_id: Mapped[UUID | None] = mapped_column(Guid)
    requested_by_user_id: Mapped[UUID | None] = mapped_column(
        Guid, ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    caller: Mapped[str] = mapped_column(String(100), default="")
    host: Mapped[str] = mapped_column(String(255), default="")
    started_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    duration_ms: Mapped[int | None]
    error_message: Mapped[str | None] = mapped_column(Text)
    error_type: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow, index=True)


class Extension(db.Model):  # type: ignore[name-defined,misc]
    """What is wanted of an extension: on or off. What is installed is in the lock file.

    ``quarantine_reason`` is set when the host switched it off after it harmed a process.
    ``status`` and ``status_reason`` are what a worker last saw of it.
    """

    __tablename__ = "extensions"

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    is_enabled: Mapped[bool] = mapped_column(default=True)
    quarantine_reason: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default="enabled")
    status_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class ExtensionSetting(db.Model):  # type: ignore[name-defined,misc]
    """A setting of an extension that was set over the API or the command line.

    Secrets are kept as they are: who may read the database may read them.
    """

    __tablename__ = "extension_settings"

    extension: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    value: Mapped[Any] = mapped_column(Json)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class ExtensionCollection(db.Model):  # type: ignore[name-defined,misc]
    """A collection that belongs to an extension, whether that is installed or not.

    ``digest`` is that of the declared schema which it is up to date with.
    """

    __tablename__ = "extension_collections"

    collection_id: Mapped[UUID] = mapped_column(
        Guid, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    extension: Mapped[str] = mapped_column(String(255), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class ExtensionDeath(db.Model):  # type: ignore[name-defined,misc]
    """A process that died while it ran code of an extension; kept for an hour."""

    __tablename__ = "extension_deaths"

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    extension: Mapped[str] = mapped_column(String(255), index=True)
    hook: Mapped[str] = mapped_column(String(255))
    handler: Mapped[str] = mapped_column(String(255))
    died_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class HandlerQuarantine(db.Model):  # type: ignore[name-defined,misc]
    """A handler that is not called any more, because it failed too often."""

    __tablename__ = "handler_quarantines"

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True, default=uuid7)
    extension: Mapped[str] = mapped_column(String(255), index=True)
    hook: Mapped[str] = mapped_column(String(255))
    handler: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(Text)
    quarantined_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class Setting(db.Model):  # type: ignore[name-defined,misc]
    """One setting of the running instance; absent means its default."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[Any] = mapped_column(Json, nullable=True)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)


class Counter(db.Model):  # type: ignore[name-defined,misc]
    """A number that only grows; workers compare it to see that something changed."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[int] = mapped_column(default=0)


class WorkerMetrics(db.Model):  # type: ignore[name-defined,misc]
    """The counters of one process, as it last published them, or of all that have ended."""

    __tablename__ = "worker_metrics"

    process_id: Mapped[UUID] = mapped_column(Guid, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant, index=True)
    handlers: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    requests: Mapped[list[dict[str, Any]] | None] = mapped_column(OptionalJson)


class RateLimit(db.Model):  # type: ignore[name-defined,misc]
    """How often something happened in the current window of a limit."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(String(400), primary_key=True)
    window_ends_at: Mapped[datetime] = mapped_column(Instant, index=True)
    count: Mapped[int] = mapped_column(default=0)


class IdempotencyKey(db.Model):  # type: ignore[name-defined,misc]
    """A request that is carried out once, and the answer for its repetitions.

    ``digest`` stands for caller, address and key, ``fingerprint`` for the content. Without
    a ``status`` there is no answer yet: ``holder`` is the process that is at it.
    """

    __tablename__ = "idempotency_keys"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    headers: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    holder: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class RecordImport(db.Model):  # type: ignore[name-defined,misc]
    """How far a file was imported into a collection.

    ``source`` is the SHA-256 of its path, ``digest`` that of its first ``offset`` bytes,
    which are ``lines`` lines.
    """

    __tablename__ = "record_imports"

    collection_id: Mapped[UUID] = mapped_column(
        Guid, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    offset: Mapped[int] = mapped_column(BigInteger)
    lines: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(Instant, default=utcnow)
