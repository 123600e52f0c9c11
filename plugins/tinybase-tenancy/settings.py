"""What operators set."""

from typing import Final

from tinybase.extensions import Setting, register_settings

FIELD: Final = "organisation"
"""The field of a record that says whose it is."""


@register_settings
class Settings:
    """The settings of the extension."""

    collections = Setting(list, default=[], description="The collections that are divided.")
    sign_up = Setting(
        str,
        default="wait",
        choices=["wait", "own"],
        description="Who registers waits for an admin, or has an organisation of their own.",
    )


def is_divided(collection: str) -> bool:
    """Say whether a collection is divided among organisations."""
    return collection in Settings.collections
