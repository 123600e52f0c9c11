"""The header ``Idempotency-Key``: a request that is repeated gets the first answer again."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

import orjson

from tinybase.actors import Actor
from tinybase.api.errors import render
from tinybase.api.operation import Call, Operation, Repetition
from tinybase.api.reply import Reply
from tinybase.errors import BadRequest, TinyBaseError
from tinybase.idempotency import AnsweredMeanwhile, KeptAnswer, KeptAnswers, Repeatable

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_IN_ENVIRON = "HTTP_IDEMPOTENCY_KEY"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_KEPT_HEADERS = ("ETag", "Location")
_PASSING_STATUSES = frozenset({401, 429})
_PASSING_CODES = frozenset({"install_in_progress"})


def check_header(call: Call, operation: Operation) -> None:
    """Refuse a key that is none, or that would be ignored where somebody relies on it.

    :raises BadRequest: ``idempotency_not_supported`` or ``invalid_header``.
    """
    if operation.method not in _CHANGING:
        return
    key = call.environ.get(_IN_ENVIRON)
    if key is None:
        return
    if operation.repetition is None:
        raise BadRequest(
            f"This address does not take {HEADER}; send the request without it.",
            code="idempotency_not_supported",
        )
    if not _KEY.fullmatch(key):
        raise BadRequest(
            f"{HEADER} must have 1 to 255 visible ASCII characters.", code="invalid_header"
        )


def answer_once(call: Call, operation: Operation, respond: Callable[[], Reply]) -> Reply:
    """Return the answer to a request; carry it out only if that was not done before."""
    key = call.environ.get(_IN_ENVIRON)
    if key is None or operation.repetition is None:
        return respond()
    request, kept = _repeatable(call, key), call.services.kept_answers
    if operation.repetition is Repetition.RESERVED:
        return _answer_reserved(kept, request, respond)
    known = kept.find(request)
    return _replay(known) if known else _answer_in_transaction(call, request, respond)


def _answer_in_transaction(call: Call, request: Repeatable, respond: Callable[[], Reply]) -> Reply:
    """Carry a request out and keep its answer in the transaction that it writes in."""
    kept = call.services.kept_answers
    try:
        with call.services.database.together(lambda work: kept.claim(work, request)):
            response = respond()
            kept.keep(request, _kept(response))
    except AnsweredMeanwhile as error:
        return _replay(error.answer)
    except TinyBaseError as error:
        refusal = render(error)
        if _is_lasting(error):
            kept.keep(request, _kept(refusal))
        return refusal
    return response


def _answer_reserved(kept: KeptAnswers, request: Repeatable, respond: Callable[[], Reply]) -> Reply:
    """Carry a request out whose effect is not the database's: once, whatever happens."""
    known = kept.reserve(request)
    if known:
        return _replay(known)
    try:
        response = respond()
    except TinyBaseError as error:
        response = render(error)
        if error.status >= 500:
            kept.abandon(request)
        elif not _is_lasting(error):
            kept.release(request)
        else:
            kept.complete(request, _kept(response))
        return response
    except BaseException:
        kept.abandon(request)
        raise
    kept.complete(request, _kept(response))
    return response


def _repeatable(call: Call, key: str) -> Repeatable:
    """Return what stands for a request in the database, which shall not hold its content."""
    request = call.request
    path = request.path.rstrip("/")
    place = "\n".join((_caller(call.actor, call.address), request.method, path, key))
    content = orjson.dumps([call.query, call.body], option=orjson.OPT_SORT_KEYS, default=str)
    # The content may have a password in it, which a plain digest would let somebody guess.
    fingerprint = hmac.new(key.encode(), content, hashlib.sha256)
    return Repeatable(hashlib.sha256(place.encode()).hexdigest(), fingerprint.hexdigest())


def _caller(actor: Actor, address: str) -> str:
    if actor.is_anonymous:
        return f"address:{address}"
    return f"{actor.kind}:{actor.user_id or actor.token_id}"


def _is_lasting(error: TinyBaseError) -> bool:
    """Say whether the same request would meet with the same refusal."""
    if error.status >= 500 or error.status in _PASSING_STATUSES or error.headers:
        return False
    return error.code not in _PASSING_CODES


def _kept(response: Reply) -> KeptAnswer:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return KeptAnswer(response.status, headers, response.body)


def _replay(answer: KeptAnswer) -> Reply:
    return Reply(answer.status, {**answer.headers, REPLAYED: "true"}, answer.body)
