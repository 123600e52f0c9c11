"""What is logged, and how a line of the log looks.

One configuration for the supervising process, its workers and every other WSGI server:
the level of ``[server] log_level`` holds for the root logger, so that the loggers of
extensions follow it without doing anything.
"""

from __future__ import annotations

import logging
import logging.config
from typing import Any

_CONTROL_CHARACTERS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
} | {ord("\n"): "\n    "}

_CHATTY = ("asyncio", "watchfiles")


class LineFormatter(logging.Formatter):
    """Begin a line for each record only, whatever a client put into it.

    Further lines of a message are indented, so that none of them looks like a record.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return super().formatMessage(record).translate(_CONTROL_CHARACTERS)


class GranianFilter(logging.Filter):
    """Drop what our own lines say better, and advice against our own defaults."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(
            ("Configuration allows", "Configured number", "Unexpected exit from worker")
        )


def settings(level: str) -> dict[str, Any]:
    """Return the configuration for ``logging.config.dictConfig``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}},
        "filters": {"granian": {"()": GranianFilter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "_granian": {"filters": ["granian"]},
            **{name: {"level": "WARNING"} for name in _CHATTY},
        },
    }


def configure(level: str) -> None:
    """Send the log of this process to stderr."""
    logging.config.dictConfig(settings(level))
