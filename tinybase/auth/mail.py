"""Outgoing mail: one transport for each kind of ``mail.url``."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from uuid_utils.compat import uuid7

from tinybase.config import Config
from tinybase.errors import ConfigError

_log = logging.getLogger("tinybase.mail")

_TIMEOUT_SECONDS = 20


class Transport(Protocol):
    """A way for a message to leave the house."""

    def send(self, message: EmailMessage) -> None:
        """Hand a message over."""


class ConsoleTransport:
    """Writes messages to the log: enough while developing."""

    def send(self, message: EmailMessage) -> None:
        """Log a message."""
        _log.info("Mail to %s: %s\n%s", message["To"], message["Subject"], message.get_content())


class FileTransport:
    """Writes each message to a file of its own; nobody ever sees half of one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> None:
        """Write a message; its reader alone is the owner of the process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # Time-ordered names, so that the newest message is the last in a listing.
        target = self._folder / f"{uuid7()}.eml"
        partial = target.with_suffix(".part")
        partial.touch(mode=0o600)
        partial.write_bytes(message.as_bytes(policy=SMTPUTF8))
        partial.rename(target)


class SmtpTransport:
    """Gives messages to a mail server, encrypted wherever the server can."""

    def __init__(self, url: SplitResult) -> None:
        self._is_secure = url.scheme == "smtps"
        self._host = url.hostname or "localhost"
        self._port = url.port or (465 if self._is_secure else 25)
        self._user = unquote(url.username or "")
        self._password = unquote(url.password or "")

    def send(self, message: EmailMessage) -> None:
        """Deliver a message."""
        tls = ssl.create_default_context()
        with self._connect(tls) as server:
            server.ehlo_or_helo_if_needed()
            if not self._is_secure and server.has_extn("starttls"):
                server.starttls(context=tls)
            if self._user:
                server.login(self._user, self._password)
            server.send_message(message)

    def _connect(self, tls: ssl.SSLContext) -> smtplib.SMTP:
        if self._is_secure:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=tls)
        return smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS)


class Mailer:
    """Does what leads to a mail, and sends it, in the background.

    Nobody waits for a mail server, and nobody can tell from the time of an answer whether
    a mail was sent. What goes wrong is logged. When the process ends it first sends what
    is due.
    """

    def __init__(self, config: Config) -> None:
        self._sender = config.mail.from_
        self._transport = transport(config)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tinybase-mail")

    def soon(self, task: Callable[[], EmailMessage | None]) -> None:
        """Have a message made and sent, unless the task decides that there is none."""
        self._worker.submit(self._run, task)

    def message(self, to: str, subject: str, text: str) -> EmailMessage:
        """Make a message; white space in its subject becomes single spaces."""
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = " ".join(subject.split())
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="tinybase.invalid")
        message["Auto-Submitted"] = "auto-generated"
        # As it is, so that no line with a link is broken in two.
        message.set_content(text, cte="8bit")
        return message

    def close(self) -> None:
        """Send what is due, then stop."""
        self._worker.shutdown()

    def _run(self, task: Callable[[], EmailMessage | None]) -> None:
        try:
            if message := task():
                self._transport.send(message)
        except Exception:  # noqa: BLE001 - the root of a thread: whatever it is, the next mail goes out
            _log.exception("A mail could not be sent. Check mail.url and the server it names.")


def transport(config: Config) -> Transport:
    """Make the transport that ``mail.url`` asks for.

    :raises ConfigError: if it asks for none that there is.
    """
    url = config.mail.url
    kind, _, rest = url.partition(":")
    if kind == "console":
        return ConsoleTransport()
    if kind == "file" and rest:
        return FileTransport(config.instance / rest.removeprefix("//"))
    if kind in ("smtp", "smtps") and (server := _server(url)):
        return SmtpTransport(server)
    raise ConfigError(
        "mail.url is not an address for mails. Write console:, file:FOLDER, "
        "smtp://user:password@host:port or smtps://user:password@host:port."
    )


def _server(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname)
        _ = parts.port  # parsed, and refused, only now
    except ValueError:
        return None
    return parts if has_host else None
