"""The context of the request that is being answered, for those who are not handed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tinybase.functions.context import Context

_current: ContextVar[Callable[[], Context] | None] = ContextVar("tinybase_context", default=None)


def current_context() -> Context:
    """Return the ``ctx`` of the request that a view of an extension is answering.

    For views that do not take ``ctx``, such as those of a ``MethodView``, and for what runs
    before or after a view. It is the same object throughout the view, and what was written
    with ``ctx.db`` is committed when the view returns and rolled back when it raises.

    :raises RuntimeError: outside of such a request, and while its answer is streamed.
    """
    get = _current.get()
    if get is None:
        raise RuntimeError(
            "There is no current context: no view of an extension is answering a request here. "
            "Handlers and functions are handed theirs as ctx; what an answer streams has to be "
            "read before the view returns."
        )
    return get()


@contextmanager
def answering(get: Callable[[], Context]) -> Iterator[None]:
    """Have a function return the current context while the block runs."""
    token = _current.set(get)
    try:
        yield
    finally:
        _current.reset(token)
