"""Application tokens, as admins manage them in person."""

from __future__ import annotations

from tinybase.api import fields
from tinybase.api.operation import Answer, Call, Operations, Who
from tinybase.api.schemas import Patch, Schema
from tinybase.auth.applications import SCOPES

operations = Operations("admin")


def _scopes() -> fields.List:
    return fields.List(fields.String(choices=SCOPES), min_length=1, max_length=20)


class ApplicationTokenInfo(Schema):
    """A token, without its value."""

    id = fields.Id(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    scopes = fields.List(fields.String(), required=True)
    created_at = fields.Time(required=True)
    last_used_at = fields.Time(required=True, allow_none=True)
    expires_at = fields.Time(required=True)
    is_active = fields.Boolean(required=True)
    is_valid = fields.Boolean(required=True)


class ApplicationTokenListResponse(Schema):
    """All tokens."""

    tokens = fields.List(fields.Nested(ApplicationTokenInfo), required=True)


class ApplicationTokenCreate(Schema):
    """A new token."""

    name = fields.String(required=True, min_length=1, max_length=200)
    description = fields.String(max_length=500, allow_none=True)
    expires_days = fields.Integer(minimum=1, maximum=3650)
    scopes = _scopes()


class ApplicationTokenCreateResponse(Schema):
    """A new token and its value, which is shown this once."""

    token = fields.Nested(ApplicationTokenInfo, required=True)
    token_value = fields.String(required=True)


class ApplicationTokenUpdate(Patch):
    """What to change about a token."""

    name = fields.String(min_length=1, max_length=200)
    description = fields.String(max_length=500)
    is_active = fields.Boolean()
    scopes = _scopes()


@operations.get(
    "/api/admin/application-tokens",
    id="admin_list_application_tokens",
    who=Who.ADMIN_USER,
    answers={200: ApplicationTokenListResponse},
)
def list_application_tokens(call: Call) -> object:
    """List the application tokens, the newest first."""
    return {"tokens": call.services.tokens.applications.list()}


@operations.post(
    "/api/admin/application-tokens",
    id="admin_create_application_token",
    who=Who.ADMIN_USER,
    body=ApplicationTokenCreate,
    answers={201: ApplicationTokenCreateResponse},
)
def create_application_token(call: Call) -> object:
    """Create an application token; its value is in this answer and nowhere else."""
    token, value = call.services.tokens.applications.create(**call.body)
    return {"token": token, "token_value": value}


@operations.patch(
    "/api/admin/application-tokens/<uuid:token_id>",
    id="admin_update_application_token",
    who=Who.ADMIN_USER,
    body=ApplicationTokenUpdate,
    answers={200: ApplicationTokenInfo},
)
def update_application_token(call: Call) -> object:
    """Change an application token, or switch it off or on."""
    return call.services.tokens.applications.update(call.path["token_id"], **call.body)


@operations.delete(
    "/api/admin/application-tokens/<uuid:token_id>",
    id="admin_revoke_application_token",
    who=Who.ADMIN_USER,
    answers={204: None},
)
def revoke_application_token(call: Call) -> object:
    """Switch an application token off; it stays in the list."""
    call.services.tokens.applications.revoke(call.path["token_id"])
    return Answer()
