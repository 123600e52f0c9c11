"""Hooks around requests over HTTP."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tinybase_hookspecs.events import (
    ErrorEvent,
)
from tinybase_hookspecs.markers import hookspec
from tinybase_hookspecs.questions import (
    RequestEvent,
    ResponseEvent,
)


@dataclass(frozen=True)
class Identity:
    """Who sent a request: the user with this id, or with this e-mail address; one of them.

    ``claims`` is what handlers and functions find as ``ctx.claims``.
    """

    user_id: UUID | None = None
    email: str | None = None
    claims: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """An answer to a request; ``body`` is sent as JSON."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@hookspec(firstresult=True)
def tinybase_before_request(event: RequestEvent) -> Answer | None:
    """Called for every request before anything else is done; the first answer is sent.

    Nothing has been checked yet, so ``event`` has what anybody may have made up.

    :class:`~tinybase_hookspecs.Reject` is such an answer too; any other exception gives
    ``extension_error``.
    """


@hookspec(firstresult=True)
def tinybase_authenticate(event: RequestEvent) -> Identity | None:
    """Called for a request without a token of TinyBase; the first identity holds.

    Not called where everybody may ask, such as to sign in. A bearer token of another kind
    that no implementation knows is refused; other schemes count as no token. The user is
    looked up at every request and must exist and be active. Claims are as those of
    ``token_claims``.

    ``None`` means that this implementation does not know the caller.
    :class:`~tinybase_hookspecs.Reject` refuses the request, such as for a key that was
    revoked; any other exception gives ``extension_error``.
    """


@hookspec
def tinybase_after_request(event: ResponseEvent) -> None:
    """Called for every answer before it is sent; ``event.headers`` may be changed.

    An exception is logged against the extension and the answer is sent as it was.
    """


@hookspec
def tinybase_on_error(event: ErrorEvent) -> None:
    """Called after something failed that nobody had foreseen, to report it elsewhere.

    That is every answer with status 500, and every exception of a function, a handler or a
    view. It is not called for what goes wrong in an implementation of its own, nor more than
    60 times a minute in each process.
    """
