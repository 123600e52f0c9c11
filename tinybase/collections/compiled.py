"""A schema made ready for use: check what is written, show what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

import orjson
from marshmallow import EXCLUDE, RAISE, ValidationError

from tinybase.collections.fields import schema_of, steps_of
from tinybase.collections.messages import Location, faults_of
from tinybase.collections.spec import FieldSpec, Kind
from tinybase.errors import Fault, Invalid

Document = dict[str, Any]

DATA: Location = ("body", "data")
"""Where faults of record data are, whichever way the client wrapped them."""

_MOST_TOLD = 3
_LONGEST_KEY = 63
_MOST_FAULTS = 100


class RecordInvalid(Invalid):
    """Record data does not fit the schema of its collection."""

    code = "record_invalid"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[:_MOST_FAULTS])
        told = [f"{_way(fault)}: {fault.msg}" for fault in faults[:_MOST_TOLD]]
        if len(faults) > _MOST_TOLD:
            told.append(f"and {len(faults) - _MOST_TOLD} more")
        self.detail = f"The record does not fit the schema: {'; '.join(told)}"


def _way(fault: Fault) -> str:
    """Return the way to a fault; a key of the client's may be of any length."""
    return ".".join(str(part)[:_LONGEST_KEY] for part in fault.loc[len(DATA) :])


class CompiledSchema:
    """The fields of one version of a collection.

    :param drop_unknown: forget keys that are not declared instead of refusing them.
    """

    def __init__(self, specs: Sequence[FieldSpec], *, drop_unknown: bool = False) -> None:
        self.specs: Mapping[str, FieldSpec] = {spec.name: spec for spec in specs}
        self._drop_unknown = drop_unknown
        self._schema = schema_of(specs, EXCLUDE if drop_unknown else RAISE)
        self._names = [spec.name for spec in specs]
        self._absent = {spec.name: spec.absent for spec in specs}
        self._needed = frozenset(spec.name for spec in specs if spec.must_be_given)
        self._is_flat = not any(map(_has_fields_inside, specs))
        self._steps = [
            (spec.name, spec, *steps_of(spec, self._schema.fields[f"field_{index}"]))
            for index, spec in enumerate(specs)
        ]

    def load(self, data: Mapping[str, Any]) -> Document:
        """Return the stored form of a whole record, with every declared field.

        :raises RecordInvalid: with every fault of the data.
        """
        try:
            good = self._load_good(data)
        except ValidationError:
            good = None
        return self._load_or_tell(data) if good is None else good

    def _load_good(self, data: Mapping[str, Any]) -> Document | None:
        """Load a record that nothing is wrong with; else it is for marshmallow to say what is."""
        loaded: Document = {}
        given = 0
        for name, spec, read, checks in self._steps:
            if name not in data:
                if name in self._needed:
                    return None
                loaded[name] = spec.absent if spec.kind.is_scalar else deepcopy(spec.absent)
                continue
            given += 1
            value = data[name]
            if value is None:
                if spec.required:
                    return None
            else:
                value = read(value)
                for check in checks:
                    check(value)
            loaded[name] = value
        return loaded if given == len(data) else None

    def _load_or_tell(self, data: Mapping[str, Any]) -> Document:
        faults = self._wrapping_faults(data)
        try:
            loaded: Document = self._schema.load(data)
        except ValidationError as error:
            faults += sorted(faults_of(error.messages, DATA), key=lambda fault: str(fault.loc))
        if faults:
            raise RecordInvalid(faults)
        return loaded

    def merge(self, stored: Mapping[str, Any], changes: Mapping[str, Any]) -> Document:
        """Return the stored form of a record some of whose fields are replaced.

        The whole record is checked, so what an earlier schema let through is found here.

        :raises RecordInvalid: with every fault of the result.
        """
        return self.load({**self.given(stored), **changes})

    def reload(self, stored: Mapping[str, Any], changed: Mapping[str, Any]) -> Document:
        """Return the stored form of a record that had it already and was changed since.

        :raises RecordInvalid: with every fault of the result.
        """
        given = self.given(stored)
        for name, value in changed.items():
            if name not in stored or not _identical(stored[name], value):
                given[name] = value
        return self.load({name: given[name] for name in given if name in changed})

    def show(
        self, stored: Mapping[str, Any], specs: Mapping[str, FieldSpec] | None = None
    ) -> Document:
        """Return the declared fields of stored data, in the order of the schema.

        :param specs: only these.
        """
        if specs is None and self._is_flat and len(stored) == len(self._names):
            # What was stored with this schema; a name that it does not have is missed here.
            with suppress(KeyError):
                return {name: stored[name] for name in self._names}
        return {
            name: _shown(spec, stored[name]) if name in stored else deepcopy(spec.absent)
            for name, spec in (self.specs if specs is None else specs).items()
        }

    def stored_as_shown(self, stored: Sequence[str]) -> bool:
        """Say whether :meth:`show` would change nothing about any of these JSON texts.

        It may say no where that is so; it does for what has fields inside of fields.
        """
        if not self._is_flat:
            return False
        try:
            names = list(map(list, map(orjson.loads, stored)))
        except orjson.JSONDecodeError:
            return False
        return names == [self._names] * len(stored)

    def given(self, stored: Mapping[str, Any]) -> Document:
        """Return what a client would have to send to store this data.

        A list or object that is empty because nothing was given may break rules that hold
        for what is given, such as a minimal length. So it is left out.
        """
        if not self._is_flat:
            return _given(self.specs.values(), stored)
        absent, needed = self._absent, self._needed
        return {
            name: stored[name]
            for name in self._names
            if name in stored and (name in needed or stored[name] != absent[name])
        }

    def faults(self, stored: Mapping[str, Any]) -> list[Fault]:
        """Return what keeps stored data from being valid as it is, without any conversion."""
        given = self.given(stored)
        try:
            loaded = self._schema.load(given)
        except ValidationError as error:
            return list(faults_of(error.messages, DATA))
        return [
            Fault((*DATA, name), "The stored value has another type.", "invalid_type")
            for name, value in given.items()
            if not _same(loaded[name], value)
        ]

    def _wrapping_faults(self, data: Mapping[str, Any]) -> list[Fault]:
        if self._drop_unknown and "data" in data and "data" not in self.specs:
            # Dropping it would store an empty record where a wrapped body went wrong.
            return [Fault((*DATA, "data"), "Unknown field.", "unknown_field")]
        return []


def equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether two documents are the same JSON, for which ``1`` is not ``true``."""
    try:
        return _sorted(one) == _sorted(other)
    except orjson.JSONEncodeError:
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document as it is stored."""
    try:
        return orjson.dumps(document).decode()
    except orjson.JSONEncodeError:
        # Subclasses of numbers, which the one does not take and the other does.
        return json.dumps(document)


def from_text(text: str) -> Document:
    """Read a document that is stored; authors may have stored it, in their own way."""
    try:
        document: Document = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = json.loads(text)
    return document


def _sorted(document: Mapping[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _has_fields_inside(spec: FieldSpec) -> bool:
    return spec.properties is not None or (spec.items is not None and not spec.items.kind.is_scalar)


def _shown(spec: FieldSpec, value: Any) -> Any:
    if spec.properties is not None and isinstance(value, dict) and value != spec.absent:
        return {
            inner.name: _shown(inner, value[inner.name])
            if inner.name in value
            else deepcopy(inner.absent)
            for inner in spec.properties
        }
    if spec.items is not None and isinstance(value, list) and not spec.items.kind.is_scalar:
        return [_shown(spec.items, item) for item in value]
    return value


def _given(specs: Iterable[FieldSpec], stored: Mapping[str, Any]) -> Document:
    return {
        spec.name: _given_value(spec, stored[spec.name])
        for spec in specs
        if spec.name in stored and (spec.must_be_given or stored[spec.name] != spec.absent)
    }


def _given_value(spec: FieldSpec, value: Any) -> Any:
    if spec.properties is not None and isinstance(value, dict):
        return _given(spec.properties, value)
    if spec.kind is Kind.LIST and spec.items is not None and isinstance(value, list):
        return [_given_value(spec.items, item) for item in value]
    return value


def _identical(one: Any, other: Any) -> bool:
    return _same(one, other) and _same(other, one)


def _same(one: Any, other: Any) -> bool:
    """Compare by value and type, but for whole numbers that are stored as ``3`` or ``3.0``."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        # Fields that the older value lacks are filled in when it is written next.
        return all(name in one and _same(one[name], value) for name, value in other.items())
    return bool(one == other)
