"""What is different in another release of an extension."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinybase.packages.inspection.evolution import FieldChange, field_changes
from tinybase.packages.inspection.findings import (
    Command,
    Implementation,
    Inspection,
    Offer,
    OwnCollection,
    OwnSetting,
    Route,
    Unread,
    Use,
    Variable,
)


@dataclass(frozen=True, slots=True)
class Changes:
    """How an inspection differs from an earlier one; that code only moved is no difference.

    ``powers`` are all places of what was not used before, and ``unread`` the files that
    could be read before or were not there. ``opened`` are functions that other people may
    call than before, as they are now. ``settings`` are those that are new, or demanded
    otherwise than before, and ``fields`` what becomes of the collections that were there.
    """

    hooks: tuple[Implementation, ...] = ()
    functions: tuple[Offer, ...] = ()
    opened: tuple[Offer, ...] = ()
    routes: tuple[Route, ...] = ()
    commands: tuple[Command, ...] = ()
    collections: tuple[OwnCollection, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    settings: tuple[OwnSetting, ...] = ()
    environment: tuple[Variable, ...] = ()
    powers: tuple[Use, ...] = ()
    unread: tuple[Unread, ...] = ()
    lost_hooks: tuple[Implementation, ...] = ()
    lost_functions: tuple[Offer, ...] = ()
    lost_routes: tuple[Route, ...] = ()
    lost_commands: tuple[Command, ...] = ()
    lost_collections: tuple[OwnCollection, ...] = ()
    lost_settings: tuple[OwnSetting, ...] = ()
    lost_environment: tuple[Variable, ...] = ()
    lost_powers: tuple[Use, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is any difference."""
        return self != Changes()


def compare(old: Inspection, new: Inspection) -> Changes:
    """Return what a newer release has that an older one had not, and the other way round."""
    return Changes(
        hooks=_hooks_only_in(new, old),
        functions=_functions_only_in(new, old),
        opened=_opened(old, new),
        routes=_routes_only_in(new, old),
        commands=_commands_only_in(new, old),
        collections=_collections_only_in(new, old),
        fields=field_changes(old, new),
        settings=_settings_only_in(new, old),
        environment=_variables_only_in(new, old),
        powers=_uses_only_in(new, old),
        unread=_unread_only_in(new, old),
        lost_hooks=_hooks_only_in(old, new),
        lost_functions=_functions_only_in(old, new),
        lost_routes=_routes_only_in(old, new),
        lost_commands=_commands_only_in(old, new),
        lost_collections=_collections_only_in(old, new),
        lost_settings=_lost_settings(old, new),
        lost_environment=_variables_only_in(old, new),
        lost_powers=_uses_only_in(old, new),
    )


def _hooks_only_in(one: Inspection, other: Inspection) -> tuple[Implementation, ...]:
    known = {(item.hook, item.filters) for item in other.hooks}
    return tuple(item for item in one.hooks if (item.hook, item.filters) not in known)


def _functions_only_in(one: Inspection, other: Inspection) -> tuple[Offer, ...]:
    known = {item.name for item in other.functions}
    return tuple(item for item in one.functions if item.name not in known)


def _opened(old: Inspection, new: Inspection) -> tuple[Offer, ...]:
    """Return the functions that are there in both, under another level."""
    before = {(item.name, item.auth) for item in old.functions}
    names = {item.name for item in old.functions}
    return tuple(
        item
        for item in new.functions
        if item.name in names and (item.name, item.auth) not in before
    )


def _routes_only_in(one: Inspection, other: Inspection) -> tuple[Route, ...]:
    known = {(item.rule, item.methods) for item in other.routes}
    return tuple(item for item in one.routes if (item.rule, item.methods) not in known)


def _commands_only_in(one: Inspection, other: Inspection) -> tuple[Command, ...]:
    known = {item.name for item in other.commands}
    return tuple(item for item in one.commands if item.name not in known)


def _collections_only_in(one: Inspection, other: Inspection) -> tuple[OwnCollection, ...]:
    """Return the collections that are not there in the other, or under another guard."""
    known = {(item.name, item.is_guarded) for item in other.collections}
    return tuple(item for item in one.collections if (item.name, item.is_guarded) not in known)


def _settings_only_in(one: Inspection, other: Inspection) -> tuple[OwnSetting, ...]:
    known = {(item.name, item.is_secret, item.is_required) for item in other.settings}
    return tuple(
        item for item in one.settings if (item.name, item.is_secret, item.is_required) not in known
    )


def _lost_settings(old: Inspection, new: Inspection) -> tuple[OwnSetting, ...]:
    known = {item.name for item in new.settings}
    return tuple(item for item in old.settings if item.name not in known)


def _variables_only_in(one: Inspection, other: Inspection) -> tuple[Variable, ...]:
    known = {item.name for item in other.environment}
    return tuple(item for item in one.environment if item.name not in known)


def _uses_only_in(one: Inspection, other: Inspection) -> tuple[Use, ...]:
    known = {(item.power, item.what) for item in other.uses}
    return tuple(item for item in one.uses if (item.power, item.what) not in known)


def _unread_only_in(one: Inspection, other: Inspection) -> tuple[Unread, ...]:
    known = _names(other.unread)
    return tuple(item for item in one.unread if _name(item.file) not in known)


def _names(items: Iterable[Unread]) -> set[str]:
    return {_name(item.file) for item in items}


def _name(file: str) -> str:
    """Name a file the same in a repository and in the wheel that is made of it."""
    return file.rpartition("/")[2]
