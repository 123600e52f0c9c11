"""Files of records: JSON lines and CSV, read and written a line at a time."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol
from uuid import UUID

import orjson

from tinybase.api.fields import parse_id
from tinybase.api.json import TEXT_FAULTS, JsonLimits, parse_object, text_fault
from tinybase.collections.collection import Collection
from tinybase.collections.record import RecordRow
from tinybase.collections.spec import FieldSpec, Kind
from tinybase.collections.transfer import Draft, Line, Place
from tinybase.config import LimitsConfig
from tinybase.db import format_time
from tinybase.errors import BadRequest, Fault, Invalid, TinyBaseError

ENVELOPE = ("id", "collection_id", "owner_id", "version", "created_at", "updated_at")
_COLUMNS = ("id", "owner_id", "version", "created_at", "updated_at")
_AS_JSON = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.LIST, Kind.DICT, Kind.JSON})


class Lines:
    """The lines of a binary file, none of them longer than allowed, and the place in it."""

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self.offset = 0
        self.number = 0
        self.is_too_long = False
        self._file = file
        self._longest = longest
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        while line := self.next():
            yield line

    def next(self) -> bytes:
        """Return the next line; of one that is too long the beginning; at the end nothing."""
        line = self._read()
        self.is_too_long = len(line) > self._longest
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = self._read()
        self.number += bool(line)
        return line

    def skip(self, place: Place) -> bool:
        """Go to a place; say whether what stands before it is what stood there."""
        while self.offset < place.offset:
            block = self._file.read(min(1 << 20, place.offset - self.offset))
            if not block:
                return False
            self._take(block)
        self.number = place.lines
        return self._hash.hexdigest() == place.digest

    def place(self) -> Place:
        """Return the place after what was read."""
        return Place(self.offset, self.number, self._hash.hexdigest())

    def _read(self) -> bytes:
        part = self._file.readline(self._longest + 1)
        self._take(part)
        return part

    def _take(self, part: bytes) -> None:
        self._hash.update(part)
        self.offset += len(part)


@dataclass(frozen=True, slots=True)
class Read:
    """A line that was read, and the place after it."""

    line: Line
    place: Place


class Reader(Protocol):
    """Reads the records of a file."""

    def __iter__(self) -> Iterator[Read]: ...


class JsonLines:
    """One JSON object a line: a record as the API shows it, or only its data."""

    def __init__(self, lines: Lines, collection: Collection, limits: LimitsConfig) -> None:
        self._lines = lines
        self._fields = collection.compiled.specs
        self._limits = JsonLimits(limits.json_depth, limits.string_bytes)

    def __iter__(self) -> Iterator[Read]:
        for raw in self._lines:
            if raw.strip():
                line = Line(self._lines.number, self._draft(raw))
                yield Read(line, self._lines.place())

    def _draft(self, raw: bytes) -> Draft | TinyBaseError:
        if self._lines.is_too_long:
            return _too_long()
        try:
            document = parse_object(raw.removeprefix(b"\xef\xbb\xbf"), self._limits)
            if not self._is_envelope(document):
                return Draft(document)
            return _draft(document, document["data"])
        except TinyBaseError as error:
            return _about_a_line(error)

    def _is_envelope(self, document: Mapping[str, Any]) -> bool:
        keys = document.keys() - {"data"}
        if not isinstance(document.get("data"), dict) or not keys <= set(ENVELOPE):
            return False
        return bool(keys) or "data" not in self._fields


class Csv:
    """A head with the names of columns, then a record a row.

    :raises TinyBaseError: for a head that does not fit the collection.
    """

    def __init__(
        self,
        lines: Lines,
        collection: Collection,
        limits: LimitsConfig,
    ) -> None:
        csv.field_size_limit(limits.body_bytes)
        self._lines = lines
        self._limits = JsonLimits(limits.json_depth, limits.string_bytes)
        self._reader = csv.reader(self._decoded(), strict=True)
        self._columns = _columns_of(self._row() or [], collection)

    def __iter__(self) -> Iterator[Read]:
        while True:
            number = self._lines.number + 1
            try:
                row = self._row()
                draft = None if row is None else self._draft(row)
            except TinyBaseError as error:
                row, draft = [""], error
            if row is None or draft is None:
                return
            if row:
                yield Read(Line(number, draft), self._lines.place())

    def _row(self) -> Sequence[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise BadRequest(f"It is no CSV: {error}.") from error

    def _decoded(self) -> Iterator[str]:
        first = self._lines.number == 0
        while raw := self._lines.next():
            if self._lines.is_too_long:
                raise _too_long()
            try:
                text = raw.decode("utf-8-sig" if first else "utf-8")
            except UnicodeDecodeError:
                # One row is lost, not the file: no text has this character.
                text = "\0\r\n"
            first = False
            yield text

    def _draft(self, row: Sequence[str]) -> Draft | TinyBaseError:
        if row == ["\0"]:
            return BadRequest("It is not UTF-8.")
        if row and len(row) != len(self._columns):
            return BadRequest(f"It has {len(row)} cells, the head has {len(self._columns)}.")
        fault = next(filter(None, map(text_fault, row)), None)
        if fault:
            return BadRequest(TEXT_FAULTS[fault])
        try:
            return self._checked(row)
        except TinyBaseError as error:
            return error

    def _checked(self, row: Sequence[str]) -> Draft:
        envelope: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for cell, column in zip(row, self._columns, strict=False):
            if not cell:
                continue
            if isinstance(column, str):
                envelope[column] = cell
            else:
                data[column.name] = _value(column, cell, self._limits)
        return _draft(envelope, data)


def _columns_of(head: Sequence[str], collection: Collection) -> list[str | FieldSpec]:
    """Return what each column is: a part of the record beside its data, or a field."""
    fields = collection.compiled.specs
    columns: list[str | FieldSpec] = []
    for name in head:
        field = fields.get(name.removeprefix("data."))
        if name in ENVELOPE:
            columns.append(name)
        elif field is not None:
            columns.append(field)
        else:
            raise BadRequest(
                f"The head has a column {name!r}, and {collection.name} has no such field. "
                "The first line must name fields, or id, owner_id, created_at and the like."
            )
    names = [each if isinstance(each, str) else f"data.{each.name}" for each in columns]
    if not names or len(set(names)) < len(names):
        raise BadRequest("The first line must name the columns, and each of them once.")
    return columns


def _value(spec: FieldSpec, cell: str, limits: JsonLimits) -> Any:
    """Return the value of a cell.

    :raises Invalid: for JSON that cannot be stored.
    """
    if spec.kind not in _AS_JSON:
        return cell
    try:
        document = parse_object(f'{{"{spec.name}": {cell}}}'.encode(), limits)
    except BadRequest:
        return cell  # the schema says what it makes of the text
    return document[spec.name] if len(document) == 1 else cell


def _draft(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> Draft:
    """Make a draft of the parts of a record.

    :raises Invalid: for parts that are none.
    """
    given = {name: value for name, value in envelope.items() if value is not None}
    faults = []
    parts: dict[str, Any] = {}
    for name, (read, what) in _READERS.items():
        if name in given:
            parts[name] = read(given[name])
            if parts[name] is None:
                faults.append(Fault(("body", name), f"Not a valid {what}.", "invalid"))
    if faults:
        raise Invalid(faults)
    return Draft(data, **parts)


def _version(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 2**31 else None


def _time(value: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _id(value: Any) -> UUID | None:
    return parse_id(value)


_READERS: Mapping[str, Any] = {
    "id": (_id, "UUID"),
    "owner_id": (_id, "UUID"),
    "version": (_version, "version"),
    "created_at": (_time, "ISO 8601 time"),
    "updated_at": (_time, "ISO 8601 time"),
}


def _too_long() -> TinyBaseError:
    return BadRequest("The line is longer than limits.body_bytes allows.")


def _about_a_line(error: TinyBaseError) -> TinyBaseError:
    if not isinstance(error, Invalid):
        error.detail = error.detail.replace("The body is", "It is")
    return error


class JsonLinesWriter:
    """Writes a record a line, as the API shows it."""

    def __init__(self, file: BinaryIO, collection: Collection) -> None:  # noqa: ARG002 - as Csv
        self._file = file

    def write(self, record: RecordRow) -> None:
        """Write one record."""
        document = record.columns()
        for name in ("created_at", "updated_at"):
            document[name] = format_time(document[name])
        self._file.write(orjson.dumps(document) + b"\n")


class CsvWriter:
    """Writes a head, then a record a row."""

    def __init__(self, file: BinaryIO, collection: Collection) -> None:
        self._file = file
        self._fields = tuple(collection.compiled.specs.values())
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        names = (
            f"data.{spec.name}" if spec.name in ENVELOPE else spec.name for spec in self._fields
        )
        self._row([*_COLUMNS, *names])

    def write(self, record: RecordRow) -> None:
        """Write one record."""
        times = (format_time(record.created_at), format_time(record.updated_at))
        cells = (_cell(spec, record.data[spec.name]) for spec in self._fields)
        self._row([record.id, record.owner_id, record.version, *times, *cells])

    def _row(self, cells: Sequence[Any]) -> None:
        self._writer.writerow(cells)
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


def _cell(spec: FieldSpec, value: Any) -> Any:
    if value is None or spec.kind not in _AS_JSON:
        return value
    return orjson.dumps(value).decode()


FORMATS = ("jsonl", "csv")


def format_of(path: str, given: str | None) -> str:
    """Return the format of a file: what is said, else what the name says, else JSON lines."""
    if given:
        return given
    if path.endswith(".csv"):
        return "csv"
    return "jsonl"
