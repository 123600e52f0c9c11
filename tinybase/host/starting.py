"""Running ``on_startup`` with a deadline, and knowing afterwards who failed or is late."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from tinybase.host.arranging import START_UP
from tinybase.host.bounded import run_bounded
from tinybase.host.loading import new_plugin_manager
from tinybase.host.plugin import register
from tinybase.host.snapshot import Loaded, Snapshot
from tinybase.host.stats import HandlerStats

_log = logging.getLogger(__name__)


class Starting:
    """The ``on_startup`` of all extensions of one process.

    :param seconds: how long to wait for those that start together.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late: list[tuple[HandlerStats, int]] = []

    def run(self, snapshot: Snapshot, started: Sequence[Loaded]) -> None:
        """Run it for some extensions of a snapshot, in its order."""
        own = {item for loaded in started for item in loaded.plugin.implementations}
        calls = [item for item in snapshot.arrangement.calls.get(START_UP, ()) if item in own]
        manager = new_plugin_manager()
        register(manager, calls)
        before = [(item.stats, item.stats.calls) for item in calls if item.stats is not None]
        if run_bounded(manager.hook.tinybase_on_startup, self._seconds, "on-startup"):
            return
        late = [(item, calls) for item, calls in before if item.calls == calls]
        for item, _ in late[:1]:
            _log.error(
                "%s of extension %s is still running on_startup after %d s; serving without it",
                item.handler,
                item.extension,
                self._seconds,
            )
        self._late += late

    def has_caught_up(self) -> bool:
        """Say whether any that was late has ended since; say so once."""
        late = [(item, calls) for item, calls in self._late if item.calls == calls]
        if len(late) == len(self._late):
            return False
        self._late = late
        return True

    def note(self, snapshot: Snapshot) -> None:
        """Show in the status what failed or is late; the extension stays enabled."""
        late = [item for item, _ in self._late]
        for loaded in snapshot.loaded.values():
            for handler in (item for item in loaded.plugin.handlers if item.hook == START_UP):
                state, reason = snapshot.states.get(loaded.name), _reason(handler, late)
                if state is not None and reason:
                    snapshot.states[loaded.name] = replace(state, reason=reason)


def _reason(handler: HandlerStats, late: Sequence[HandlerStats]) -> str:
    if handler in late:
        running = late[0]
        if handler is running:
            return f"on_startup has not ended in {handler.handler}; it goes on"
        return f"on_startup waits for {running.handler} of {running.extension}"
    error = handler.last_error
    if error is None:
        return ""
    return f"on_startup failed in {handler.handler}: {error.type}: {error.message}"
