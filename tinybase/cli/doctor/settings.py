"""The configuration: what is outdated, ineffective or seen by the wrong people."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tinybase import config as configuration
from tinybase.cli.doctor.finding import Finding, error, info, warning
from tinybase.config import FILE_NAME, SECTIONS, Config, deprecated_keys, keys
from tinybase.errors import ConfigError


def load(instance: Path) -> Config:
    """Read the configuration.

    :raises ConfigError: also when the folder is no instance.
    """
    if not (instance / FILE_NAME).is_file():
        raise ConfigError(
            f"the folder has no {FILE_NAME}. Run tinybase init there, or name the folder with "
            "tinybase -C FOLDER."
        )
    return configuration.load(instance)


def check(config: Config, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look at the configuration of an instance."""
    path = config.instance / FILE_NAME
    for old, new in deprecated_keys(path).items():
        yield warning("key_outdated", f"{old} is an outdated key.", path, f"Write {new} instead.")
    yield from _secrets(config, path)
    yield from _variables(environ)
    if "all" not in config.extensions.load:
        source = config.sources["extensions.load"]
        yield info(
            "safe_mode",
            f"Only some extensions may be loaded: {', '.join(config.extensions.load) or 'none'}.",
            source,
            "To end safe mode, remove the setting.",
        )


def _secrets(config: Config, path: Path) -> Iterator[Finding]:
    """Report a file with a password in it that every user of the machine can read."""
    held = [
        key.path
        for key in keys()
        if key.is_secret
        and config.sources[key.path] == FILE_NAME
        and _has_password(getattr(getattr(config, key.section), key.field.name))
    ]
    if held and path.stat().st_mode & stat.S_IROTH:
        yield error(
            "secrets_readable",
            f"Everybody on this machine can read the password in {' and '.join(held)}.",
            path,
            f"Run chmod 600 {path}.",
        )


def _has_password(value: str) -> bool:
    try:
        return bool(urlsplit(value).password)
    except ValueError:  # no address that we can take apart; better safe than sorry
        return True


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Report variables that look like settings and are none: nobody reads them."""
    known = {variable for key in keys() for variable in key.variables}
    prefixes = tuple(f"TINYBASE_{section}_".upper() for section in SECTIONS)
    for name in sorted(environ):
        if name.startswith(prefixes) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield warning(
                "variable_unknown",
                f"{name} is set, and no setting of that name exists.",
                "the environment",
                f"Write {near[0]}." if near else "Remove it.",
            )
