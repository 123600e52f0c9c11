"""The settings of extensions: where each value comes from, and what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select

from tinybase.config import FILE_NAME, Config
from tinybase.db import Database, tables, utcnow
from tinybase.db.upsert import insert
from tinybase.errors import Fault, Invalid, one_line
from tinybase.extensions.settings import check_setting, fits, kind, out_of_bounds
from tinybase.extensions.signatures import HandlerError
from tinybase.host.contributions import Contribution
from tinybase.host.desired import bump
from tinybase_hookspecs import SettingDeclaration

HOOK = "tinybase_register_settings"
STORED = "database"
"""The source of a value that was set over the API or the command line."""

_table = tables.extension_settings
_TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (str, int, float, bool, list)}
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

Stored = Mapping[str, Mapping[str, Any]]
"""The values that were set, by extension and setting."""


@dataclass(frozen=True)
class SettingFacts:
    """A setting as it was declared, in a form that one process can write for another."""

    name: str
    type: str
    default: Any
    required: bool
    secret: bool
    env: str | None
    choices: tuple[Any, ...]
    description: str
    min: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, declaration: SettingDeclaration) -> SettingFacts:
        """Return the facts of a declaration that has been checked."""
        return cls(
            declaration.name,
            declaration.type.__name__,
            declaration.default,
            declaration.required,
            declaration.secret,
            declaration.env,
            tuple(declaration.choices),
            declaration.description,
            declaration.min,
            declaration.max,
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SettingFacts:
        """Read what another process wrote."""
        return cls(**{**document, "choices": tuple(document["choices"])})

    def variables(self, extension: str) -> tuple[str, ...]:
        """Return the environment variables that set it, the strongest first."""
        own = f"TINYBASE_EXT_{extension}_{self.name}".upper().replace("-", "_")
        return (own, self.env) if self.env else (own,)

    def fault(self, value: Any) -> str | None:
        """Return what is wrong with a value, without saying the value."""
        expected = _TYPES[self.type]
        if not fits(value, expected):
            return f"must be {kind(expected)}"
        if expected in (int, float) and (told := out_of_bounds(value, self.min, self.max)):
            return told
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(map(str, self.choices))}"
        return None

    def parse(self, text: str) -> Any:
        """Turn a text into a value; one that does not fit stays a text."""
        word = text.strip().lower()
        if self.type == "bool" and word in _TRUE | _FALSE:
            return word in _TRUE
        if self.type == "list":
            return [part.strip() for part in text.split(",") if part.strip()]
        if self.type in ("int", "float"):
            try:
                return _TYPES[self.type](word)
            except ValueError:
                return text
        return text


@dataclass(frozen=True)
class Resolved:
    """The value that holds for a setting, where it comes from, and what is wrong with it.

    ``source`` is ``database``, the name of a variable, ``tinybase.toml`` or ``default``.
    """

    facts: SettingFacts
    value: Any
    source: str
    fault: str | None = None
    is_missing: bool = False


class StoredSettings:
    """The values that were set over the API or the command line, for all workers and hosts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Stored:
        """Return every value, secrets included."""
        values: dict[str, dict[str, Any]] = {}
        with self._database.connect() as connection:
            for row in connection.execute(select(_table)):
                values.setdefault(row.extension, {})[row.name] = row.value
        return values

    def change(self, extension: str, values: Mapping[str, Any]) -> None:
        """Set some values; ``None`` takes one away. All workers are told."""
        with self._database.write() as work:
            store(work.connection, extension, values)
            bump(work.connection)


def store(connection: Connection, extension: str, values: Mapping[str, Any]) -> None:
    """Set some values; whoever calls tells the workers."""
    now = utcnow()
    for name, value in values.items():
        if value is None:
            connection.execute(
                delete(_table).where(_table.c.extension == extension, _table.c.name == name)
            )
            continue
        new = {"value": value, "updated_at": now}
        connection.execute(
            insert(connection, _table)
            .values(extension=extension, name=name, **new)
            .on_conflict_do_update(index_elements=[_table.c.extension, _table.c.name], set_=new)
        )


def check(owner: str, declaration: SettingDeclaration, others: Sequence[Contribution]) -> None:
    """Refuse a setting that cannot work, or whose name its extension has used already.

    :raises HandlerError: with what is wrong and the remedy.
    """
    check_setting(declaration)
    if any(who == owner and other.name == declaration.name for who, other in others):
        raise HandlerError(f"setting {declaration.name!r} is declared twice. Remove one of them.")


def resolve(
    extension: str, settings: Sequence[SettingFacts], stored: Stored, config: Config
) -> list[Resolved]:
    """Return what holds for each setting of an extension."""
    return [_resolve(extension, facts, stored.get(extension, {}), config) for facts in settings]


def trouble(extension: str, resolved: Sequence[Resolved]) -> str | None:
    """Return why an extension cannot run with these settings, and what to do."""
    faults = [item.fault for item in resolved if item.fault]
    if not faults:
        return None
    return f"{'; '.join(faults)}. tinybase extensions config {extension} shows all settings"


def lacking(resolved: Sequence[Resolved]) -> str:
    """Return what keeps an extension from running that cannot be configured yet; or nothing."""
    return "; ".join(
        _missing_value(item.facts) if item.is_missing else str(item.fault)
        for item in resolved
        if item.fault
    )


def parsed(settings: Sequence[SettingFacts], texts: Mapping[str, str]) -> dict[str, Any]:
    """Turn texts that somebody typed into values, which are still to be checked."""
    known = {facts.name: facts for facts in settings}
    return {
        name: known[name].parse(text) if name in known else text for name, text in texts.items()
    }


def checked(settings: Sequence[SettingFacts], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that somebody wants to set, if all of them fit; ``None`` takes one away.

    :raises Invalid: with every fault; none says a value.
    """
    known = {facts.name: facts for facts in settings}
    faults = []
    for name, value in values.items():
        if name not in known:
            faults.append(_unknown(name, known))
        elif value is not None and (fault := known[name].fault(value)):
            faults.append(Fault(("body", "values", name), f"It {fault}.", "invalid_value"))
    if faults:
        raise Invalid(faults)
    return dict(values)


def misspelt(extension: str, settings: Sequence[SettingFacts], config: Config) -> Iterator[str]:
    """Yield a sentence for each key of the extension in the file that is no setting of it."""
    known = [facts.name for facts in settings]
    for key in config.extension.get(extension, {}):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "remove it."
            yield f"[extension.{extension}] in {FILE_NAME} has an unknown key {key}; {hint}"


def _resolve(
    extension: str, facts: SettingFacts, stored: Mapping[str, Any], config: Config
) -> Resolved:
    for value, source, where in _candidates(extension, facts, stored, config):
        if fault := facts.fault(value):
            return Resolved(facts, None, source, f"{where} {fault}")
        if facts.type == "list":
            value = list(value)  # noqa: PLW2901 - nobody changes somebody else's list
        return Resolved(facts, float(value) if facts.type == "float" else value, source)
    if facts.required:
        return Resolved(facts, None, "default", _missing(extension, facts), is_missing=True)
    return Resolved(facts, facts.default, "default")


def _candidates(
    extension: str, facts: SettingFacts, stored: Mapping[str, Any], config: Config
) -> Iterator[tuple[Any, str, str]]:
    """Yield the values that were given, the strongest first: value, source and its name."""
    if facts.name in stored:
        yield stored[facts.name], STORED, f"the stored value of {facts.name}"
    for variable in facts.variables(extension):
        if variable in config.environ:
            yield facts.parse(config.environ[variable]), variable, variable
    table = config.extension.get(extension, {})
    if facts.name in table:
        where = f"{facts.name} under [extension.{extension}] in {FILE_NAME}"
        yield table[facts.name], FILE_NAME, where


def _missing(extension: str, facts: SettingFacts) -> str:
    variables = " or ".join(reversed(facts.variables(extension)))
    return (
        f"{_missing_value(facts)}: set it with tinybase extensions config "
        f"{extension} {facts.name}{'' if facts.secret else '=VALUE'}, or in the environment as "
        f"{variables}"
    )


def _missing_value(facts: SettingFacts) -> str:
    described = f" ({one_line(facts.description).rstrip('.')})" if facts.description else ""
    return f"the setting {facts.name}{described} is missing"


def _unknown(name: str, known: Mapping[str, SettingFacts]) -> Fault:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known) or 'none'}."
    return Fault(
        ("body", "values", one_line(name)), f"There is no such setting. {hint}", "unknown_setting"
    )
