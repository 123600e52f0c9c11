"""A plain model of lists: what the contract of filters and sorts says, over Python values.

It shares nothing with the product. It makes random records, keeps what each field of them
means as a Python value that compares as it should, and makes random questions, of which it
knows the answer.
"""

from __future__ import annotations

import json
import operator as operation
import random
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

INT64 = 2**63
TEXTS = [
    *("", "a", "A", "aa", "ab", "B", "a b", "ä", "Ä", "a\u0308", "ß", "SS", "\uffff", "😀", "😁"),
    *("\U0010ffff", "%", "_", "a%b", "a_b", "'", '"', "\\", "a\\", ",", "a,b", "1", "01", "null"),
    *("true", "\n", "\t", " ", "a ", "\x7f", "\ud7ff", "\ue000", "İ", "ı", "{}", "$", "x" * 300),
]  # fmt: skip
INTEGERS = [0, 1, -1, 2, 9, 10, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, INT64 - 1, INT64 - 2, -INT64]
NUMBERS = [
    *(0.0, -0.0, 1.0, -1.5, 0.1, 0.2, 0.1 + 0.2, 1e16, 1e17, 1e22, 1e23, 1e300, 1e308, -1e308),
    *(5e-324, 1e-7, 123456789.123456789, 2.0**53, 1.7976931348623157e308, 2.2250738585072014e-308),
]
DATES = ["2026-01-31", "2026-02-01", "0999-12-31", "9999-12-31", "0001-01-01"]
MOMENTS = [
    datetime(2026, 1, 31, 12, tzinfo=UTC),
    datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(999, 12, 31, 20, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
    datetime(1, 1, 2, tzinfo=UTC),
]
ZONES = [timezone(timedelta(minutes=minutes)) for minutes in (0, 60, -210, 345, 720)]
UUIDS = [f"0190b6c2-0000-7000-8000-00000000000{digit}" for digit in "0189abf"]
EMAILS = ["a@b.de", "B@b.de", "a.b@b.de", "z+1@example.com"]
URLS = ["http://a", "https://b.de/?q=%25", "http://a/", "https://b.de/%F0%9F%98%80"]
STATES = ["open", "Open", "closed", "ä,\\"]
ITEMS = [*TEXTS[:8], 0, 1, -1, 1.5, 2**53 + 1, True, False, None, ["a"], {"a": 1}, "1.5", "false"]

TEXTUAL = frozenset({"string", "email", "url", "enum"})
ORDERED = TEXTUAL | {"integer", "number", "date", "datetime"}
SCALAR = ORDERED | {"boolean", "uuid"}
LISTS = {
    "texts": "string",
    "ints": "integer",
    "floats": "number",
    "flags": "boolean",
    "days": "date",
}
EQUALITY, ORDER, PART = ("eq", "ne", "in", "nin"), ("gt", "gte", "lt", "lte"), ("contains",)

FIRST: list[dict[str, Any]] = [
    *({"name": kind, "type": kind} for kind in sorted(SCALAR - {"enum"})),
    {"name": "enum", "type": "enum", "values": STATES},
    {"name": "filled", "type": "integer", "default": 10},
    {"name": "needed", "type": "number", "required": True},
    {"name": "version", "type": "string"},
    {"name": "json", "type": "json"},
    {"name": "dict", "type": "dict"},
    {"name": "anything", "type": "list"},
    *({"name": name, "type": "list", "items": kind} for name, kind in LISTS.items()),
]
LATER: list[dict[str, Any]] = [
    {"name": "late", "type": "string", "default": "ä😀"},
    {"name": "late_number", "type": "number", "default": 0.1},
    {"name": "late_flag", "type": "boolean", "default": False},
    {"name": "late_moment", "type": "datetime", "default": "2026-01-31T13:00:00+01:00"},
    {"name": "late_null", "type": "integer"},
    {"name": "late_list", "type": "list", "items": "string"},
]
SYSTEM = {"id": "uuid", "owner_id": "uuid", "created_at": "datetime", "updated_at": "datetime"}
SYSTEM["version"] = "integer"


def fields(specs: Iterable[dict[str, Any]], *, indexed: bool) -> list[dict[str, Any]]:
    """Return field declarations, with an index on everything that can have one."""
    return [{**spec, "indexed": indexed and spec["type"] in SCALAR} for spec in specs]


@dataclass
class Row:
    """One record: the values of its fields, by the names by which queries address them."""

    id: UUID
    values: dict[str, Any]


def meaning(kind: str, given: Any) -> Any:
    """Return the Python value that a JSON value of a type stands for."""
    if given is None:
        return None
    if kind == "datetime":
        moment = datetime.fromisoformat(given)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if kind == "date":
        return date.fromisoformat(given)
    if kind == "number":
        return float(given)
    return given.lower() if kind == "uuid" else given


class Chance:
    """Makes random records and random questions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._pools: dict[str, Any] = {
            "string": self._text,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda: self.random.random() < 0.5,
            "date": lambda: self.random.choice(DATES),
            "datetime": self._moment,
            "email": lambda: self.random.choice(EMAILS),
            "url": lambda: self.random.choice(URLS),
            "uuid": lambda: self._cased(self.random.choice(UUIDS)),
            "enum": lambda: self.random.choice(STATES),
            "json": lambda: self.random.choice(ITEMS),
            "dict": lambda: self.random.choice([{}, {"a": 1}, {"a": None}]),
            "list": lambda: self.random.choices(ITEMS, k=self.random.randrange(4)),
        }

    def value(self, kind: str) -> Any:
        """Return a JSON value of a type."""
        return self._pools[kind]()

    def document(self, specs: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Return the data of a record: some fields are absent, some null."""
        document: dict[str, Any] = {}
        for spec in specs:
            chance = self.random.random()
            if spec.get("required") or chance < 0.75:
                document[spec["name"]] = self._field(spec)
            elif chance < 0.87:
                document[spec["name"]] = None
        return document

    def questions(
        self, kinds: dict[str, str], rows: Sequence[Row], count: int
    ) -> Iterator[Question]:
        """Return questions about the same fields with the same operators, but other values."""
        terms: list[tuple[str, str]] = []
        for _ in range(self.random.choice([0, 1, 1, 1, 2, 2, 3])):
            name = self.random.choice(list(kinds))
            terms.append((name, self.random.choice(operators(kinds[name]))))
        scalars = [name for name, kind in kinds.items() if kind in SCALAR]
        number = self.random.choice([0, 1, 1, 2, 2, 3, 5])
        order = [(name, self.random.random() < 0.5) for name in self.random.sample(scalars, number)]
        for _ in range(count):
            filled = [self._term(name, operator, kinds, rows) for name, operator in set(terms)]
            yield Question(filled, order)

    def _term(self, name: str, operator: str, kinds: dict[str, str], rows: Sequence[Row]) -> Term:
        kind = kinds[name]
        if operator == "null":
            word = self.random.choice(["true", "FALSE", "1", "0", "yes", "off"])
            return Term(name, operator, [word.lower() in ("true", "1", "yes")], [word])
        if kind == "list":
            item = self._item(name)
            return Term(name, operator, [item], [spelled(item)])
        if operator in ("contains", "startswith"):
            text = self._text() if self.random.random() < 0.3 else self._near(name, kind, rows)
            start = self.random.randrange(len(text) + 1) if operator == "contains" else 0
            part = text[start : start + self.random.randrange(4)]
            return Term(name, operator, [part], [part])
        count = self.random.randrange(1, 5) if operator in ("in", "nin") else 1
        given = [self._near(name, kind, rows) for _ in range(count)]
        meant = [meaning(kind, value) for value in given]
        return Term(name, operator, meant, [spelled(value) for value in given])

    def _near(self, name: str, kind: str, rows: Sequence[Row]) -> Any:
        """Return a value, often one that a record has."""
        if self.random.random() < 0.4 and name not in SYSTEM:
            return self.value(kind)
        value = self.random.choice(rows).values[name]
        if value is None:
            return self.value(kind)
        if kind == "datetime":
            return self._written(value)
        if kind == "uuid":
            return self._cased(value)
        return value.isoformat() if kind == "date" else value

    def _item(self, name: str) -> Any:
        if name == "anything":
            return self.random.choice(
                [item for item in ITEMS if isinstance(item, str | int | float)]
            )
        return self.value(LISTS.get(name, "string"))

    def _field(self, spec: dict[str, Any]) -> Any:
        if spec["type"] == "list" and "items" in spec:
            return [self.value(spec["items"]) for _ in range(self.random.randrange(4))]
        return self.value(spec["type"])

    def _text(self) -> str:
        if self.random.random() < 0.7:
            return self.random.choice(TEXTS)
        letters = string.ascii_letters + "äöß€😀𝒳\U00010000 %_\\'\"\n"
        return "".join(self.random.choices(letters, k=self.random.randrange(6)))

    def _integer(self) -> int:
        chance = self.random.random()
        if chance < 0.5:
            return self.random.choice(INTEGERS)
        return (
            self.random.randrange(-12, 12) if chance < 0.8 else self.random.randrange(-INT64, INT64)
        )

    def _number(self) -> float:
        chance = self.random.random()
        if chance < 0.5:
            return self.random.choice(NUMBERS)
        if chance < 0.8:
            return round(self.random.uniform(-5, 5), 1)
        return self.random.uniform(-1, 1) * 10 ** self.random.randrange(-300, 300)

    def _moment(self) -> str:
        return self._written(self.random.choice(MOMENTS))

    def _written(self, moment: datetime) -> str:
        if self.random.random() < 0.2:
            return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
        return moment.astimezone(
            self.random.choice(ZONES[:1] if moment.year == 9999 else ZONES)
        ).isoformat()

    def _cased(self, text: str) -> str:
        return text.upper() if self.random.random() < 0.3 else text


def operators(kind: str) -> list[str]:
    """Return the operators that the contract gives to a type."""
    found = ["null"]
    if kind in SCALAR:
        found += EQUALITY
    if kind in ORDERED:
        found += ORDER
    if kind in TEXTUAL:
        found += ("contains", "startswith")
    if kind == "list":
        found += PART
    return found


def spelled(value: Any) -> str:
    """Write a value as a query string has it."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass
class Term:
    """One condition: what its values mean, and how they are spelled."""

    name: str
    operator: str
    values: list[Any]
    texts: list[str]

    def pairs(self) -> list[tuple[str, str]]:
        """Return it as it stands in a query string."""
        key = f"filter[{self.name}][{self.operator}]"
        if self.operator not in ("in", "nin"):
            return [(key, self.texts[0])]
        escaped = [text.replace("\\", "\\\\").replace(",", "\\,") for text in self.texts]
        half = len(escaped) // 2
        # A comma list, a repeated key, or both.
        return [(key, ",".join(part)) for part in (escaped[:half], escaped[half:]) if part]

    def holds(self, row: Row) -> bool:
        """Say whether the condition holds for a record."""
        value, given = row.values[self.name], self.values[0]
        if self.operator == "null":
            return bool((value is None) == given)
        if self.operator in ("ne", "nin"):
            return value is None or value not in self.values
        if value is None:
            return False
        if self.operator in ("eq", "in"):
            return value in self.values
        if self.operator == "contains":
            return given in value if isinstance(value, str) else has_item(value, self)
        if self.operator == "startswith":
            return bool(value.startswith(given))
        return bool(_COMPARE[self.operator](value, given))


_COMPARE = {"gt": operation.gt, "gte": operation.ge, "lt": operation.lt, "lte": operation.le}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def has_item(items: list[Any], term: Term) -> bool:
    """Say whether a list has an element that is written like this."""
    if term.name != "anything":
        kind = LISTS.get(term.name, "string")
        wanted = meaning(kind, term.values[0])
        return any(item is not None and meaning(kind, item) == wanted for item in items)
    text = term.texts[0]
    found: list[Any] = [text]
    if _NUMBER.fullmatch(text):
        found.append(json.loads(text))
    for item in items:
        if isinstance(item, bool):
            if text == json.dumps(item):
                return True
        elif isinstance(item, str | int | float) and any(
            item == each and isinstance(item, str) == isinstance(each, str) for each in found
        ):
            return True
    return False


@dataclass
class Question:
    """A filter and an order; each key of the order has a direction, true is descending."""

    terms: list[Term]
    order: list[tuple[str, bool]]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the filter as it stands in a query string."""
        return [pair for term in self.terms for pair in term.pairs()]

    @property
    def sort(self) -> str:
        """Return the order as it stands in a query string."""
        return ",".join(f"{'-' * descending}{name}" for name, descending in self.order)

    def answer(self, rows: Iterable[Row]) -> list[UUID]:
        """Return the ids of the records that it finds, in its order."""
        found = [row for row in rows if all(term.holds(row) for term in self.terms)]
        last = self.order[-1][1] if self.order else True
        for name, descending in reversed([*self.order, ("created_at", last), ("id", last)]):
            found.sort(key=lambda row: _rank(row.values[name]), reverse=descending)
        return [row.id for row in found]


def _rank(value: Any) -> tuple[bool, Any]:
    return (False, 0) if value is None else (True, value)
