"""Installing, removing and switching extensions: the one service for API and command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from packaging.utils import canonicalize_name
from sqlalchemy import select

from tinybase.config import Config
from tinybase.db import Database, tables
from tinybase.errors import Conflict, NotFound
from tinybase.host import ExtensionState, Host
from tinybase.host.desired import Wish
from tinybase.host.discovery import Candidate, current_generation, find_candidates
from tinybase.host.metrics import Metrics, Totals
from tinybase.host.ordering import check_order
from tinybase.host.quarantines import with_quarantines
from tinybase.packages import addresses
from tinybase.packages.belongings import Data, OwnedCollections
from tinybase.packages.bundles import Bundles
from tinybase.packages.closure import applies
from tinybase.packages.configuration import Configuration, Given
from tinybase.packages.environment import HostPackages
from tinybase.packages.history import History
from tinybase.packages.lock import Lock
from tinybase.packages.observation import Observation
from tinybase.packages.pipeline import Pipeline, Progress, does_not_load, silent
from tinybase.packages.plan import Plan
from tinybase.packages.reasons import Reason, explain
from tinybase.packages.sync import Sync
from tinybase.packages.updates import Updates
from tinybase.packages.views import ExtensionDetails, InstalledExtension, Row, view
from tinybase.packages.wheels import read_wheel

_table = tables.extensions

Confirm = Callable[[Plan], object]

_NOTHING: Final = Given()


class Extensions:
    """The extensions of one instance.

    Every change goes through one pipeline; ``history`` has the ways back,
    ``updates`` the ways forward, ``synchronisation`` follows the lock of another machine, and
    ``bundles`` carries everything to one without a network.
    """

    def __init__(
        self, config: Config, database: Database, host: Host, collections: OwnedCollections
    ) -> None:
        self._config = config
        self._database = database
        self._host = host
        self._pipeline = Pipeline(config, database, host)
        self.history = History(self._pipeline)
        self.configuration = Configuration(config, host, self._try_out)
        self.updates = Updates(self._pipeline, config, self.configuration)
        self.synchronisation = Sync(self._pipeline, config)
        self.bundles = Bundles(self._pipeline, config)
        self._metrics = Metrics(database)
        self.data = Data(host, collections)

    # --- what is there ---------------------------------------------------------------

    def list(self) -> Sequence[InstalledExtension]:
        """Return every extension, by name.

        Where this process has not loaded them, they are tried out in another one; nothing
        of theirs is imported here.
        """
        self._pipeline.recover_if_idle()
        states, rows, lock = self._states(), self._rows(), self._pipeline.lock()
        number, newer = self._pipeline.generations.number(), self.updates.known.read()
        return [view(state, rows.get(state.name), lock, number, newer) for state in states]

    def get(self, name: str) -> InstalledExtension:
        """Return one extension, by any spelling of its name.

        :raises NotFound: if it is neither installed nor wished for.
        """
        canonical = canonicalize_name(name)
        for extension in self.list():
            if extension.name == canonical:
                return extension
        raise _not_found(name)

    def observe(self) -> Observation:
        """Return what a worker that starts now would load and call, and in which order.

        Whether or not this process has loaded the extensions, they are tried out in
        another one.
        """
        self._pipeline.recover_if_idle()
        wishes = self._host.desired.read()
        observed = self._observe(wishes)
        self._host.note_quarantines(observed.handlers)
        states = {
            name: with_quarantines(
                _with_last_seen(state, wishes.get(name)),
                [item for item in observed.handlers if item.extension == name],
            )
            for name, state in sorted(observed.states.items())
        }
        failed = [name for name, item in states.items() if item.status == "failed"]
        return replace(observed, states=states).without(failed)

    def examine(self, name: str) -> ExtensionDetails:
        """Return everything that is known of an extension, by any spelling of its name.

        :raises NotFound: if it is neither installed nor wished for.
        """
        return self.describe(name, self.observe())

    def describe(self, name: str, observed: Observation) -> ExtensionDetails:
        """Return everything that is known of one of the extensions that were observed.

        :raises NotFound: if it is none of them.
        """
        state = observed.states.get(canonicalize_name(name))
        if state is None:
            raise _not_found(name)
        turns = [turn for turn in observed.turns if turn.handler.extension == state.name]
        metrics = self._metrics.read(state.name, [turn.handler for turn in turns])
        return ExtensionDetails(
            extension=self._view(state),
            packages={
                key: wheel.version
                for key, wheel in self._pipeline.lock().packages.items()
                if state.name in wheel.required_by
            },
            turns=turns,
            counters=metrics["hooks"][: len(turns)],
            contributed=metrics["hooks"][len(turns) :],
            counted_since=datetime.fromisoformat(metrics["since"]),
            functions=[item for item in observed.functions if item.owner == state.name],
            data=self.data.of(state.name),
        )

    def why(self, package: str) -> Reason:
        """Return why a package is installed, by any spelling of its name.

        :raises NotFound: if it is not.
        """
        self._pipeline.recover_if_idle()
        return explain(package, self._pipeline, HostPackages(self._config.instance))

    def totals(self) -> Mapping[str, Totals]:
        """Return how often the handlers of each extension were called, in all workers."""
        return self._metrics.totals()

    def names(self) -> Sequence[str]:
        """Return the names of what was installed here; cheap, for completion."""
        return sorted(self._pipeline.lock().extensions)

    # --- changing it -----------------------------------------------------------------

    def plan(self, address: str, *, ref: str | None = None, editable: bool = False) -> Plan:
        """Return what :meth:`install` would do; nothing is changed, no foreign code runs.

        Packages that do not fit together are part of the plan; every other fault is raised
        as there.
        """
        source = addresses.parse(address, ref=ref, editable=editable)
        with self._pipeline.workshop() as workshop:
            return workshop.survey(source)

    def install(
        self,
        address: str,
        *,
        ref: str | None = None,
        editable: bool = False,
        given: Given = _NOTHING,
        confirm: Confirm = silent,
        progress: Progress = silent,
    ) -> InstalledExtension:
        """Install an extension; when this raises, everything is as it was before.

        :param given: values for its settings, set in the same step.
        :param confirm: is shown the plan before any code of the extension runs, and raises
            to stop. If a build makes more of the source than could be seen, it is asked again.
        :param progress: is told, in a few words, what is being done.
        :raises BadRequest: ``invalid_source``, ``source_not_found``.
        :raises Conflict: ``extension_exists``, ``dependency_conflict``,
            ``extension_load_failed``, ``install_in_progress``.
        :raises Invalid: ``manifest_invalid``.
        :raises Unavailable: ``source_unavailable``.
        """
        source = addresses.parse(address, ref=ref, editable=editable)
        purpose = f"extensions install {source}"
        with self._pipeline.alone(purpose), self._pipeline.workshop() as workshop:
            progress(f"Fetching {source}")
            candidate = workshop.obtain(source)
            progress("Finding what it needs")
            plan = workshop.plan(candidate)
            confirm(plan)
            progress("Getting the packages")
            before = self._pipeline.lock()
            lock = workshop.complete(candidate)
            (name,) = lock.extensions.keys() - before.extensions.keys()
            if grown := workshop.compare_with_built(plan, lock.extensions[name]):
                progress("What was built does more than its source showed:")
                confirm(grown)
            progress("Trying it out")
            tried = self._pipeline.put_in_force(
                lock,
                workshop,
                purpose=purpose,
                insist=[name],
                agree=lambda tried: (
                    {name: self.configuration.given_to(tried[name], given)} if given else {}
                ),
            )
        return self._installed(name, tried)

    def uninstall(self, name: str, *, purge: bool = False) -> None:
        """Remove an extension and what only it needed.

        :param purge: also drop its data, which else stays: its collections with their records
            and the settings that were set. This works when the extension itself is gone too.
        :raises NotFound: if there is no such extension.
        :raises Conflict: ``not_managed``, when pip installed it; ``conflict``, when another
            extension needs it; ``install_in_progress``.
        """
        canonical = canonicalize_name(name)
        purpose = f"extensions uninstall {canonical}"
        with self._pipeline.alone(purpose):
            lock = self._pipeline.lock()
            if canonical in lock.extensions:
                self._refuse_if_needed(canonical, lock)
                with self._pipeline.workshop(lock) as workshop:
                    self._pipeline.put_in_force(lock.without(canonical), workshop, purpose=purpose)
            elif not (purge and self._is_gone(canonical)):
                self._forget_missing(name)
            if purge:
                self.data.drop(canonical)

    def set_enabled(self, name: str, enabled: bool) -> InstalledExtension:  # noqa: FBT001
        """Switch an extension on or off, here and in every running worker.

        :raises NotFound: if it is neither installed nor wished for.
        :raises Conflict: ``extension_load_failed``, ``dependency_conflict``; it is then as it
            was before.
        """
        if self._host.is_loaded:
            self._host.set_enabled(name, enabled)
            return self.get(name)
        canonical = self.known_name(name)
        if not enabled:
            # Nothing is tried out here: this must work whatever an extension does.
            self._host.desired.set_enabled(canonical, is_enabled=False)
            return self._view(self._switched_off(canonical))
        wishes = self._host.desired.read()
        observed = self._observe(wishes | {canonical: Wish()}, everything=True)
        state = observed.states[canonical]
        if state.status not in ("enabled", "needs_config"):
            raise does_not_load(
                f"Extension '{canonical}' cannot be enabled: {state.reason}", state.reason or ""
            )
        if circles := [item for item in observed.circles if canonical in item.names]:
            check_order(circles, self._observe(wishes, everything=True).circles)
        self._host.desired.set_enabled(canonical, is_enabled=True)
        return self._view(state)

    def recover(self) -> None:
        """Bring to an end what a process that died was doing; cheap when there is nothing.

        :raises Conflict: ``install_in_progress``, when it did not die but is busy.
        """
        self._pipeline.recover()

    # --- how -------------------------------------------------------------------------

    def _installed(self, name: str, tried: dict[str, ExtensionState]) -> InstalledExtension:
        """Return what was installed, switched off if it was wished so beforehand."""
        if self._host.is_loaded:
            return self.get(name)
        wish = self._host.desired.read().get(name, Wish())
        state = self.configuration.judged(tried[name])
        return self._view(state if wish.is_enabled else self._switched_off(name))

    def _is_gone(self, name: str) -> bool:
        """Say whether nothing is left of an extension but its data."""
        known = {*self._rows(), *self._by_pip()}
        return name not in known and bool(self.data.of(name))

    def known_name(self, name: str, *, is_gone_too: bool = False) -> str:
        """Return the canonical name of an extension, without importing any.

        :param is_gone_too: also of one of which only data is left.
        :raises NotFound: if it is neither installed nor wished for.
        """
        canonical = canonicalize_name(name)
        if is_gone_too and self._is_gone(canonical):
            return canonical
        if canonical not in {*self._pipeline.lock().extensions, *self._rows(), *self._by_pip()}:
            raise _not_found(name)
        return canonical

    def _by_pip(self) -> dict[str, Candidate]:
        """Return the extensions of the environment of TinyBase itself."""
        return {item.name: item for item in find_candidates(None)}

    def _switched_off(self, name: str) -> ExtensionState:
        known = self._pipeline.lock().extensions.get(name) or self._by_pip().get(name)
        return ExtensionState(
            name=name,
            version=known.version if known else "",
            status="disabled",
            reason=f"switched off; tinybase extensions enable {name}",
            managed=name in self._pipeline.lock().extensions,
            description=known.description if known else "",
            author=known.author if known else "",
            license=known.license if known else "",
        )

    def _view(self, state: ExtensionState) -> InstalledExtension:
        row, lock = self._rows().get(state.name), self._pipeline.lock()
        number = self._pipeline.generations.number()
        return view(state, row, lock, number, self.updates.known.read())

    def _states(self) -> Sequence[ExtensionState]:
        if self._host.is_loaded:
            return self._host.extensions()
        return list(self.observe().states.values())

    def _observe(self, wishes: dict[str, Wish], *, everything: bool = False) -> Observation:
        found = self._pipeline.verifier.observe(
            current_generation(self._config.instance),
            wishes,
            expected=len(self._pipeline.lock().extensions),
            everything=everything,
        )
        states = {name: self.configuration.judged(item) for name, item in found.states.items()}
        idle = [name for name, item in states.items() if item.status == "needs_config"]
        return replace(found, states=states).without(idle)

    def _try_out(self, name: str) -> ExtensionState:
        """Return what becomes of an extension if it is enabled."""
        canonical = self.known_name(name)
        wishes = self._host.desired.read() | {canonical: Wish()}
        return self._observe(wishes, everything=True).states[canonical]

    def _rows(self) -> dict[str, Row]:
        columns = (_table.c.id, _table.c.name, _table.c.created_at, _table.c.updated_at)
        with self._database.connect() as connection:
            return {row.name: Row(*row) for row in connection.execute(select(*columns))}

    def _forget_missing(self, name: str) -> None:
        """Forget an extension that is wished for but not installed."""
        extension = self.get(name)
        if extension.status != "missing":
            raise Conflict(
                f"{extension.name} was installed with pip, not by tinybase extensions. Run pip "
                f"uninstall {extension.name}, or tinybase extensions disable {extension.name}.",
                code="not_managed",
            )
        self._host.desired.forget(extension.name)

    def _refuse_if_needed(self, name: str, lock: Lock) -> None:
        for other, item in lock.extensions.items():
            if other == name:  # whose wheel may be gone, which is why it is uninstalled
                continue
            requirements = read_wheel(self._pipeline.store.path(item.wheel)).requirements
            if any(
                canonicalize_name(requirement.name) == name and applies(requirement)
                for requirement in requirements
            ):
                raise Conflict(f"{other} needs {name}. Uninstall {other} first.")


def _with_last_seen(state: ExtensionState, wish: Wish | None) -> ExtensionState:
    """Add what a worker noticed after loading, such as a failed ``on_startup``.

    A worker may fail where the trial does not: it makes the collections, too.
    """
    if state.status != "enabled" or wish is None or wish.status not in ("enabled", "failed"):
        return state
    return replace(state, status=wish.status, reason=wish.status_reason)


def _not_found(name: str) -> NotFound:
    return NotFound(f"Extension '{name}' not found. See tinybase extensions list.")
