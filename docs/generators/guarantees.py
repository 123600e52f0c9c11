"""What is guaranteed of each hook, as the host itself knows it."""

from __future__ import annotations

from tinybase.host.kinds import (
    ASKED,
    CHANGEABLE,
    COLLECTING,
    DECIDING,
    IN_TRANSACTION,
    LIFECYCLE,
)

Rows = list[tuple[str, str]]

_DECIDE = "[`hooks.decide_seconds`](configuration.md#hooks)"
_REFUSES = (
    "[`Reject`](python-api.md#reject) is the answer of the client; any other exception, and no "
    "answer in time, is 500 `extension_error`. "
)
_STAYS = "It is logged and counted; everything else goes on"
_NOBODY_WAITS = frozenset({"tinybase_on_user_login_failed"})


def guarantees(hook: str) -> Rows:
    """Return what holds for a hook: its kind, what becomes of a failure, and who waits."""
    rows = [("Kind", _kind(hook))]
    if hook in CHANGEABLE:
        rows.append(("May change", f"`event.{CHANGEABLE[hook]}`"))
    return [*rows, ("When it fails", _failure(hook)), ("Time", _time(hook))]


def _kind(hook: str) -> str:
    if hook in COLLECTING:
        return "[collected](#collected)"
    if hook in LIFECYCLE:
        return "[of a worker's life](#of-a-workers-life)"
    if hook in IN_TRANSACTION:
        return "[asked, inside the transaction](#asked-inside-the-transaction)"
    if hook in ASKED:
        return "[asked](#asked)"
    return "[told afterwards](#told-afterwards)"


def _failure(hook: str) -> str:
    if hook in COLLECTING:
        return "The extension fails to load, as a whole; the others are loaded"
    if hook in LIFECYCLE:
        return "It is logged and shown beside the status of the extension, which stays `enabled`"
    if hook in IN_TRANSACTION:
        return f"{_REFUSES}What the transaction wrote is undone"
    if hook in DECIDING:
        return f"{_REFUSES}What it was asked about does not happen"
    if hook == "tinybase_on_function_call":
        return (
            "[`Reject`](python-api.md#reject) is the answer of the client, and the function does "
            "not run; any other exception, and no answer in time, is logged and the call goes on"
        )
    return _STAYS


def _time(hook: str) -> str:
    if hook in COLLECTING:
        return (
            "Like an import, it has "
            "[`extensions.import_timeout_seconds`](configuration.md#extensions)"
        )
    if hook == "tinybase_on_startup":
        return (
            "A worker waits for all of them together for "
            "[`hooks.startup_seconds`](configuration.md#hooks)"
        )
    if hook == "tinybase_on_shutdown":
        return "Each extension has [`hooks.shutdown_seconds`](configuration.md#hooks)"
    if hook in ASKED:
        return f"The request waits for each implementation, at most {_DECIDE}"
    if hook in _NOBODY_WAITS:
        return "Nobody waits"
    return (
        "The request waits for all implementations together, at most "
        "[`hooks.wait_ms`](configuration.md#hooks)"
    )
