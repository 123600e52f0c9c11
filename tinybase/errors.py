"""Every fault that TinyBase foresees, and the code and status it has for a client.

Services raise these; ``tinybase.api`` renders them as the one error body and
``tinybase.cli`` as one line. The catalogue below is the table of section 3 of the REST
contract: a code always has the same status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

STATUS_OF_CODE: Mapping[str, int] = {
    code: status
    for status, codes in {
        400: """bad_request invalid_json unknown_parameter duplicate_parameter invalid_filter
             invalid_sort invalid_fields invalid_cursor invalid_header record_invalid
             collection_exists email_taken invalid_reset_token wrong_password last_admin
             cannot_delete_self invalid_timezone invalid_redirect_url unknown_function
             invalid_schedule invalid_function_file invalid_source source_not_found
             idempotency_not_supported""",
        401: """not_authenticated invalid_credentials invalid_token token_expired
             wrong_token_type token_reused""",
        403: """forbidden admin_required user_required scope_required registration_disabled
             install_disabled upload_disabled""",
        404: "not_found",
        405: "method_not_allowed",
        409: """conflict id_conflict unique_violation schema_conflict extension_exists
             extension_load_failed dependency_conflict not_managed install_in_progress
             idempotency_in_progress""",
        412: "version_mismatch",
        413: "payload_too_large",
        414: "uri_too_long",
        415: "unsupported_media_type",
        422: """validation_error invalid_schema manifest_invalid idempotency_key_reused
             rejected_by_extension""",
        428: "precondition_required",
        429: "rate_limited too_many_concurrent_calls",
        431: "headers_too_large",
        500: "internal_error extension_error",
        503: """extension_unavailable storage_disabled database_busy not_ready
             source_unavailable""",
        507: "insufficient_storage",
    }.items()
    for code in codes.split()
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input.

    ``loc`` leads to it (``("body", "email")``), ``msg`` is a sentence for a person and
    ``type`` the stable name of the fault. The submitted value is never part of it.
    """

    loc: tuple[str | int, ...]
    msg: str
    type: str

    def as_dict(self) -> dict[str, Any]:
        """Return the three-key object that answers carry."""
        return {**asdict(self), "loc": list(self.loc)}


def one_line(text: object) -> str:
    """Return a text of somebody else's in one line that does nothing to a terminal."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(str(text).split()))


class TinyBaseError(Exception):
    """A foreseen fault: ``detail`` says in one line what was wrong and what to do.

    :param code: a code of the catalogue, which decides the HTTP status.
    :param headers: further headers of the answer, such as ``Retry-After``.
    :param members: further members of the error body, such as ``current_version``.
    """

    code = "internal_error"
    handler: str | None = None
    """Whose fault it is, where that is a handler's; clients are not told."""

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.headers = dict(headers or {})
        self.members = members

    @property
    def status(self) -> int:
        """Return the HTTP status that the catalogue gives to the code."""
        return STATUS_OF_CODE[self.code]


class BadRequest(TinyBaseError):
    """The request cannot be carried out as it stands."""

    code = "bad_request"


class Unauthenticated(TinyBaseError):
    """Nobody, or nobody acceptable, is signed in."""

    code = "not_authenticated"


class Forbidden(TinyBaseError):
    """The caller is known and may not do this."""

    code = "forbidden"


class NotFound(TinyBaseError):
    """There is no such thing, or the caller may not know that there is."""

    code = "not_found"


class Conflict(TinyBaseError):
    """The state of things does not allow it."""

    code = "conflict"


class PreconditionFailed(TinyBaseError):
    """The caller has seen another version than the current one."""

    code = "version_mismatch"


class Unavailable(TinyBaseError):
    """It may work later."""

    code = "not_ready"


class Invalid(TinyBaseError):
    """The input is not valid; ``faults`` lists everything that is wrong with it."""

    code = "validation_error"

    def __init__(self, faults: Iterable[Fault], *, code: str | None = None, **members: Any) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "; ".join(f"{_path(fault.loc)}: {fault.msg}" for fault in self.faults),
            code=code,
            **members,
        )


class Rejected(TinyBaseError):
    """An extension said no; it chose the status and the code."""

    code = "rejected_by_extension"

    def __init__(self, detail: str, *, status: int, code: str, extension: str) -> None:
        super().__init__(detail, code=code, extension=extension)
        self._status = status

    @property
    def status(self) -> int:
        """Return the status that the extension chose."""
        return self._status


class ConfigError(TinyBaseError):
    """The configuration cannot be used as it is written."""


def _path(loc: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in loc)
