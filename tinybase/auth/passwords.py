"""Passwords: which are accepted, and how they are kept."""

from __future__ import annotations

import base64
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tinybase import cores
from tinybase.config import AuthConfig
from tinybase.errors import Fault

MAX_BYTES = 1024
_SALT_BYTES, _HASH_BYTES = 16, 32
_AT_A_TIME = 2


class Passwords:
    """Judges, hashes and verifies passwords.

    Few passwords are hashed at a time, in threads of their own: each takes all of a core, and
    other requests shall still get their turn; each takes 19 MiB, which the C library keeps for
    the thread that has freed them.
    """

    def __init__(self, config: AuthConfig) -> None:
        self._config = config
        # Argon2id at the parameters that OWASP recommends.
        self._hasher = PasswordHasher(
            time_cost=2,
            memory_cost=19_456,
            parallelism=1,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._threads = ThreadPoolExecutor(
            _AT_A_TIME,
            thread_name_prefix="tinybase-passwords",
            initializer=cores.keep_to,
            initargs=(cores.usable(),),
        )
        self._nobodys = self._unmatchable()

    def faults(self, password: str) -> list[Fault]:
        """Return what is wrong with a new password; nothing, if it will do."""
        loc = ("body", "password")
        minimum = self._config.password_min_length
        if len(password) < minimum:
            return [Fault(loc, f"Must have at least {minimum} characters.", "too_short")]
        if len(_normal(password)) > MAX_BYTES:
            return [Fault(loc, f"Must have at most {MAX_BYTES:,} bytes in UTF-8.", "too_long")]
        if self._config.refuse_common_passwords and password.lower() in _common():
            return [Fault(loc, "Many people use this password. Choose another.", "too_common")]
        return []

    def hash(self, password: str) -> str:
        """Return what is stored of a password."""
        return self._threads.submit(self._hasher.hash, _normal(password)).result()

    def verify(self, stored: str | None, password: str) -> bool:
        """Say whether this is the password behind a hash; without one, never.

        It takes the same time either way, so that nobody learns whether an account exists.
        """
        try:
            verified = self._threads.submit(
                self._hasher.verify, stored or self._nobodys, _normal(password)
            )
            return verified.result()
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, stored: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _unmatchable(self) -> str:
        """Return a well-formed hash that belongs to no known password."""
        hasher = self._hasher
        cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
        salt, digest = (_base64(secrets.token_bytes(size)) for size in (_SALT_BYTES, _HASH_BYTES))
        return f"$argon2id$v=19${cost}${salt}${digest}"


def _normal(password: str) -> bytes:
    """Return the bytes that are hashed, the same from every keyboard."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


@cache
def _common() -> frozenset[str]:
    text = resources.files("tinybase.auth").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))
