"""The settings of the instance. Their list, with types and bounds, is in `tinybase.settings`."""

from __future__ import annotations

from typing import Any

from tinybase.api import fields
from tinybase.api.operation import Call, Operations, Who
from tinybase.api.schemas import Patch, Schema
from tinybase.settings import DEFINITIONS, Definition

operations = Operations("admin")


def _field(definition: Definition) -> Any:
    options: dict[str, Any] = {"allow_none": definition.is_nullable}
    if definition.type is bool:
        return fields.Boolean(**options)
    if definition.type is int:
        return fields.Integer(minimum=definition.minimum, **options)
    return fields.String(
        min_length=definition.min_length, max_length=definition.max_length, **options
    )


def _shown(definition: Definition) -> Any:
    field = _field(definition)
    field.required = True
    return field


InstanceSettingsResponse = Schema.from_dict(
    {
        **{key: _shown(one) for key, one in DEFINITIONS.items() if not one.is_secret},
        "updated_at": fields.Time(required=True, allow_none=True),
    },
    name="InstanceSettingsResponse",
)

# Forms send the whole object back, so updated_at is accepted, whatever it is, and ignored.
InstanceSettingsUpdate = Patch.from_dict(
    {**{key: _field(one) for key, one in DEFINITIONS.items()}, "updated_at": fields.Json()},
    name="InstanceSettingsUpdate",
)


@operations.get(
    "/api/admin/settings",
    id="admin_get_settings",
    who=Who.ADMIN,
    answers={200: InstanceSettingsResponse},
)
def get_settings(call: Call) -> object:
    """Return all settings but the secret ones."""
    return call.services.settings.get()


@operations.patch(
    "/api/admin/settings",
    id="admin_update_settings",
    who=Who.ADMIN,
    body=InstanceSettingsUpdate,
    answers={200: InstanceSettingsResponse},
    errors=("invalid_timezone", "invalid_redirect_url"),
)
def update_settings(call: Call) -> object:
    """Change some settings, or none of them.

    `null` leaves a setting as it is; an empty text clears one that may be null.
    """
    return call.services.settings.update(call.body)
