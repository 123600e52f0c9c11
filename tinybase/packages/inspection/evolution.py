"""What another release makes of the collections of an extension, as far as that is written out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tinybase.packages.inspection.findings import Finding, Inspection, OwnCollection, OwnField

_HARMLESS: Final = frozenset({"description", "label", "help", "order", "indexed"})


@dataclass(frozen=True, slots=True)
class FieldChange(Finding):
    """A field that is declared anew, or otherwise than before.

    ``how`` says it in words. ``may_conflict`` says that records can be in the way, so that the
    extension would not load.
    """

    collection: str
    field: str
    how: str
    may_conflict: bool


def field_changes(old: Inspection, new: Inspection) -> tuple[FieldChange, ...]:
    """Return what happens to the fields of collections that both releases have.

    Fields that are declared no more stay as they are, so they are no change.
    """
    before = {item.name: item for item in old.collections if item.name}
    return tuple(
        change
        for item in new.collections
        if item.name in before
        for change in _changes(before[item.name], item)
    )


def _changes(old: OwnCollection, new: OwnCollection) -> Iterator[FieldChange]:
    if old.fields is None or new.fields is None:
        return
    known = {field.name: field for field in old.fields}
    for field in new.fields:
        before = known.get(field.name)
        if before == field:
            continue
        how, may_conflict = _added(field) if before is None else _changed(before, field)
        yield FieldChange(new.file, new.line, new.name or "", field.name, how, may_conflict)


def _added(field: OwnField) -> tuple[str, bool]:
    return f"new: {_told(field)}", field.is_required and not field.has_default


def _changed(old: OwnField, new: OwnField) -> tuple[str, bool]:
    one, other = _options(old), _options(new)
    moved = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    may_conflict = (
        old.type != new.type
        or (new.is_required and not old.is_required and not new.has_default)
        or (new.is_unique and not old.is_unique)
        or not moved <= _HARMLESS
    )
    options = f" ({', '.join(sorted(moved))} changed)" if moved else ""
    return f"{_told(old)} -> {_told(new)}{options}", may_conflict


def _told(field: OwnField) -> str:
    words = {
        "required": field.is_required,
        "unique": field.is_unique,
        "with a default": field.has_default,
    }
    return ", ".join([field.type, *(word for word, holds in words.items() if holds)])


def _options(field: OwnField) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(field.more) if field.more else {}
    return found
