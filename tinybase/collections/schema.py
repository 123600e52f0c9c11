"""Reading a schema as a client writes it, with all its faults at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from marshmallow import ValidationError

from tinybase.collections.fields import compile_pattern, field_of
from tinybase.collections.messages import Location, faults_of, reason_of
from tinybase.collections.spec import FieldSpec, Kind
from tinybase.errors import Fault, Invalid

SCHEMA: Location = ("body", "schema")
MOST_FIELDS = 200
DEEPEST_NESTING = 5

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

_MOST_VALUES = 200
_LONGEST_PATTERN = 500
_LONGEST_DESCRIPTION = 1_000
_LONGEST_LABEL = 1_000
_LARGEST_LENGTH = 2**31

KINDS: Mapping[str, Kind] = {
    spelling: kind
    for kind, spellings in {
        Kind.STRING: "string str text",
        Kind.INTEGER: "integer int",
        Kind.NUMBER: "number float",
        Kind.BOOLEAN: "boolean bool",
        Kind.LIST: "list array",
        Kind.DICT: "dict object",
        Kind.JSON: "json any",
        Kind.DATETIME: "datetime timestamp",
        Kind.DATE: "date",
        Kind.EMAIL: "email",
        Kind.URL: "url",
        Kind.UUID: "uuid",
        Kind.ENUM: "enum",
    }.items()
    for spelling in spellings.split()
}
"""Every spelling of a type."""

TYPED_LISTS: Mapping[str, Kind] = {
    f"list[{spelling}]": KINDS[spelling]
    for spelling in ("string", "str", "int", "integer", "float", "number", "bool", "boolean")
}
"""The short spellings of lists of one type."""

_COMMON = frozenset(
    {
        "name",
        "type",
        "required",
        "default",
        "description",
        "unique",
        "indexed",
        "strict",
        "label",
        "help",
        "order",
    }
)
_IN_ITEMS = _COMMON - {"name", "default", "unique", "indexed"}
_IN_PROPERTIES = _COMMON - {"unique", "indexed"}
_OWN: Mapping[Kind, frozenset[str]] = {
    kind: frozenset(options.split())
    for kind, options in {
        Kind.STRING: "min_length max_length pattern values",
        Kind.INTEGER: "min max",
        Kind.NUMBER: "min max",
        Kind.BOOLEAN: "",
        Kind.LIST: "items min_length max_length",
        Kind.DICT: "properties min_length max_length",
        Kind.JSON: "",
        Kind.DATETIME: "min max",
        Kind.DATE: "min max",
        Kind.EMAIL: "max_length",
        Kind.URL: "max_length",
        Kind.UUID: "max_length",
        Kind.ENUM: "values",
    }.items()
}
_ATTRIBUTES = {"min": "minimum", "max": "maximum"}
"""Options whose attribute in :class:`FieldSpec` has another name."""


def parse_schema(schema: object) -> tuple[FieldSpec, ...]:
    """Return the declared fields; ``None`` is a schema without any.

    :raises Invalid: ``invalid_schema`` with every fault and the way to it.
    """
    reader = _Reader()
    specs = reader.schema({} if schema is None else schema)
    if reader.faults:
        raise Invalid(reader.faults, code="invalid_schema")
    return specs


class _BadOption(Exception):
    """An option has a value that it cannot have."""

    def __init__(self, message: str, type_: str = "invalid_option") -> None:
        super().__init__(message)
        self.message = message
        self.type = type_


class _Reader:
    """Walks through one schema and collects what is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def schema(self, schema: object) -> tuple[FieldSpec, ...]:
        if not isinstance(schema, Mapping):
            self._fault(SCHEMA, "Must be an object with a list 'fields'.", "invalid_type")
            return ()
        for key in schema:
            if key != "fields":
                self._fault((*SCHEMA, key), "A schema has 'fields' only.", "unknown_field")
        fields = schema.get("fields")
        if fields is None:
            return ()
        if not isinstance(fields, list):
            self._fault((*SCHEMA, "fields"), "Must be a list of fields.", "invalid_type")
            return ()
        return self._fields(list(enumerate(fields)), (*SCHEMA, "fields"), _COMMON, 0)

    def _fields(
        self,
        fields: Sequence[tuple[str | int, object]],
        loc: Location,
        allowed: frozenset[str],
        depth: int,
    ) -> tuple[FieldSpec, ...]:
        if len(fields) > MOST_FIELDS:
            self._fault(loc, f"At most {MOST_FIELDS} fields.", "too_long")
            return ()
        specs: dict[str, FieldSpec] = {}
        for key, field in fields:
            spec = self._field(field, (*loc, key), allowed, depth)
            if spec is None:
                continue
            if spec.name in specs:
                self._fault((*loc, key, "name"), "Another field has this name.", "duplicate_name")
            specs[spec.name] = spec
        return tuple(specs.values())

    def _field(
        self, field: object, loc: Location, allowed: frozenset[str], depth: int
    ) -> FieldSpec | None:
        if not isinstance(field, Mapping):
            self._fault(loc, "A field is an object with 'name' and 'type'.", "invalid_type")
            return None
        before = len(self.faults)
        # An option that is null is an option that is not there: generated clients send them.
        given = {key: value for key, value in field.items() if value is not None}
        name = self._name(given, loc) if "name" in allowed else ""
        kind, item_kind = self._kind(given, loc)
        if kind is None:
            self._refuse_unknown(given, loc, allowed.union(*_OWN.values()))
            return None
        own = _OWN[kind] - ({"items"} if item_kind else set())
        self._refuse_unknown(given, loc, allowed | own)
        options = self._options(given, loc, kind)
        spec = FieldSpec(name=name, kind=kind, **options)
        if item_kind:
            spec = replace(spec, items=FieldSpec("", item_kind, required=True, strict=spec.strict))
        spec = self._nested(spec, given, loc, own, depth)
        return self._completed(spec, given, loc) if len(self.faults) == before else spec

    def _name(self, field: Mapping[str, Any], loc: Location) -> str:
        name = field.get("name")
        if name is None:
            self._fault((*loc, "name"), "Missing data for required field.", "required")
        elif not isinstance(name, str) or not FIELD_NAME.fullmatch(name):
            self._fault(
                (*loc, "name"),
                "A name has letters, digits and underscores, begins with no digit and has at "
                "most 63 characters.",
                "invalid_name",
            )
        else:
            return name
        # Faulty names must not count as equal to one another.
        return "/".join(map(str, loc))

    def _kind(self, field: Mapping[str, Any], loc: Location) -> tuple[Kind | None, Kind | None]:
        """Return the type and, for a typed list, the type of its items."""
        spelling = field.get("type", "string")
        lowered = spelling.lower() if isinstance(spelling, str) else ""
        if lowered in KINDS:
            return KINDS[lowered], None
        if lowered in TYPED_LISTS:
            return Kind.LIST, TYPED_LISTS[lowered]
        known = ", ".join(Kind)
        self._fault((*loc, "type"), f"Not a type. The types are: {known}.", "unknown_type")
        return None, None

    def _refuse_unknown(
        self, field: Mapping[str, Any], loc: Location, allowed: frozenset[str]
    ) -> None:
        for key in field:
            if key not in allowed:
                options = ", ".join(sorted(allowed))
                self._fault(
                    (*loc, key), f"Not an option here; there are {options}.", "unknown_option"
                )

    def _options(self, field: Mapping[str, Any], loc: Location, kind: Kind) -> dict[str, Any]:
        options = {}
        for key, read in _OPTION_READERS.items():
            # Options of another kind of place have been refused before.
            if key in field and key in _COMMON | _OWN[kind]:
                try:
                    options[_ATTRIBUTES.get(key, key)] = read(field[key], kind)
                except _BadOption as error:
                    self._fault((*loc, key), error.message, error.type)
        return {key: value for key, value in options.items() if key not in _FOR_PEOPLE}

    def _nested(
        self,
        spec: FieldSpec,
        field: Mapping[str, Any],
        loc: Location,
        own: frozenset[str],
        depth: int,
    ) -> FieldSpec:
        for key in ("items", "properties"):
            if key in own and key in field and depth == DEEPEST_NESTING:
                self._fault(
                    (*loc, key), f"Nested more than {DEEPEST_NESTING} levels deep.", "too_deep"
                )
                return spec
        if "items" in own and "items" in field:
            return replace(spec, items=self._items(field["items"], (*loc, "items"), depth + 1))
        if "properties" in own and "properties" in field:
            properties = self._properties(field["properties"], (*loc, "properties"), depth + 1)
            return replace(spec, properties=properties)
        return spec

    def _items(self, items: object, loc: Location, depth: int) -> FieldSpec | None:
        field = {"type": items} if isinstance(items, str) else items
        spec = self._field(field, loc, _IN_ITEMS, depth)
        # A typed list holds values of the type; "anything" includes null.
        return spec and replace(spec, required=spec.kind is not Kind.JSON)

    def _properties(self, properties: object, loc: Location, depth: int) -> tuple[FieldSpec, ...]:
        if isinstance(properties, list):
            return self._fields(list(enumerate(properties)), loc, _IN_PROPERTIES, depth)
        if not isinstance(properties, Mapping):
            self._fault(loc, "Must be a list of fields, or an object of them.", "invalid_type")
            return ()
        fields = []
        for name, field in properties.items():
            if isinstance(field, Mapping) and field.get("name") not in (None, name):
                self._fault((*loc, name, "name"), "Must be the key of the object.", "invalid_name")
            named = {**field, "name": name} if isinstance(field, Mapping) else field
            fields.append((name, named))
        return self._fields(fields, loc, _IN_PROPERTIES, depth)

    def _completed(self, spec: FieldSpec, field: Mapping[str, Any], loc: Location) -> FieldSpec:
        """Check what concerns several options, and the default by all the others."""
        if spec.kind is Kind.ENUM and not spec.values:
            self._fault((*loc, "values"), "An enum needs a list of values.", "required")
        for low, high, key in (
            (spec.minimum, spec.maximum, "max"),
            (spec.min_length, spec.max_length, "max_length"),
        ):
            if low is not None and high is not None and low > high:
                self._fault(
                    (*loc, key),
                    f"Must not be below '{key.replace('max', 'min')}'.",
                    "invalid_option",
                )
        if "default" not in field:
            return spec
        try:
            return replace(spec, default=field_of(spec).deserialize(field["default"]))
        except ValidationError as error:
            for fault in faults_of(error.messages, (*loc, "default")):
                self._fault(fault.loc, f"The default does not fit: {fault.msg}", "invalid_default")
        return spec

    def _fault(self, loc: Location, message: str, type_: str) -> None:
        self.faults.append(Fault(loc, message, type_))


def _boolean(value: object, _: Kind) -> bool:
    if not isinstance(value, bool):
        raise _BadOption("Must be true or false.")
    return value


def _scalar_only(value: object, kind: Kind) -> bool:
    wanted = _boolean(value, kind)
    if wanted and not kind.is_scalar:
        raise _BadOption(f"A field of type {kind} cannot have an index.", "unknown_option")
    return wanted


def _length(value: object, _: Kind) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST_LENGTH:
        raise _BadOption("Must be a whole number, not negative.")
    return value


def _bound(value: object, kind: Kind) -> Any:
    try:
        return field_of(FieldSpec("", kind)).deserialize(value)
    except ValidationError as error:
        raise _BadOption(reason_of(error)) from error


def _pattern(value: object, _: Kind) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_PATTERN:
        raise _BadOption(f"Must be a text of at most {_LONGEST_PATTERN} characters.")
    try:
        compile_pattern(value)
    except ValueError as error:
        raise _BadOption(
            f"Not a pattern of the linear-time dialect (RE2): {error}", "invalid_pattern"
        ) from error
    return value


def _values(value: object, _: Kind) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= _MOST_VALUES
        or not all(isinstance(item, str) for item in value)
    ):
        raise _BadOption(f"Must be a list of 1 to {_MOST_VALUES} strings.")
    return tuple(value)


def _text(longest: int) -> Callable[[object, Kind], str]:
    def read(value: object, _: Kind) -> str:
        if not isinstance(value, str) or len(value) > longest:
            raise _BadOption(f"Must be a text of at most {longest:,} characters.")
        return value

    return read


def _order(value: object, _: Kind) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _BadOption("Must be a number.")
    return value


_FOR_PEOPLE = frozenset({"description", "label", "help", "order"})
"""Options that are checked and kept, but mean nothing to the server."""

_OPTION_READERS: Mapping[str, Callable[[object, Kind], Any]] = {
    "required": _boolean,
    "strict": _boolean,
    "unique": _scalar_only,
    "indexed": _scalar_only,
    "min_length": _length,
    "max_length": _length,
    "min": _bound,
    "max": _bound,
    "pattern": _pattern,
    "values": _values,
    "description": _text(_LONGEST_DESCRIPTION),
    "label": _text(_LONGEST_LABEL),
    "help": _text(_LONGEST_LABEL),
    "order": _order,
}
