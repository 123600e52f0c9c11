"""What is logged, and how a line of the log looks.

One configuration for the supervising process, its workers and every other WSGI server:
the level of ``[server] log_level`` holds for the root logger, so that the loggers of
extensions follow it without doing anything.
"""

from __future__ import annotations

import fcntl
import logging
import logging.config
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

_CONTROL_CHARACTERS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
} | {ord("\n"): "\n    "}

_CHATTY = ("asyncio", "watchfiles")

RECORD = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) +"
    r"\[(?P<process>\d+)\] (?P<logger>\S+): (?P<message>.*)"
)
"""The first line of a record; the lines up to the next one belong to it."""

_FILE_BYTES = 10 * 2**20
_OLD_FILES = 2
_RECORD_CHARACTERS = 100_000

Conceal = Callable[[str], str]
"""Takes what nobody shall read out of a text."""


class LineFormatter(logging.Formatter):
    """Begin a line for each record only, whatever a client put into it.

    Further lines of a message are indented, so that none of them looks like a record.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s")
        self.concealing: list[Conceal] = []

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return self._concealed(super().formatMessage(record)).translate(_CONTROL_CHARACTERS)

    def format(self, record: logging.LogRecord) -> str:
        # Once more: what a traceback says may have been formatted by another handler.
        return self._concealed(super().format(record))

    def _concealed(self, text: str) -> str:
        for conceal in self.concealing:
            text = conceal(text)
        return text


class GranianFilter(logging.Filter):
    """Drop what our own lines say better, and advice against our own defaults."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(
            ("Configuration allows", "Configured number", "Unexpected exit from worker")
        )


class LogFile(logging.Handler):
    """Write the log to a file that several processes share, and that cannot fill the disk.

    When it is large enough it becomes ``tinybase.log.1``, and the ones before move up.
    A record is one append, so records of different processes do not mix. What cannot be
    written is given up: the same line is on stderr.
    """

    def __init__(self, path: Path, max_bytes: int = _FILE_BYTES) -> None:
        super().__init__()
        self._path = path
        self._max_bytes = max_bytes
        self._descriptor: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record."""
        try:
            line = self.format(record)[:_RECORD_CHARACTERS] + "\n"
            descriptor = self._open()
            os.write(descriptor, line.encode("utf-8", "backslashreplace"))
            if os.fstat(descriptor).st_size >= self._max_bytes:
                self._rotate()
        except OSError:  # no room, or a folder that must not be written to
            pass
        except Exception:  # noqa: BLE001 - a record that cannot be formatted is told as usual
            self.handleError(record)

    def close(self) -> None:
        """Let go of the file."""
        with self.lock or nullcontext():
            self._let_go()
        super().close()

    def _open(self) -> int:
        """Return the file that has the name now; another process may have moved the last one."""
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self._let_go()
        if self._descriptor is None:
            self._path.parent.mkdir(exist_ok=True)
            # Mails may be written to the log, and with them links to reset a password.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        """Move the files up, unless another process has just done so."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if self._path.stat().st_size >= self._max_bytes:
                *older, current = old_files(self._path)
                for source, target in zip([*older[1:], current], older, strict=True):
                    if source.exists():
                        source.replace(target)
        finally:
            os.close(folder)

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def concealed(conceal: Conceal) -> Iterator[None]:
    """Have everything that this process logs meanwhile go through a function."""
    handlers = logging.getLogger().handlers
    formatters = [h.formatter for h in handlers if isinstance(h.formatter, LineFormatter)]
    for formatter in formatters:
        formatter.concealing = [*formatter.concealing, conceal]
    try:
        yield
    finally:
        for formatter in formatters:
            formatter.concealing = [each for each in formatter.concealing if each != conceal]


def file_of(instance: Path) -> Path:
    """Return the file that the server of an instance logs to."""
    return instance / "logs" / "tinybase.log"


def old_files(path: Path) -> list[Path]:
    """Return the files of a log, the oldest first and the current one last."""
    return [path.with_name(f"{path.name}.{number}") for number in range(_OLD_FILES, 0, -1)] + [path]


def escape(line: str) -> str:
    """Return a line without anything that does something to a terminal."""
    return line.translate(_CONTROL_CHARACTERS)


def settings(level: str, file: Path | None = None) -> dict[str, Any]:
    """Return the configuration for ``logging.config.dictConfig``.

    :param file: where the log goes besides stderr.
    """
    handlers: dict[str, Any] = {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "stream": "ext://sys.stderr",
        }
    }
    if file is not None:
        handlers["file"] = {"()": LogFile, "formatter": "line", "path": file}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}},
        "filters": {"granian": {"()": GranianFilter}},
        "handlers": handlers,
        "root": {"level": level.upper(), "handlers": list(handlers)},
        "loggers": {
            "_granian": {"filters": ["granian"]},
            **{name: {"level": "WARNING"} for name in _CHATTY},
        },
    }


def configure(level: str, file: Path | None = None) -> None:
    """Send the log of this process to stderr, and to a file if there is one."""
    logging.config.dictConfig(settings(level, file))
