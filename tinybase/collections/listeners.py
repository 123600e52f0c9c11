"""Which extensions have a say in who sees the records of a collection, and who may touch them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pluggy

from tinybase.actors import Actor, ActorKind
from tinybase.collections.collection import Collection
from tinybase.host.plugin import declared_fields, is_heard
from tinybase.host.sites import Hooks

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


class Jury:
    """Tells who is to be asked: found out once for each collection, and anew for other extensions.

    What is registered later than the first question is not asked; a snapshot is complete
    before that.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._known: tuple[pluggy.PluginManager, dict[str, Deciders | None]] | None = None

    def of(self, actor: Actor, collection: Collection) -> Deciders | None:
        """Return those who are to be asked for an actor, or ``None``: the server asks nobody."""
        if actor.kind is ActorKind.SYSTEM:
            return None
        pm, known = self._hooks.pm, self._known
        if known is None or known[0] is not pm:
            known = self._known = (pm, {})
        deciders = known[1]
        try:
            return deciders[collection.name]
        except KeyError:
            if len(deciders) >= _MOST_KNOWN:
                deciders.clear()
            found = deciders[collection.name] = _deciders(pm, collection.name)
            return found


def _deciders(pm: pluggy.PluginManager, collection: str) -> Deciders | None:
    field, callers = "collection", [getattr(pm.hook, name) for name in _NAMES]
    access, filters, redact = (
        caller if is_heard(caller, field, collection) else None for caller in callers
    )
    if access is None and filters is None and redact is None:
        return None
    redactable = declared_fields(redact, field, collection) if redact else None
    return Deciders(access, filters, redact, redactable)
