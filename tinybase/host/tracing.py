"""Which implementations are called, what becomes of each, and what they cause in turn.

Nothing is noted unless somebody watches: for everybody else each implementation costs one
look at a context variable. What is noted is never data: names, times, and how it ended.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, Protocol

from tinybase.host.stats import HandlerStats, safe_text
from tinybase_hookspecs import Reject

MOST_STEPS: Final = 1000
"""How many steps of one request are remembered; the rest is counted."""

_LONGEST_TEXT: Final = 160
_RANDOM = r"(?=[^\s'\"]*\d)(?=[^\s'\"]*[a-z])[\w+/=-]{16,}"
_SECRETS = re.compile(
    r"(?P<kept>(?:passw(?:or)?d|secret|token|key|authorization)['\"]?\s*[:=]\s*|bearer\s+|://)"
    rf"(?:[^\s@]+(?=@)|(?<!://)\S+)|{_RANDOM}",
    re.IGNORECASE,
)
"""What stands behind such a word, credentials in an address, and what looks random."""


Answered = Callable[[str | None, int], None]
"""Takes note of the template of a request's address, if it has one, and of the status."""


class Spans(Protocol):
    """Follows what is called elsewhere too, such as in OpenTelemetry."""

    def request(self, environ: Mapping[str, Any]) -> AbstractContextManager[Answered]:
        """Surround a request, given as its WSGI environment."""

    def step(self, step: Step) -> AbstractContextManager[object]:
        """Surround the call of an implementation."""


class Step:
    """One implementation that was called, or would have been; below it what it caused.

    :param about: the collection or function that the event is about.
    """

    __slots__ = (
        "_before_ns",
        "_trace",
        "about",
        "ended_ns",
        "error",
        "extension",
        "handler",
        "hook",
        "outcome",
        "started_ns",
        "steps",
    )

    def __init__(
        self, trace: Trace, extension: str, hook: str, handler: str, about: str | None = None
    ) -> None:
        self.extension = extension
        self.hook = hook
        self.handler = handler
        self.about = about
        self.outcome: str | None = None
        self.error: str | None = None
        self.started_ns: int | None = None
        self.ended_ns: int | None = None
        self.steps: list[Step] = []
        self._before_ns = 0
        self._trace = trace

    def below(self, stats: HandlerStats, about: str | None) -> Step | None:
        """Note that something is called next on account of this, unless nobody would see it."""
        trace = self._trace
        step = Step(trace, stats.extension, stats.hook, stats.handler, about)
        if trace.keep(self.steps, step) or trace.spans is not None:
            return step
        return None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have what is called in the block be caused by this."""
        spans = self._trace.spans
        token = _current.set(self)
        self.started_ns = time.perf_counter_ns()
        try:
            with nullcontext() if spans is None else spans.step(self):
                yield
        finally:
            self.ended_ns = time.perf_counter_ns()
            _current.reset(token)

    def resume(self) -> None:
        """Go on after others were called in between, whose time is not its own."""
        self._before_ns += (self.ended_ns or 0) - (self.started_ns or 0)
        self.started_ns = self.ended_ns = None
        if self.outcome == "ok":
            self.outcome = None

    def end(self, outcome: str, error: str | None = None) -> None:
        """Note how it ended; the first who knows is right."""
        if self.outcome is None:
            self.outcome, self.error = outcome, error

    def fail(self, error: BaseException, *, may_reject: bool = True) -> None:
        """Note that it ended with an error.

        :param may_reject: ``Reject`` is an answer and no fault.
        """
        if may_reject and isinstance(error, Reject):
            self.end("rejected", f"{error.status} {error.code}: {_one_line(str(error.detail))}")
        else:
            self.end("failed", described(error))

    def as_json(self) -> dict[str, Any]:
        """Return it without what is below."""
        shown: dict[str, Any] = {
            "hook": self.hook.removeprefix("tinybase_"),
            "extension": self.extension,
            "handler": self.handler,
        }
        if self.about is not None:
            shown["about"] = self.about
        if self.started_ns is not None:
            shown["ms"] = _milliseconds(self.started_ns - self._before_ns, self.ended_ns)
        not_over = "waiting" if self.started_ns is None else "running"
        shown["outcome"] = self.outcome or not_over
        if self.error is not None:
            shown["error"] = self.error
        return shown


class Trace:
    """Everything that is called on account of one request.

    :param spans: follows it elsewhere too.
    :param is_kept: whether it is remembered for :meth:`as_json`.
    """

    def __init__(self, spans: Spans | None = None, *, is_kept: bool = True) -> None:
        self.spans = spans
        self.root = Step(self, "", "", "")
        self._left = MOST_STEPS if is_kept else 0
        self._left_out = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note what is called while the block runs, in threads that it starts too."""
        token = _current.set(self.root)
        self.root.started_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            _current.reset(token)

    def keep(self, steps: list[Step], step: Step) -> bool:
        """Remember a step, unless there are too many; say whether it is remembered."""
        if self._left <= 0:
            self._left_out += 1
            return False
        self._left -= 1
        steps.append(step)
        return True

    def as_json(self, most_bytes: int) -> bytes:
        """Return it as one line of ASCII, without the deepest and last steps if it is too long."""
        shown: dict[str, Any] = {"ms": _milliseconds(self.root.started_ns, None), "calls": []}
        waiting: deque[tuple[list[Any], Step]] = deque()
        waiting.extend((shown["calls"], step) for step in self.root.steps)
        left, left_out = most_bytes - 64, self._left_out
        while waiting:
            into, step = waiting.popleft()
            one = step.as_json()
            left -= len(_ascii(one)) + len(',"calls":[]')
            if left < 0:
                left_out += 1
            else:
                into.append(one)
            below = one.setdefault("calls", []) if step.steps else []
            waiting.extend((below, each) for each in list(step.steps))
        if left_out:
            shown["left_out"] = left_out
        return _ascii(shown)


_current: ContextVar[Step | None] = ContextVar("tinybase_step", default=None)


def called(stats: HandlerStats, event: object, earlier: list[Step] | None = None) -> Step | None:
    """Note that an implementation is called now, if somebody watches.

    :param earlier: the step of its first half, if this is its second one; else it is put there.
    """
    cause = _current.get()
    if cause is None:
        return None
    if earlier:
        earlier[0].resume()
        return earlier[0]
    about = getattr(event, "collection", None) or getattr(event, "function_name", None)
    step = cause.below(stats, about)
    if step is not None and earlier is not None:
        earlier.append(step)
    return step


@contextmanager
def calling(
    extension: str, hook: str, handler: str, spans: Spans | None = None
) -> Iterator[Step | None]:
    """Note the call of something that is no implementation of a hook, if somebody watches.

    :param spans: watches even outside of a request.
    """
    cause = _current.get()
    if cause is None and spans is not None:
        cause = Trace(spans, is_kept=False).root
    step = None if cause is None else cause.below(HandlerStats(extension, hook, handler), None)
    if step is None:
        yield None
        return
    with step.running():
        try:
            yield step
        except BaseException as error:
            step.fail(error)
            raise
        step.end("ok")


def note_failure(error: BaseException) -> None:
    """Note that what is called now failed, or refused what it was asked for."""
    step = _current.get()
    if step is not None:
        step.fail(error)


def described(error: BaseException) -> str:
    """Return the type of an error and one line of its text, without what may be secret."""
    return f"{type(error).__name__}: {_one_line(safe_text(error))}".removesuffix(": ")


def _one_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(c if c.isprintable() else " " for c in line)
    line = _SECRETS.sub(lambda found: f"{found['kept'] or ''}***", line)
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."


def _milliseconds(started: int | None, ended: int | None) -> float:
    now = time.perf_counter_ns() if ended is None else ended
    return round((now - (started or now)) / 1e6, 3)


def _ascii(value: Mapping[str, Any]) -> bytes:
    """Return compact JSON that a header can carry."""
    return json.dumps(value, separators=(",", ":")).encode()
