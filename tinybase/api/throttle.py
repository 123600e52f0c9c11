"""Which rate limit a request counts against."""

from __future__ import annotations

from tinybase.actors import Actor
from tinybase.api.headers import add_header, note_caller
from tinybase.api.operation import Call, Operation, Who
from tinybase.errors import TinyBaseError

_UNLIMITED_TAG = "system"


def count_attempt(call: Call, operation: Operation) -> None:
    """Count the request against the limit of its operation, if that has one.

    :raises TinyBaseError: ``rate_limited``.
    """
    if operation.limit:
        _count(call, operation.limit, call.address)


def identify(call: Call, operation: Operation) -> Actor:
    """Return who is calling; count the request where its operation has no limit of its own.

    Somebody with a bad token counts as anonymous, so that tokens cannot be guessed at will;
    so does whom an extension refuses.

    :raises Unauthenticated: for a token that is not good.
    :raises TinyBaseError: ``rate_limited``, or what an extension makes of the request.
    """
    if operation.who is Who.PUBLIC:
        _count_caller(call, operation, call.actor)
        return call.actor
    try:
        actor = call.identify()
        note_caller(call.environ, actor)
    except TinyBaseError:
        _count_caller(call, operation, call.actor)
        raise
    _count_caller(call, operation, actor)
    return actor


def _count_caller(call: Call, operation: Operation, actor: Actor) -> None:
    # Health checks come from load balancers, all from one address.
    if operation.limit or operation.tag == _UNLIMITED_TAG:
        return
    name = "anonymous" if actor.is_anonymous else "authenticated"
    if call.services.rate_limits.applies(name):
        _count(call, name, str(actor.user_id or actor.token_id or call.address))


def _count(call: Call, name: str, key: str) -> None:
    state = call.services.rate_limits.check(name, key)
    if state:
        for header, value in state.headers().items():
            add_header(header, value)
