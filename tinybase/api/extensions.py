"""Extensions: what is installed, switching it on and off, installing and removing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from tinybase.api import fields
from tinybase.api.operation import Answer, Call, Operations, Repetition, Who
from tinybase.api.paging import PageAnswer, PageQuery, page
from tinybase.api.schemas import Patch, Query, Schema
from tinybase.db import utcnow
from tinybase.errors import BadRequest, Conflict, Forbidden

if TYPE_CHECKING:
    from tinybase.packages.plan import Plan

operations = Operations("extensions")

STATUSES = (
    *("enabled", "disabled", "failed", "incompatible", "missing", "needs_config", "quarantined"),
)

_INSTALL_ERRORS = (
    *("invalid_source", "source_not_found", "install_disabled", "extension_exists"),
    *("dependency_conflict", "extension_load_failed", "install_in_progress"),
    *("manifest_invalid", "source_unavailable"),
)


class ExtensionInfo(Schema):
    """An extension. Every status but ``enabled`` has a reason."""

    id = fields.Id(required=True)
    name = fields.String(required=True)
    version = fields.String(required=True)
    description = fields.String(required=True)
    author = fields.String(required=True)
    license = fields.String(required=True)
    repo_url = fields.String(
        required=True, metadata={"description": "Empty for one that plain pip installed."}
    )
    ref = fields.String(required=True, allow_none=True)
    commit = fields.String(required=True, allow_none=True)
    source = fields.String(required=True)
    is_enabled = fields.Boolean(required=True)
    status = fields.String(required=True, choices=STATUSES)
    status_reason = fields.String(required=True, allow_none=True)
    managed = fields.Boolean(required=True)
    generation = fields.Integer(required=True, allow_none=True)
    hooks = fields.List(fields.String(), required=True)
    functions = fields.List(fields.String(), required=True)
    routes = fields.List(fields.String(), required=True)
    installed_at = fields.Time(required=True, allow_none=True)
    updated_at = fields.Time(required=True, allow_none=True)
    update_available = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The newer release, as far as is known."},
    )


class ExtensionListResponse(PageAnswer):
    """A page of extensions, by name."""

    extensions = fields.List(fields.Nested(ExtensionInfo), required=True)


class ExtensionQuery(Query):
    """What to tell about an extension."""

    check_updates = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Also look for newer releases, in the background and once an hour at "
            "most. The answer has what is known by now."
        },
    )


class ExtensionPageQuery(PageQuery, ExtensionQuery):
    """Which extensions."""

    enabled_only = fields.Boolean(load_default=False)
    status = fields.String(choices=STATUSES)


class ExtensionUpdateRequest(Patch):
    """On or off; on also ends a quarantine."""

    is_enabled = fields.Boolean()


class ExtensionDeleteQuery(Query):
    """What to remove."""

    purge = fields.Boolean(
        load_default=False, metadata={"description": "Also drop the data that it owns."}
    )


class SettingInfo(Schema):
    """A setting of an extension. The value of a secret is never shown."""

    name = fields.String(required=True)
    type = fields.String(required=True, choices=("str", "int", "float", "bool", "list"))
    value = fields.Json(required=True, allow_none=True)
    is_set = fields.Boolean(required=True, metadata={"description": "Whether there is a value."})
    source = fields.String(
        required=True,
        metadata={"description": "database, default, tinybase.toml or the name of a variable."},
    )
    fault = fields.String(
        required=True, allow_none=True, metadata={"description": "What is wrong with the value."}
    )
    default = fields.Json(required=True, allow_none=True)
    required = fields.Boolean(required=True)
    secret = fields.Boolean(required=True)
    choices = fields.List(fields.Json(), required=True)
    variables = fields.List(fields.String(), required=True)
    description = fields.String(required=True)
    min = fields.Number(required=True, allow_none=True)
    max = fields.Number(required=True, allow_none=True)


class ExtensionConfigResponse(Schema):
    """The settings of an extension, and whether it runs with them."""

    extension = fields.String(required=True)
    status = fields.String(required=True, choices=STATUSES)
    status_reason = fields.String(required=True, allow_none=True)
    settings = fields.List(fields.Nested(SettingInfo), required=True)


class ExtensionConfigRequest(Schema):
    """Values by the name of the setting; null takes back what was set."""

    values = fields.Object(required=True)


class ExtensionPlanRequest(Schema):
    """Where an extension is: ``https://github.com/USER/REPOSITORY``, or the name of a package."""

    repo_url = fields.String(required=True)
    ref = fields.String(
        allow_none=True, metadata={"description": "A tag, a branch or a full commit."}
    )


class ExtensionInstallRequest(ExtensionPlanRequest):
    """Which extension to install; with ``plan_id`` only if it is still what was planned."""

    plan_id = fields.Id(allow_none=True)


class PlannedPackageInfo(Schema):
    """A package that comes along."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    action = fields.String(required=True)


class ExtensionPlan(Schema):
    """What an installation would do. ``packages`` is null where only its build can tell.

    Hooks, functions, routes, environment variables and warnings are read from the source,
    of which nothing is run.
    """

    plan_id = fields.Id(required=True)
    expires_at = fields.Time(
        required=True, metadata={"description": "Until when an installation may name the plan."}
    )
    name = fields.String(required=True)
    version = fields.String(required=True)
    description = fields.String(required=True)
    author = fields.String(required=True)
    license = fields.String(required=True)
    ref = fields.String(required=True, allow_none=True)
    commit = fields.String(required=True, allow_none=True)
    layout = fields.String(required=True)
    runs_build_code = fields.Boolean(required=True)
    packages = fields.List(fields.Nested(PlannedPackageInfo), required=True, allow_none=True)
    conflicts = fields.List(
        fields.String(), required=True, metadata={"description": "Packages that do not fit."}
    )
    hooks = fields.List(fields.String(), required=True)
    functions = fields.List(fields.String(), required=True)
    routes = fields.List(fields.String(), required=True)
    environment = fields.List(fields.String(), required=True)
    warnings = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "What else the code does, and what could not be read of it."},
    )
    installable = fields.Boolean(required=True)


@operations.get(
    "/api/admin/extensions",
    id="extensions_list_extensions",
    who=Who.ADMIN,
    query=ExtensionPageQuery,
    answers={200: ExtensionListResponse},
)
def list_extensions(call: Call) -> object:
    """List the extensions, by name."""
    query = call.query
    _look_for_updates(call)
    found = [
        extension
        for extension in call.services.extensions.list()
        if (extension.is_enabled or not query["enabled_only"])
        and query.get("status") in (None, extension.status)
    ]
    first = query["offset"]
    return page("extensions", found[first : first + query["limit"]], len(found), query)


@operations.get(
    "/api/admin/extensions/<extension_name>",
    id="extensions_get_extension",
    who=Who.ADMIN,
    query=ExtensionQuery,
    answers={200: ExtensionInfo},
)
def get_extension(call: Call) -> object:
    """Return an extension."""
    _look_for_updates(call)
    return call.services.extensions.get(call.path["extension_name"])


@operations.patch(
    "/api/admin/extensions/<extension_name>",
    id="extensions_update_extension",
    who=Who.ADMIN,
    body=ExtensionUpdateRequest,
    answers={200: ExtensionInfo},
    errors=("extension_load_failed",),
)
def update_extension(call: Call) -> object:
    """Switch an extension on or off, in every worker and without a restart.

    What cannot be loaded stays as it was.
    """
    extensions, name = call.services.extensions, call.path["extension_name"]
    if "is_enabled" in call.body:
        return extensions.set_enabled(name, call.body["is_enabled"])
    return extensions.get(name)


@operations.get(
    "/api/admin/extensions/<extension_name>/config",
    id="extensions_get_extension_config",
    who=Who.ADMIN_USER,
    answers={200: ExtensionConfigResponse},
    errors=("extension_load_failed",),
)
def get_extension_config(call: Call) -> object:
    """Return the settings of an extension, each with its value and where that comes from."""
    return call.services.extensions.configuration.of(call.path["extension_name"]).view()


@operations.patch(
    "/api/admin/extensions/<extension_name>/config",
    id="extensions_update_extension_config",
    who=Who.ADMIN_USER,
    body=ExtensionConfigRequest,
    answers={200: ExtensionConfigResponse},
    errors=("extension_load_failed",),
)
def update_extension_config(call: Call) -> object:
    """Set some settings of an extension, in every worker and without a restart.

    All of them are set, or none if one does not fit. An extension that waited for a setting
    runs from then on.
    """
    settings = call.services.extensions.configuration.of(call.path["extension_name"])
    settings.update(call.body["values"])
    return settings.view()


@operations.delete(
    "/api/admin/extensions/<extension_name>",
    id="extensions_delete_extension",
    who=Who.ADMIN,
    query=ExtensionDeleteQuery,
    answers={204: None},
    errors=("not_managed", "install_in_progress"),
)
def delete_extension(call: Call) -> object:
    """Remove an extension and what only it needed.

    Its collections and settings stay, unless they are purged; that works when the extension
    itself is gone too.
    """
    call.services.extensions.uninstall(call.path["extension_name"], purge=call.query["purge"])
    return Answer()


@operations.post(
    "/api/admin/extensions",
    id="extensions_create_extension",
    who=Who.ADMIN_USER,
    body=ExtensionInstallRequest,
    answers={201: ExtensionInfo},
    errors=_INSTALL_ERRORS,
    headers=("Location",),
    repetition=Repetition.RESERVED,
)
def create_extension(call: Call) -> object:
    """Install an extension. Its code then runs with all rights of the server."""
    address, ref = _source(call)
    confirm = _expecting(call.body.get("plan_id"))
    installed = call.services.extensions.install(address, ref=ref, confirm=confirm)
    return Answer(installed, headers={"Location": f"/api/admin/extensions/{installed.name}"})


@operations.post(
    "/api/admin/extensions/plan",
    id="extensions_plan_extension",
    who=Who.ADMIN_USER,
    body=ExtensionPlanRequest,
    answers={200: ExtensionPlan},
    errors=_INSTALL_ERRORS,
)
def plan_extension(call: Call) -> object:
    """Return what an installation would do, and what the code does; nothing is changed."""
    from tinybase.packages.plan import document  # noqa: PLC0415 - see create_app

    address, ref = _source(call)
    return document(call.services.extensions.plan(address, ref=ref), utcnow())


def _look_for_updates(call: Call) -> None:
    if call.query["check_updates"]:
        call.services.extensions.updates.look_in_background()


def _source(call: Call) -> tuple[str, str | None]:
    """Return the address in the body, if it is one and may be installed over HTTP.

    A text that is no address is told so even where the switch is off.
    """
    from tinybase.packages import addresses  # noqa: PLC0415 - see create_app

    address, ref = call.body["repo_url"], call.body.get("ref")
    if address.startswith((".", "/", "~")):
        # Not even looked at: an answer could tell which files the server has.
        raise BadRequest(
            "A path cannot be installed over HTTP. Use the command line on the server.",
            code="invalid_source",
        )
    addresses.remote_only(addresses.parse(address, ref=ref))
    if not call.services.config.extensions.allow_api_install:
        raise Forbidden(
            "Installing over HTTP is off. Set allow_api_install = true under [extensions] in "
            "tinybase.toml, or use tinybase extensions install.",
            code="install_disabled",
        )
    return address, ref


def _expecting(plan_id: UUID | None) -> Callable[[Plan], None]:
    def confirm(plan: Plan) -> None:
        if plan_id is not None and not plan.is_meant_by(plan_id, utcnow()):
            raise Conflict(
                "The plan has expired, or the source has changed since. Ask for a new plan."
            )

    return confirm
