"""The host of the extensions in one process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pluggy
from packaging.utils import canonicalize_name

from tinybase.config import Config
from tinybase.db import Database, utcnow
from tinybase.errors import Conflict, NotFound
from tinybase.host.arranging import SHUTDOWN, arrange
from tinybase.host.binding import Binding, Retirement
from tinybase.host.blame import Blame
from tinybase.host.bounded import run_bounded
from tinybase.host.building import Overran, SnapshotBuilder, survey
from tinybase.host.contributions import Check, Contributions
from tinybase.host.desired import DesiredState, Wish
from tinybase.host.discovery import Candidate, Finder, SearchPath, current_generation
from tinybase.host.dispatch import Dispatcher
from tinybase.host.guard import Surroundings
from tinybase.host.health import HealthChecks
from tinybase.host.loading import new_plugin_manager
from tinybase.host.metrics import Metrics
from tinybase.host.ordering import Rules, Turn, check_order
from tinybase.host.origin import caused_by
from tinybase.host.plugin import register
from tinybase.host.preparing import Preparation, Provide
from tinybase.host.quarantines import HandlerQuarantines, with_quarantines
from tinybase.host.recorder import FlightRecorder
from tinybase.host.reporting import ErrorReports
from tinybase.host.requests import RequestCounters
from tinybase.host.settings import StoredSettings
from tinybase.host.shares import limits_of
from tinybase.host.sites import tell
from tinybase.host.snapshot import ExtensionState, FunctionRegistry, Loaded, Snapshot
from tinybase.host.staleness import outdated
from tinybase.host.starting import Starting
from tinybase.host.stats import HandlerStats, safe_text
from tinybase.logs import concealed
from tinybase_hookspecs import ExtensionDisableEvent, ExtensionEnableEvent

_log = logging.getLogger(__name__)

_WATCH_SECONDS = 0.25
_DRAIN_SECONDS = 10.0
_TELL_AGAIN_SECONDS = 60.0
_NEVER = datetime.max.replace(tzinfo=UTC)


class StartAnew(Exception):
    """This process has to end before it serves: an import that will not is still running in it.

    The next one leaves that extension out.
    """


class Host:
    """Loads the extensions, keeps them in step with what is wanted, and runs their lives.

    ``load`` makes hooks and functions available, for a command that needs them. ``start``
    does so for a worker: it also runs ``on_startup`` and then follows every change.
    ``stop`` undoes ``start``. ``provide`` makes the collections that extensions declare; it is
    set by the composition root.

    :param dispatcher: runs what the services announce after a commit; ``stop`` drains it.
    :param new_functions: makes an empty table of functions for each snapshot.
    :param checks: what is demanded of contributions, for each hook that collects some.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        dispatcher: Dispatcher,
        new_functions: Callable[[], FunctionRegistry],
        checks: Mapping[str, Check] = MappingProxyType({}),
    ) -> None:
        self._recorder = FlightRecorder.of(config.instance)
        self.around = Surroundings(self._recorder, limits_of(config.hooks))
        self.around.loans = self._loans = database.loans
        self.desired = DesiredState(database)
        self.stored_settings = StoredSettings(database)
        self.requests = RequestCounters()
        self.provide: Provide = _provide_nothing
        self._blame = Blame(database, self.desired)
        self._metrics = Metrics(database)
        self._quarantines = HandlerQuarantines(database)
        self._config = config
        self._dispatcher = dispatcher
        self._builder = SnapshotBuilder(config, self.around, new_functions, checks)
        self._search_path = SearchPath()
        self._finder = Finder()
        self._health = HealthChecks(self.around)
        self._starting = Starting(config.hooks.startup_seconds)
        self._lock = threading.RLock()
        self._binding = Binding(
            Snapshot(new_plugin_manager(), new_functions(), Contributions(checks))
        )
        self._retirements: list[Retirement] = []
        dispatcher.share = self._binding.share
        self.around.report = ErrorReports(lambda: self.pm, dispatcher.run).report
        dispatcher.limits = self.around.limits
        self._seen: tuple[object, int] | None = None
        self._forgiven_at = _NEVER
        self._is_serving = False
        self.ask_for_replacement: Callable[[], None] | None = None
        self._stopping = threading.Event()
        self._open = ExitStack()

    # --- what a request uses ---------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """Return the snapshot that the present request runs on."""
        return self._binding.snapshot

    @property
    def pm(self) -> pluggy.PluginManager:
        """Return the plugin manager; ``pm.hook.tinybase_*`` calls the extensions."""
        return self.snapshot.pm

    @property
    def functions(self) -> FunctionRegistry:
        """Return the table of functions."""
        return self.snapshot.functions

    @property
    def contributions(self) -> Contributions:
        """Return what the extensions contribute besides handlers and functions."""
        return self.snapshot.contributions

    def is_running(self, extension: str) -> bool:
        """Say whether an extension is part of the snapshot, so that its hooks are called."""
        return self.snapshot.runs(extension)

    def bound(self) -> AbstractContextManager[None]:
        """Keep to one snapshot while the block runs, whatever is switched meanwhile."""
        return self._binding.bound()

    def share(self) -> Callable[[], None]:
        """Keep the snapshot for work that outlives its request; return what lets go of it."""
        return self._binding.share()

    # --- what is there ---------------------------------------------------------------

    @property
    def is_loaded(self) -> bool:
        """Say whether extensions have been loaded in this process."""
        return self._seen is not None

    def extensions(self) -> list[ExtensionState]:
        """Return every known extension, by name.

        Where none has been loaded, the states are those that a worker saw last.
        """
        states = self.snapshot.states if self.is_loaded else self._survey()
        return [states[name] for name in sorted(states)]

    def extension(self, name: str) -> ExtensionState:
        """Return one extension, by any spelling of its name.

        :raises NotFound: if it is neither installed nor wished for.
        """
        wanted = canonicalize_name(name)
        state = next((state for state in self.extensions() if state.name == wanted), None)
        if state is None:
            raise NotFound(f"Extension '{name}' not found. See tinybase extensions list.")
        return state

    def handlers(self, name: str | None = None) -> list[HandlerStats]:
        """Return the handlers of one extension, or of all, in start-up order."""
        wanted = canonicalize_name(name) if name is not None else None
        return [
            handler
            for loaded in self.snapshot.loaded.values()
            if wanted is None or loaded.name == wanted
            for handler in loaded.plugin.handlers
        ]

    def turns(self) -> Sequence[Turn]:
        """Return all handlers, hook by hook, in the order in which they would be called."""
        return self.snapshot.arrangement.turns

    def metrics(self, name: str) -> dict[str, Any]:
        """Return what became of the calls of an extension's handlers, in all workers.

        The counters of other workers are a few seconds old.

        :raises NotFound: if it is neither installed nor wished for.
        """
        name = self.extension(name).name
        return self._metrics.read(name, self._counters(name))

    def _counters(self, name: str | None = None) -> list[HandlerStats]:
        """Return everything of an extension, or of all, whose calls are counted."""
        contributed = [
            stats
            for loaded in self.snapshot.loaded.values()
            if name is None or loaded.name == name
            for stats in loaded.plugin.counters
        ]
        return [*self.handlers(name), *contributed]

    def is_healthy(self) -> bool:
        """Run the health checks of the extensions if it is time; say whether all is well.

        What is wrong shows in their states.
        """
        return self._health.look(self.snapshot)

    def all_metrics(self) -> list[dict[str, Any]]:
        """Return the same of the handlers of all extensions."""
        running = {loaded.plugin.name for loaded in self.snapshot.loaded.values()}
        return self._metrics.read_all(self._counters(), running)

    def request_metrics(self) -> list[dict[str, Any]]:
        """Return what was counted about requests, in all workers."""
        return self._metrics.read_requests(self.requests)

    def project_failures(self) -> dict[str, str]:
        """Return what is wrong with modules of the operator's own code."""
        return dict(self.snapshot.project_failures)

    # --- a worker's life -------------------------------------------------------------

    def adopt(self, candidate: Candidate) -> None:
        """Take in an extension that is imported and not installed, as tests have it; then load.

        :raises LoadError: if it cannot be loaded.
        """
        self._builder.adopt(candidate)
        self._finder.adopt(candidate)

    def load(self) -> None:
        """Load the extensions that are wanted; call none of their lifecycle hooks."""
        with self._lock:
            if not self.is_loaded:
                self._open.enter_context(concealed(self.around.secrets.out_of))
                with self._recorder.alone():
                    for suspects in self._recorder.collect_dead():
                        self._blame.hold_to_account(suspects)
                self._seen = self._look()
                self._binding.current = self._build(self.desired.read())
                self._note_quarantined(self._current)

    def start(self) -> None:
        """Load, run every ``on_startup`` before the first request, then follow changes.

        :raises Conflict: in strict mode, when an extension that is wanted cannot be loaded.
        :raises StartAnew: when an import goes on and on, if somebody replaces this process.
        """
        with self._lock:
            self.load()
            if self._config.extensions.strict:
                self._require_all()
            self._is_serving = True
            self._starting.run(self._current, list(self._current.loaded.values()))
            self._starting.note(self._current)
            self._record_status()
        # Threads of their own, because publishing may have to wait for other writers, and
        # following for an import.
        for name, what, work in (
            ("follow", "keep in step with other workers", self._follow),
            ("publish", "publish the counters of handlers", self._publish),
            ("loans", "end what extensions have open too long", self._loans.sweep),
        ):
            threading.Thread(
                target=self._repeat, args=(what, work), name=f"tinybase-{name}", daemon=True
            ).start()

    def drain(self, seconds: float) -> bool:
        """Wait for all handlers that were called, at most so long; say whether they have ended.

        Those that hang are not waited for.
        """
        return self._dispatcher.drain(seconds, self.around.all_shares())

    def stop(self) -> None:
        """Let handlers finish; if it was started, run every ``on_shutdown``.

        The extension that started last is shut down first.
        """
        self._stopping.set()
        with self._lock:
            if not self.drain(_DRAIN_SECONDS):
                _log.warning("some handlers did not finish in %g s", _DRAIN_SECONDS)
            self._wait_for_retirements()
            if self._is_serving:
                self._is_serving = False
                for loaded in reversed(self._current.loaded.values()):
                    self._run_shutdown(loaded)
                self._publish_for_good()
            self._dispatcher.close(self.around.all_shares())
            self.around.stop_loops()
            self._recorder.close()
            self._search_path.close()
            self._open.close()

    # --- switching -------------------------------------------------------------------

    def refresh(self) -> None:
        """Take over what changed since the last look; cheap when nothing did.

        What is gone has been shut down on return.
        """
        with self._binding.released():
            self._follow()
            self._wait_for_retirements()

    def set_enabled(self, name: str, enabled: bool) -> ExtensionState:  # noqa: FBT001 - it is the value
        """Wish an extension on or off; in force in this process on return.

        Enabling it also lifts its quarantine. Other workers follow within a second.

        :raises NotFound: if it is neither installed nor wished for.
        :raises Conflict: if it cannot be loaded; everything is then as it was.
        """
        with self._binding.released():
            was_enabled, new = self._set_enabled(name, enabled=enabled)
            self._wait_for_retirements()
        state = new.states[canonicalize_name(name)]
        if state.is_enabled != was_enabled:
            self._tell_switched(new, state)
        return state

    def _tell_switched(self, new: Snapshot, state: ExtensionState) -> None:
        """Tell those who run from now on that an extension was switched on or off."""
        hook, event = (
            ("tinybase_on_extension_enable", ExtensionEnableEvent)
            if state.is_enabled
            else ("tinybase_on_extension_disable", ExtensionDisableEvent)
        )
        tell(new, lambda told: self._dispatcher.run([told]), hook, event, state.name, state.version)

    def _follow(self) -> None:
        with self._lock:
            if not self.is_loaded:
                return
            self._sweep()
            found, is_better = self._look(), self._starting.has_caught_up()
            if found == self._seen and not is_better and utcnow() <= self._forgiven_at:
                return
            new = self._build(self.desired.read())
            switched = self._claim_switched(new)
            self._switch_to(new)
            # Only now: what failed half way is tried again.
            self._seen = found
        with caused_by(origin="cli"):
            for state in switched:
                self._tell_switched(new, state)

    def _claim_switched(self, new: Snapshot) -> list[ExtensionState]:
        """Return what was switched where nobody could tell of it, if it is for us to do so."""
        if not self._is_serving:
            return []
        before = self._current.states
        return [
            state
            for name, state in new.states.items()
            if name in before
            and before[name].is_enabled != state.is_enabled
            and self.desired.claim(name, is_enabled=state.is_enabled)
        ]

    def _set_enabled(self, name: str, *, enabled: bool) -> tuple[bool, Snapshot]:
        """Switch; return whether it was enabled before, and what is in force now."""
        with self._lock:
            self.load()
            self._follow()
            before = self.extension(name)
            name = before.name
            wishes = {**self.desired.read(), name: Wish(is_enabled=enabled)}
            revision = self.desired.revision()
            new = self._build(wishes, overran=self._overran_on_trial)
            if enabled:
                self._check_enabled(name, new)
            self.desired.set_enabled(name, is_enabled=enabled, is_told=True)
            # Should somebody else have wished something meanwhile, the next look differs.
            self._seen = (current_generation(self._config.instance), revision + 1)
            self._switch_to(new)
            return before.is_enabled, new

    def _check_enabled(self, name: str, new: Snapshot) -> None:
        """Refuse a snapshot in which an extension does not run, or does not fit the others."""
        state = new.states[name]
        if state.status not in ("enabled", "needs_config"):
            raise Conflict(
                f"Extension '{name}' cannot be enabled: {state.reason}",
                code="extension_load_failed",
                status_reason=state.reason,
            )
        circles = [item for item in new.arrangement.circles if name in item.names]
        check_order(circles, self._current.arrangement.circles)
        for other in self._current.loaded.keys() & new.states.keys():
            was_enabled = self._current.states[other].status == "enabled"
            if was_enabled and new.states[other].status != "enabled":
                raise Conflict(
                    f"Extension '{name}' cannot be enabled together with '{other}': "
                    f"{new.states[other].reason}",
                    code="extension_load_failed",
                    status_reason=new.states[other].reason,
                )

    def _switch_to(self, new: Snapshot) -> None:
        """Put a new snapshot in the place of the current one.

        What is new has started before the first request can reach it; what is gone is shut
        down after the last request that could.
        """
        self._note_quarantined(new)
        old = self._current
        added = [new.loaded[n] for n in new.loaded if not _same(old.loaded.get(n), new.loaded[n])]
        removed = [old.loaded[n] for n in old.loaded if not _same(new.loaded.get(n), old.loaded[n])]
        if self._is_serving:
            self._wait_for_retirements(of={loaded.name for loaded in added})
            self._starting.run(new, added)
            self._starting.note(new)
        self._binding.current = new
        if removed:
            self._retire(old, removed)
        if self._is_serving:
            self._record_status()
        _log_changes(added, removed)

    def _retire(self, old: Snapshot, removed: Sequence[Loaded]) -> None:
        is_serving = self._is_serving

        def retire() -> None:
            if is_serving:
                old.wait_until_unused(self._config.hooks.shutdown_seconds)
                for loaded in reversed(removed):
                    self._run_shutdown(loaded)
            for loaded in removed:
                if loaded.name not in self._current.loaded:
                    self.around.loop_of(loaded.name).stop()

        names = frozenset(loaded.name for loaded in removed)
        self._retirements = [item for item in self._retirements if not item.is_done]
        self._retirements.append(Retirement(names, retire))

    def _wait_for_retirements(self, of: Collection[str] | None = None) -> None:
        """Wait until what is gone is shut down: all of it, or what has one of these names."""
        for retirement in list(self._retirements):
            if of is None or retirement.names.intersection(of):
                retirement.wait()

    @property
    def _current(self) -> Snapshot:
        return self._binding.current

    def _build(self, wishes: Mapping[str, Wish], overran: Overran | None = None) -> Snapshot:
        self._take_up_generation()
        candidates = self._finder.candidates(self._search_path.generation)
        in_use = {
            *(candidate.name for candidate in candidates),
            *self._current.loaded,
            *(name for item in self._retirements if not item.is_done for name in item.names),
        }
        self._builder.keep_only(in_use)
        preparation = Preparation(
            self._config, self.stored_settings.read(), self.provide, self.around.secrets
        )
        snapshot = self._builder.build(candidates, wishes, overran or self._overran, preparation)
        self._note_deaths(snapshot)
        return snapshot

    def _overran(self, name: str, why: str) -> str | None:
        """Quarantine an extension whose import goes on, and have this process replaced.

        If it does not serve yet it ends on the spot: what is imported beside such a thread
        may be slow, or wait for the same, without a fault of its own.
        """
        reason = self._blame.quarantine_at_once(name, why)
        if reason is not None and self.ask_for_replacement is not None:
            self.ask_for_replacement()
            if not self._is_serving:
                self._recorder.close()
                raise StartAnew(reason)
        return reason

    def _overran_on_trial(self, name: str, why: str) -> None:  # noqa: ARG002 - who asked is told
        """Have this process replaced; the extension stays as it was before it was tried."""
        if self.ask_for_replacement is not None:
            _log.warning("a new process is needed to be rid of the import of %s", name)
            self.ask_for_replacement()

    def note_quarantines(self, handlers: Collection[HandlerStats]) -> None:
        """Show in some handlers whether they are called no more."""
        self._quarantines.apply(handlers)

    def _note_quarantined(self, snapshot: Snapshot) -> None:
        """Have handlers called no more that failed too often, here or elsewhere."""
        loaded = snapshot.loaded.values()
        self.note_quarantines([handler for item in loaded for handler in item.plugin.handlers])
        for item in loaded:
            state = snapshot.states.get(item.name)
            if state is not None:
                snapshot.states[item.name] = with_quarantines(state, item.plugin.handlers)

    def _sweep(self) -> None:
        """Count the handlers that hang, and tell all workers of those that are quarantined."""
        for share in self.around.all_shares():
            for call in share.sweep():
                call.hangs()
        self._quarantines.publish(self.handlers())

    def _note_deaths(self, snapshot: Snapshot) -> None:
        """Show in the status who was found in processes that died, for as long as it counts."""
        deaths = self._blame.recent()
        self._forgiven_at = min((item.count_until for item in deaths.values()), default=_NEVER)
        for name, item in deaths.items():
            state = snapshot.states.get(name)
            if state is not None and state.status == "enabled":
                snapshot.states[name] = replace(state, reason=str(item))

    def _take_up_generation(self) -> None:
        """Import from what is installed now, unless only a new process can do that.

        Then this one goes on with what it has until it is replaced.
        """
        generation = current_generation(self._config.instance)
        known = self._search_path.generation
        if self._is_serving and generation is not None and generation != known:
            changed = outdated(generation, self._builder.packages)
            if changed and self.ask_for_replacement is not None:
                _log.info("a new process is needed to take up %s", ", ".join(changed))
                self.ask_for_replacement()
                return
            if changed:
                _log.warning("restart the server to take up %s", ", ".join(changed))
        self._search_path.follow_current(self._config.instance)

    def _survey(self) -> dict[str, ExtensionState]:
        self._search_path.follow_current(self._config.instance)
        candidates = self._finder.candidates(self._search_path.generation)
        return survey(candidates, self.desired.read(), self._config.extensions.load)

    def _look(self) -> tuple[object, int]:
        return current_generation(self._config.instance), self.desired.revision()

    def _repeat(self, what: str, work: Callable[[], None]) -> None:
        """Do something several times a second until the host stops."""
        told: dict[str, float] = {}
        while not self._stopping.wait(_WATCH_SECONDS):
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the thread must go on
                why = f"{type(error).__name__}: {safe_text(error).partition(chr(10))[0]}"
                if time.monotonic() - told.get(why, float("-inf")) > _TELL_AGAIN_SECONDS:
                    told[why] = time.monotonic()
                    _log.error("could not %s: %s", what, why)

    def _publish(self) -> None:
        if self._health.has_changed():
            self._record_status()
        self._metrics.publish(self._counters(), self.requests)

    def _publish_for_good(self) -> None:
        """Publish what has been counted since the last time; nothing follows."""
        try:
            self._metrics.publish(self._counters(), self.requests, now=True)
        except Exception as error:  # noqa: BLE001 - the process ends, whatever it is
            _log.error("could not publish the last counters: %s", safe_text(error))

    # --- lifecycle hooks -------------------------------------------------------------

    def _require_all(self) -> None:
        troubled = [s for s in self.extensions() if s.status not in ("enabled", "disabled")]
        if troubled:
            reasons = "; ".join(
                f"{state.name} is {state.status}: {state.reason}" for state in troubled
            )
            raise Conflict(
                f"extensions.strict is on and not every extension can be loaded: {reasons}",
                code="extension_load_failed",
            )

    def _run_shutdown(self, loaded: Loaded) -> None:
        pm = new_plugin_manager()
        register(pm, arrange([loaded.plugin], Rules()).calls[SHUTDOWN])
        seconds = self._config.hooks.shutdown_seconds
        before = {stats: stats.calls for stats in loaded.plugin.handlers}
        if not run_bounded(pm.hook.tinybase_on_shutdown, seconds, "on-shutdown"):
            late = [
                stats.handler
                for stats, calls in before.items()
                if stats.hook == SHUTDOWN and stats.calls == calls
            ]
            _log.error(
                "extension %s: on_shutdown did not end in %d s: %s",
                loaded.plugin.name,
                seconds,
                ", ".join(late),
            )

    def _record_status(self) -> None:
        """Keep the states where processes that load nothing can read them."""
        seen = {
            state.name: (state.status, state.reason)
            for state in self._current.states.values()
            if state.status in ("enabled", "failed", "incompatible", "needs_config")
        }
        self.desired.record_status(seen)


def _provide_nothing(extension: str, declarations: Sequence[object]) -> None:
    """Make no collections: there is no application around."""


def _same(one: Loaded | None, other: Loaded) -> bool:
    return one is not None and one.plugin is other.plugin


def _log_changes(added: list[Loaded], removed: list[Loaded]) -> None:
    for loaded in removed:
        _log.info("extension %s is switched off", loaded.name)
    for loaded in added:
        _log.info("extension %s is switched on", loaded.name)
