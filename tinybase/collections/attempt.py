"""Telling the extensions about writes of records that failed."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from tinybase.collections.collection import Collection
from tinybase.collections.hooks import Heard
from tinybase.collections.participants import participants_of
from tinybase.db import Database
from tinybase.errors import Conflict, TinyBaseError
from tinybase.host import as_caused_now, event_facts
from tinybase_hookspecs import RecordWriteFailedEvent


class Attempt:
    """A write of records that may fail; what it is about is known better as it goes on.

    ``participants`` are asked before, and who else has ``heard`` of it is told.

    :param action: ``"batch"`` stays that.
    """

    __slots__ = ("_action", "_collection", "_has_begun", "_record_id", "heard", "participants")

    def __init__(self, heard: Heard | None, collection: Collection, action: str) -> None:
        self.heard = heard
        self.participants = participants_of(heard)
        self._collection = collection
        self._action = action
        self._record_id: UUID | None = None
        self._has_begun = False

    def begin(self) -> None:
        """Note that the transaction has begun."""
        self._has_begun = True

    def about(self, action: str, record_id: UUID | None) -> None:
        """Note what is about to be done with which record."""
        if self._action != "batch":
            self._action, self._record_id = action, record_id

    def failed(self, database: Database, error: Exception) -> None:
        """Tell the extensions that the transaction, if it had begun, was rolled back."""
        hook = None if self.heard is None else self.heard.get("tinybase_on_record_write_failed")
        if hook is None or not self._has_begun:
            return
        try:
            facts = event_facts()
        except Conflict:
            # At the depth limit nobody is told; the caller shall get the error itself.
            return
        code, message = "internal_error", "An error that was not foreseen; the log has it."
        if isinstance(error, TinyBaseError):
            code, message = error.code, error.detail
        event = RecordWriteFailedEvent(
            self._action, self._collection.name, self._record_id, code, message, **facts
        )
        database.tell(as_caused_now(partial(hook, event=event)))
