"""Who sends a request that has no token of ours: whom an extension recognises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybase.actors import ANONYMOUS, Actor
from tinybase.host import caused_by, event_facts
from tinybase.host.sites import heard
from tinybase_hookspecs import RequestEvent

if TYPE_CHECKING:
    from tinybase.api.operation import Call


def recognised(call: Call) -> Actor | None:
    """Return the user whom an extension knows by something in the request, or ``None``.

    :raises Unauthenticated: for a user who does not exist or is not active.
    :raises TinyBaseError: ``Rejected`` or ``extension_error``.
    """
    services = call.services
    hook = heard(services.host, "tinybase_authenticate")
    if hook is None:
        return None
    request = call.request
    with caused_by(actor=ANONYMOUS, origin="http", request_id=call.request_id):
        event = RequestEvent(
            request.method,
            request.path,
            request.query_string.decode("latin-1"),
            {name.lower(): value for name, value in request.headers.items()},
            call.address,
            **event_facts(),
        )
        identity = hook(event=event)
    return None if identity is None else services.tokens.recognise(identity)
