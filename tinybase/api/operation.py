"""Endpoints as labels: what an operation is, before anybody serves it.

A module of this package makes one :class:`Operations` and labels its views with it::

    operations = Operations("auth")


    @operations.get("/api/auth/me", id="auth_get_me", who=Who.USER, answers={200: UserInfo})
    def get_me(call: Call) -> object:
        \"\"\"Return the signed-in user.\"\"\"
        return call.services.users.get(call.actor.user_id)

Nothing is registered by that. ``tinybase.api.registration.register`` adds the operations to one
application; the OpenAPI document is made from the same list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from flask import Request

from tinybase.actors import ANONYMOUS, Actor
from tinybase.api.identity import recognised
from tinybase.api.query import NO_QUERY, RawQuery
from tinybase.api.schemas import Query, Schema
from tinybase.api.services import Services
from tinybase.auth.opaque import is_ours
from tinybase.errors import STATUS_OF_CODE

BodyLimit = Literal["body", "functions", "batch"]
View = Callable[["Call"], object]
Admit = Callable[["Call"], None]

_REPETITION_ERRORS = ("idempotency_key_reused", "idempotency_in_progress")
_REPETITION_HEADERS = ("Idempotency-Key", "Idempotency-Replayed")
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
"""A parameter in a path: its converter, if it has one, and its name."""

REQUEST: Final = "werkzeug.request"
"""Where Werkzeug leaves a request in its environment."""

_BEARER = re.compile(r"bearer +(\S.*)", re.IGNORECASE)


class Who(StrEnum):
    """Who may call."""

    PUBLIC = "public"
    """Anybody; the ``Authorization`` header is not looked at."""

    OPEN = "open"
    """Anybody; a token decides what is seen."""

    RULE = "rule"
    """Whom the collection's access rule admits: the operation needs ``admit``."""

    FUNCTION = "function"
    """Whom the function's level admits: the operation needs ``admit``."""

    USER = "user"
    """A signed-in user, admin or not."""

    ADMIN = "admin"
    """An admin, or an application token with a scope that covers it."""

    METRICS = "metrics"
    """As ``ADMIN``, or an application token with the scope ``metrics``."""

    ADMIN_USER = "admin_user"
    """An admin in person."""


class Repetition(StrEnum):
    """How an operation with the header ``Idempotency-Key`` is carried out only once."""

    IN_TRANSACTION = "in_transaction"
    """What it writes and its answer are one transaction."""

    RESERVED = "reserved"
    """The key is reserved before it begins; after an interruption nobody tries it again."""


@dataclass(slots=True)
class Call:
    """One request, as far as it has been checked when it is looked at.

    ``admit`` sees it without ``query`` and ``body``; the view sees all of it. ``state`` is
    where ``admit`` leaves for the view what it had to find out.
    """

    services: Services
    environ: dict[str, Any]
    request_id: str
    address: str
    path: dict[str, Any]
    actor: Actor = ANONYMOUS
    raw_query: RawQuery = NO_QUERY
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """Return the request as Flask has it, which is made when it is first asked for."""
        request: Request | None = self.environ.get(REQUEST)
        return request or Request(self.environ)

    @property
    def method(self) -> str:
        """Return the method of the request."""
        method: str = self.environ["REQUEST_METHOD"]
        return method

    def header(self, name: str) -> str | None:
        """Return a header of the request."""
        value: str | None = self.environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return value

    @property
    def bearer(self) -> str | None:
        """Return the bearer token of the request; other schemes count as none."""
        return bearer_token(self.environ.get("HTTP_AUTHORIZATION"))

    def identify(self) -> Actor:
        """Return who is calling: whom the bearer token says, else whom an extension recognises.

        :raises Unauthenticated: for a token that is not good.
        :raises TinyBaseError: what an extension makes of the request.
        """
        token, tokens = self.bearer, self.services.tokens
        if token is not None and is_ours(token):
            return tokens.authenticate(token)
        actor = recognised(self)
        if actor is None:
            return ANONYMOUS if token is None else tokens.authenticate(token)
        return actor


def bearer_token(header: str | None) -> str | None:
    """Return the token in an ``Authorization`` header, if it is a bearer token."""
    match = _BEARER.fullmatch(header.strip()) if header else None
    return match.group(1) if match else None


class Answer(NamedTuple):
    """What a view returns when a body alone does not say it.

    ``body`` is dumped by the schema of ``status``; ``bytes`` are JSON and sent as they are;
    ``None`` is an empty body. No ``status`` means the first one of the operation.
    """

    body: object = None
    status: int | None = None
    headers: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Operation:
    """One endpoint.

    :param answers: the schema of each status of success; the first is the usual one.
    :param errors: codes of the catalogue that are its own, beside the ones that all have.
    :param admit: refuses callers before their input is looked at.
    :param query_patterns: free-form keys that ``query`` does not declare; the view finds
        them in ``call.raw_query``.
    :param limit: the name of a rate limit.
    :param body_required: without it, no body is an empty object.
    :param headers: the request and response headers of its own, for the OpenAPI document.
    :param parameters: further parameters for the OpenAPI document, as it has them.
    :param many: the answer is an array of what the schema describes.
    :param repetition: it takes an ``Idempotency-Key``.
    """

    tag: str
    method: str
    path: str
    id: str
    who: Who
    view: View
    query: type[Query] | None = None
    body: type[Schema] | None = None
    answers: Mapping[int, type[Schema] | None] = field(default_factory=dict)
    errors: Sequence[str] = ()
    admit: Admit | None = None
    limit: str | None = None
    body_limit: BodyLimit = "body"
    body_required: bool = True
    headers: Sequence[str] = ()
    many: bool = False
    summary: str = ""
    description: str = ""
    aliases: Sequence[str] = ()
    query_patterns: Sequence[re.Pattern[str]] = ()
    parameters: Sequence[Mapping[str, Any]] = ()
    repetition: Repetition | None = None

    def __post_init__(self) -> None:
        unknown = [code for code in self.errors if code not in STATUS_OF_CODE]
        if unknown:
            raise ValueError(f"{self.id}: no such error code: {', '.join(unknown)}")

    @cached_property
    def template(self) -> str:
        """Return the path with its parameters as ``{name}``."""
        return PARAMETER.sub(r"{\2}", self.path)

    @cached_property
    def id_parameters(self) -> tuple[str, ...]:
        """Return the names of the path parameters that must be UUIDs."""
        return tuple(re.findall(r"<uuid:(\w+)>", self.path))

    @property
    def status(self) -> int:
        """Return the status of the usual success."""
        return next(iter(self.answers), 200)


class Operations:
    """The operations of one tag, in the order in which they are written."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._operations: list[Operation] = []

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def get(self, path: str, **options: Any) -> Callable[[View], View]:
        """Label a view as the answer to GET, and so to HEAD."""
        return self._label("GET", path, options)

    def post(self, path: str, **options: Any) -> Callable[[View], View]:
        """Label a view as the answer to POST."""
        return self._label("POST", path, options)

    def put(self, path: str, **options: Any) -> Callable[[View], View]:
        """Label a view as the answer to PUT."""
        return self._label("PUT", path, options)

    def patch(self, path: str, **options: Any) -> Callable[[View], View]:
        """Label a view as the answer to PATCH."""
        return self._label("PATCH", path, options)

    def delete(self, path: str, **options: Any) -> Callable[[View], View]:
        """Label a view as the answer to DELETE."""
        return self._label("DELETE", path, options)

    def _label(self, method: str, path: str, options: dict[str, Any]) -> Callable[[View], View]:
        if "repetition" in options:
            options["errors"] = (*options.get("errors", ()), *_REPETITION_ERRORS)
            options["headers"] = (*options.get("headers", ()), *_REPETITION_HEADERS)

        def decorate(view: View) -> View:
            summary, _, description = (view.__doc__ or "").strip().partition("\n")
            self._operations.append(
                Operation(
                    tag=self.tag,
                    method=method,
                    path=path,
                    view=view,
                    **{
                        "summary": summary,
                        "description": description.strip(),
                        **options,
                    },
                )
            )
            return view

        return decorate
