"""``tinybase config``: what is in effect, and where it comes from."""

from __future__ import annotations

from typing import Any

import click

from tinybase.cli import context
from tinybase.cli.output import emit_json, json_option, table
from tinybase.config import Config, Key, keys

_REDACTED = "(redacted)"


@click.group("config")
def command() -> None:
    """Show the configuration in effect."""


@command.command("show")
@json_option
def show(*, as_json: bool) -> None:
    """Show every key with its value and where that comes from; secrets are redacted.

    A source is "default", "tinybase.toml" or the name of an environment variable.
    """
    config = context.load_config()
    rows = [_row(config, key) for key in keys()]
    if as_json:
        emit_json(rows)
    else:
        table(rows, ["Key", "Value", "Source"], empty="There are no keys.")


def _row(config: Config, key: Key) -> dict[str, Any]:
    value = getattr(getattr(config, key.section), key.field.name)
    source = config.sources[key.path]
    if key.is_secret and source != "default":
        value = _REDACTED
    return {
        "key": key.path,
        "value": list(value) if isinstance(value, tuple) else value,
        "source": source,
        "description": key.doc,
    }
