"""What the rooms demand of the contributions of extensions.

Apart from the application, so that extensions can be tried out without all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tinybase import web
from tinybase.collections import owned
from tinybase.host import Check, commands, health, metrics, settings

CHECKS: Final[Mapping[str, Check]] = {
    commands.HOOK: commands.check,
    owned.HOOK: owned.check,
    settings.HOOK: settings.check,
    health.HOOK: health.check,
    metrics.COLLECTORS: metrics.check,
    web.HOOK: web.check_blueprint,
}
"""The check of each collecting hook that has one."""
