"""Saying how far something has come that takes its time."""

from __future__ import annotations

import sys
import time

import click

_FIRST_SECONDS = 1.0
_LOG_SECONDS = 10.0


class Progress:
    """Tells a person on stderr, from the first second on: in one line, or now and then."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + _FIRST_SECONDS
        self._is_open = False

    def __call__(self, text: str) -> None:
        """Say how far it has come, if it is time for that."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (_FIRST_SECONDS if self._is_terminal else _LOG_SECONDS)
        self._is_open = self._is_terminal
        click.echo(f"\r\x1b[K{text}" if self._is_terminal else text, err=True, nl=not self._is_open)

    def done(self) -> None:
        """End the line; others may write now."""
        if self._is_open:
            click.echo(err=True)
        self._is_open = False
