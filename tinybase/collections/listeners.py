"""Which extensions have a say in who sees the records of a collection, and who may touch them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pluggy

from tinybase.actors import Actor, ActorKind
from tinybase.collections.collection import Collection
from tinybase.collections.hooks import Hooks
from tinybase.host.plugin import declared_fields, is_heard

_NAMES: Final = ("tinybase_can_access", "tinybase_filter_records", "tinybase_redact_record")
_MOST_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class Deciders:
    """The hooks that somebody wants to be asked about a collection; at least one of them.

    ``redactable`` are the fields that may be redacted; ``None`` is all, where any may be.
    """

    access: pluggy.HookCaller | None
    filters: pluggy.HookCaller | None
    redact: pluggy.HookCaller | None
    redactable: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found out about one set of extensions, by name of the collection."""

    pm: pluggy.PluginManager
    callers: Sequence[pluggy.HookCaller]
    deciders: dict[str, tuple[int, Deciders | None]]


class Jury:
    """Tells who is to be asked; it is found out once for each collection."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._known: _Known | None = None

    def of(self, actor: Actor, collection: Collection) -> Deciders | None:
        """Return those who are to be asked for an actor, or ``None``: the server asks nobody."""
        if actor.kind is ActorKind.SYSTEM:
            return None
        pm, known = self._hooks.pm, self._known
        if known is None or known.pm is not pm or len(known.deciders) >= _MOST_KNOWN:
            known = self._known = _Known(pm, [getattr(pm.hook, name) for name in _NAMES], {})
        count = sum([len(caller.get_hookimpls()) for caller in known.callers])
        if not count:
            return None
        found = known.deciders.get(collection.name)
        if found is None or found[0] != count:
            found = (count, _deciders(known.callers, collection.name))
            known.deciders[collection.name] = found
        return found[1]


def _deciders(callers: Sequence[pluggy.HookCaller], collection: str) -> Deciders | None:
    field = "collection"
    access, filters, redact = (
        caller if is_heard(caller, field, collection) else None for caller in callers
    )
    if access is None and filters is None and redact is None:
        return None
    redactable = declared_fields(redact, field, collection) if redact else None
    return Deciders(access, filters, redact, redactable)
