"""Opaque tokens: random values that mean nothing to anybody but the database.

The database knows a token only by its digest, so whoever reads a dump of it can sign in
as nobody. The prefix is for people, and for tools that look for leaked secrets.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum


class TokenKind(StrEnum):
    """What a token is for."""

    ACCESS = "access"
    REFRESH = "refresh"
    APPLICATION = "application"
    RESET = "reset"


PREFIXES: Mapping[TokenKind, str] = {
    TokenKind.ACCESS: "tba_",
    TokenKind.REFRESH: "tbr_",
    TokenKind.APPLICATION: "tbx_",
    TokenKind.RESET: "tbp_",
}
_PREFIXES = tuple(PREFIXES.values())
_SHAPE = re.compile(rf"(?:{'|'.join(PREFIXES.values())})[A-Za-z0-9_-]{{43}}")


def is_ours(value: str) -> bool:
    """Say whether a token claims to be one of TinyBase, good or bad."""
    return value.startswith(_PREFIXES)


def new_value(kind: TokenKind) -> str:
    """Make a token of 256 random bits."""
    return PREFIXES[kind] + secrets.token_urlsafe(32)


def digest(value: str) -> str | None:
    """Return what is stored of a token; ``None`` if no token can look like this."""
    if not _SHAPE.fullmatch(value):
        return None
    return hashlib.sha256(value.encode()).hexdigest()
