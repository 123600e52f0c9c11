"""The files of a new instance."""

from __future__ import annotations

import json
import os
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import toml

from tinybase import config as configuration
from tinybase.config import Key, keys
from tinybase.errors import ConfigError

_SHOWN = frozenset({"server.host", "server.port", "server.log_level", "database.url"})
"""Keys that are written with their default, because people look for them first."""

_HEAD = """\
# The configuration of a TinyBase instance.
#
# A line that is commented out shows the default of its key. The environment variable named
# above a key wins over this file. tinybase config show tells what is in effect, and why.
"""


def write_config(folder: Path, values: Mapping[str, Any]) -> bool:
    """Write ``tinybase.toml`` with every key explained; say whether there was none.

    The file is for its owner only, because keys may hold passwords.

    :param values: values to set, by ``section.key``.
    :raises ConfigError: for a value that the file cannot hold.
    """
    text = "".join(_lines(values))
    _check(text, {**_defaults(), **values})
    try:
        descriptor = os.open(
            folder / configuration.FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
        )
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    return True


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    yield _HEAD
    section = ""
    for key in keys():
        if key.section != section:
            section = key.section
            yield f"\n\n[{section}]\n"
        yield f"\n{_comment(_explained(key))}\n{_comment(' or '.join(key.variables))}\n"
        is_set = key.path in values or key.path in _SHOWN
        yield f"{'' if is_set else '# '}{_written(key, values.get(key.path, key.default))}\n"


def _comment(text: str) -> str:
    return textwrap.fill(text, 96, initial_indent="# ", subsequent_indent="# ")


def _explained(key: Key) -> str:
    choices = key.field.metadata["choices"]
    return f"{key.doc} One of: {', '.join(choices)}." if choices else key.doc


def _written(key: Key, value: Any) -> str:
    if isinstance(value, tuple | list):
        # The library writes lists with a comma behind the last item.
        return f"{key.name} = {json.dumps(list(value))}"
    return toml.dumps({key.name: value}).strip()


def _defaults() -> dict[str, Any]:
    return {key.path: key.default for key in keys() if key.path in _SHOWN}


def _check(text: str, expected: Mapping[str, Any]) -> None:
    """Read the text back: toml writes some strings that nobody can read."""
    try:
        found = {
            f"{section}.{name}": value
            for section, table in tomllib.loads(text).items()
            for name, value in table.items()
        }
    except tomllib.TOMLDecodeError:
        found = {}
    if found != dict(expected):
        raise ConfigError(
            f"A value cannot be written to {configuration.FILE_NAME}: it has a backslash or a "
            "control character. Set it through the environment."
        )
