"""``tinybase records import`` and ``export``."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import click

from tinybase.cli import context
from tinybase.cli.output import counted, emit_json, json_option, note, printable
from tinybase.cli.progress import Progress
from tinybase.cli.record_files import (
    FORMATS,
    Csv,
    CsvWriter,
    JsonLines,
    JsonLinesWriter,
    Lines,
    Read,
    format_of,
)
from tinybase.cli.users import find
from tinybase.collections.collection import Collection
from tinybase.collections.transfer import (
    Line,
    Place,
    RecordTransfer,
    Refused,
    TooManyRefused,
)
from tinybase.config import LimitsConfig
from tinybase.errors import Conflict, Invalid, TinyBaseError
from tinybase.files import complete

STDIO = "-"
_CHUNK = 1_000
_MOST_LISTED = 100

collection_argument = click.argument("collection")
format_option = click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="Default: what the name says."
)


@click.command("export")
@collection_argument
@click.argument("file", default=STDIO, type=click.Path(dir_okay=False, allow_dash=True))
@format_option
@json_option
def export(*, collection: str, file: str, format_: str | None, as_json: bool) -> None:
    """Write all records of a collection to FILE, as they are at one moment.

    A line is one record, as the API shows it. A FILE that is there is replaced when the
    new one is complete. Without FILE, or with -, it goes to stdout.

    \b
    Examples:
      tinybase records export posts posts.jsonl
      tinybase records export posts posts.csv
      tinybase records export posts | gzip > posts.jsonl.gz
    """
    if as_json and file == STDIO:
        raise click.UsageError("--json needs a FILE: the records themselves go to stdout.")
    with context.services() as services:
        progress = Progress()
        found = services.collections.get(collection)
        transfer = RecordTransfer(services.database, services.host, services.collections)
        with _written(file) as out:
            kind = CsvWriter if format_of(file, format_) == "csv" else JsonLinesWriter
            writer, count = kind(out, found), 0
            for count, record in enumerate(transfer.records(found), 1):
                writer.write(record)
                progress(f"{count:,} records")
        progress.done()
    if as_json:
        emit_json({"collection": collection, "file": file, "records": count})
    else:
        note(f"Exported {counted(count, 'record')} of {collection}.")


@click.command("import")
@collection_argument
@click.argument("file", default=STDIO, type=click.Path(dir_okay=False, allow_dash=True))
@format_option
@click.option("--owner", metavar="USER", help="Whose records are that name no owner.")
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do at a line that cannot be imported.",
)
@click.option("--max-errors", type=click.IntRange(0), help="With skip: stop after so many.")
@click.option(
    "--hooks", is_flag=True, help="Ask the extensions about every record, and tell them of it."
)
@click.option("--again", is_flag=True, help="Import a FILE from its beginning once more.")
@click.option("--dry-run", is_flag=True, help="Check every line; store nothing.")
@json_option
def import_(
    *,
    collection: str,
    file: str,
    format_: str | None,
    owner: str | None,
    on_error: str,
    max_errors: int | None,
    hooks: bool,
    again: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Store the records of FILE in a collection. Without FILE, or with -, read stdin.

    A line of JSON is a record as export writes it, or only its data; the first line of CSV
    names fields, and id, owner_id, created_at, updated_at and version where it has them.
    Every record is checked against the schema and must be new: an id or a unique value
    that is there already is an error of its line.

    When it is interrupted, run the same command again: it goes on where it was. Lines that
    were refused are not tried again. --dry-run finds equal ids and unique values within a
    thousand lines only. The exit code is 1 when any line was refused.

    \b
    Examples:
      tinybase records import posts posts.jsonl
      tinybase records import posts posts.csv --on-error skip --max-errors 50
      zcat posts.jsonl.gz | tinybase records import posts
    """
    if max_errors is not None and on_error == "stop":
        raise click.UsageError("--max-errors needs --on-error skip.")
    may_refuse = 0 if on_error == "stop" else max_errors
    with context.services(load=hooks) as services, _opened(file) as opened:
        found = services.collections.get(collection)
        run = _Import(
            RecordTransfer(services.database, services.host, services.collections),
            found,
            source=None if file == STDIO or dry_run else _source(file),
            may_refuse=may_refuse,
            owner_id=None if owner is None else find(services.users, owner).id,
            tell=hooks,
            keep=not dry_run,
        )
        if again:
            run.forget()
        size = None if file == STDIO else os.fstat(opened.fileno()).st_size
        try:
            run.carry_out(opened, format_of(file, format_), services.config.limits, size)
        except KeyboardInterrupt:
            note(run.how_to_go_on())
            raise
    _report(run, as_json=as_json)


class _Import:
    """One run of an import, and what came of it."""

    def __init__(
        self,
        transfer: RecordTransfer,
        collection: Collection,
        *,
        source: str | None,
        may_refuse: int | None,
        owner_id: UUID | None,
        tell: bool,
        keep: bool,
    ) -> None:
        self.collection = collection
        self.keep = keep
        self.imported = 0
        self.refused: list[Refused] = []
        self.refused_count = 0
        self.begun_after = 0
        self.stopped_at: int | None = None
        self._transfer = transfer
        self._source = source
        self._may_refuse = may_refuse
        self._owner_id = owner_id
        self._tell = tell

    def forget(self) -> None:
        """Forget that the file was imported."""
        if self._source:
            self._transfer.forget(self.collection, self._source)

    def carry_out(
        self, file: BinaryIO, format_: str, limits: LimitsConfig, size: int | None
    ) -> None:
        """Import the file from where an earlier run has come to."""
        lines = Lines(file, limits.body_bytes)
        # The head of a CSV file is read in any case, and then skipped with the rest.
        kind = Csv if format_ == "csv" else JsonLines
        reader = kind(lines, self.collection, limits)
        self._resume(lines)
        progress = Progress()
        for chunk in _chunks(reader):
            self._store(chunk)
            if self.stopped_at is not None:
                break
            done = f", {lines.offset * 100 // size} %" if size else ""
            progress(f"{self.imported:,} records{done}")
        progress.done()

    def how_to_go_on(self) -> str:
        """Say what to do after an interruption."""
        if self._source is None:
            return f"Imported {counted(self.imported, 'record')}."
        return f"Imported {counted(self.imported, 'record')}. Run the same command to go on."

    def _resume(self, lines: Lines) -> None:
        place = self._transfer.place(self.collection, self._source) if self._source else None
        if place is None:
            return
        if not lines.skip(place):
            raise Conflict(
                f"Up to line {place.lines} another content of this file was imported into "
                f"{self.collection.name}. Add --again to import all of it as it is now."
            )
        self.begun_after = place.lines
        note(f"The first {place.lines:,} lines are imported already; going on after them.")

    def _store(self, chunk: list[Read]) -> None:
        """Store a part of the file; at a line too many that is refused, what is before it."""
        left = None if self._may_refuse is None else self._may_refuse - self.refused_count
        try:
            self._count(chunk, self._stored(chunk, left))
        except TooManyRefused as error:
            before = chunk[: error.index]
            if before:
                self._count(before, self._stored(before, left))
            self._count(chunk[error.index : error.index + 1], [error.refused])
            self.stopped_at = error.refused.line

    def _count(self, chunk: list[Read], refused: list[Refused]) -> None:
        self.imported += len(chunk) - len(refused)
        self.refused_count += len(refused)
        self.refused += refused[: _MOST_LISTED - len(self.refused)]
        for each in refused:
            note(f"line {each.line}: {_reason(each.error)}")

    def _stored(self, chunk: list[Read], may_refuse: int | None) -> list[Refused]:
        place: Place = chunk[-1].place
        return self._transfer.store(
            self.collection,
            [self._owned(read.line) for read in chunk],
            may_refuse=may_refuse,
            place=(self._source, place) if self._source else None,
            tell=self._tell,
            keep=self.keep,
        )

    def _owned(self, line: Line) -> Line:
        draft = line.draft
        if isinstance(draft, TinyBaseError) or self._owner_id is None or draft.owner_id:
            return line
        return Line(line.number, dataclasses.replace(draft, owner_id=self._owner_id))


def _chunks(reads: Iterable[Read]) -> Iterator[list[Read]]:
    chunk: list[Read] = []
    for read in reads:
        chunk.append(read)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _report(run: _Import, *, as_json: bool) -> None:
    done = f"{'Imported' if run.keep else 'Would import'} {counted(run.imported, 'record')}"
    if as_json:
        emit_json(
            {
                "collection": run.collection.name,
                "imported": run.imported,
                "refused": run.refused_count,
                "skipped_lines": run.begun_after,
                "stopped_at": run.stopped_at,
                "dry_run": not run.keep,
                "errors": [
                    {"line": each.line, "code": each.error.code, "message": _reason(each.error)}
                    for each in run.refused
                ],
            }
        )
    elif not run.refused_count:
        note(f"{done}.")
    if run.refused_count:
        end = "" if run.stopped_at is None else f" It stopped at line {run.stopped_at}: mend it"
        if run.stopped_at is not None:
            end += " and run the same command to go on, or add --on-error skip."
        raise click.ClickException(f"{done}, refused {counted(run.refused_count, 'line')}.{end}")


def _reason(error: TinyBaseError) -> str:
    """Return the reason in one line; what it repeats of the file does nothing to a terminal."""
    if not isinstance(error, Invalid):
        return printable(error.detail)
    return printable("; ".join(f"{_place(fault.loc)}: {fault.msg}" for fault in error.faults))


def _place(loc: tuple[str | int, ...]) -> str:
    parts = loc[2:] if loc[:2] == ("body", "data") else loc[1:]
    return ".".join(map(str, parts)) or "the line"


def _source(file: str) -> str:
    return hashlib.sha256(os.fsencode(Path(file).resolve())).hexdigest()


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STDIO:
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as opened:
        yield opened


@contextmanager
def _written(file: str) -> Iterator[BinaryIO]:
    """Open a file that is there under its name only when it is complete."""
    if file == STDIO:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file).resolve()
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Records may be nobody else's business.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            yield out
        complete(new, path)
    finally:
        new.unlink(missing_ok=True)
