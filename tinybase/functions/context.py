"""What a function is told about its call, and what it is given to work with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    # Authors import this module; they must not wait for SQLAlchemy to be loaded.
    from tinybase.db import Session
    from tinybase.functions.collections import ContextCollections
    from tinybase.functions.records import ContextRecords


def _now() -> datetime:
    return datetime.now(UTC)


def _nobody_opens() -> AbstractContextManager[Context]:
    raise RuntimeError("This context was made by a test. Give it open=, to say what it opens.")


@dataclass(kw_only=True)
class Context:
    """One call of a function, or of a handler that takes ``ctx``.

    ``db`` is a database session of this call alone. What was written with it is committed
    when the function returns and rolled back when it raises; it is always closed.
    ``records`` reads and writes records as the server itself: data is checked and hooks run,
    but access rules do not refuse. It commits at once, so commit ``db`` before.
    In hooks that run inside a transaction, ``before_record_*``, ``on_record_write`` and the
    like, both take part in that transaction instead: what a handler writes is committed with
    what it was asked about, or not at all.
    ``collections`` makes the collections that an extension needs for itself.
    ``user_id`` is ``None`` for anonymous callers, application tokens and the server itself.
    ``claims`` is what extensions keep with the caller's sign-in; a copy of the call's own.
    ``request`` is Flask's request, or ``None`` for a call that did not come over HTTP.
    ``open`` is for a thread of your own, which goes on after the call: ``with ctx.open() as
    mine:`` has a context with a session of its own, and acts as the server itself.
    """

    function_name: str
    db: Session
    records: ContextRecords
    collections: ContextCollections
    trigger_type: str = "manual"
    trigger_id: UUID | None = None
    request_id: str | None = None
    user_id: UUID | None = None
    is_admin: bool = False
    claims: dict[str, Any] = field(default_factory=dict)
    now: datetime = field(default_factory=_now)
    request: Any = None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("tinybase.functions"))
    open: Callable[[], AbstractContextManager[Context]] = _nobody_opens
