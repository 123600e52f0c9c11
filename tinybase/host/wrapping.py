"""The guard around raw wrappers: implementations that surround all others of their hook."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pluggy

import tinybase_hookspecs
from tinybase.errors import TinyBaseError
from tinybase.host.answers import CHECKS
from tinybase.host.dispatch import collecting
from tinybase.host.guard import Guard
from tinybase.host.tracing import Step

_LISTS = frozenset(
    hook for hook in CHECKS if not getattr(tinybase_hookspecs, hook).tinybase_spec["firstresult"]
)
"""The hooks all of whose answers count, so that a wrapper gets and returns a list of them."""

Wrapper = Callable[..., Generator[None, Any, Any]]


def guard_wrapper(function: Wrapper, guard: Guard, *, old_style: bool) -> Wrapper:
    """Return a raw hook wrapper with the guard around it.

    Each half of it is a call like any other: it has a deadline, may raise ``Reject`` where
    its hook allows that, and fails closed where its hook decides. Elsewhere a wrapper that
    fails before it yields is skipped, and one that fails afterwards leaves the result as it
    was. What others were refused with stays refused.
    """

    def guarded(*arguments: Any) -> Generator[None, Any, Any]:
        wrapping = _Wrapping(function, guard, arguments, old_style=old_style)
        with _at_once():
            wrapping.begin()
            try:
                outcome = yield
            except TinyBaseError as error:
                wrapping.end(None, error)
                raise
            return wrapping.end(outcome, None)

    def guarded_in_the_old_style(*arguments: Any) -> Generator[None, Any, Any]:
        wrapping = _Wrapping(function, guard, arguments, old_style=old_style)
        with _at_once():
            wrapping.begin()
            result = yield
            error = result.exception
            try:
                outcome = wrapping.end(None if error else result.get_result(), error)
                if error is None:
                    result.force_result(outcome)
            except TinyBaseError as refusal:
                # pluggy warns of old wrappers that raise.
                result.force_exception(refusal)

    return functools.wraps(function)(guarded_in_the_old_style if old_style else guarded)


class _Wrapping:
    """One passage through a wrapper."""

    def __init__(
        self, function: Wrapper, guard: Guard, arguments: tuple[Any, ...], *, old_style: bool
    ) -> None:
        self._function = function
        self._guard = guard
        self._arguments = arguments
        self._old_style = old_style
        self._mine: Any = None
        self._generator: Generator[None, Any, Any] | None = None
        self._steps: list[Step] = []

    def begin(self) -> None:
        """Run it up to its ``yield``."""
        self._call(self._first_half)

    def end(self, outcome: Any, error: TinyBaseError | None) -> Any:
        """Run the rest of it; return what has become of the result."""
        if self._generator is None:
            return outcome
        found: list[Any] = []
        self._call(lambda mine: self._second_half(mine, outcome, error, found))
        return found[0] if found else outcome

    def _call(self, half: Callable[[Any], Any]) -> None:
        if self._arguments:
            self._guard.call_with(self._arguments[0], half, self._steps)
        else:
            self._guard.call(lambda: half(None), self._steps)

    def _first_half(self, mine: Any) -> None:
        self._mine = mine
        generator = self._function(mine) if self._arguments else self._function()
        try:
            next(generator)
        except StopIteration:
            raise RuntimeError("a wrapper has to yield once") from None
        # Only now: of one that hangs the second half is never run.
        self._generator = generator

    def _second_half(
        self, mine: Any, outcome: Any, error: TinyBaseError | None, found: list[Any]
    ) -> None:
        field = self._guard.changes
        if field is not None:
            setattr(self._mine, field, getattr(mine, field))
        result = self._resumed(outcome, error)
        if field is not None:
            setattr(mine, field, getattr(self._mine, field))
        found.append(result if error is not None else self._checked(result, outcome))

    def _checked(self, result: Any, outcome: Any) -> Any:
        """Return what the host can rely on; what the others answered has been checked.

        :raises TypeError: for a bad answer.
        """
        if self._guard.stats.hook not in _LISTS:
            return self._guard.checked(result)
        if not isinstance(result, list):
            raise TypeError(
                f"it returned {type(result).__name__}; a wrapper of this hook returns a list of "
                "answers, such as the one that it gets from its yield"
            )
        known = {id(answer) for answer in outcome}
        return [
            answer if id(answer) in known else self._guard.checked(answer)
            for answer in result
            if answer is not None
        ]

    def _resumed(self, outcome: Any, error: TinyBaseError | None) -> Any:
        assert self._generator is not None  # noqa: S101 - the first half has ended
        old_style = pluggy.Result(outcome, error) if self._old_style else None
        try:
            if old_style is not None:
                self._generator.send(old_style)
            elif error is not None:
                self._generator.throw(error)
            else:
                self._generator.send(outcome)
        except StopIteration as stop:
            if error is not None:
                return None
            return stop.value if old_style is None else old_style.get_result()
        except TinyBaseError as raised:
            if raised is not error:
                raise
            return None
        raise RuntimeError("a wrapper has to yield once, not twice")


def _at_once() -> AbstractContextManager[None]:
    batch = collecting()
    return nullcontext() if batch is None else batch.direct()
