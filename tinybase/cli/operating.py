"""``tinybase extensions hooks`` and ``info``: what would run, in which order, and how it fares.

Nothing of an extension is imported in the process of these commands.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

import tinybase_hookspecs
from tinybase.cli import context
from tinybase.cli.bisecting import bisect
from tinybase.cli.checking import check
from tinybase.cli.doctor import command as doctor
from tinybase.cli.extension_logs import logs
from tinybase.cli.names import name_argument
from tinybase.cli.output import details, emit_json, json_option, note, printable, table
from tinybase.cli.tracing import trace
from tinybase.errors import NotFound

if TYPE_CHECKING:
    from tinybase.packages.observation import Observation
    from tinybase.packages.views import ExtensionDetails

_PREFIX = "tinybase_"
_OPTIONAL = ("Priority", "Before", "After", "Async")
"""The columns that are left out where they would be empty."""

_HOOKS = sorted(
    name.removeprefix(_PREFIX) for name in tinybase_hookspecs.__all__ if name.startswith(_PREFIX)
)


def _complete_hook(
    ctx: click.Context,  # noqa: ARG001 - click's form
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in _HOOKS if name.startswith(incomplete)]


@click.command("hooks")
@click.argument("hook", required=False, shell_complete=_complete_hook)
@click.option("--collection", help="Only what runs for records of this collection.")
@click.option("--function", help="Only what runs for calls of this function.")
@json_option
def hooks(*, hook: str | None, collection: str | None, function: str | None, as_json: bool) -> None:
    """List the handlers that would run, in the order in which they would.

    HOOK is the name of a decorator, such as on_record_create, or of its hook. Without it
    all are listed, hook by hook. The order is the place among all handlers of the hook, and
    the last column says which rule put each behind the one in front of it.

    \b
    Examples:
      tinybase extensions hooks
      tinybase extensions hooks on_record_create --collection orders
      tinybase extensions hooks --function process_payment --json
    """
    asked = {"hook": _known(hook), "collection": collection, "function": function}
    with context.services() as services:
        # With Flask, which the services have imported anyway.
        from tinybase.api.hooks import describe, is_asked_for  # noqa: PLC0415

        observed = services.extensions.observe()
        found = describe(t for t in observed.turns if is_asked_for(t.handler, **asked))
    if as_json:
        emit_json(found)
    else:
        rows = [_handler_row(item) for item in found]
        stated = [name for name in _OPTIONAL if any(row[name.lower()] for row in rows)]
        table(
            rows,
            ["Order", "Hook", "Extension", "Handler", "Filter", *stated, "Why"],
            empty="No handler would run.",
        )
    _tell_of_the_silent(observed)
    _tell_of_the_quarantined(found)


@click.command("info")
@name_argument
@json_option
def info(*, name: str, as_json: bool) -> None:
    """Show everything about one extension.

    That is where it comes from and what it brought, its handlers in the order in which they
    run, with how often they were called and failed in all workers, and its functions.

    \b
    Example:
      tinybase extensions info my-extension
    """
    with context.services() as services:
        from tinybase.api.hooks import describe  # noqa: PLC0415 - as above

        found = services.extensions.examine(name)
        handlers = [
            {**handler, **counters}
            # After those of the handlers come the counters of views and the like.
            for handler, counters in zip(describe(found.turns), found.counters, strict=False)
        ]
    if as_json:
        emit_json(_document(found, handlers))
    else:
        _show(found, handlers)
        _tell_of_the_quarantined(handlers)


def add_to(group: click.Group) -> None:
    """Add these commands to a group."""
    for command in (hooks, info, doctor, check, logs, trace, bisect):
        group.add_command(command)


def _known(hook: str | None) -> str | None:
    """Return the name of a hook that exists.

    :raises NotFound: naming the one that was probably meant.
    """
    if hook is None or hook.removeprefix(_PREFIX) in _HOOKS:
        return hook
    near = difflib.get_close_matches(hook.removeprefix(_PREFIX), _HOOKS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(_HOOKS)}."
    raise NotFound(f"There is no hook {hook}. {hint}")


def _tell_of_the_silent(observed: Observation) -> None:
    """Say whose handlers are not in the list although somebody may expect them there."""
    for state in observed.states.values():
        if state.status not in ("enabled", "disabled"):
            note(f"{state.name} is {state.status}, so nothing of it runs: {state.reason}")
    for module, reason in observed.project_failures.items():
        note(f"{module} of this project does not load, so nothing of it runs: {reason}")
    for circle in observed.circles:
        note(f"{circle}; {circle.dropped} is not followed. {circle.remedy}")


def _tell_of_the_quarantined(handlers: Iterable[Mapping[str, Any]]) -> None:
    """Say which of the handlers in a list are not called, and why."""
    for item in handlers:
        if item["status"] != "active":
            reason = printable(str(item["status_reason"]))
            note(f"{item['handler']} is {item['status']}, so it is not called: {reason}")


def _handler_row(item: Mapping[str, Any]) -> dict[str, Any]:
    names = {column: ", ".join(item[column]) for column in ("before", "after")}
    shown = {"async": item["is_async"], "filter": _filter_text(item["filter"])}
    return {**item, **names, **shown}


def _filter_text(filters: Mapping[str, Sequence[str]] | None) -> str:
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in (filters or {}).items())


def _document(found: ExtensionDetails, handlers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **asdict(found.extension),
        "packages": [{"name": key, "version": value} for key, value in found.packages.items()],
        "handlers": handlers,
        "contributed": list(found.contributed),
        "counted_since": found.counted_since,
        "collections": [
            {"name": item.name, "records": item.records} for item in found.data.collections
        ],
        "function_details": [
            {"name": item.name, "auth": item.auth, "description": item.description}
            for item in found.functions
        ],
    }


def _show(found: ExtensionDetails, handlers: list[dict[str, Any]]) -> None:
    details(_facts(found))
    status = found.extension.status
    empty = "There are none." if status == "enabled" else f"None run: the extension is {status}."
    click.echo("\nHandlers, in the order in which they run")
    table(
        [{**_handler_row(item), **_timings(item)} for item in handlers],
        [
            *("Hook", "Handler", "Filter", "Calls", "Errors", "Timeouts"),
            *(["Skipped"] if any(item["skipped"] for item in handlers) else []),
            *("Mean ms", "P95 ms", "Max ms"),
        ],
        empty=empty,
    )
    if found.contributed:
        click.echo("\nViews and health checks that were called")
        table(
            [{**item, "name": item["handler"], **_timings(item)} for item in found.contributed],
            ["Name", "Calls", "Errors", "Timeouts", "Mean ms", "P95 ms", "Max ms"],
            empty="",
        )
    click.echo("\nFunctions")
    table(
        [asdict(item) for item in found.functions],
        ["Name", "Auth", "Description"],
        empty=empty,
    )
    failed = [item for item in (*handlers, *found.contributed) if item["last_error"]]
    if failed:
        click.echo("\nLast errors")
    for item in failed:
        error = item["last_error"]
        click.echo(f"{error['at']}  {item['handler']}: {error['type']}: ", nl=False)
        click.echo(printable(error["message"]))


def _timings(item: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: item[name] for name in ("mean_ms", "p95_ms", "max_ms")}
    return {name: None if value is None else f"{value:.1f}" for name, value in times.items()}


def _facts(found: ExtensionDetails) -> dict[str, object]:
    extension = found.extension
    packages = ", ".join(f"{name} {version}" for name, version in found.packages.items())
    return {
        "name": extension.name,
        "version": extension.version,
        "status": extension.status,
        "reason": extension.status_reason,
        "description": extension.description,
        "author": extension.author,
        "license": extension.license,
        "source": extension.source,
        "address": extension.repo_url,
        "ref": extension.ref,
        "commit": extension.commit,
        "generation": extension.generation,
        "brought": packages or "nothing else",
        "routes": ", ".join(extension.routes),
        "installed": extension.installed_at,
        "updated": extension.updated_at,
        "counted since": found.counted_since,
        "data": str(found.data),
    }
