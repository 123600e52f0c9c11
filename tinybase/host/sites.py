"""The places at which something happens that extensions are asked about or told of.

Nothing is made of an event that nobody listens to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import pluggy

from tinybase.host.origin import as_caused_now, event_facts
from tinybase_hookspecs import Event


class Hooks(Protocol):
    """Whoever has the plugin manager that is in force at the moment."""

    @property
    def pm(self) -> pluggy.PluginManager:
        """Return it."""


E = TypeVar("E", bound=Event)
Callback = Callable[[], object]


def heard(hooks: Hooks, name: str) -> pluggy.HookCaller | None:
    """Return a hook if anybody implements it."""
    hook: pluggy.HookCaller = getattr(hooks.pm.hook, name)
    return hook if hook.get_hookimpls() else None


def ask(hooks: Hooks, name: str, make: Callable[..., E], *fields: Any) -> E | None:
    """Ask the extensions; return the event with what they changed, ``None`` if there is nobody.

    :raises TinyBaseError: ``Rejected`` or ``extension_error``.
    """
    hook = heard(hooks, name)
    if hook is None:
        return None
    event = make(*fields, **event_facts())
    hook(event=event)
    return event


def tell(
    hooks: Hooks,
    when: Callable[[Callback], object],
    name: str,
    make: Callable[..., Event],
    *fields: Any,
) -> None:
    """Have the extensions told.

    :param when: takes what tells them, such as ``Work.after_commit``.
    """
    hook = heard(hooks, name)
    if hook is not None:
        when(as_caused_now(partial(hook, event=make(*fields, **event_facts()))))
