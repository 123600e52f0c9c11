"""Server functions over HTTP: what there is, and calling it."""

from __future__ import annotations

from tinybase.api.operation import Call, Operations, Repetition, Who
from tinybase.api.schemas import AnyObject, Schema, fields

operations = Operations("functions")

_REFUSALS = ("not_authenticated", "admin_required", "scope_required")


class FunctionInfo(Schema):
    """A function, as far as its callers need to know it."""

    name = fields.String(required=True)
    description = fields.String(required=True)
    auth = fields.String(required=True, choices=("public", "auth", "admin"))
    tags = fields.List(fields.String(), required=True)
    extension = fields.String(required=True, allow_none=True)


class AdminFunctionInfo(FunctionInfo):
    """A function, and where it comes from."""

    module = fields.String(required=True)
    file_path = fields.String(required=True, allow_none=True)
    last_loaded_at = fields.Time(required=True)
    has_input_model = fields.Boolean(required=True)
    has_output_model = fields.Boolean(required=True)
    is_async = fields.Boolean(required=True)


class FunctionSchemaResponse(Schema):
    """The models of a function as JSON Schema."""

    name = fields.String(required=True)
    has_input_model = fields.Boolean(required=True)
    has_output_model = fields.Boolean(required=True)
    input_schema = fields.Object(required=True, allow_none=True)
    output_schema = fields.Object(required=True, allow_none=True)


class FunctionCallResponse(Schema):
    """How a call ended."""

    call_id = fields.Id(required=True)
    status = fields.String(required=True, choices=("succeeded", "failed"))
    result = fields.Json(required=True, allow_none=True)
    error_message = fields.String(required=True, allow_none=True)
    error_type = fields.String(required=True, allow_none=True)
    duration_ms = fields.Integer(required=True)


@operations.get(
    "/api/functions",
    id="functions_list_functions",
    who=Who.OPEN,
    answers={200: FunctionInfo},
    many=True,
)
def list_functions(call: Call) -> object:
    """List the functions that the caller may call, by name."""
    return call.services.functions.list(call.actor)


@operations.get(
    "/api/functions/admin/list",
    id="functions_list_functions_admin",
    who=Who.ADMIN,
    answers={200: AdminFunctionInfo},
    many=True,
)
def list_functions_admin(call: Call) -> object:
    """List all functions with where they come from, by name."""
    return call.services.functions.list(call.actor)


def _admit(call: Call) -> None:
    call.services.functions.admit(call.actor, call.path["function_name"])


@operations.get(
    "/api/functions/<function_name>/schema",
    id="functions_get_function_schema",
    who=Who.FUNCTION,
    admit=_admit,
    answers={200: FunctionSchemaResponse},
    errors=_REFUSALS,
)
def get_function_schema(call: Call) -> object:
    """Return what a function takes and returns, as JSON Schema."""
    return call.services.functions.get(call.path["function_name"])


@operations.post(
    "/api/functions/<function_name>",
    id="functions_call_function",
    who=Who.FUNCTION,
    admit=_admit,
    body=AnyObject,
    body_required=False,
    body_limit="functions",
    answers={200: FunctionCallResponse},
    errors=(*_REFUSALS, "too_many_concurrent_calls", "rejected_by_extension"),
    repetition=Repetition.RESERVED,
)
def call_function(call: Call) -> object:
    """Call a function.

    The answer is 200 also when the function fails: then `status` is `failed` and
    `error_type` says how.
    """
    return call.services.functions.call(
        call.actor,
        call.path["function_name"],
        call.body,
        request=call.request,
        address=call.address,
    )
