"""What an operator may choose."""

from tinybase.extensions import Setting, register_settings


@register_settings
class Settings:
    """Read an attribute where it is needed: it is the value of that moment."""

    keep_failures = Setting(int, default=200, description="How many failures are kept; 0 is none.")
    refresh_seconds = Setting(
        int, default=10, description="How often the page asks anew; at least 2."
    )
