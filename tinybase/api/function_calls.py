"""The record of function calls, for admins."""

from __future__ import annotations

from tinybase.api.operation import Call, Operations, Who
from tinybase.api.paging import PageAnswer, PageQuery, page
from tinybase.api.schemas import Schema, fields

operations = Operations("admin")

_STATUSES = ("running", "succeeded", "failed")
_TRIGGERS = ("manual", "schedule")


class FunctionCallQuery(PageQuery):
    """Which calls."""

    function_name = fields.String(metadata={"description": "Only calls of this function."})
    status = fields.String(choices=_STATUSES)
    trigger_type = fields.String(choices=_TRIGGERS)


class FunctionCallInfo(Schema):
    """One call; neither its payload nor its result is kept."""

    id = fields.Id(required=True)
    function_name = fields.String(required=True)
    status = fields.String(required=True, choices=_STATUSES)
    trigger_type = fields.String(required=True, choices=_TRIGGERS)
    trigger_id = fields.Id(required=True, allow_none=True)
    requested_by_user_id = fields.Id(required=True, allow_none=True)
    started_at = fields.Time(required=True, allow_none=True)
    finished_at = fields.Time(required=True, allow_none=True)
    duration_ms = fields.Integer(required=True, allow_none=True)
    error_message = fields.String(required=True, allow_none=True)
    error_type = fields.String(required=True, allow_none=True)
    created_at = fields.Time(required=True)


class FunctionCallListResponse(PageAnswer):
    """Calls, newest first."""

    calls = fields.List(fields.Nested(FunctionCallInfo), required=True)


@operations.get(
    "/api/admin/functions/calls",
    id="admin_list_function_calls",
    who=Who.ADMIN,
    query=FunctionCallQuery,
    answers={200: FunctionCallListResponse},
    aliases=("/api/admin/function-calls",),
)
def list_function_calls(call: Call) -> object:
    """List function calls, newest first."""
    found = call.services.functions.calls(**call.query)
    return page("calls", found.calls, found.total, call.query)


@operations.get(
    "/api/admin/functions/calls/<uuid:call_id>",
    id="admin_get_function_call",
    who=Who.ADMIN,
    answers={200: FunctionCallInfo},
    aliases=("/api/admin/function-calls/<uuid:call_id>",),
)
def get_function_call(call: Call) -> object:
    """Return one function call."""
    return call.services.functions.get_call(call.path["call_id"])
