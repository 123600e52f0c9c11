"""One request to the view of an extension: its context, and what becomes of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar

from tinybase.db.loans import NamedBorrower, borrowing
from tinybase.functions.context import Context
from tinybase.functions.current import answering
from tinybase.host.guard import Surroundings
from tinybase.host.recorder import Suspect
from tinybase.host.stats import HandlerStats, safe_text
from tinybase.host.tracing import calling, note_failure
from tinybase.web import Route

_log = logging.getLogger(__name__)


class Visit:
    """A request that a view answers.

    Its context is opened when it is asked for: most views that serve a page want none.

    :param stats: what is counted about the view.
    :param around: notes that the view is running, and reports what goes wrong.
    """

    def __init__(
        self,
        route: Route,
        stats: HandlerStats,
        around: Surroundings,
        open_context: Callable[[], AbstractContextManager[Context]],
    ) -> None:
        self.route = route
        self._stats = stats
        self._around = around
        self._open = open_context
        self._opened: tuple[Context, ExitStack] | None = None
        self._borrower = NamedBorrower(f"The view {route.handler} of {route.extension}")

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Note in the flight recorder that the view is running while the block runs.

        The sessions that are opened there are the view's.
        """
        suspect = Suspect(self.route.extension, self._stats.hook, self.route.handler)
        with self._around.recorder.during(suspect), borrowing(self._borrower):
            yield

    def failed(self, error: BaseException) -> None:
        """Count and log a failure of the view.

        It is never quarantined for it: clients could bring that about.
        """
        self._around.secrets.conceal(error)
        self._stats.count_error(error)
        unlogged = self._stats.may_log(time.monotonic())
        if unlogged is not None:
            more = f" ({unlogged} more since the last report)" if unlogged else ""
            _log.error(
                "extension %s: the view %s failed: %s: %s%s",
                self.route.extension,
                self.route.handler,
                type(error).__name__,
                safe_text(error),
                more,
                exc_info=error,
            )
        self.report(error)

    def report(self, error: BaseException) -> None:
        """Tell the extensions of a failure that nobody had foreseen."""
        self._around.report(
            error,
            source="extension",
            extension=self.route.extension,
            handler=self.route.handler,
            method=self.route.method,
            path=self.route.path,
        )

    def context(self) -> Context:
        """Return the context, the same one until it is ended."""
        if self._opened is None:
            stack = ExitStack()
            self._opened = (stack.enter_context(self._open()), stack)
        return self._opened[0]

    def end(self, error: BaseException | None = None) -> None:
        """Commit what was written with the context, or with an error roll it back."""
        if error is not None:
            note_failure(error)
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[1].__exit__(type(error) if error else None, error, None)


_visit: ContextVar[Visit] = ContextVar("tinybase_visit")


@contextmanager
def visiting(visit: Visit) -> Iterator[None]:
    """Have a visit be the current one while the block runs, and end it."""
    token = _visit.set(visit)
    try:
        route = visit.route
        with calling(route.extension, "route", route.handler), answering(visit.context):
            yield
        visit.end()
    except BaseException as error:
        visit.end(error)
        raise
    finally:
        _visit.reset(token)


def current_visit() -> Visit:
    """Return the visit whose view is called now."""
    return _visit.get()
