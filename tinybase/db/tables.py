"""The tables, as the services use them. What authors may use of them is in ``models``."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from uuid_utils.compat import uuid7

from tinybase.db.types import Guid, Instant, Json, OptionalJson, utcnow

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("email", String(254), nullable=False),
    Column("email_key", String(512), unique=True, nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("is_admin", Boolean, default=False, nullable=False),
    Column("is_active", Boolean, default=True, nullable=False),
    Column("created_at", Instant, default=utcnow, nullable=False),
    Column("updated_at", Instant, default=utcnow, nullable=False),
)
"""Somebody who can sign in. ``email_key`` is the case-folded form that is unique."""

tokens = Table(
    "tokens",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("digest", String(64), unique=True, nullable=False),
    Column("kind", String(16), index=True, nullable=False),
    Column("user_id", Guid, ForeignKey("users.id", ondelete="CASCADE"), index=True),
    Column("session_id", Guid, index=True),
    Column("name", String(200)),
    Column("description", String(500)),
    Column("scopes", Json, default=list, nullable=False),
    Column("claims", OptionalJson),
    Column("created_at", Instant, default=utcnow, nullable=False),
    Column("expires_at", Instant, index=True, nullable=False),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    Column("rotated_at", Instant),
)
"""A token that was handed out, known only by its SHA-256 digest.

``kind`` is ``access``, ``refresh``, ``application`` or ``reset``. All tokens that
descend from one login share ``session_id``. A token is dead when ``revoked_at`` is set;
a refresh token that was exchanged for a new one also has ``rotated_at``. ``claims`` is
what extensions keep with the tokens of a session.
"""

collections = Table(
    "collections",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("name", String(100), unique=True, nullable=False),
    Column("label", String(200), nullable=False),
    Column("schema", Json, default=dict, nullable=False),
    Column("options", Json, default=dict, nullable=False),
    Column("guarded_by", String(255)),
    Column("version", Integer, default=1, nullable=False),
    Column("created_at", Instant, default=utcnow, nullable=False),
    Column("updated_at", Instant, default=utcnow, nullable=False),
)
"""A named set of records with a schema. ``schema`` and ``options`` are as given.

``guarded_by`` is the extension without which only admins reach the records.
"""

records = Table(
    "records",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("collection_id", Guid, ForeignKey("collections.id", ondelete="CASCADE"), nullable=False),
    Column("owner_id", Guid, ForeignKey("users.id", ondelete="SET NULL"), index=True),
    Column("data", Json, default=dict, nullable=False),
    Column("version", Integer, default=1, nullable=False),
    Column("created_at", Instant, default=utcnow, nullable=False),
    Column("updated_at", Instant, default=utcnow, nullable=False),
    Index("ix_records_newest", "collection_id", "created_at", "id"),
)
"""One record. ``data`` is its content, ``version`` counts its effective writes from 1."""

unindexed_scans = Table(
    "unindexed_scans",
    metadata,
    Column(
        "collection_id", Guid, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("field", String(63), primary_key=True),
    Column("seen_at", Instant, default=utcnow, nullable=False),
)
"""A field for want of whose index a list has read a whole large collection."""

function_calls = Table(
    "function_calls",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("function_name", String(100), index=True, nullable=False),
    Column("status", String(16), nullable=False),
    Column("trigger_type", String(16), default="manual", nullable=False),
    Column("trigger_id", Guid),
    Column("requested_by_user_id", Guid, ForeignKey("users.id", ondelete="SET NULL"), index=True),
    Column("caller", String(100), default="", nullable=False),
    Column("host", String(255), default="", nullable=False),
    Column("started_at", Instant, default=utcnow, nullable=False),
    Column("finished_at", Instant),
    Column("duration_ms", Integer),
    Column("error_message", Text),
    Column("error_type", String(255)),
    Column("created_at", Instant, default=utcnow, index=True, nullable=False),
    Index("ix_function_calls_running", "status", "caller"),
)
"""One call of a server function: who, when, how long and how it ended.

``caller`` is what the limit of concurrent calls counts by: a user, a token or an
address. ``host`` is the machine that runs it.
"""

extensions = Table(
    "extensions",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("name", String(255), unique=True, nullable=False),
    Column("is_enabled", Boolean, default=True, nullable=False),
    Column("quarantine_reason", Text),
    Column("status", String(16), default="enabled", nullable=False),
    Column("status_reason", Text),
    Column("created_at", Instant, default=utcnow, nullable=False),
    Column("updated_at", Instant, default=utcnow, nullable=False),
)
"""What is wanted of an extension: on or off. What is installed is in the lock file.

``quarantine_reason`` is set when the host switched it off after it harmed a process.
``status`` and ``status_reason`` are what a worker last saw of it.
"""

extension_settings = Table(
    "extension_settings",
    metadata,
    Column("extension", String(255), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("value", Json, nullable=False),
    Column("updated_at", Instant, default=utcnow, nullable=False),
)
"""A setting of an extension that was set over the API or the command line.

Secrets are kept as they are: who may read the database may read them.
"""

extension_collections = Table(
    "extension_collections",
    metadata,
    Column(
        "collection_id", Guid, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("extension", String(255), index=True, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Instant, default=utcnow, nullable=False),
)
"""A collection that belongs to an extension, whether that is installed or not.

``digest`` is that of the declared schema which it is up to date with.
"""

extension_deaths = Table(
    "extension_deaths",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("extension", String(255), index=True, nullable=False),
    Column("hook", String(255), nullable=False),
    Column("handler", String(255), nullable=False),
    Column("died_at", Instant, default=utcnow, nullable=False),
)
"""A process that died while it ran code of an extension; kept for an hour."""

handler_quarantines = Table(
    "handler_quarantines",
    metadata,
    Column("id", Guid, primary_key=True, default=uuid7),
    Column("extension", String(255), index=True, nullable=False),
    Column("hook", String(255), nullable=False),
    Column("handler", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("quarantined_at", Instant, default=utcnow, nullable=False),
)
"""A handler that is not called any more, because it failed too often."""

settings = Table(
    "settings",
    metadata,
    Column("key", String(100), primary_key=True),
    Column("value", Json, nullable=True),
    Column("updated_at", Instant, default=utcnow, nullable=False),
)
"""One setting of the running instance; absent means its default."""

counters = Table(
    "counters",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("value", Integer, default=0, nullable=False),
)
"""A number that only grows; workers compare it to see that something changed."""

worker_metrics = Table(
    "worker_metrics",
    metadata,
    Column("process_id", Guid, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("updated_at", Instant, index=True, nullable=False),
    Column("handlers", Json, default=list, nullable=False),
    Column("requests", OptionalJson),
)
"""The counters of one process, as it last published them, or of all that have ended."""

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("window_ends_at", Instant, index=True, nullable=False),
    Column("count", Integer, default=0, nullable=False),
)
"""How often something happened in the current window of a limit."""

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer),
    Column("headers", Json, default=dict, nullable=False),
    Column("body", LargeBinary),
    Column("holder", String(255), default="", nullable=False),
    Column("created_at", Instant, default=utcnow, nullable=False),
    Column("expires_at", Instant, index=True, nullable=False),
)
"""A request that is carried out once, and the answer for its repetitions.

``digest`` stands for caller, address and key, ``fingerprint`` for the content. Without
a ``status`` there is no answer yet: ``holder`` is the process that is at it.
"""

record_imports = Table(
    "record_imports",
    metadata,
    Column(
        "collection_id", Guid, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("source", String(64), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("updated_at", Instant, default=utcnow, nullable=False),
)
"""How far a file was imported into a collection.

``source`` is the SHA-256 of its path, ``digest`` that of its first ``offset`` bytes,
which are ``lines`` lines.
"""
