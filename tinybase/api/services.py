"""Everything that a request may need, put together once by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tinybase.interruption import uninterrupted

if TYPE_CHECKING:
    from tinybase.auth.limits import RateLimits
    from tinybase.auth.tokens import Tokens
    from tinybase.auth.users import Users
    from tinybase.collections.collections import Collections
    from tinybase.collections.records import Records
    from tinybase.config import Config
    from tinybase.db import Database
    from tinybase.functions.calls import Functions
    from tinybase.functions.contexts import Contexts
    from tinybase.host import Host
    from tinybase.idempotency import KeptAnswers
    from tinybase.packages.extensions import Extensions
    from tinybase.settings import Settings


@dataclass(frozen=True)
class Services:
    """The rooms of one application."""

    config: Config
    database: Database
    host: Host
    settings: Settings
    users: Users
    tokens: Tokens
    rate_limits: RateLimits
    kept_answers: KeptAnswers
    collections: Collections
    records: Records
    contexts: Contexts
    functions: Functions
    make_extensions: Callable[[], Extensions]

    @cached_property
    def extensions(self) -> Extensions:
        """Return the room of the extensions, which is made when it is first asked for."""
        return self.make_extensions()

    def close(self) -> None:
        """End what goes on in the background; a started host runs every ``on_shutdown``."""
        self.host.stop()
        self.tokens.close()
        with uninterrupted():
            self.database.engine.dispose()
