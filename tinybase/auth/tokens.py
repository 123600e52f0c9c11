"""Tokens: signing in, staying signed in, and signing out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update
from uuid_utils.compat import uuid7

from tinybase.actors import Actor, ActorKind
from tinybase.auth import accounts, emails
from tinybase.auth.accounts import Account, tokens, users
from tinybase.auth.applications import ApplicationTokens
from tinybase.auth.limits import Attempt, RateLimits
from tinybase.auth.opaque import TokenKind, digest, new_value
from tinybase.auth.resets import PasswordResets
from tinybase.auth.users import Users
from tinybase.config import Config
from tinybase.db import Database, utcnow
from tinybase.db.reading import Memory
from tinybase.errors import TinyBaseError, Unauthenticated
from tinybase.host import event_facts
from tinybase.host.sites import Hooks, ask, heard, tell
from tinybase_hookspecs import (
    BeforeUserLoginEvent,
    Identity,
    TokenClaimsEvent,
    UserLoginEvent,
    UserLoginFailedEvent,
    UserLogoutEvent,
)

_CLEANED_EVERY = timedelta(minutes=1)
_CLEANED_AT_A_TIME = 500
# For a while an expired token is still told from one that never was.
_KEPT_AFTER_EXPIRY = timedelta(days=1)

_AUTHENTICATE: Select[Any] = (
    select(
        tokens.c.id,
        tokens.c.kind,
        tokens.c.session_id,
        tokens.c.scopes,
        tokens.c.claims,
        tokens.c.expires_at,
        tokens.c.revoked_at,
        tokens.c.last_used_at,
        users.c.id.label("user_id"),
        users.c.email,
        users.c.is_admin,
        users.c.is_active,
    )
    .select_from(tokens.outerjoin(users, tokens.c.user_id == users.c.id))
    .where(tokens.c.digest == bindparam("digest"))
)

_USER: Select[Any] = select(users.c.id, users.c.email, users.c.is_admin, users.c.is_active)
_BY_ID = _USER.where(users.c.id == bindparam("id"))
_BY_ADDRESS = _USER.where(users.c.email_key == bindparam("key"))


@dataclass(frozen=True, slots=True)
class LoginResult:
    """What somebody who signed in gets; ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    account: Account


class Tokens:
    """Hands out tokens, recognises them and takes them back.

    The database is asked at every request: what one worker revokes is dead in all.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        host: Hooks,
        users: Users,
        *,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self.applications = ApplicationTokens(database, config, clock=clock)
        self.resets = PasswordResets(database, config, users, clock=clock)
        self._database = database
        self._config = config.auth
        self._host = host
        self._users = users
        self._limits = RateLimits(database, config, clock=clock)
        self._clock = clock
        self._find = database.reader.statement(_AUTHENTICATE)
        self._find_user = database.reader.statement(_BY_ID)
        self._find_address = database.reader.statement(_BY_ADDRESS)
        self._known: Memory[tuple[Row[Any], Actor | None]] = Memory(self._read)
        self._cleaned_at = clock() - _CLEANED_EVERY

    def authenticate(self, value: str) -> Actor:
        """Return whom a bearer token speaks for, by the state of this very moment.

        :raises Unauthenticated: ``invalid_token``, ``token_expired`` or ``wrong_token_type``.
        """
        row, actor = self._look_up(value)
        if actor is None:
            raise _wrong_type("An access token is needed here; this one has another purpose.")
        _require_alive(row, self._clock())
        if row.kind == TokenKind.APPLICATION:
            self.applications.note_use(row.id, row.last_used_at)
        elif not row.is_active:
            raise _invalid_token()
        return actor

    def login(self, email: str, password: str, *, address: str) -> LoginResult:
        """Ask the extensions, begin a session, then tell them.

        An attempt that an extension refuses counts as a failed one.

        :param address: where the attempt comes from; failures count against it as well as
            against the account.
        :raises Unauthenticated: ``invalid_credentials``, the same for everybody who cannot
            sign in, and after the same work.
        :raises TinyBaseError: ``rate_limited``.
        """
        key = emails.fold(email)
        # Counted before the password is looked at, taken back if it was right: guesses
        # that come all at once shall not get past the limit.
        attempts = (("failed_login_address", address), ("failed_login_account", key))
        for name, subject in attempts:
            self._limits.check(name, subject)
        try:
            return self._begin_session(key, password, attempts)
        except _Failed as failure:
            self._tell_failed(email, failure.user_id, failure.reason)
            raise failure.answer from None

    def _begin_session(self, key: str, password: str, attempts: Sequence[Attempt]) -> LoginResult:
        stored = self._verified(key, password)
        claims = self._allowed(stored)
        renewed = self._renewed(stored, password)
        with self._database.write() as work:
            account = self._still(work.connection, stored)
            if renewed:
                work.connection.execute(
                    update(users).where(users.c.id == account.id).values(password_hash=renewed)
                )
            self._limits.forgive(work.connection, attempts)
            self._clean(work.connection)
            result = self._issue(work.connection, account, uuid7(), claims)
            who = (account.id, account.email, account.is_admin)
            tell(self._host, work.after_commit, "tinybase_on_user_login", UserLoginEvent, *who)
        return result

    def recognise(self, identity: Identity) -> Actor:
        """Return the active user whom an extension has recognised, as they are now.

        :raises Unauthenticated: ``invalid_credentials`` for somebody who does not exist,
            ``invalid_token`` for somebody who is not active.
        """
        if identity.user_id is not None:
            statement, values = self._find_user, {"id": str(identity.user_id)}
        else:
            address = emails.parse(identity.email or "")
            if address is None:
                raise _unknown_caller()
            statement, values = self._find_address, {"key": address.key}
        row = self._database.reader.one(statement, values)
        if row is None:
            raise _unknown_caller()
        user = statement.typed(row)
        if not user.is_active:
            raise _invalid_token()
        return Actor(
            _kind_of(is_admin=user.is_admin),
            user_id=user.id,
            email=user.email,
            claims=deepcopy(dict(identity.claims)),
        )

    def refresh(self, value: str) -> LoginResult:
        """Exchange a refresh token for a new pair; the old one dies.

        One that was exchanged before has been copied by somebody: the whole session ends.

        :raises Unauthenticated: ``invalid_token``, ``token_expired``, ``wrong_token_type`` or
            ``token_reused``.
        """
        found, _ = self._look_up(value)
        if found.kind != TokenKind.REFRESH:
            raise _wrong_type("A refresh token is needed here; this one has another purpose.")
        with self._database.write() as work:
            result = self._rotate(work.connection, found)
        if result is None:
            raise Unauthenticated(
                "This refresh token was used before. Sign in again.", code="token_reused"
            )
        return result

    def logout(self, actor: Actor, *, everywhere: bool = True) -> int:
        """End the sessions of a user, or the present one; return how many tokens died."""
        which = tokens.c.user_id == actor.user_id
        which &= tokens.c.kind.in_((TokenKind.ACCESS, TokenKind.REFRESH))
        if not everywhere:
            which &= tokens.c.session_id == actor.session_id
        with self._database.write() as work:
            accounts.find_and_lock(work.connection, users.c.id == actor.user_id)
            count = accounts.revoke(work.connection, which, now=self._clock())
            told = ("tinybase_on_user_logout", UserLogoutEvent, actor.user_id, actor.email)
            tell(self._host, work.after_commit, *told)
        return count

    def close(self) -> None:
        """Finish what goes on in the background."""
        self.resets.close()

    def _look_up(self, value: str) -> tuple[Row[Any], Actor | None]:
        """Return the row of a token as it is now, and for whom it speaks while it is good."""
        known_as = digest(value)
        if known_as is None:
            raise _invalid_token()
        row = self._database.reader.one(self._find, {"digest": known_as})
        if row is None:
            raise _invalid_token()
        return self._known.of(known_as, row)

    def _read(self, row: Sequence[Any]) -> tuple[Row[Any], Actor | None]:
        token = self._find.typed(row)
        return token, _speaker(token)

    def _verified(self, key: str, password: str) -> Row[Any]:
        """Return the row of the user who has this password."""
        with self._database.connect() as connection:
            row = connection.execute(select(users).where(users.c.email_key == key)).one_or_none()
        is_right = self._users.passwords.verify(row.password_hash if row else None, password)
        if row is None:
            raise _Failed(None, "unknown_email")
        if not is_right:
            raise _Failed(row.id, "wrong_password")
        if not row.is_active:
            raise _Failed(row.id, "inactive")
        return row

    def _allowed(self, user: Row[Any]) -> dict[str, Any]:
        """Return what extensions keep with the tokens, if they let somebody sign in."""
        who = (user.id, user.email, user.is_admin)
        try:
            ask(self._host, "tinybase_before_user_login", BeforeUserLoginEvent, *who)
            hook = heard(self._host, "tinybase_token_claims")
            if hook is None:
                return {}
            found = hook(event=TokenClaimsEvent(*who, **event_facts()))
        except TinyBaseError as error:
            raise _Failed(user.id, "rejected", error) from error
        claims: dict[str, Any] = {}
        for each in reversed(found):
            claims |= each
        return claims

    def _tell_failed(self, email: str, user_id: UUID | None, reason: str) -> None:
        """Tell of a failed attempt; the answer does not wait, so that it says nothing of why."""
        told = ("tinybase_on_user_login_failed", UserLoginFailedEvent, email, user_id, reason)
        tell(self._host, self._database.soon, *told)

    def _renewed(self, stored: Row[Any], password: str) -> str | None:
        passwords = self._users.passwords
        if passwords.is_outdated(stored.password_hash):
            return passwords.hash(password)
        return None

    def _still(self, connection: Connection, verified: Row[Any]) -> Account:
        """Return a verified user, unless something has changed since."""
        user = accounts.find_and_lock(connection, users.c.id == verified.id)
        if user is None:
            raise _Failed(None, "unknown_email")
        if not user.is_active:
            raise _Failed(user.id, "inactive")
        if user.password_hash != verified.password_hash:
            raise _Failed(user.id, "wrong_password")
        return accounts.account(user)

    def _rotate(self, connection: Connection, found: Row[Any]) -> LoginResult | None:
        """Issue the next pair of a session, or end it and return ``None``."""
        user = accounts.find_and_lock(connection, users.c.id == found.user_id)
        # Not before the lock: who has waited would be earlier than the one waited for.
        now = self._clock()
        token = connection.execute(select(tokens).where(tokens.c.id == found.id)).one_or_none()
        if user is None or token is None:
            raise _invalid_token()
        if token.rotated_at is None:
            _require_alive(token, now)
            dead = {"revoked_at": now, "rotated_at": now}
            connection.execute(update(tokens).where(tokens.c.id == token.id).values(dead))
        elif not self._is_in_grace(connection, token, now):
            accounts.revoke(connection, tokens.c.session_id == token.session_id, now=now)
            return None
        return self._issue(connection, accounts.account(user), token.session_id, token.claims)

    def _is_in_grace(self, connection: Connection, token: Row[Any], now: datetime) -> bool:
        """Say whether a rotated token may be presented again: soon, in a living session."""
        grace = timedelta(seconds=self._config.refresh_grace_seconds)
        if now >= token.rotated_at + grace:
            return False
        living = select(tokens.c.id).where(
            tokens.c.session_id == token.session_id,
            tokens.c.kind == TokenKind.REFRESH,
            tokens.c.revoked_at.is_(None),
        )
        return connection.execute(living).first() is not None

    def _issue(
        self,
        connection: Connection,
        account: Account,
        session_id: UUID,
        claims: Mapping[str, Any] | None,
    ) -> LoginResult:
        lives = {
            TokenKind.ACCESS: timedelta(minutes=self._config.access_token_minutes),
            TokenKind.REFRESH: timedelta(days=self._config.refresh_token_days),
        }
        now = self._clock()
        values = {kind: new_value(kind) for kind in lives}
        connection.execute(
            insert(tokens),
            [
                {
                    "id": uuid7(),
                    "digest": digest(values[kind]),
                    "kind": kind,
                    "user_id": account.id,
                    "session_id": session_id,
                    "claims": claims or None,
                    "created_at": now,
                    "expires_at": now + life,
                }
                for kind, life in lives.items()
            ],
        )
        return LoginResult(
            values[TokenKind.ACCESS],
            values[TokenKind.REFRESH],
            int(lives[TokenKind.ACCESS].total_seconds()),
            account,
        )

    def _clean(self, connection: Connection) -> None:
        """Now and then delete some of what nobody can use any more."""
        now = self._clock()
        if abs(now - self._cleaned_at) < _CLEANED_EVERY:
            return
        self._cleaned_at = now
        gone = (
            select(tokens.c.id)
            .where(
                tokens.c.expires_at < now - _KEPT_AFTER_EXPIRY,
                tokens.c.kind != TokenKind.APPLICATION,
            )
            .limit(_CLEANED_AT_A_TIME)
            .with_for_update(skip_locked=True)
        )
        connection.execute(delete(tokens).where(tokens.c.id.in_(gone)))
        self._limits.clean(connection)


class _Failed(Exception):
    """Somebody cannot sign in, and why; ``answer`` is what they are told."""

    def __init__(
        self, user_id: UUID | None, reason: str, answer: TinyBaseError | None = None
    ) -> None:
        super().__init__(reason)
        self.user_id = user_id
        self.reason = reason
        self.answer = answer or _invalid_credentials()


def _invalid_credentials() -> Unauthenticated:
    return Unauthenticated(
        "The e-mail address or the password is wrong.", code="invalid_credentials"
    )


def _kind_of(*, is_admin: bool) -> ActorKind:
    return ActorKind.ADMIN if is_admin else ActorKind.USER


def _speaker(token: Row[Any]) -> Actor | None:
    """Return for whom a token speaks while it is good, if that is what it is for."""
    if token.kind == TokenKind.APPLICATION:
        return Actor(ActorKind.APPLICATION, token_id=token.id, scopes=frozenset(token.scopes))
    if token.kind != TokenKind.ACCESS:
        return None
    return Actor(
        _kind_of(is_admin=token.is_admin),
        user_id=token.user_id,
        email=token.email,
        token_id=token.id,
        session_id=token.session_id,
        claims=token.claims or {},
    )


def _unknown_caller() -> Unauthenticated:
    return Unauthenticated("Nobody is known by these credentials.", code="invalid_credentials")


def _invalid_token() -> Unauthenticated:
    return Unauthenticated("The token is not valid. Sign in again.", code="invalid_token")


def _require_alive(token: Row[Any], now: datetime) -> None:
    if token.revoked_at is not None:
        raise _invalid_token()
    if token.expires_at <= now:
        raise Unauthenticated("The token has expired. Sign in again.", code="token_expired")


def _wrong_type(detail: str) -> Unauthenticated:
    return Unauthenticated(detail, code="wrong_token_type")
