from __future__ import annotations

import logging
import multiprocessing
import re
import sys
from pathlib import Path

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


def log_file(path: Path, max_bytes: int = 10_000) -> logging.Handler:
    handler = logs.LogFile(path, max_bytes)
    handler.setFormatter(logs.LineFormatter())
    return handler


def write_records(path: Path, number: int) -> None:
    handler = log_file(path)
    for count in range(number):
        message = f"{'x' * 50} {count}"
        handler.handle(logging.LogRecord("n", logging.INFO, "f", 1, message, (), None))
    handler.close()


def test_processes_share_a_log_file_that_cannot_fill_the_disk(tmp_path: Path) -> None:
    path = logs.file_of(tmp_path)
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_records, args=(path, 300)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    files = sorted(path.parent.iterdir())

    assert [file.name for file in files] == [
        "tinybase.log",
        "tinybase.log.1",
        "tinybase.log.2",
    ]
    for file in files:
        assert file.stat().st_size < 10_000 + 3 * 200
        assert file.stat().st_mode & 0o077 == 0
        assert all(logs.RECORD.fullmatch(line) for line in file.read_text().splitlines())


def test_a_long_record_is_cut(tmp_path: Path) -> None:
    path = logs.file_of(tmp_path)
    handler = log_file(path, 10**7)

    handler.handle(logging.LogRecord("n", logging.INFO, "f", 1, "x" * 10**6, (), None))
    handler.close()

    assert path.stat().st_size == 100_001


def test_a_log_that_cannot_be_written_harms_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    handler = log_file(logs.file_of(tmp_path))

    handler.handle(logging.LogRecord("n", logging.INFO, "f", 1, "m", (), None))
    handler.close()

    assert capsys.readouterr().err == ""


def test_a_log_file_that_is_taken_away_is_made_again(tmp_path: Path) -> None:
    path = logs.file_of(tmp_path)
    handler = log_file(path)
    for message in ("one", "two"):
        handler.handle(logging.LogRecord("n", logging.INFO, "f", 1, message, (), None))
        text = path.read_text()
        path.unlink()
    handler.close()

    assert text.endswith("n: two\n")


def test_the_file_gets_what_stderr_gets(tmp_path: Path) -> None:
    settings = logs.settings("info", logs.file_of(tmp_path))

    assert settings["root"]["handlers"] == ["stderr", "file"]
    assert "file" not in logs.settings("info")["handlers"]
