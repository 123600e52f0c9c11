"""Password resets: a link by mail instead of the old password."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

from sqlalchemy import Connection, insert, select
from uuid_utils.compat import uuid7

from tinybase.auth import accounts, emails
from tinybase.auth.accounts import tokens, users
from tinybase.auth.mail import Mailer
from tinybase.auth.opaque import TokenKind, digest, new_value
from tinybase.auth.users import Users
from tinybase.config import Config, ServerConfig
from tinybase.db import Database, utcnow
from tinybase.errors import BadRequest, Invalid

_ANSWER_SECONDS = 0.1

_TEXT = """\
Somebody asked for a new password for your account at {instance}.

To choose one, open this address within {minutes} minutes:

{link}

If it was not you, you need not do anything: your password stays as it is.
"""


class PasswordResets:
    """Sends reset links, and lets those who have one choose a new password."""

    def __init__(
        self,
        database: Database,
        config: Config,
        users: Users,
        *,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._database = database
        self._users = users
        self._clock = clock
        self._minutes = config.auth.reset_token_minutes
        self._public_url = public_url(config.server)
        self._mailer = Mailer(config)

    def request(self, email: str) -> None:
        """Have a link sent, if the address is that of an active user.

        Whether it is shows neither in what happens here nor in how long it takes: the work
        is done in the background, and the answer waits a fixed moment, in which a mail that
        stays on this machine has usually been written.
        """
        key = emails.fold(email)
        started = time.monotonic()
        self._mailer.soon(lambda: self._prepare(key))
        time.sleep(max(0.0, started + _ANSWER_SECONDS - time.monotonic()))

    def confirm(self, value: str, password: str) -> None:
        """Set a new password with the token of a link, which then is used up.

        :raises Invalid: for a password that will not do; the token stays good.
        :raises BadRequest: ``invalid_reset_token``, whatever is wrong with the token.
        """
        if faults := self._users.passwords.faults(password):
            raise Invalid(faults)
        with self._database.connect() as connection:
            user_id = self._whose(connection, value)
        password_hash = self._users.passwords.hash(password)
        with self._database.write() as work:
            accounts.find_and_lock(work.connection, users.c.id == user_id)
            # Looked at once more: of two requests with one token, one gets it. With the
            # password every token of the user dies, this one too.
            self._whose(work.connection, value)
            self._users.reset_password(work, user_id, password_hash)

    def close(self) -> None:
        """Send the mails that are due, then stop."""
        self._mailer.close()

    def _prepare(self, key: str) -> EmailMessage | None:
        """Make the mail with a new link; older links are void from now on."""
        value, now = new_value(TokenKind.RESET), self._clock()
        with self._database.write() as work:
            user = accounts.find_and_lock(work.connection, users.c.email_key == key)
            if user is None or not user.is_active:
                return None
            older = (tokens.c.user_id == user.id) & (tokens.c.kind == TokenKind.RESET)
            accounts.revoke(work.connection, older, now=now)
            work.connection.execute(
                insert(tokens).values(
                    id=uuid7(),
                    digest=digest(value),
                    kind=TokenKind.RESET,
                    user_id=user.id,
                    created_at=now,
                    expires_at=now + timedelta(minutes=self._minutes),
                )
            )
        return self._message(user.email, value)

    def _message(self, to: str, value: str) -> EmailMessage:
        instance = self._users.instance_name()
        link = f"{self._public_url}/auth/password-reset/{value}"
        text = _TEXT.format(instance=instance, minutes=self._minutes, link=link)
        return self._mailer.message(to, f"A new password for {instance}", text)

    def _whose(self, connection: Connection, value: str) -> UUID:
        """Return the user whom a living reset token belongs to."""
        statement = select(tokens.c.user_id).where(
            tokens.c.digest == digest(value),
            tokens.c.kind == TokenKind.RESET,
            tokens.c.revoked_at.is_(None),
            tokens.c.expires_at > self._clock(),
        )
        user_id: UUID | None = connection.execute(statement).scalar_one_or_none()
        if user_id is None:
            raise BadRequest(
                "The link is not valid any more. Ask for a new one.", code="invalid_reset_token"
            )
        return user_id


def public_url(server: ServerConfig) -> str:
    """Return the address that links in mails begin with, without a slash at its end.

    It never comes from a request: whoever sends one could choose where the link leads.
    """
    host = f"[{server.host}]" if ":" in server.host else server.host
    return (server.public_url or f"http://{host}:{server.port}").rstrip("/")
