"""Collections that an extension guards: closed to all but admins while it does not run."""

from __future__ import annotations

from typing import Protocol

from tinybase.actors import Actor
from tinybase.collections.collection import Collection
from tinybase.errors import Unavailable
from tinybase.host.sites import Hooks


class Host(Hooks, Protocol):
    """Whoever has the extensions that run at the moment, and their hooks."""

    def is_running(self, extension: str) -> bool:
        """Say whether an extension is among those whose hooks are called now."""


def check_guard(host: Host, actor: Actor, collection: Collection) -> None:
    """Refuse who may not reach the records of a collection as long as its guard is away.

    Admins and the operator may, and so may code of the guard itself, which starts before it
    counts as running and stops afterwards. Code of others may not, whoever called it.

    :raises Unavailable: ``extension_unavailable``, with the way out.
    """
    guard = collection.guarded_by
    if guard is None or guard == actor.extension or host.is_running(guard):
        return
    if actor.is_admin and actor.extension is None:
        return
    raise Unavailable(
        f"The collection '{collection.name}' is closed to all but admins because the extension "
        f"'{guard}', which guards it, is not running. An admin can see why with tinybase "
        f"extensions info {guard}, or do without it: tinybase collections disown "
        f"{collection.name} keeps the records, tinybase extensions uninstall {guard} --purge "
        "deletes them.",
        code="extension_unavailable",
        extension=guard,
    )
