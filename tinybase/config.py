"""The configuration: every key, its default and its meaning, in one place.

The value of a key comes from the environment (``TINYBASE_SECTION_KEY``), else from
``tinybase.toml`` in the instance folder, else from the defaults below. Unknown sections
and keys are errors: a misspelt key must not be a silent default.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tinybase.errors import ConfigError

FILE_NAME = "tinybase.toml"

_OF_EXTENSIONS = "extension"

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def _key(
    default: Any,
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: int | None = None,
    env: str | None = None,
    secret: bool = False,
    unique: bool = False,
) -> Any:
    """Declare one key; ``env`` is a further environment variable that is read."""
    metadata = {
        "doc": doc,
        "choices": choices,
        "minimum": minimum,
        "env": env,
        "secret": secret,
        "unique": unique,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: tuple(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ServerConfig:
    """Where and how `tinybase serve` listens."""

    host: str = _key("127.0.0.1", "The address to listen on.")
    port: int = _key(8000, "The port to listen on.", minimum=1)
    workers: int = _key(0, "Worker processes; 0 means one for each core, at most 4.", minimum=0)
    threads: int = _key(8, "Requests that one worker handles at the same time.", minimum=1)
    pin_workers: bool = _key(
        True,
        "Keep each worker to a core of its own, where there are as many workers as cores or more.",
    )
    hang_seconds: int = _key(
        30,
        "A worker in which no Python has run for so long, because something holds the "
        "interpreter, is ended and replaced; 0 means never.",
        minimum=0,
    )
    log_level: str = _key(
        "info",
        "What is logged, also by extensions.",
        choices=("debug", "info", "warning", "error"),
    )
    public_url: str = _key(
        "", "The address that people use, for links in mails. Default: the listening address."
    )
    trusted_proxies: tuple[str, ...] = _key(
        [], "Addresses of reverse proxies whose X-Forwarded-For header is believed."
    )


@dataclass(frozen=True)
class DatabaseConfig:
    """Where the data is."""

    url: str = _key(
        "sqlite:///tinybase.db",
        "The database: sqlite:///tinybase.db, relative to the instance folder, or "
        "postgresql+psycopg://user:password@host/database.",
        secret=True,
    )
    durability: str = _key(
        "full",
        "full: an acknowledged write survives a power loss. "
        "normal: faster, a power loss may take the last writes.",
        choices=("full", "normal"),
    )
    busy_timeout_seconds: int = _key(
        10, "How long a write waits for another one before it is refused.", minimum=1
    )


@dataclass(frozen=True)
class AuthConfig:
    """Tokens and passwords."""

    access_token_minutes: int = _key(1440, "Life of an access token.", minimum=1)
    refresh_token_days: int = _key(30, "Life of a refresh token.", minimum=1)
    application_token_days: int = _key(365, "Default life of an application token.", minimum=1)
    reset_token_minutes: int = _key(60, "Life of a password reset link.", minimum=1)
    refresh_grace_seconds: int = _key(
        0, "How long a rotated refresh token may be presented again.", minimum=0
    )
    password_min_length: int = _key(8, "Shortest password, not below 8.", minimum=8)
    refuse_common_passwords: bool = _key(True, "Refuse the 3,000 most common passwords.")


@dataclass(frozen=True)
class RateLimitConfig:
    """How often one client may ask."""

    enabled: bool = _key(True, "Switches every limit, failed logins included.")
    authenticated_per_minute: int = _key(
        0, "Requests per minute of one signed-in caller; 0 is no limit.", minimum=0
    )
    anonymous_per_minute: int = _key(
        0, "Requests per minute of one anonymous address; 0 is no limit.", minimum=0
    )


@dataclass(frozen=True)
class LimitsConfig:
    """How large a request may be."""

    body_bytes: int = _key(1048576, "A request body.", minimum=1)
    batch_body_bytes: int = _key(10485760, "The body of a record batch.", minimum=1)
    upload_bytes: int = _key(52428800, "An uploaded file.", minimum=1)
    json_depth: int = _key(64, "Nesting of a JSON body.", minimum=1)
    string_bytes: int = _key(262144, "One string in a JSON body.", minimum=1)


@dataclass(frozen=True)
class FunctionsConfig:
    """Server functions."""

    max_payload_bytes: int = _key(
        10485760, "The body of a call.", minimum=1, env="TINYBASE_MAX_FUNCTION_PAYLOAD_BYTES"
    )
    max_result_bytes: int = _key(
        10485760, "The result of a call.", minimum=1, env="TINYBASE_MAX_FUNCTION_RESULT_BYTES"
    )
    max_concurrent_per_user: int = _key(
        10,
        "Calls of one user that may run at the same time.",
        minimum=1,
        env="TINYBASE_MAX_CONCURRENT_FUNCTIONS_PER_USER",
    )
    timeout_seconds: int = _key(1800, "After this time a call counts as failed.", minimum=1)
    allow_api_upload: bool = _key(False, "Let admins upload functions over HTTP.")


@dataclass(frozen=True)
class CollectionsConfig:
    """Collections of records."""

    default_access: str = _key(
        "private",
        "Rules of a collection that states none. private: people see their own records. "
        "compatible: everybody may read.",
        choices=("private", "compatible"),
    )


@dataclass(frozen=True)
class HooksConfig:
    """Handlers of extensions."""

    wait_ms: int = _key(200, "How long a request waits for the handlers of what it did.", minimum=0)
    decide_seconds: int = _key(
        2,
        "How long a request waits for each handler that it asks, such as before_record_create; "
        "then it is refused.",
        minimum=1,
    )
    threads_per_extension: int = _key(
        4,
        "How many handlers of one extension may run at the same time in a worker; of those that "
        "requests ask, how many may hang.",
        minimum=1,
    )
    requests_per_extension: int = _key(
        0,
        "How many requests the routes of one extension may be answering at the same time in a "
        "worker; further ones wait up to a second and then get 503. 0 means half of "
        "server.threads.",
        minimum=0,
    )
    hang_seconds: int = _key(
        30,
        "A handler that runs longer counts as hanging; an extension all of whose threads hang is "
        "told of nothing more and refuses what it is asked.",
        minimum=1,
    )
    quarantine_after: int = _key(
        0,
        "A handler that fails or takes too long so often within a minute is not called any more, "
        "in no worker, until its extension is enabled again; 0 means never.",
        minimum=0,
    )
    startup_seconds: int = _key(
        30, "How long a starting worker waits for on_startup before it serves.", minimum=1
    )
    shutdown_seconds: int = _key(
        5, "How long a stopping worker waits for one extension's on_shutdown.", minimum=1
    )


@dataclass(frozen=True)
class ExtensionsConfig:
    """Other people's code."""

    load: tuple[str, ...] = _key(
        ["all"],
        "Which extensions may be loaded: all, none (safe mode), or some by name.",
        env="TINYBASE_EXTENSIONS",
    )
    order: tuple[str, ...] = _key(
        [],
        "Extensions in the order in which their handlers are called, whatever they say "
        "themselves; your own code is project. Those that are not named keep their place.",
        unique=True,
    )
    strict: bool = _key(False, "Refuse to start when an extension cannot be loaded.")
    modules: tuple[str, ...] = _key(
        [], "Modules of your own project that hold handlers and functions."
    )
    git_protocols: tuple[str, ...] = _key(
        ["https", "ssh"], "Protocols that git may use to fetch an extension."
    )
    allow_api_install: bool = _key(False, "Let admins install extensions over HTTP.")
    import_timeout_seconds: int = _key(10, "How long importing one extension may take.", minimum=1)


@dataclass(frozen=True)
class MailConfig:
    """Outgoing mail."""

    url: str = _key(
        "console:",
        "console: writes mails to the log, file:FOLDER into files; "
        "else smtp://user:password@host:port or smtps://...",
        secret=True,
    )
    from_: str = _key("TinyBase <noreply@localhost>", "The sender of mails.")


@dataclass(frozen=True)
class CorsConfig:
    """Browsers on other origins."""

    allow_origins: tuple[str, ...] = _key(
        [], "Origins whose pages may read answers; never with credentials."
    )


@dataclass(frozen=True)
class ApiConfig:
    """The REST API."""

    docs: bool = _key(True, "Serve the interactive documentation at /docs and /redoc.")


@dataclass(frozen=True)
class TelemetryConfig:
    """What other systems follow."""

    traces: str = _key(
        "auto",
        "Whether OpenTelemetry gets spans of requests, functions and handlers. auto: where one of "
        "its own variables, OTEL_..., is set.",
        choices=("auto", "on", "off"),
    )


@dataclass(frozen=True)
class Config:
    """The effective configuration of one instance."""

    instance: Path
    sources: Mapping[str, str]
    """Where each key's value comes from: ``section.key`` -> ``default``, ``file`` or a variable."""

    server: ServerConfig
    database: DatabaseConfig
    auth: AuthConfig
    rate_limit: RateLimitConfig
    limits: LimitsConfig
    functions: FunctionsConfig
    collections: CollectionsConfig
    hooks: HooksConfig
    extensions: ExtensionsConfig
    mail: MailConfig
    cors: CorsConfig
    api: ApiConfig
    telemetry: TelemetryConfig

    extension: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """What the file says under ``[extension.NAME]``, for the settings of each extension."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The environment, in which extensions too have settings."""


SECTIONS: Mapping[str, type] = {
    "server": ServerConfig,
    "database": DatabaseConfig,
    "auth": AuthConfig,
    "rate_limit": RateLimitConfig,
    "limits": LimitsConfig,
    "functions": FunctionsConfig,
    "collections": CollectionsConfig,
    "hooks": HooksConfig,
    "extensions": ExtensionsConfig,
    "mail": MailConfig,
    "cors": CorsConfig,
    "api": ApiConfig,
    "telemetry": TelemetryConfig,
}

_DEPRECATED: Mapping[str, tuple[str, int]] = {
    # Spellings of the reference implementation: old key -> (our key, factor).
    "auth.token_ttl_hours": ("auth.access_token_minutes", 60),
    "auth.jwt_access_token_expire_minutes": ("auth.access_token_minutes", 1),
    "auth.jwt_refresh_token_expire_days": ("auth.refresh_token_days", 1),
}


@dataclass(frozen=True)
class Key:
    """One documented key."""

    section: str
    name: str
    field: Field[Any]
    type: Any

    @property
    def path(self) -> str:
        """Return ``section.key``, as people write it."""
        return f"{self.section}.{self.name}"

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the environment variables that set it, the strongest first."""
        own = f"TINYBASE_{self.section}_{self.name}".upper()
        other = self.field.metadata["env"]
        return (own, other) if other else (own,)

    @property
    def default(self) -> Any:
        """Return the value that holds when nobody sets the key."""
        if callable(self.field.default_factory):
            return self.field.default_factory()
        return self.field.default

    @property
    def doc(self) -> str:
        """Return what the key means."""
        return str(self.field.metadata["doc"])

    @property
    def is_secret(self) -> bool:
        """Say whether the value must not be shown."""
        return bool(self.field.metadata["secret"])


def keys() -> Iterator[Key]:
    """Yield every key, in the order in which they are documented."""
    for section, cls in SECTIONS.items():
        hints = typing.get_type_hints(cls)
        for item in fields(cls):
            yield Key(section, item.name.removesuffix("_"), item, hints[item.name])


def load(instance: Path | str = ".", environ: Mapping[str, str] | None = None) -> Config:
    """Read the configuration of the instance in a folder.

    A missing ``tinybase.toml`` is the same as an empty one.

    :raises ConfigError: for a file that is no TOML, an unknown section or key, or a value
        that does not fit; the message names the file or variable and the remedy.
    """
    folder = Path(instance).resolve()
    environ = os.environ if environ is None else environ
    values, origin = _read_file(folder / FILE_NAME)
    sources: dict[str, str] = {}
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key in keys():
        value, source = key.default, "default"
        if key.path in values:
            value, source = _check(key, values[key.path], origin[key.path]), FILE_NAME
        for variable in reversed(key.variables):
            if variable in environ:
                value, source = _parse(key, environ[variable], variable), variable
        sections[key.section][key.field.name] = value
        sources[key.path] = source
    built = {name: cls(**sections[name]) for name, cls in SECTIONS.items()}
    return Config(
        instance=folder,
        sources=types.MappingProxyType(sources),
        extension=_read_extension_tables(folder / FILE_NAME),
        environ=environ,
        **built,
    )


def deprecated_keys(config_file: Path) -> Mapping[str, str]:
    """Return the outdated keys in a configuration file, each with the one to use now."""
    if not config_file.is_file():
        return {}
    found = _flatten(_parse_toml(config_file))
    return {old: _DEPRECATED[old][0] for old in found if old in _DEPRECATED}


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a configuration file and how to name each in a message."""
    if not path.is_file():
        return {}, {}
    known = {key.path for key in keys()}
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, value in _flatten(_parse_toml(path)).items():
        target, factor = _DEPRECATED.get(name, (name, 1))
        if target not in known:
            raise _unknown(name, known)
        if target in values and target != name:
            continue
        values[target] = value * factor if factor != 1 and isinstance(value, int) else value
        origin[target] = f"{name} in {FILE_NAME}"
    return values, origin


def _read_extension_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the tables of extensions by canonical name; only they know what may be in them."""
    found = _parse_toml(path).get(_OF_EXTENSIONS, {}) if path.is_file() else {}
    tables: dict[str, Mapping[str, Any]] = {}
    for name, table in found.items() if isinstance(found, dict) else ():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{_OF_EXTENSIONS}.{name} in {FILE_NAME} is a section: write "
                f"[{_OF_EXTENSIONS}.NAME] with the name of the extension."
            )
        tables[canonicalize_name(name)] = table
    return tables


def _parse_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}. {_remedy(error)}") from error


def _remedy(error: ValueError) -> str:
    # tomllib shows the name of a table as Python would.
    twice = re.match(r"Cannot declare \((.*)\) twice", str(error))
    if twice is None:
        return "Correct the file."
    table = ".".join(re.findall(r"'([^']*)'", twice[1]))
    return f"[{table}] is there already, further up: write there what belongs to it."


def _flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, table in document.items():
        if section == _OF_EXTENSIONS:
            continue
        if section not in SECTIONS:
            raise _unknown(section, {*SECTIONS, _OF_EXTENSIONS})
        if not isinstance(table, dict):
            raise ConfigError(f"{section} in {FILE_NAME} is a section: write [{section}].")
        flat.update({f"{section}.{name}": value for name, value in table.items()})
    return flat


def _unknown(name: str, known: set[str]) -> ConfigError:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"Did you mean {near[0]}?" if near else "Remove it."
    return ConfigError(f"{FILE_NAME} has an unknown key {name}. {hint}")


def _parse(key: Key, text: str, variable: str) -> Any:
    """Turn the text of an environment variable into a checked value."""
    lowered = text.strip().lower()
    value: Any = text
    if key.type is bool and lowered in _TRUE | _FALSE:
        value = lowered in _TRUE
    elif key.type is int and lowered.lstrip("-").isdigit():
        value = int(lowered)
    elif key.type == tuple[str, ...]:
        value = [part.strip() for part in text.split(",") if part.strip()]
    return _check(key, value, variable)


def _check(key: Key, value: Any, where: str) -> Any:
    expected, fits = _EXPECTED[key.type]
    if not fits(value):
        raise ConfigError(f"{where} must be {expected}.")
    choices, minimum = key.field.metadata["choices"], key.field.metadata["minimum"]
    if choices and value not in choices:
        raise ConfigError(f"{where} must be one of {', '.join(choices)}.")
    if minimum is not None and value < minimum:
        raise ConfigError(f"{where} must be at least {minimum}.")
    if key.field.metadata["unique"] and (twice := [v for v in value if value.count(v) > 1]):
        raise ConfigError(f"{where} names {twice[0]} twice. Keep it in one place.")
    return tuple(value) if isinstance(value, list) else value


_EXPECTED: Mapping[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    str: ("a text", lambda value: isinstance(value, str)),
    tuple[str, ...]: (
        "a list of texts",
        lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    ),
}
