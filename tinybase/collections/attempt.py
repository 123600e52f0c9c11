"""Telling the extensions about writes of records that failed."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from tinybase.collections.collection import Collection
from tinybase.collections.hooks import Audience
from tinybase.collections.participants import participants_of
from tinybase.db import Database
from tinybase.errors import Conflict, TinyBaseError
from tinybase_hookspecs import RecordWriteFailedEvent


class Attempt:
    """A write of records that may fail; what it is about is known better as it goes on.

    ``audience`` is told of what is written, ``participants`` are asked before.

    :param action: ``"batch"`` stays that.
    """

    def __init__(
        self, audience: Audience, database: Database, collection: Collection, action: str
    ) -> None:
        self.audience = audience
        self.participants = participants_of(audience, collection)
        self._database = database
        self._collection = collection
        self._action = action
        self._record_id: UUID | None = None
        self._has_begun = False

    def __enter__(self) -> None:
        """Watch the block; it says with :meth:`begin` when its transaction has begun."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Tell the extensions if the block was rolled back."""
        if self._has_begun and isinstance(error, Exception):
            self._tell(error)

    def begin(self) -> None:
        """Note that the transaction has begun."""
        self._has_begun = True

    def about(self, action: str, record_id: UUID | None) -> None:
        """Note what is about to be done with which record."""
        if self._action != "batch":
            self._action, self._record_id = action, record_id

    def _tell(self, error: Exception) -> None:
        try:
            listeners = self.audience.of("tinybase_on_record_write_failed", self._collection)
        except Conflict:
            # At the depth limit nobody is told; the caller shall get the error itself.
            return
        if listeners is None:
            return
        code, message = "internal_error", "An error that was not foreseen; the log has it."
        if isinstance(error, TinyBaseError):
            code, message = error.code, error.detail
        event = RecordWriteFailedEvent(
            self._action, self._collection.name, self._record_id, code, message, **listeners.facts
        )
        self._database.tell(partial(listeners.hook, event=event))
