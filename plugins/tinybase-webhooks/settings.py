"""What operators set."""

from tinybase.extensions import Setting, register_settings


@register_settings
class Settings:
    """The settings of the extension."""

    signing_secret = Setting(
        str,
        required=True,
        secret=True,
        description="A long random text. The secrets of all endpoints are made from it.",
    )
    previous_signing_secret = Setting(
        str,
        secret=True,
        description="The one before: while it is set, requests are signed with both.",
    )
    allowed_networks = Setting(
        list,
        default=[],
        description="Private networks that webhooks may go to, such as 10.1.0.0/16.",
    )
    timeout_seconds = Setting(float, default=10.0, description="How long a receiver may take.")
    attempts = Setting(int, default=10, description="How often a delivery is tried.")
    retry_seconds = Setting(
        float, default=5.0, description="The pause after the first failure; it triples each time."
    )
    max_body_bytes = Setting(
        int, default=65_536, description="Above this, a delivery names a record and leaves it out."
    )
    keep_days = Setting(int, default=14, description="How long finished deliveries are kept.")
