"""Keeping the secrets of extensions out of what is logged and shown of their errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

_LEAST_CHARACTERS: Final = 6
_LEAST_IN_A_LINE: Final = 8
"""The same of lines about anything, where a word of six is found by chance."""
_SHOWN: Final = "***"
_BUILT_IN: Final = ("strerror", "filename", "filename2", "msg", "text")
"""Where exceptions written in C keep texts that are not among their arguments."""


class Secrets:
    """The secret settings that extensions have in this process."""

    def __init__(self) -> None:
        self._by_extension: dict[str, tuple[str, ...]] = {}
        self._all: tuple[str, ...] = ()

    def keep(self, extension: str, values: Iterable[object]) -> None:
        """Remember the secrets of an extension; what is short is found in any text by chance."""
        found = {text for value in values for text in _texts(value)}
        self._by_extension[extension] = tuple(t for t in found if len(t) >= _LEAST_CHARACTERS)
        secrets = {text for each in list(self._by_extension.values()) for text in each}
        # The longest first: one may be a part of another.
        self._all = tuple(sorted(secrets, key=len, reverse=True))

    def out_of(self, line: str) -> str:
        """Return a line of the log without them, whoever wrote it."""
        for secret in self._all:
            if len(secret) >= _LEAST_IN_A_LINE:
                line = line.replace(secret, _SHOWN)
        return line

    def conceal(self, error: BaseException) -> None:
        """Take all secrets out of the texts of an exception, and of those that led to it."""
        secrets = self._all
        if not secrets:
            return
        for each in _chain(error):
            # Their texts are the extension's code, they may do anything.
            with suppress(Exception):
                _conceal(each, secrets)


def _conceal(error: BaseException, secrets: Sequence[str]) -> None:
    error.args = tuple(_concealed(item, secrets) for item in error.args)
    for name in (*vars(error), *_BUILT_IN):
        value = getattr(error, name, None)
        concealed = _concealed(value, secrets)
        if concealed != value:
            with suppress(Exception):  # it cannot be written
                setattr(error, name, concealed)


def _concealed(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _SHOWN)
        return value
    if isinstance(value, list | tuple):
        items = [_concealed(item, secrets) for item in value]
        return items if type(value) is list else tuple(items) if type(value) is tuple else value
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list | tuple):
        yield from map(str, value)
    elif value is not None:
        yield str(value)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    rest = [error]
    while rest:
        each = rest.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        rest += [item for item in (each.__cause__, each.__context__) if item is not None]
        with suppress(Exception):
            rest += [item for item in each.args if isinstance(item, BaseException)]
        rest += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
