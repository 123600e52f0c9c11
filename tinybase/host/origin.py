"""What brought about what is happening now.

Carried in a context variable, so that an event can tell who caused it and how deep in a
chain of handlers it happened, without every call passing that along.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Any, NamedTuple

from tinybase.actors import SYSTEM, Actor
from tinybase.errors import Conflict

MAX_DEPTH = 8
"""How many handlers may cause one another before the next write is refused."""


class Endless(Conflict):
    """Handlers cause one another without end."""


class Cause(NamedTuple):
    """Who is acting, through which door; ``chain`` names the handlers in between.

    ``extension`` is whose code is running, if it is that of any.
    """

    actor: Actor = SYSTEM
    origin: str = "extension"
    request_id: str | None = None
    chain: tuple[str, ...] = ()
    extension: str | None = None


_NOTHING = Cause()
_cause: ContextVar[Cause] = ContextVar("tinybase_cause", default=_NOTHING)


def current_cause() -> Cause:
    """Return what is known about the present moment."""
    return _cause.get()


class _Stated:
    """States a cause while a block runs; a generator would take twice as long."""

    __slots__ = ("_cause", "_token")

    def __init__(self, cause: Cause) -> None:
        self._cause = cause

    def __enter__(self) -> None:
        self._token = _cause.set(self._cause)

    def __exit__(self, *_: object) -> None:
        _cause.reset(self._token)


def caused_by(
    *,
    actor: Actor | None = None,
    origin: str | None = None,
    request_id: str | None = None,
    extension: str | None = None,
) -> AbstractContextManager[None]:
    """State who acts, through which door and in whose code, while the block runs.

    ``None`` keeps.
    """
    now = _cause.get()
    return _Stated(
        Cause(
            actor or now.actor,
            origin or now.origin,
            request_id or now.request_id,
            now.chain,
            extension or now.extension,
        )
    )


def as_caused_now(callback: Callable[[], object]) -> Callable[[], object]:
    """Return what does something later on, as caused by whoever causes what happens now.

    Handlers are told of an event after the commit, when the one that caused it has ended.
    """
    cause = _cause.get()
    if not cause.chain:
        return callback

    def later() -> object:
        with _Stated(cause):
            return callback()

    return later


def entered_handler(handler: str, extension: str, now: Cause) -> Token[Cause]:
    """State that a handler causes what happens until :func:`left_handler` gets the token.

    For the caller that has to be fast, instead of a context manager.

    :param now: what has brought the handler about.
    """
    chain = (*now.chain, handler)
    return _cause.set(Cause(now.actor, "extension", now.request_id, chain, extension))


def left_handler(token: Token[Cause]) -> None:
    """State that the handler has ended."""
    _cause.reset(token)


def event_facts() -> dict[str, Any]:
    """Return the fields that every event has, as they are now.

    Called before the write that the event reports, so that a chain of handlers which never
    ends is refused and rolled back.

    :raises Endless: at the depth limit; the message shows the chain.
    """
    cause = _cause.get()
    if len(cause.chain) >= MAX_DEPTH:
        raise Endless(
            f"Refused: {MAX_DEPTH} handlers have caused one another "
            f"({' -> '.join(cause.chain)}). Make the handlers skip what they write themselves, "
            "or write with hooks=False."
        )
    return cause_facts()


def cause_facts() -> dict[str, Any]:
    """Return what :func:`event_facts` does, at any depth: for what reports a failure."""
    cause = _cause.get()
    return {
        "request_id": cause.request_id,
        "actor": cause.actor.kind.value,
        "actor_id": cause.actor.user_id,
        "origin": cause.origin,
        "depth": len(cause.chain),
    }
