"""Users: everybody who can sign in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update
from uuid_utils.compat import uuid7

from tinybase.actors import SYSTEM, Actor
from tinybase.auth import accounts, emails
from tinybase.auth.accounts import Account, tokens, users
from tinybase.auth.emails import Email
from tinybase.auth.limits import RateLimits
from tinybase.auth.opaque import TokenKind
from tinybase.auth.passwords import Passwords
from tinybase.config import Config
from tinybase.db import Database, Work, utcnow
from tinybase.errors import BadRequest, Fault, Forbidden, Invalid, NotFound
from tinybase.host.sites import Hooks, ask, heard, tell
from tinybase.settings import Settings
from tinybase_hookspecs import (
    BeforeUserRegisterEvent,
    PasswordChangeEvent,
    UserDeleteEvent,
    UserRegisterEvent,
    UserUpdateEvent,
)


class Users:
    """Creates, finds, changes and deletes users, by whatever door they come.

    What would leave no active admin is refused inside the transaction that would do it, so
    two requests cannot do together what neither may do alone.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        host: Hooks,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self.passwords = Passwords(config.auth)
        self._database = database
        self._host = host
        self._settings = settings
        self._limits = RateLimits(database, config, clock=clock)
        self._clock = clock

    def require_registration(self) -> None:
        """Pass if anybody may register.

        :raises Forbidden: ``registration_disabled``.
        """
        if not self._settings.value("allow_public_registration"):
            raise Forbidden(
                "Registration is disabled. Ask an administrator for an account.",
                code="registration_disabled",
            )

    def instance_name(self) -> str:
        """Return what the people call this installation."""
        return str(self._settings.value("instance_name"))

    def create(
        self, email: str, password: str, *, is_admin: bool = False, actor: Actor = SYSTEM
    ) -> Account:
        """Ask the extensions, store a new user, then tell them.

        Whether the address is taken shows only after the password was hashed, so that an
        answer takes as long either way.

        :raises Invalid: for an address or a password that will not do.
        :raises BadRequest: ``email_taken``.
        :raises Forbidden: ``user_required``, for an admin made by an application token.
        :raises Rejected: when an extension refuses the user.
        """
        accounts.require_person(actor, touches_admin=is_admin)
        columns = self._columns(email, password)
        now = self._clock()
        with self._database.write() as work:
            columns |= self._as_extensions_want(work, columns["email"])
            account = Account(uuid7(), columns["email"], is_admin, True, now, now)
            statement = insert(users).values({**asdict(account), **columns})
            accounts.store(work.connection, statement)
            told = ("tinybase_on_user_register", UserRegisterEvent, account.id, account.email)
            tell(self._host, work.after_commit, *told)
        return account

    def _as_extensions_want(self, work: Work, email: str) -> dict[str, Any]:
        """Return the columns that extensions have changed of a user who is about to be stored.

        What they write belongs to the transaction.

        :raises Invalid: for what cannot be stored.
        """
        if heard(self._host, "tinybase_before_user_register") is None:
            return {}
        with work.shared():
            asked = ("tinybase_before_user_register", BeforeUserRegisterEvent)
            event = ask(self._host, *asked, email, {"email": email})
        data = {} if event is None else event.data
        faults = [
            Fault(("body", name), "Not a field of a user; an extension added it.", "unknown_field")
            for name in sorted(data.keys() - {"email"})
        ]
        wanted = data.get("email")
        address = emails.parse(wanted) if isinstance(wanted, str) else None
        if address is None:
            message = "An extension made something of it that is no valid email address."
            faults.append(Fault(("body", "email"), message, "invalid_email"))
        if faults or address is None:
            raise Invalid(faults)
        return {"email": address.address, "email_key": address.key}

    def list(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        email: str | None = None,
        is_admin: bool | None = None,
        is_active: bool | None = None,
    ) -> tuple[Sequence[Account], int]:
        """Return a page of users, the oldest first, and how many there are in all."""
        wanted = {
            users.c.email_key: None if email is None else emails.fold(email),
            users.c.is_admin: is_admin,
            users.c.is_active: is_active,
        }
        matches = [column == value for column, value in wanted.items() if value is not None]
        page = accounts.select_accounts().where(*matches).limit(limit).offset(offset)
        counting = select(func.count()).select_from(users).where(*matches)
        with self._database.connect() as connection:
            rows = connection.execute(page.order_by(users.c.created_at, users.c.id)).all()
            total = connection.execute(counting).scalar_one()
        return [accounts.account(row) for row in rows], total

    def get(self, user_id: UUID) -> Account:
        """Return a user.

        :raises NotFound: if there is none.
        """
        statement = accounts.select_accounts().where(users.c.id == user_id)
        with self._database.connect() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise accounts.no_user(user_id)
        return accounts.account(row)

    def find(self, email: str) -> Account:
        """Return the user with an address, in any spelling of it.

        :raises NotFound: if there is none.
        """
        found, _ = self.list(email=email, limit=1)
        if not found:
            raise NotFound(f"There is no user with the address {email}.")
        return found[0]

    def exist(self) -> bool:
        """Say whether there is any user at all."""
        with self._database.connect() as connection:
            return connection.execute(select(users.c.id).limit(1)).first() is not None

    def update(
        self,
        user_id: UUID,
        *,
        email: str | None = None,
        password: str | None = None,
        is_admin: bool | None = None,
        is_active: bool | None = None,
        actor: Actor = SYSTEM,
    ) -> Account:
        """Change a user; ``None`` keeps. A new password or deactivation ends every session.

        :raises NotFound: if there is no such user.
        :raises BadRequest: ``email_taken`` or ``last_admin``.
        :raises Forbidden: ``user_required``, for an admin changed by an application token.
        """
        flags = {"is_admin": is_admin, "is_active": is_active}
        changes = self._columns(email, password)
        changes |= {name: value for name, value in flags.items() if value is not None}
        with self._database.write() as work:
            takes_away = False in (is_admin, is_active)
            admins = accounts.lock_admins(work.connection) if takes_away else frozenset()
            before = accounts.lock(work.connection, user_id)
            accounts.require_person(actor, touches_admin=before.is_admin or bool(is_admin))
            accounts.require_another(admins, user_id)
            return self._apply(work, before, changes, method="admin")

    def update_own(
        self,
        user_id: UUID,
        current_password: str | None,
        *,
        email: str | None = None,
        password: str | None = None,
    ) -> Account:
        """Let users change what they sign in with, once they have proved who they are.

        :raises Invalid: without the current password, where it is needed.
        :raises BadRequest: ``wrong_password`` or ``email_taken``.
        :raises TinyBaseError: ``rate_limited``, after too many wrong passwords.
        """
        if email is None and password is None:
            return self.get(user_id)
        if current_password is None:
            message = "Needed to change the e-mail address or the password."
            raise Invalid([Fault(("body", "current_password"), message, "required")])
        self._require_valid(email, password)
        proven = self._prove(user_id, current_password)
        changes = self._columns(email, password)
        with self._database.write() as work:
            self._limits.forgive(work.connection, [("failed_password", str(user_id))])
            before = accounts.lock(work.connection, user_id)
            if before.password_hash != proven:
                raise _wrong_password()
            return self._apply(work, before, changes, method="change")

    def delete(self, user_id: UUID, *, actor: Actor = SYSTEM) -> None:
        """Delete a user: tokens die, records stay and belong to nobody.

        :raises NotFound: if there is no such user.
        :raises BadRequest: ``cannot_delete_self`` or ``last_admin``.
        :raises Forbidden: ``user_required``, for an admin deleted by an application token.
        """
        if actor.user_id == user_id:
            raise BadRequest(
                "You cannot delete yourself. Ask another administrator.",
                code="cannot_delete_self",
            )
        with self._database.write() as work:
            admins = accounts.lock_admins(work.connection)
            before = accounts.lock(work.connection, user_id)
            accounts.require_person(actor, touches_admin=before.is_admin)
            accounts.require_another(admins, user_id)
            work.connection.execute(delete(users).where(users.c.id == user_id))
            told = ("tinybase_on_user_delete", UserDeleteEvent, user_id, before.email)
            tell(self._host, work.after_commit, *told)

    def reset_password(self, work: Work, user_id: UUID, password_hash: str) -> None:
        """Store a new password and end every session, in the caller's transaction."""
        before = accounts.lock(work.connection, user_id)
        self._apply(work, before, {"password_hash": password_hash}, method="reset")

    def _columns(self, email: str | None, password: str | None) -> dict[str, Any]:
        """Return the columns that an address and a password fill.

        :raises Invalid: with everything that is wrong with either.
        """
        address = self._require_valid(email, password)
        columns: dict[str, Any] = {}
        if address is not None:
            columns |= {"email": address.address, "email_key": address.key}
        if password is not None:
            columns["password_hash"] = self.passwords.hash(password)
        return columns

    def _require_valid(self, email: str | None, password: str | None) -> Email | None:
        address = None if email is None else emails.parse(email)
        faults = [] if password is None else self.passwords.faults(password)
        if email is not None and address is None:
            faults.insert(0, emails.fault())
        if faults:
            raise Invalid(faults)
        return address

    def _prove(self, user_id: UUID, password: str) -> str:
        """Return the hash that a password matches."""
        self._limits.check("failed_password", str(user_id))
        statement = select(users.c.password_hash).where(users.c.id == user_id)
        with self._database.connect() as connection:
            stored: str | None = connection.execute(statement).scalar_one_or_none()
        if stored is None or not self.passwords.verify(stored, password):
            raise _wrong_password()
        return stored

    def _apply(
        self, work: Work, before: Row[Any], changes: dict[str, Any], *, method: str
    ) -> Account:
        """Write what differs, with everything that follows from it."""
        connection = work.connection
        was = before._asdict()
        effective = {name: value for name, value in changes.items() if was[name] != value}
        if not effective:
            return accounts.account(before)
        now = self._clock()
        accounts.store(
            connection,
            update(users).where(users.c.id == before.id).values(**effective, updated_at=now),
        )
        own = tokens.c.user_id == before.id
        if "password_hash" in effective or effective.get("is_active") is False:
            accounts.revoke(connection, own, now=now)
        elif "email" in effective:
            # A link that went to the old address must not open the account any more.
            accounts.revoke(connection, own & (tokens.c.kind == TokenKind.RESET), now=now)
        after = accounts.account(accounts.lock(connection, before.id))
        self._tell_changed(work, after, effective, method)
        return after

    def _tell_changed(
        self, work: Work, account: Account, effective: dict[str, Any], method: str
    ) -> None:
        when, who = work.after_commit, (account.id, account.email)
        changed = tuple(name for name in Account.__dataclass_fields__ if name in effective)
        if changed:
            tell(self._host, when, "tinybase_on_user_update", UserUpdateEvent, *who, changed)
        if "password_hash" in effective:
            hook = "tinybase_on_password_change"
            tell(self._host, when, hook, PasswordChangeEvent, *who, method)


def _wrong_password() -> BadRequest:
    return BadRequest("The current password is not right.", code="wrong_password")
