from __future__ import annotations

import logging
import re
import sys

import pytest

from tinybase import logs


def formatted(message: str, *arguments: object) -> str:
    record = logging.LogRecord("name", logging.INFO, "file", 1, message, arguments, None)
    return logs.LineFormatter().format(record)


def test_a_line_has_time_level_process_logger_and_message() -> None:
    line = formatted("Hello %s", "you")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    \[\d+\] name: Hello you", line
    )


def test_what_a_client_sends_cannot_look_like_a_record() -> None:
    line = formatted("User %s", "x\n2026-01-01 00:00:00,000 INFO forged\r\x1b[2J")

    assert [part[:4] for part in line.split("\n")[1:]] == ["    "]
    assert "\r" not in line
    assert "\x1b" not in line


def test_tracebacks_are_whole() -> None:
    try:
        raise ValueError("x")
    except ValueError:
        record = logging.LogRecord("name", logging.ERROR, "file", 1, "m", (), sys.exc_info())

    assert logs.LineFormatter().format(record).endswith("\nValueError: x")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level_is_that_of_every_logger(level: str) -> None:
    settings = logs.settings(level)

    assert settings["root"]["level"] == level.upper()
    assert settings["disable_existing_loggers"] is False


def test_advice_against_our_defaults_is_dropped() -> None:
    keep = logs.GranianFilter().filter

    def record(message: str) -> logging.LogRecord:
        return logging.LogRecord("_granian", logging.WARNING, "file", 1, message, (), None)

    assert not keep(record("Configuration allows spawning up to 8 Python threads"))
    assert keep(record("Killing worker-1 after it refused to gracefully stop"))
