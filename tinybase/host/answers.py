"""What implementations may answer, for the hooks on whose answer the host relies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from uuid import UUID

import orjson

from tinybase_hookspecs import Answer, Identity

MOST_CLAIMS_BYTES: Final = 4096

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")

Check = Callable[[Any], str | None]
"""Says what is wrong with an answer and what to return instead; ``None`` when it will do."""


def _token_claims_fault(answer: Any) -> str | None:
    if not isinstance(answer, Mapping):
        return f"it returned {type(answer).__name__}; return a mapping of claims, or None"
    return _claims_fault(answer)


def _identity_fault(answer: Any) -> str | None:
    if not isinstance(answer, Identity):
        return f"it returned {type(answer).__name__}; return an Identity, or None"
    if (answer.user_id is None) == (answer.email is None):
        return "an Identity has either a user_id or an email; give one of them"
    if not isinstance(answer.user_id, UUID | None):
        return "the user_id of an Identity is a UUID; make one of the text with uuid.UUID()"
    if not isinstance(answer.email, str | None):
        return "the email of an Identity is a text"
    if not isinstance(answer.claims, Mapping):
        return "the claims of an Identity are a mapping"
    return _claims_fault(answer.claims)


def _claims_fault(claims: Mapping[Any, Any]) -> str | None:
    if not all(isinstance(name, str) for name in claims):
        return "the names of claims are texts"
    try:
        text = json.dumps(dict(claims), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"claims are plain JSON values ({error}); leave out the others or write them as text"
    if len(text) > MOST_CLAIMS_BYTES:
        return (
            f"claims have at most {MOST_CLAIMS_BYTES} bytes as JSON, and these have {len(text)}; "
            "keep the rest in a collection"
        )
    return None


def _decision_fault(answer: Any) -> str | None:
    if isinstance(answer, bool):
        return None
    return f"it returned {type(answer).__name__}; return True, False, or None to abstain"


def _condition_fault(answer: Any) -> str | None:
    if isinstance(answer, Mapping) and all(isinstance(name, str) for name in answer):
        return None
    return (
        f"it returned {type(answer).__name__}; return a mapping such as "
        '{"status": "open"}, or None'
    )


def check_declared(
    fields: Collection[str], old: Mapping[str, Any], new: Mapping[str, Any], where: str
) -> None:
    """Refuse what changes more of the data of an event than its author has declared.

    :raises TypeError: with what that is.
    """
    changed = {name for name in old.keys() | new.keys() if _differ(name, old, new)}
    if undeclared := sorted(changed.difference(fields)):
        raise TypeError(
            f"it changed {', '.join(undeclared)} of {where}; name all that it may change in fields="
        )


def _differ(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return name not in old or name not in new or old[name] != new[name]


class Attributed(dict[str, Any]):
    """A mapping that an implementation returned.

    :param refuse: fails the implementation for it, see :meth:`Guard.failed`.
    """

    def __init__(self, answer: Mapping[str, Any], refuse: Callable[[Exception], object]) -> None:
        super().__init__(answer)
        self.refuse = refuse


def _answer_fault(answer: Any) -> str | None:
    if not isinstance(answer, Answer):
        return f"it returned {type(answer).__name__}; return an Answer, or None"
    if not isinstance(answer.status, int) or not 200 <= answer.status <= 599:
        return "the status of an Answer is a number from 200 to 599"
    try:
        orjson.dumps(answer.body)
    except TypeError as error:
        return f"the body of an Answer is made of JSON values ({error})"
    return _headers_fault(answer.headers)


def _headers_fault(headers: Any) -> str | None:
    if not isinstance(headers, Mapping):
        return f"it made the headers a {type(headers).__name__}; headers are a mapping"
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            return f"{name!r} is no name of a header"
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            return (
                f"the header {name} is one line of Latin-1 text; write str() and leave out breaks"
            )
    return None


ATTRIBUTED: Final = frozenset({"tinybase_filter_records"})
"""The hooks of whose answers it is seen only later whether they will do, and then whose fault."""

CHECKS: Final[Mapping[str, Check]] = {
    "tinybase_after_request": _headers_fault,
    "tinybase_authenticate": _identity_fault,
    "tinybase_before_request": _answer_fault,
    "tinybase_can_access": _decision_fault,
    "tinybase_filter_records": _condition_fault,
    "tinybase_token_claims": _token_claims_fault,
}
