"""Building a snapshot: load what is wanted, leave out what fails, say why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.utils import canonicalize_name

from tinybase.config import Config
from tinybase.extensions.rows import Handler, unclaimed
from tinybase.host.arranging import arrange
from tinybase.host.collecting import collect
from tinybase.host.contributions import Check, Contributions
from tinybase.host.desired import Wish
from tinybase.host.discovery import Candidate
from tinybase.host.guard import Surroundings
from tinybase.host.loading import (
    ImportOverdue,
    import_within,
    load_plugin,
    new_plugin_manager,
    set_aside,
    unimported_modules,
    unload,
)
from tinybase.host.ordering import Circle, Rules
from tinybase.host.plugin import ExtensionPlugin, LoadError, make_plugin, register
from tinybase.host.preparing import COLLECTIONS, Preparation
from tinybase.host.project import FUNCTIONS_PREFIX, ProjectModule, project_modules
from tinybase.host.recorder import IMPORT, Suspect
from tinybase.host.snapshot import PROJECT, ExtensionState, FunctionRegistry, Loaded, Snapshot
from tinybase.host.stats import safe_text

_log = logging.getLogger(__name__)

ROUTES = "tinybase_register_blueprints"
"""The hook whose contributions are listed as the routes of an extension."""


Overran = Callable[[str, str], str | None]
"""Is told of an extension whose import goes on and why that is too long; returns the reason
if the extension is quarantined for it."""


@dataclass(frozen=True)
class _Failure:
    """Why an extension did not load; valid for the same files and the same wish."""

    fingerprint: str
    wished_at: datetime | None
    reason: str


class SnapshotBuilder:
    """Builds the snapshots of one application.

    What is imported once stays imported, so a plugin object is made once for each version
    of an extension and goes from snapshot to snapshot, its counters with it.
    """

    def __init__(
        self,
        config: Config,
        around: Surroundings,
        new_functions: Callable[[], FunctionRegistry],
        checks: Mapping[str, Check],
    ) -> None:
        self._config = config
        self._around = around
        self._new_functions = new_functions
        self._checks = checks
        self._plugins: dict[str, Loaded] = {}
        self._failures: dict[str, _Failure] = {}
        self._reported: dict[str, str] = {}
        self._warned: set[Handler] = set()
        self._circles: set[Circle] = set()

    def build(
        self,
        candidates: Sequence[Candidate],
        wishes: Mapping[str, Wish],
        overran: Overran = lambda *_: None,
        preparation: Preparation | None = None,
    ) -> Snapshot:
        """Return a snapshot of the enabled extensions and the operator's own code.

        :param overran: is told at once, for what is imported next may end the process; an
            exception of it ends the building.
        :param preparation: gives what was loaded what it needs; without one, where it is only
            tried out, nothing is prepared.
        """
        snapshot = Snapshot(
            new_plugin_manager(), self._new_functions(), Contributions(self._checks)
        )
        prepare = preparation.prepare if preparation else _prepare_nothing
        self._add_project(snapshot, prepare)
        for candidate in candidates:
            wish = wishes.get(candidate.name, Wish())
            status, reason = self._decide(candidate, wish, snapshot, overran)
            if candidate.name in snapshot.loaded and (trouble := prepare(snapshot, candidate.name)):
                status, reason = trouble
                snapshot.drop(candidate.name)
                self._tell(candidate.name, trouble[1])
            snapshot.states[candidate.name] = _state(candidate, status, reason, snapshot)
        for name in wishes.keys() - snapshot.states.keys():
            snapshot.states[name] = _missing(name, wishes[name])
        self._arrange(snapshot)
        self._warn_about_unclaimed(candidates)
        return snapshot

    @property
    def packages(self) -> dict[str, str]:
        """Return the packages of the extensions that are imported, by name of the extension."""
        candidates = (loaded.candidate for loaded in self._plugins.values())
        return {item.name: item.package for item in candidates if item is not None}

    def adopt(self, candidate: Candidate) -> None:
        """Take an extension as it is imported already, with the modules that others have of it.

        :raises LoadError: if it cannot be loaded.
        """
        self._plugins[candidate.name] = Loaded(candidate.name, self._import(candidate), candidate)

    def keep_only(self, names: Collection[str]) -> None:
        """Unload the extensions that are not installed any more and that nobody uses."""
        for name, loaded in list(self._plugins.items()):
            if loaded.candidate is not None and name not in names:
                self._drop(name)

    def _drop(self, name: str) -> None:
        loaded = self._plugins.pop(name, None)
        if loaded is not None and loaded.candidate is not None:
            unload(loaded.candidate.package)

    def _decide(
        self, candidate: Candidate, wish: Wish, snapshot: Snapshot, overran: Overran
    ) -> tuple[str, str | None]:
        """Add an extension to the snapshot if it may and can be; return status and reason."""
        if unwanted := _why_not(candidate, wish, self._config.extensions.load):
            self._failures.pop(candidate.name, None)
            return unwanted
        try:
            loaded = self._load(candidate, wish, snapshot)
        except LoadError as error:
            self._around.secrets.conceal(error)
            is_overdue = isinstance(error, ImportOverdue)
            if is_overdue and (told := overran(candidate.name, safe_text(error))):
                return "quarantined", told
            self._report(f"extension {candidate.name}", error)
            return "failed", safe_text(error) + self._keep_running(candidate, snapshot)
        snapshot.loaded[candidate.name] = loaded
        return "enabled", None

    def _load(self, candidate: Candidate, wish: Wish, snapshot: Snapshot) -> Loaded:
        """Return an extension, imported if need be, whose functions are in the snapshot.

        An update is imported anew as a whole. If that fails, the version before is as it was.
        """
        known = self._plugins.get(candidate.name)
        if known and known.candidate and known.candidate.fingerprint == candidate.fingerprint:
            self._collect(known, snapshot)
            return known
        failure = self._failures.get(candidate.name)
        if failure and (failure.fingerprint, failure.wished_at) == (
            candidate.fingerprint,
            wish.updated_at,
        ):
            raise LoadError(failure.reason)
        packages = {candidate.package, known.candidate.package if known and known.candidate else ""}
        try:
            with set_aside(packages - {""}):
                loaded = Loaded(candidate.name, self._import(candidate), candidate)
                self._collect(loaded, snapshot)
        except LoadError as error:
            self._failures[candidate.name] = _Failure(
                candidate.fingerprint, wish.updated_at, safe_text(error)
            )
            raise
        self._failures.pop(candidate.name, None)
        self._plugins[candidate.name] = loaded
        return loaded

    def _keep_running(self, candidate: Candidate, snapshot: Snapshot) -> str:
        """Go on with the version before, if there is one; return what to say about it."""
        known = self._plugins.get(candidate.name)
        if known is None or known.candidate is None:
            return ""
        if known.candidate.fingerprint == candidate.fingerprint:
            return ""  # it is the one that failed
        try:
            self._collect(known, snapshot)
        except LoadError:
            return ""
        snapshot.loaded[candidate.name] = known
        return f"; version {known.candidate.version} goes on until this process ends"

    def _collect(self, loaded: Loaded, snapshot: Snapshot) -> None:
        with self._around.recorder.during(Suspect(loaded.plugin.name, IMPORT)):
            collect(loaded, snapshot, self._config.extensions.import_timeout_seconds)

    def _import(self, candidate: Candidate) -> ExtensionPlugin:
        with self._around.recorder.during(Suspect(candidate.name, IMPORT)):
            plugin = load_plugin(
                candidate.name,
                candidate.entry_points,
                self._around,
                self._config.extensions.import_timeout_seconds,
            )
        for module in unimported_modules(candidate.package):
            _log.warning(
                "extension %s: nothing imports %s, so its handlers do not run; "
                "import it in __init__.py",
                candidate.name,
                module,
            )
        return plugin

    def _add_project(
        self, snapshot: Snapshot, prepare: Callable[[Snapshot, str], tuple[str, str] | None]
    ) -> None:
        for module in project_modules(self._config):
            owner = f"{PROJECT}:{module.name}"
            try:
                loaded = self._plugins.get(owner) or self._load_project(owner, module)
                self._collect(loaded, snapshot)
            except LoadError as error:
                self._project_failed(module, error, snapshot)
                continue
            snapshot.loaded[owner] = loaded
            if trouble := prepare(snapshot, owner):
                snapshot.drop(owner)
                self._project_failed(module, LoadError(trouble[1]), snapshot)

    def _project_failed(self, module: ProjectModule, error: LoadError, snapshot: Snapshot) -> None:
        snapshot.project_failures[module.label] = safe_text(error)
        self._report(f"{module.label} of this project", error)

    def _load_project(self, owner: str, module: ProjectModule) -> Loaded:
        timeout = self._config.extensions.import_timeout_seconds
        with self._around.recorder.during(Suspect(PROJECT, IMPORT, module.label)):
            import_within(timeout, module.label, module.load)
        loaded = Loaded(owner, make_plugin(PROJECT, module.name, self._around, label=owner))
        self._plugins[owner] = loaded
        return loaded

    def _arrange(self, snapshot: Snapshot) -> None:
        """Put everything in the order in which it is called and started."""
        plugins = {loaded.plugin: loaded for loaded in snapshot.loaded.values()}
        candidates = [item.candidate for item in plugins.values() if item.candidate is not None]
        manifests = {item.name: item.order for item in candidates}
        rules = Rules(PROJECT, self._config.extensions.order, manifests)
        snapshot.arrangement = arrange(list(plugins), rules)
        snapshot.loaded = {
            plugins[item].name: plugins[item] for item in snapshot.arrangement.start_up
        }
        for items in snapshot.arrangement.calls.values():
            register(snapshot.pm, items)
        for circle in snapshot.arrangement.circles:
            if circle not in self._circles:
                _log.warning("%s; %s is not followed. %s", circle, circle.dropped, circle.remedy)
        self._circles = set(snapshot.arrangement.circles)

    def _report(self, what: str, error: LoadError) -> None:
        """Log why something did not load, once for as long as that stays the reason.

        Where the reason is not an error of its own code, a traceback would show ours.
        """
        if self._reported.get(what) != safe_text(error):
            self._reported[what] = safe_text(error)
            shown = error if error.__cause__ is not None else None
            _log.error("%s failed to load: %s", what, error, exc_info=shown)

    def _tell(self, name: str, reason: str) -> None:
        """Log why something that can be loaded does not run, once for as long as it is so."""
        if self._reported.get(name) != reason:
            self._reported[name] = reason
            _log.warning("extension %s does not run: %s", name, reason)

    def _warn_about_unclaimed(self, candidates: Sequence[Candidate]) -> None:
        """Tell about handlers that will not run, because nobody knows their module."""
        known = [candidate.package for candidate in candidates]
        known += [loaded.candidate.package for loaded in self._plugins.values() if loaded.candidate]
        known += [module.name for module in project_modules(self._config)]
        for row in unclaimed(known):
            if row not in self._warned and not row.place.module.startswith(FUNCTIONS_PREFIX):
                self._warned.add(row)
                _log.warning(
                    "@%s handler %s is in no extension and will not run; list its module "
                    "under [extensions] modules in tinybase.toml",
                    row.decorator,
                    row.name,
                )


def survey(
    candidates: Sequence[Candidate], wishes: Mapping[str, Wish], loadable: Sequence[str]
) -> dict[str, ExtensionState]:
    """Return the states of all extensions as far as they can be told without loading any.

    :param loadable: the setting ``extensions.load``.
    """
    states = {}
    for candidate in candidates:
        wish = wishes.get(candidate.name, Wish())
        status, reason = _why_not(candidate, wish, loadable) or _seen(wish)
        states[candidate.name] = _state(candidate, status, reason)
    for name in wishes.keys() - states.keys():
        states[name] = _missing(name, wishes[name])
    return states


def _seen(wish: Wish) -> tuple[str, str | None]:
    """Return status and reason of an extension that is wanted, as a worker saw it last."""
    if wish.status == "disabled":
        return "enabled", None  # it was switched on since, and tried out then
    return wish.status, wish.status_reason


def _why_not(candidate: Candidate, wish: Wish, loadable: Sequence[str]) -> tuple[str, str] | None:
    """Return status and reason of an extension that must not be loaded."""
    if wish.quarantine_reason is not None:
        return "quarantined", wish.quarantine_reason
    if not wish.is_enabled:
        return "disabled", f"switched off; tinybase extensions enable {candidate.name}"
    if "all" not in loadable and candidate.name not in {canonicalize_name(n) for n in loadable}:
        return "disabled", "left out by the setting extensions.load (TINYBASE_EXTENSIONS)"
    return candidate.problem


def _prepare_nothing(snapshot: Snapshot, owner: str) -> None:  # noqa: ARG001 - see build
    return None


def _state(
    candidate: Candidate, status: str, reason: str | None, snapshot: Snapshot | None = None
) -> ExtensionState:
    loaded = snapshot.loaded.get(candidate.name) if snapshot else None
    hooks = {stats.hook for stats in loaded.plugin.handlers} if loaded else set()
    functions = snapshot.functions.names(candidate.name) if snapshot and loaded else ()
    routes = snapshot.contributions.shown(candidate.name, ROUTES) if snapshot and loaded else ()
    return ExtensionState(
        name=candidate.name,
        version=candidate.version,
        status=status,
        reason=reason,
        managed=candidate.managed,
        package=candidate.package,
        description=candidate.description,
        author=candidate.author,
        license=candidate.license,
        hooks=tuple(sorted(hooks)),
        functions=tuple(functions),
        settings=snapshot.settings.get(candidate.name, ()) if snapshot else (),
        collections=_collections(snapshot, candidate.name) if snapshot and loaded else (),
        routes=tuple(routes),
    )


def _collections(snapshot: Snapshot, owner: str) -> tuple[str, ...]:
    return tuple(item.name for item in snapshot.contributions.by(owner, COLLECTIONS))


def _missing(name: str, wish: Wish) -> ExtensionState:
    if wish.quarantine_reason is not None:
        return ExtensionState(name, "", "quarantined", wish.quarantine_reason, managed=False)
    reason = (
        "it is not installed here. Install it again; if another host has it, copy its "
        "extensions.lock and run tinybase extensions sync; or run "
        f"tinybase extensions uninstall {name} to forget it."
    )
    return ExtensionState(name, "", "missing", reason, managed=False)
