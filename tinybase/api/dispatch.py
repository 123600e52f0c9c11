"""What happens to a request between its route and its view, in the one order of the contract."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from flask import Request, Response, request

from tinybase.api.addresses import AddressReader
from tinybase.api.admission import admit
from tinybase.api.body import BodyReader, load_body
from tinybase.api.fields import parse_id
from tinybase.api.headers import note_actor, note_route, request_id
from tinybase.api.idempotency import answer_once, check_header
from tinybase.api.operation import Answer, Call, Operation
from tinybase.api.query import QueryReader
from tinybase.api.reply import Reply
from tinybase.api.schemas import AnyObject
from tinybase.api.services import Services
from tinybase.api.throttle import count_attempt, identify
from tinybase.errors import Fault, Invalid
from tinybase.host.origin import caused_by


class Endpoint:
    """One operation as one application serves it."""

    def __init__(self, operation: Operation, services: Services, address_of: AddressReader) -> None:
        self.operation = operation
        self._services = services
        self._address_of = address_of
        self._reader = BodyReader(services.config, operation.body_limit)
        schema = operation.query() if operation.query else None
        self._query = QueryReader(schema, operation.query_patterns)
        self._body = operation.body() if operation.body else None
        self._answers = {
            status: schema() if schema and not issubclass(schema, AnyObject) else None
            for status, schema in operation.answers.items()
        }

    def __call__(self, **path: str) -> Response:
        """Answer Flask's current request."""
        return self.answer(request.environ, path).as_response()

    def answer(self, environ: dict[str, Any], path: dict[str, Any]) -> Reply:
        """Answer a request, which must be the current one.

        :param path: the parameters in its path, which are parsed in place.
        """
        note_route(environ, self.operation.template)
        self._reader.check_declared_size(environ)
        call = Call(
            services=self._services,
            environ=environ,
            request_id=request_id(environ),
            address=self._address_of(environ),
            path=path,
        )
        with self._services.host.bound():
            self._identify(call)
            with caused_by(actor=call.actor, origin="http", request_id=call.request_id):
                self._admit(call)
                self._read(call)
                if self.operation.repetition is None:
                    return self._carry_out(call)
                return answer_once(call, self.operation, partial(self._carry_out, call))

    def _identify(self, call: Call) -> None:
        """Find out who is calling."""
        count_attempt(call, self.operation)
        actor = identify(call, self.operation)
        call.actor = admit(actor, self.operation.who, call.method)
        note_actor(call.environ, call.actor)

    def _admit(self, call: Call) -> None:
        """Refuse who may not, before looking at what they want."""
        self._parse_path(call)
        if self.operation.admit:
            self.operation.admit(call)

    def _parse_path(self, call: Call) -> None:
        for name in self.operation.id_parameters:
            parsed = parse_id(call.path[name])
            if parsed is None:
                raise Invalid([Fault(("path", name), "Not a valid UUID.", "invalid_uuid")])
            call.path[name] = parsed

    def _read(self, call: Call) -> None:
        operation = self.operation
        check_header(call, operation)
        call.raw_query, call.query = self._query.read(call.environ.get("QUERY_STRING", ""))
        if self._body is not None:
            data = self._reader.read(call.environ, required=operation.body_required)
            call.body = load_body(data, self._body)

    def _carry_out(self, call: Call) -> Reply:
        result = self.operation.view(call)
        answer = result if isinstance(result, Answer) else Answer(result)
        status = answer.status or self.operation.status
        content = answer.body
        if content is not None and not isinstance(content, bytes):
            content = self._dump(content, status)
        return Reply(status, answer.headers, content)

    def _dump(self, body: object, status: int) -> bytes:
        schema = self._answers.get(status)
        dumped = body if schema is None else schema.dump(body, many=self.operation.many)
        return orjson.dumps(dumped)


def plain(proxy: Any) -> Request:
    """Return the request itself, which unlike Flask's proxy outlives its context."""
    plain: Request = proxy._get_current_object()  # noqa: SLF001 - Werkzeug documents it
    return plain
