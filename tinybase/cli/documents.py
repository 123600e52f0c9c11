"""JSON that people hand to commands, held to the same rules as a request body."""

from __future__ import annotations

import sys
from typing import Any

import click

from tinybase.api.json import JsonLimits, parse_object
from tinybase.config import Config

json_argument = click.argument("document", metavar="[JSON]", required=False)


def read_object(document: str | None, config: Config) -> dict[str, Any]:
    """Return the JSON object of an argument; ``-`` stands for stdin, nothing for ``{}``.

    :raises TinyBaseError: for anything that a request body could not be either.
    """
    if document is None:
        return {}
    raw = sys.stdin.buffer.read() if document == "-" else document.encode(errors="surrogatepass")
    return parse_object(raw, JsonLimits(config.limits.json_depth, config.limits.string_bytes))
