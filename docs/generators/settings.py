"""The configuration."""

from __future__ import annotations

import json

from generators.text import code, doc, table
from tinybase import config
from tinybase.config import Key


def keys() -> str:
    """Return every key, a table for each section."""
    lines = []
    for section, cls in config.SECTIONS.items():
        rows = [_row(key) for key in config.keys() if key.section == section]  # noqa: SIM118
        lines += [
            f"## `[{section}]` {{ #{section} }}",
            doc(cls),
            table(("Key", "Default", "Environment", "Meaning"), rows),
        ]
    return "\n\n".join(lines)


def _row(key: Key) -> tuple[str, str, str, str]:
    value = list(key.default) if isinstance(key.default, tuple) else key.default
    variables = ", ".join(map(code, key.variables))
    return code(key.name), code(json.dumps(value)), variables, _meaning(key)


def _meaning(key: Key) -> str:
    choices = key.field.metadata["choices"]
    allowed = f" One of {', '.join(map(code, choices))}." if choices else ""
    return f"{key.doc}{allowed}"
