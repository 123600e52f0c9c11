"""``ctx.collections``: collections for code of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from tinybase.db import Session
from tinybase.errors import BadRequest, Conflict
from tinybase.functions.records import require_free_database


class StoredCollection(Protocol):
    """One collection as it is now; ``schema`` and ``options`` are those of the REST API."""

    @property
    def id(self) -> UUID:
        """The id of the collection."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def label(self) -> str:
        """What people read."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """Its fields."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options, the access rules among them."""

    @property
    def version(self) -> int:
        """How often it has been changed."""


class CollectionsService(Protocol):
    """The service for collections, as far as functions need it."""

    def find(self, name: str) -> StoredCollection | None:
        """Return a collection, or ``None``."""

    def create(
        self,
        name: str,
        *,
        label: str | None,
        schema: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
    ) -> StoredCollection:
        """Make a collection."""


class ContextCollections:
    """Finds collections, and makes those that an extension needs for itself."""

    def __init__(self, collections: CollectionsService, session: Session) -> None:
        self._collections = collections
        self._session = session

    def find(self, name: str) -> StoredCollection | None:
        """Return a collection as it is now, or ``None`` if there is none of this name."""
        return self._collections.find(name)

    def ensure(
        self,
        name: str,
        *,
        label: str | None = None,
        schema: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> StoredCollection:
        """Return a collection, and make it first if there is none of this name.

        One that is there stays as it is, whatever its schema and its options are: an
        operator may have changed them. Any number of workers may do this at the same time.
        What is made is committed at once.

        :raises Invalid: with everything that is wrong with schema and options.
        :raises Conflict: when it would have to be made in a hook inside a transaction.
        """
        found = self._collections.find(name)
        if found is not None:
            return found
        if self._session.is_joined:
            # Its indexes may have to wait for the end of all transactions.
            raise Conflict(
                f"The collection {name} is not there, and none can be made inside the transaction "
                "of a write. Call ctx.collections.ensure in on_startup."
            )
        require_free_database(self._session, "ctx.collections")
        try:
            return self._collections.create(name, label=label, schema=schema, options=options)
        except BadRequest:
            made_meanwhile = self._collections.find(name)
            if made_meanwhile is None:
                raise
            return made_meanwhile
