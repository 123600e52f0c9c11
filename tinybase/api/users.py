"""Users, as admins manage them."""

from __future__ import annotations

from marshmallow import ValidationError

from tinybase.api import fields
from tinybase.api.messages import Message
from tinybase.api.operation import Answer, Call, Operations, Repetition, Who
from tinybase.api.paging import PageAnswer, PageQuery, page
from tinybase.api.schemas import Patch, Schema
from tinybase.auth import emails

operations = Operations("admin")


def email_field(*, required: bool = False) -> fields.String:
    """Return the field of an address that somebody shall have."""
    metadata = {"format": "email", "maxLength": emails.MAX_LENGTH}
    return fields.String(required=required, validate=_require_email, metadata=metadata)


def password_field(*, required: bool = False) -> fields.String:
    """Return the field of a password that somebody shall have.

    The service asks for more, by the configuration.
    """
    return fields.String(required=required, min_length=8, metadata={"format": "password"})


def _require_email(text: str) -> None:
    if emails.parse(text) is None:
        fault = emails.fault()
        raise ValidationError(Message(fault.msg, fault.type))


class UserInfo(Schema):
    """A user."""

    component = "tinybase__api__routes__admin__UserInfo"

    id = fields.Id(required=True)
    email = fields.String(required=True)
    is_admin = fields.Boolean(required=True)
    is_active = fields.Boolean(required=True)
    created_at = fields.Time(required=True)
    updated_at = fields.Time(required=True)


class UserListResponse(PageAnswer):
    """A page of users."""

    users = fields.List(fields.Nested(UserInfo), required=True)


class UserQuery(PageQuery):
    """Which users."""

    email = fields.String(metadata={"description": "The address, in any spelling of it."})
    is_admin = fields.Boolean()
    is_active = fields.Boolean()


class UserCreate(Schema):
    """A new user."""

    email = email_field(required=True)
    password = password_field(required=True)
    is_admin = fields.Boolean(load_default=False)


class UserUpdate(Patch):
    """What to change about a user."""

    email = email_field()
    password = password_field()
    is_admin = fields.Boolean()
    is_active = fields.Boolean()


@operations.get(
    "/api/admin/users",
    id="admin_list_users",
    who=Who.ADMIN,
    query=UserQuery,
    answers={200: UserListResponse},
)
def list_users(call: Call) -> object:
    """List the users, the oldest first."""
    users, total = call.services.users.list(**call.query)
    return page("users", users, total, call.query)


@operations.post(
    "/api/admin/users",
    id="admin_create_user",
    who=Who.ADMIN,
    body=UserCreate,
    answers={201: UserInfo},
    errors=("email_taken", "user_required"),
    repetition=Repetition.IN_TRANSACTION,
)
def create_user(call: Call) -> object:
    """Create a user."""
    return call.services.users.create(**call.body, actor=call.actor)


@operations.get(
    "/api/admin/users/<uuid:user_id>",
    id="admin_get_user",
    who=Who.ADMIN,
    answers={200: UserInfo},
)
def get_user(call: Call) -> object:
    """Return a user."""
    return call.services.users.get(call.path["user_id"])


@operations.patch(
    "/api/admin/users/<uuid:user_id>",
    id="admin_update_user",
    who=Who.ADMIN,
    body=UserUpdate,
    answers={200: UserInfo},
    errors=("email_taken", "last_admin", "user_required"),
)
def update_user(call: Call) -> object:
    """Change a user.

    A new password or deactivation ends every session of the user.
    """
    return call.services.users.update(call.path["user_id"], **call.body, actor=call.actor)


@operations.delete(
    "/api/admin/users/<uuid:user_id>",
    id="admin_delete_user",
    who=Who.ADMIN,
    answers={204: None},
    errors=("cannot_delete_self", "last_admin", "user_required"),
)
def delete_user(call: Call) -> object:
    """Delete a user; their records stay and belong to nobody."""
    call.services.users.delete(call.path["user_id"], actor=call.actor)
    return Answer()
