"""What happens when the server starts, and when somebody stores a note."""

import logging

from tinybase.extensions import RecordCreateEvent, on_record_create, on_startup

logger = logging.getLogger(__name__)


@on_startup
def begin() -> None:
    """Runs in every worker, before its first request."""
    logger.info("The example extension is ready")


@on_record_create(collection="notes")
def see(event: RecordCreateEvent) -> None:
    """Runs after a note was stored."""
    logger.info("A new note: %s", event.data["text"])
