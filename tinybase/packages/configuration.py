"""The settings of extensions, for the people who set them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import canonicalize_name

from tinybase.config import Config
from tinybase.errors import BadRequest, Conflict
from tinybase.host import ExtensionState, Host
from tinybase.host.desired import Wish
from tinybase.host.settings import (
    Resolved,
    SettingFacts,
    Stored,
    checked,
    lacking,
    parsed,
    resolve,
    trouble,
)

_KNOWN = ("enabled", "needs_config")

TryOut = Callable[[str], ExtensionState]
"""Loads an extension in another process, as if it were enabled, and says what became of it."""


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting as it may be shown: the value of a secret is not.

    ``source`` is ``database``, the name of an environment variable, ``tinybase.toml`` or
    ``default``; ``variables`` are those that are read, the strongest first.
    """

    name: str
    type: str
    value: Any
    is_set: bool
    source: str
    fault: str | None
    default: Any
    required: bool
    secret: bool
    choices: tuple[Any, ...]
    variables: tuple[str, ...]
    description: str
    min: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class ExtensionConfig:
    """The settings of one extension, and whether it runs with them."""

    extension: str
    status: str
    status_reason: str | None
    settings: Sequence[SettingView]


@dataclass(frozen=True, slots=True)
class Given:
    """Values that somebody gives along with an installation or update, as they were typed.

    Others could see those that are ``shown``, so none of them may be a secret.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    shown: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.texts)


class Configuration:
    """Shows and changes the settings of extensions.

    :param try_out: see :data:`TryOut`; for extensions that this process has not loaded.
    """

    def __init__(self, config: Config, host: Host, try_out: TryOut) -> None:
        self._config = config
        self._host = host
        self._try_out = try_out

    def of(self, name: str) -> SettingsOf:
        """Return the settings of an extension, by any spelling of its name.

        :raises NotFound: if it is neither installed nor wished for.
        :raises Conflict: if it cannot be loaded, so that nobody knows its settings.
        """
        return SettingsOf(self, self._host, self._declared(name))

    def judged(self, state: ExtensionState) -> ExtensionState:
        """Return the state of an extension that was only tried out, in view of its settings."""
        if state.status != "enabled" or not state.settings:
            return state
        stored = self._host.stored_settings.read()
        reason = trouble(state.name, self._resolved(state, stored))
        return replace(state, status="needs_config", reason=reason) if reason else state

    def given_to(self, state: ExtensionState, given: Given) -> Mapping[str, Any]:
        """Return the values that somebody gives to an extension that was tried out.

        :raises Invalid: with everything that is wrong with them.
        :raises BadRequest: for a secret that others could see.
        """
        secrets = sorted(item.name for item in state.settings if item.secret)
        for name in secrets:
            if name in given.shown:
                raise BadRequest(
                    f"{name} is a secret, and others could see it in the list of processes. "
                    f"Write --set {name} without a value: it is asked for, or read from stdin."
                )
        return checked(state.settings, parsed(state.settings, given.texts))

    def check_still_run(
        self,
        states: Iterable[ExtensionState],
        values: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Refuse newer versions that would wait for a setting where the present ones run.

        :param states: how the newer ones fared when they were tried out.
        :param values: what will be set beside what is.
        :raises Conflict: with what is missing.
        """
        stored = self._host.stored_settings.read()
        for state in states:
            own = {**stored.get(state.name, {}), **values.get(state.name, {})}
            missing = lacking(self._resolved(state, {**stored, state.name: own}))
            if missing and state.status == "enabled" and self._runs(state.name):
                raise Conflict(
                    f"{state.name} {state.version} would not run any more: {missing}. Nothing was "
                    "changed; give the value along with --set KEY=VALUE, or update all the same "
                    "with --allow-needs-config.",
                )

    def _runs(self, name: str) -> bool:
        """Say whether the version in force is wanted and has what it needs."""
        if not self._host.desired.read().get(name, Wish()).is_enabled:
            return False
        return self.judged(self._try_out(name)).status == "enabled"

    def _declared(self, name: str) -> ExtensionState:
        if self._host.is_loaded:
            state = self._host.extension(name)
            if state.status in _KNOWN:
                return state
        tried = self._try_out(canonicalize_name(name))
        if tried.status not in _KNOWN:
            raise Conflict(
                f"The settings of {tried.name} are not known, for it cannot be loaded: "
                f"{tried.reason}",
                code="extension_load_failed",
                status_reason=tried.reason,
            )
        return tried

    def _resolved(self, state: ExtensionState, stored: Stored) -> Sequence[Resolved]:
        return resolve(state.name, state.settings, stored, self._config)

    def view(self, state: ExtensionState) -> ExtensionConfig:
        """Return what may be shown of the settings that an extension declares."""
        if self._host.is_loaded:
            known = self._host.extension(state.name)
            state = replace(state, status=known.status, reason=known.reason)
        else:
            state = self.judged(replace(state, status="enabled", reason=None))
        resolved = self._resolved(state, self._host.stored_settings.read())
        return ExtensionConfig(
            extension=state.name,
            status=state.status,
            status_reason=state.reason,
            settings=[_shown(state.name, item) for item in resolved],
        )


class SettingsOf:
    """The settings of one extension."""

    def __init__(self, configuration: Configuration, host: Host, state: ExtensionState) -> None:
        self._configuration = configuration
        self._host = host
        self._state = state

    def view(self) -> ExtensionConfig:
        """Return them as they are now."""
        return self._configuration.view(self._state)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set some of them; ``None`` takes back what was set. Every worker follows.

        :raises Invalid: with everything that is wrong with the values.
        """
        fitting = checked(self._state.settings, values)
        self._host.stored_settings.change(self._state.name, fitting)
        if self._host.is_loaded:
            self._host.refresh()

    def parse(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Turn what somebody typed into values, which are still to be checked."""
        return parsed(self._state.settings, texts)


def _shown(extension: str, item: Resolved) -> SettingView:
    facts: SettingFacts = item.facts
    return SettingView(
        name=facts.name,
        type=facts.type,
        value=None if facts.secret else item.value,
        is_set=item.value is not None,
        source=item.source,
        fault=item.fault,
        default=None if facts.secret else facts.default,
        required=facts.required,
        secret=facts.secret,
        choices=facts.choices,
        variables=facts.variables(extension),
        description=facts.description,
        min=facts.min,
        max=facts.max,
    )
