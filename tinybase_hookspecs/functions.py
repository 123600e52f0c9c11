"""Hooks around calls of server functions."""

from tinybase_hookspecs.events import (
    FunctionCallEvent,
    FunctionCompleteEvent,
)
from tinybase_hookspecs.markers import hookspec
from tinybase_hookspecs.questions import (
    BeforeFunctionCallEvent,
)


@hookspec
def tinybase_before_function_call(event: BeforeFunctionCallEvent) -> dict[str, object] | None:
    """Called before a function is called, and before ``on_function_call``.

    ``event.payload`` may be changed in place, or a mapping returned to take its place; the
    next implementation sees the change, and the result is checked against the input model.
    :class:`~tinybase_hookspecs.Reject` gives the client its answer, any other exception
    ``extension_error``; the function then does not run.
    """


@hookspec
def tinybase_on_function_call(event: FunctionCallEvent) -> None:
    """Called after the input was validated and before the function runs.

    The function does not start until every implementation has returned. An implementation
    may raise :class:`~tinybase_hookspecs.Reject`: the function then does not run and the
    client gets that answer. Any other exception is logged against the extension and the
    call goes on.
    """


@hookspec
def tinybase_on_function_complete(event: FunctionCompleteEvent) -> None:
    """Called after a function call ended, successfully or not, and was recorded.

    A call that was rejected before the function ran counts as failed. An exception is
    logged against the extension and the next implementation still runs.
    """
