"""Giving an extension what it needs before it runs: its settings and its collections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from tinybase.config import Config
from tinybase.errors import TinyBaseError, one_line
from tinybase.host import settings
from tinybase.host.secrets import Secrets
from tinybase.host.settings import Stored
from tinybase.host.snapshot import Snapshot
from tinybase.host.stats import safe_text
from tinybase_hookspecs import CollectionDeclaration

_log = logging.getLogger(__name__)

COLLECTIONS = "tinybase_register_collections"

Provide = Callable[[str, Sequence[CollectionDeclaration]], None]
"""Sees to it that an extension's collections exist; refuses with a ``TinyBaseError``."""


class Preparation:
    """Prepares what was loaded into one snapshot.

    :param stored: the settings that were set over the API or the command line.
    :param provide: see :data:`Provide`.
    :param secrets: is told of the secret values.
    """

    def __init__(self, config: Config, stored: Stored, provide: Provide, secrets: Secrets) -> None:
        self._config = config
        self._stored = stored
        self._provide = provide
        self._secrets = secrets

    def prepare(self, snapshot: Snapshot, owner: str) -> tuple[str, str] | None:
        """Prepare what an owner contributed; return status and reason if it cannot run."""
        name = owner.partition(":")[0]
        declared = snapshot.contributions.by(owner, settings.HOOK)
        facts = snapshot.settings.get(owner, ())
        for told in settings.misspelt(name, facts, self._config) if facts else ():
            _log.warning("extension %s: %s", name, told)
        resolved = settings.resolve(name, facts, self._stored, self._config)
        self._secrets.keep(owner, [item.value for item in resolved if item.facts.secret])
        if reason := settings.trouble(name, resolved):
            return "needs_config", reason
        for declaration, item in zip(declared, resolved, strict=True):
            declaration.tell(item.value)
        return self._provide_collections(snapshot, owner, name)

    def _provide_collections(
        self, snapshot: Snapshot, owner: str, name: str
    ) -> tuple[str, str] | None:
        collections = snapshot.contributions.by(owner, COLLECTIONS)
        if not collections:
            return None
        try:
            self._provide(name, collections)
        except TinyBaseError as error:
            return "failed", error.detail
        except Exception as error:  # noqa: BLE001 - a fault of one must not stop the others
            _log.exception("extension %s: its collections cannot be made", name)
            return "failed", f"{type(error).__name__}: {one_line(safe_text(error))}"
        return None
