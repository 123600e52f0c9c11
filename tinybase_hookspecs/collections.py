"""Hooks about collections.

``before_collection_*`` run inside the transaction and decide about it, as those about
records do; ``on_collection_*`` are called after the commit.
"""

from tinybase_hookspecs.events import (
    CollectionCreateEvent,
    CollectionDeleteEvent,
    CollectionUpdateEvent,
)
from tinybase_hookspecs.markers import hookspec
from tinybase_hookspecs.questions import (
    BeforeCollectionCreateEvent,
    BeforeCollectionDeleteEvent,
    BeforeCollectionUpdateEvent,
)


@hookspec
def tinybase_before_collection_create(
    event: BeforeCollectionCreateEvent,
) -> dict[str, object] | None:
    """Called before a collection is created; ``event.data`` may be changed and is checked again.

    On PostgreSQL it is called once more, after a rollback, when it changes which fields are
    indexed.
    """


@hookspec
def tinybase_before_collection_update(
    event: BeforeCollectionUpdateEvent,
) -> dict[str, object] | None:
    """Called before a collection is changed; ``event.data`` may be changed and is checked again.

    Not called for what would change nothing. It may be called once more as that for creation.
    """


@hookspec
def tinybase_before_collection_delete(event: BeforeCollectionDeleteEvent) -> None:
    """Called before a collection and its records are deleted."""


@hookspec
def tinybase_on_collection_create(event: CollectionCreateEvent) -> None:
    """Called after a new collection was committed."""


@hookspec
def tinybase_on_collection_update(event: CollectionUpdateEvent) -> None:
    """Called after a change of a collection was committed."""


@hookspec
def tinybase_on_collection_delete(event: CollectionDeleteEvent) -> None:
    """Called after the deletion of a collection was committed."""
