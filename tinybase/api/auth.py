"""Registering, signing in and out, and what the sign-in pages need to know."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from tinybase.api import fields
from tinybase.api.admission import admit
from tinybase.api.operation import Call, Operations, Who
from tinybase.api.schemas import Patch, Query, Schema
from tinybase.api.users import UserInfo as AdminUserInfo
from tinybase.api.users import email_field, password_field
from tinybase.auth.accounts import Account
from tinybase.auth.tokens import LoginResult
from tinybase.errors import Forbidden, Rejected, Unauthenticated

operations = Operations("auth")


class UserInfo(AdminUserInfo):
    """The signed-in user."""

    component = "tinybase__api__routes__auth__UserInfo"

    claims = fields.Object(
        required=True, metadata={"description": "What extensions keep with the sign-in."}
    )


class RegisterRequest(Schema):
    """A new account."""

    email = email_field(required=True)
    password = password_field(required=True)


class RegisterResponse(Schema):
    """The account that was made."""

    id = fields.Id(required=True)
    email = fields.String(required=True)
    message = fields.String(required=True)
    is_admin = fields.Boolean(required=True)
    created_at = fields.Time(required=True)


class LoginRequest(Schema):
    """Who signs in. What is no address belongs to no account; that is all there is to say."""

    email = fields.String(required=True)
    password = fields.String(required=True, metadata={"format": "password"})


class LoginResponse(Schema):
    """The tokens of a session, and whose it is."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.String(required=True)
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds."})
    user_id = fields.Id(required=True)
    email = fields.String(required=True)
    is_admin = fields.Boolean(required=True)
    admin_created = fields.Boolean(required=True, metadata={"description": "Always false."})


class RefreshRequest(Schema):
    """The refresh token, unless it is sent as the bearer token."""

    refresh_token = fields.String()


class LogoutQuery(Query):
    """What ends."""

    scope = fields.String(choices=("all", "session"), load_default="all")


class LogoutResponse(Schema):
    """How many tokens died."""

    message = fields.String(required=True)


class UserSelfUpdate(Patch):
    """What users change about themselves; the current password is needed for either."""

    email = email_field()
    password = password_field()
    current_password = fields.String(metadata={"format": "password"})


class PasswordResetRequest(Schema):
    """Where to send a link."""

    email = fields.String(required=True)


class PasswordResetRequestResponse(Schema):
    """The same for every address."""

    message = fields.String(required=True)


class PasswordResetConfirm(Schema):
    """The token of a link, and the new password."""

    token = fields.String(required=True)
    password = password_field(required=True)


class PasswordResetConfirmResponse(Schema):
    """That the password is changed."""

    message = fields.String(required=True)


class InstanceInfoResponse(Schema):
    """What the people call this installation."""

    instance_name = fields.String(required=True)


class SetupStatusResponse(Schema):
    """Whether nobody has an account yet."""

    needs_setup = fields.Boolean(required=True)


class PortalConfigQuery(Query):
    """How the portal would look: the rest counts only together with `preview`."""

    preview = fields.Boolean(load_default=False)
    logo_url = fields.String(max_length=500)
    primary_color = fields.String(max_length=500)
    background_image_url = fields.String(max_length=500)


class PortalConfigResponse(Schema):
    """How the sign-in pages look and where they lead."""

    instance_name = fields.String(required=True)
    logo_url = fields.String(required=True, allow_none=True)
    primary_color = fields.String(required=True, allow_none=True)
    background_image_url = fields.String(required=True, allow_none=True)
    registration_enabled = fields.Boolean(required=True)
    login_redirect_url = fields.String(required=True, allow_none=True)
    register_redirect_url = fields.String(required=True, allow_none=True)


def _require_registration(call: Call) -> None:
    call.services.users.require_registration()


@operations.post(
    "/api/auth/register",
    id="auth_register",
    who=Who.PUBLIC,
    body=RegisterRequest,
    answers={201: RegisterResponse},
    errors=("email_taken", "registration_disabled"),
    admit=_require_registration,
    limit="register",
)
def register(call: Call) -> object:
    """Create an account. Nobody becomes an admin by this."""
    account = call.services.users.create(call.body["email"], call.body["password"])
    return {
        "id": account.id,
        "email": account.email,
        "message": "User registered",
        "is_admin": account.is_admin,
        "created_at": account.created_at,
    }


@operations.post(
    "/api/auth/login",
    id="auth_login",
    who=Who.PUBLIC,
    body=LoginRequest,
    answers={200: LoginResponse},
    errors=("invalid_credentials",),
    limit="login",
)
def login(call: Call) -> object:
    """Sign in with an e-mail address and a password."""
    return _session(call.services.tokens.login(**call.body, address=call.address))


@operations.post(
    "/api/auth/refresh",
    id="auth_refresh_token",
    who=Who.PUBLIC,
    body=RefreshRequest,
    body_required=False,
    answers={200: LoginResponse},
    errors=(
        "not_authenticated",
        "invalid_token",
        "token_expired",
        "wrong_token_type",
        "token_reused",
    ),
    limit="refresh",
)
def refresh_token(call: Call) -> object:
    """Exchange a refresh token, from the body or the bearer header, for a new pair.

    The old one dies. Presenting it again ends the whole session.
    """
    value = call.body.get("refresh_token") or call.bearer
    if value is None:
        raise Unauthenticated("Send the refresh token in the body or as Authorization: Bearer.")
    return _session(call.services.tokens.refresh(value))


@operations.post(
    "/api/auth/logout",
    id="auth_logout",
    who=Who.USER,
    query=LogoutQuery,
    answers={200: LogoutResponse},
)
def logout(call: Call) -> object:
    """End all sessions of the signed-in user, or only the present one."""
    everywhere = call.query["scope"] == "all"
    count = call.services.tokens.logout(call.actor, everywhere=everywhere)
    return {"message": f"Logged out ({count} tokens revoked)"}


@operations.get("/api/auth/me", id="auth_get_me", who=Who.USER, answers={200: UserInfo})
def get_me(call: Call) -> object:
    """Return the signed-in user, with what extensions keep with the sign-in."""
    return _own(call, call.services.users.get(_own_id(call)))


@operations.patch(
    "/api/auth/me",
    id="auth_update_me",
    who=Who.USER,
    body=UserSelfUpdate,
    answers={200: UserInfo},
    errors=("email_taken", "wrong_password"),
)
def update_me(call: Call) -> object:
    """Change the own e-mail address or password.

    A new password ends every session, the present one too.
    """
    current_password = call.body.pop("current_password", None)
    users = call.services.users
    return _own(call, users.update_own(_own_id(call), current_password, **call.body))


@operations.post(
    "/api/auth/password-reset/request",
    id="auth_request_password_reset",
    who=Who.PUBLIC,
    body=PasswordResetRequest,
    answers={200: PasswordResetRequestResponse},
    limit="password_reset_request",
)
def request_password_reset(call: Call) -> object:
    """Have a link sent that sets a new password. The answer is the same for every address."""
    call.services.tokens.resets.request(call.body["email"])
    return {"message": "If the address is known, a link was sent"}


@operations.post(
    "/api/auth/password-reset/confirm",
    id="auth_confirm_password_reset",
    who=Who.PUBLIC,
    body=PasswordResetConfirm,
    answers={200: PasswordResetConfirmResponse},
    errors=("invalid_reset_token",),
    limit="password_reset_confirm",
)
def confirm_password_reset(call: Call) -> object:
    """Set a new password with the token of a link; every session of the user ends."""
    call.services.tokens.resets.confirm(call.body["token"], call.body["password"])
    return {"message": "Password changed"}


@operations.get(
    "/api/auth/instance-info",
    id="auth_get_instance_info",
    who=Who.PUBLIC,
    answers={200: InstanceInfoResponse},
)
def get_instance_info(call: Call) -> object:
    """Return the name of this installation."""
    return {"instance_name": call.services.settings.value("instance_name")}


@operations.get(
    "/api/auth/setup-status",
    id="auth_get_setup_status",
    who=Who.PUBLIC,
    answers={200: SetupStatusResponse},
)
def get_setup_status(call: Call) -> object:
    """Say whether nobody has an account yet; the first one is made on the command line."""
    return {"needs_setup": not call.services.users.exist()}


@operations.get(
    "/api/auth/portal-config",
    id="auth_get_portal_config",
    who=Who.PUBLIC,
    query=PortalConfigQuery,
    answers={200: PortalConfigResponse},
    errors=("admin_required",),
)
def get_portal_config(call: Call) -> object:
    """Return how the sign-in pages look; admins may try out another look."""
    overrides = dict(call.query)
    if overrides.pop("preview"):
        _require_admin(call)
    else:
        overrides.clear()
    settings = call.services.settings.get()
    return {
        "instance_name": settings["instance_name"],
        "logo_url": settings["auth_portal_logo_url"],
        "primary_color": settings["auth_portal_primary_color"],
        "background_image_url": settings["auth_portal_background_image_url"],
        "registration_enabled": settings["allow_public_registration"],
        "login_redirect_url": settings["auth_portal_login_redirect_url"],
        "register_redirect_url": settings["auth_portal_register_redirect_url"],
        **overrides,
    }


def _session(result: LoginResult) -> dict[str, Any]:
    return {
        "access_token": result.access_token,
        "refresh_token": result.refresh_token,
        "token_type": "bearer",
        "expires_in": result.expires_in,
        "user_id": result.account.id,
        "email": result.account.email,
        "is_admin": result.account.is_admin,
        "admin_created": False,
    }


def _own(call: Call, account: Account) -> dict[str, Any]:
    return {**asdict(account), "claims": call.actor.claims}


def _own_id(call: Call) -> UUID:
    assert call.actor.user_id is not None, "a user has an id"  # noqa: S101
    return call.actor.user_id


def _require_admin(call: Call) -> None:
    """Let an admin pass; the sign-in pages must not get a 401 for a token that has died."""
    try:
        admit(call.identify(), Who.ADMIN, call.method)
    except (Unauthenticated, Forbidden, Rejected) as error:
        raise Forbidden("Only an admin may look at a preview.", code="admin_required") from error
