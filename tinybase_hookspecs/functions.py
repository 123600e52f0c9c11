"""Hooks around calls of server functions."""

from tinybase_hookspecs.events import FunctionCallEvent, FunctionCompleteEvent
from tinybase_hookspecs.markers import hookspec


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
