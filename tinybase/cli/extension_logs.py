"""``tinybase extensions logs``: what the server logged about one extension."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import TextIO

import click

from tinybase import logs as log
from tinybase.cli import context
from tinybase.cli.names import name_argument
from tinybase.cli.output import emit_json, json_option, note
from tinybase.packages.generations import Generations

_POLL_SECONDS = 0.2


@dataclass
class LogRecord:
    """One record of the log; ``lines`` are those after the first, such as a traceback."""

    time: str
    level: str
    process: int
    logger: str
    message: str
    lines: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, line: str) -> LogRecord | None:
        """Read the first line of a record; any other line is none."""
        match = log.RECORD.fullmatch(line)
        if match is None:
            return None
        at, level, process, logger, message = match.groups()
        return cls(at, level, int(process), logger, message)

    def show(self) -> None:
        """Print the record."""
        click.echo(
            f"{self.time} {self.level:<7} [{self.process}] {self.logger}: "
            f"{log.escape(self.message)}"
        )
        for line in self.lines:
            click.echo(log.escape(line))


@dataclass(frozen=True)
class Topic:
    """Which records are about an extension."""

    name: str
    package: str

    def covers(self, record: LogRecord) -> bool:
        """Say whether a record is of the extension's loggers, or of ours and names it."""
        if _is_within(record.logger, self.package):
            return True
        named = rf"(?<![\w.-])({re.escape(self.name)}|{re.escape(self.package)})(?![\w-])"
        return _is_within(record.logger, "tinybase") and bool(re.search(named, record.message))


class Tail:
    """The end of a log, which grows, and now and then begins anew in another file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def read(self) -> list[str]:
        """Return the lines that came since the last time."""
        self._file = self._file or _open(self._path)
        return _lines(self._file) if self._file else []

    def wait(self) -> Iterator[list[str]]:
        """Yield lines as they come, without end, some at a time."""
        while True:
            if lines := self.read():
                yield lines
                continue
            time.sleep(_POLL_SECONDS)
            if self._file and self._is_moved(self._file):
                yield self.read()  # the last lines before it was moved
                self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()
            self._file = None

    def _is_moved(self, file: TextIO) -> bool:
        try:
            return not os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return True


@click.command("logs")
@name_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on.")
@click.option(
    "-n",
    "--number",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="How many of the last records.",
)
@json_option
def logs(*, name: str, follow: bool, number: int, as_json: bool) -> None:
    """Show what the server logged about an extension.

    That is what its own loggers wrote, and what TinyBase wrote about it, from the file
    logs/tinybase.log of the instance. What it prints is not logged. Ctrl-C ends --follow.

    \b
    Examples:
      tinybase extensions logs my-extension -n 100
      tinybase extensions logs my-extension --follow
    """
    if follow and as_json:
        raise click.UsageError("--json is one document, so it does not go with --follow.")
    topic, path = _topic(name), log.file_of(context.instance())
    if not path.exists() and not follow:
        note(f"There is no log yet: the server writes {path}.")
    with closing(Tail(path)) as tail:
        records = _records(chain(_old_lines(path), tail.read()))
        last = deque((item for item in records if topic.covers(item)), maxlen=number)
        if as_json:
            emit_json([asdict(item) for item in last])
            return
        for item in last:
            item.show()
        if follow:
            _follow(topic, tail)


def _topic(name: str) -> Topic:
    from tinybase.packages.compatibility import identify  # noqa: PLC0415 - pluggy, SQLAlchemy

    return Topic(*identify(name, Generations(context.load_config().instance).current()))


def _follow(topic: Topic, tail: Tail) -> None:
    """Print records as they come, until Ctrl-C."""
    # A record is written at once, so none of them begins in one batch and ends in another.
    for record in chain.from_iterable(map(_records, tail.wait())):
        if topic.covers(record):
            record.show()


def _records(lines: Iterable[str]) -> Iterator[LogRecord]:
    """Put lines together to records."""
    record: LogRecord | None = None
    for line in lines:
        if begun := LogRecord.parse(line):
            if record is not None:
                yield record
            record = begun
        elif record is not None:
            record.lines.append(line)
    if record is not None:
        yield record


def _old_lines(path: Path) -> Iterator[str]:
    for old in log.old_files(path)[:-1]:
        if file := _open(old):
            with file:
                yield from _lines(file)


def _lines(file: TextIO) -> list[str]:
    return [line.rstrip("\n") for line in file]


def _open(path: Path) -> TextIO | None:
    try:
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except FileNotFoundError:
        return None


def _is_within(logger: str, package: str) -> bool:
    return logger == package or logger.startswith(f"{package}.")
