"""How often somebody may try something.

A limit counts what happened since the first time, and begins anew when its time is over.
The counts are in the database: all workers share them and a restart forgets none.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, case, delete, literal, or_, select, update

from tinybase.config import Config
from tinybase.db import Database, tables, utcnow
from tinybase.db.types import Instant
from tinybase.db.upsert import insert
from tinybase.errors import TinyBaseError

_counts: Table = tables.rate_limits
# A row has a method of the name count.
_STATE = (_counts.c.count.label("hits"), _counts.c.window_ends_at)

_CLEANED_AT_A_TIME = 500


@dataclass(frozen=True, slots=True)
class Limit:
    """So many times in so many seconds."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class LimitState:
    """Where somebody stands: ``reset`` is in epoch seconds."""

    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """Return the headers that tell the client."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


_LIMITS: Mapping[str, Limit] = {
    "register": Limit(5, 60),
    "login": Limit(10, 60),
    "refresh": Limit(20, 60),
    "password_reset_request": Limit(5, 60),
    "password_reset_confirm": Limit(10, 60),
    "failed_login_account": Limit(10, 900),
    "failed_login_address": Limit(100, 900),
    "failed_password": Limit(10, 900),
}

Attempt = tuple[str, str]
"""The name of a limit, and who it is about."""


class RateLimits:
    """Counts attempts, and refuses those that are too many.

    Besides the fixed limits there are ``authenticated`` and ``anonymous``, which the
    operator sets for everything else.
    """

    def __init__(
        self, database: Database, config: Config, *, clock: Callable[[], datetime] = utcnow
    ) -> None:
        self._database = database
        self._clock = clock
        per_minute = {
            "authenticated": config.rate_limit.authenticated_per_minute,
            "anonymous": config.rate_limit.anonymous_per_minute,
        }
        chosen = {name: Limit(count, 60) for name, count in per_minute.items() if count}
        self._limits = {**_LIMITS, **chosen} if config.rate_limit.enabled else {}

    def applies(self, name: str) -> bool:
        """Say whether a limit is on; if it is not, there is nothing to check."""
        return name in self._limits

    def check(self, name: str, key: str) -> LimitState | None:
        """Count one attempt; ``None`` where there is no limit.

        :param key: a fact that the client cannot choose freely: its address, its account.
        :raises TinyBaseError: ``rate_limited``, when there were too many already.
        """
        limit = self._limits.get(name)
        if limit is None:
            return None
        now, row = self._clock(), _row_key(name, key)
        # One who is over the limit costs a look, not a write.
        count, ends_at = self._peek(row, limit, now) or (0, now)
        if count < limit.count:
            count, ends_at = self._count(row, limit, now)
        else:
            count += 1
        if count > limit.count:
            raise _too_many(limit, ends_at, now)
        return LimitState(limit.count, limit.count - count, int(ends_at.timestamp()))

    def forgive(self, connection: Connection, attempts: Iterable[Attempt]) -> None:
        """Take back attempts that turned out to be none, in the caller's transaction."""
        for name, key in attempts:
            if name in self._limits:
                connection.execute(
                    update(_counts)
                    .where(_counts.c.key == _row_key(name, key), _counts.c.count > 0)
                    .values(count=_counts.c.count - 1)
                )

    def clean(self, connection: Connection) -> None:
        """Delete some of the counts whose time is over."""
        ended = (
            select(_counts.c.key)
            .where(_counts.c.window_ends_at < self._clock())
            .limit(_CLEANED_AT_A_TIME)
            .with_for_update(skip_locked=True)
        )
        connection.execute(delete(_counts).where(_counts.c.key.in_(ended)))

    def _peek(self, row: str, limit: Limit, now: datetime) -> tuple[int, datetime] | None:
        statement = select(*_STATE).where(_counts.c.key == row)
        with self._database.connect() as connection:
            found = connection.execute(statement).one_or_none()
        if found is None or not now < found.window_ends_at <= now + _length(limit):
            return None
        return found.hits, found.window_ends_at

    def _count(self, row: str, limit: Limit, now: datetime) -> tuple[int, datetime]:
        end = now + _length(limit)
        # An end that is too far away was written before the clock was put back.
        is_over = or_(_counts.c.window_ends_at <= now, _counts.c.window_ends_at > end)
        with self._database.write() as work:
            statement = (
                insert(work.connection, _counts)
                .values(key=row, window_ends_at=end, count=1)
                .on_conflict_do_update(
                    index_elements=[_counts.c.key],
                    set_={
                        "count": case((is_over, 1), else_=_counts.c.count + 1),
                        "window_ends_at": case(
                            (is_over, literal(end, Instant)), else_=_counts.c.window_ends_at
                        ),
                    },
                )
                .returning(*_STATE)
            )
            counted = work.connection.execute(statement).one()
        return counted.hits, counted.window_ends_at


def _length(limit: Limit) -> timedelta:
    return timedelta(seconds=limit.seconds)


def _too_many(limit: Limit, ends_at: datetime, now: datetime) -> TinyBaseError:
    wait = max(1, math.ceil((ends_at - now).total_seconds()))
    state = LimitState(limit.count, 0, int(ends_at.timestamp()))
    return TinyBaseError(
        f"Too many attempts. Try again in {wait} seconds.",
        code="rate_limited",
        headers={"Retry-After": str(wait), **state.headers()},
    )


def _row_key(name: str, key: str) -> str:
    """Return the key of a count, which tells addresses but no accounts to a reader."""
    return f"{name}:{_network(key) or hashlib.sha256(key.encode()).hexdigest()}"


def _network(text: str) -> str | None:
    """Return what one client has at its disposal: an IPv4 address, or 2**64 of IPv6."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address.packed[:8].ljust(16, b"\0"), 64)))
    return str(address)
