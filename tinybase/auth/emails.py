"""What an e-mail address is, and when two of them are the same."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from tinybase.errors import Fault

MAX_LENGTH = 254
# Case folding can make a text up to three times as long.
_MAX_KEY_LENGTH = 512
_MAX_LABEL_LENGTH = 63

_LOCAL_SYMBOLS = frozenset("!#$%&'*+-/=?^_`{|}~.")


@dataclass(frozen=True, slots=True)
class Email:
    """An address as it is stored, and the ``key`` that no two accounts share."""

    address: str
    key: str


def parse(text: str) -> Email | None:
    """Read an address; ``None`` if it is none.

    Letters of any script are fine on both sides. No name server is asked. Quoted local
    parts and addresses of machines (``ann@[127.0.0.1]``) are not accepted.
    """
    local, at, domain = unicodedata.normalize("NFC", text).rpartition("@")
    domain = domain.lower()
    address = unicodedata.normalize("NFC", f"{local}@{domain}")
    key = fold(address)
    fits = len(address) <= MAX_LENGTH and len(key) <= _MAX_KEY_LENGTH
    if at and fits and _is_local_part(local) and _is_domain(domain):
        return Email(address, key)
    return None


def fold(text: str) -> str:
    """Return the form in which addresses are compared: case-folded NFC.

    It takes any text, so that a failed login counts against the same account however the
    address is written. What a database could not store becomes a question mark.
    """
    storable = text.encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", storable).casefold())


def fault() -> Fault:
    """Return the fault of a body whose ``email`` is no address."""
    return Fault(("body", "email"), "Not a valid email address.", "invalid_email")


def _is_local_part(text: str) -> bool:
    return _are_dotted(text) and all(_is_word(char) or char in _LOCAL_SYMBOLS for char in text)


def _is_domain(text: str) -> bool:
    labels = text.split(".")
    return (len(labels) > 1 or text == "localhost") and all(map(_is_label, labels))


def _is_label(text: str) -> bool:
    return (
        0 < len(text) <= _MAX_LABEL_LENGTH
        and not text.startswith("-")
        and not text.endswith("-")
        and all(char == "-" or _is_word(char) for char in text)
    )


def _are_dotted(text: str) -> bool:
    return all(text.split("."))


def _is_word(char: str) -> bool:
    if char.isascii():
        return char.isalnum()
    # Letters, their marks and numbers; so no look-alike of a separator, nothing invisible.
    return unicodedata.category(char)[0] in "LMNS"
