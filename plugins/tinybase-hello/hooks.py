"""What happens when TinyBase starts and stops, and when somebody leaves a greeting."""

import logging

from tinybase.extensions import RecordCreateEvent, on_record_create, on_shutdown, on_startup

logger = logging.getLogger(__name__)


@on_startup
def begin() -> None:
    """Runs in every worker, before its first request."""
    logger.info("Hello!")


@on_shutdown
def end() -> None:
    """Runs in every worker when it stops, and when the extension is disabled."""
    logger.info("Goodbye!")


@on_record_create(collection="greetings")
def answer(event: RecordCreateEvent) -> None:
    """Runs after a record of the collection ``greetings`` was stored."""
    logger.info("%s says hello", event.data.get("name", "Somebody"))
