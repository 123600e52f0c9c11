"""The extensions: which do not run and why, which fail, which wait for what never comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging.utils import canonicalize_name

from tinybase.actors import SYSTEM
from tinybase.api.services import Services
from tinybase.cli.doctor.finding import Finding, error, info, warning
from tinybase.config import FILE_NAME
from tinybase.host.snapshot import PROJECT, ExtensionState
from tinybase.host.stats import HandlerStats
from tinybase.packages.observation import FunctionFacts, Observation
from tinybase.packages.views import ExtensionDetails

_REMEDIES = {
    "failed": "Install a release that works, or run tinybase extensions disable {0}.",
    "incompatible": "Install a release that fits, or run tinybase extensions disable {0}.",
    "missing": (
        "Run tinybase extensions sync with the extensions.lock that names it, or install it again; "
        "tinybase extensions uninstall {0} forgets it."
    ),
    "needs_config": "Set it, or run tinybase extensions disable {0}.",
    "quarantined": "Update it, then run tinybase extensions enable {0}.",
}


def check(services: Services) -> Iterator[Finding]:
    """Look at what becomes of the extensions when a worker loads them."""
    observed = services.extensions.observe()
    for state in observed.states.values():
        yield from _state(state)
    for module, reason in observed.project_failures.items():
        yield error(
            "project_failed",
            f"{module} of this project does not load: {reason}",
            module,
            "Correct it; its handlers and functions do not exist until then.",
        )
    for circle in observed.circles:
        yield warning(
            "order_circular",
            f"{circle}; {circle.dropped} is not followed.",
            f"handlers of {', '.join(circle.names)}",
            circle.remedy,
        )
    yield from _unknown(services.config.extensions.order, observed)
    for name in sorted({handler.extension for handler in observed.handlers}):
        if name in observed.states:
            yield from _failures(services.extensions.describe(name, observed))
    collections = {item.name for item in services.collections.list(SYSTEM)[0]}
    yield from _idle(observed, collections)
    yield from _public(observed.functions)


def _state(state: ExtensionState) -> Iterator[Finding]:
    where = f"extension {state.name}"
    if state.status in _REMEDIES:
        yield error(
            f"extension_{state.status}",
            f"{state.name} does not run, it is {state.status}: {state.reason}",
            where,
            _REMEDIES[state.status].format(state.name),
        )
    elif state.status == "enabled" and state.reason:
        yield warning(
            "startup_failed",
            f"{state.name} runs, but {state.reason}",
            where,
            f"tinybase extensions logs {state.name} shows more.",
        )


def _unknown(order: Sequence[str], observed: Observation) -> Iterator[Finding]:
    """Report names in the order of the operator that are of no extension."""
    known = {*observed.states, PROJECT}
    for name in order:
        if canonicalize_name(name) not in known:
            yield info(
                "order_unknown",
                f"extensions.order names {name}, which is not installed.",
                FILE_NAME,
                "Correct the name, or leave it for when it is installed.",
            )


def _failures(details: ExtensionDetails) -> Iterator[Finding]:
    """Report handlers of which calls failed or took too long."""
    for counters in details.counters:
        last = counters["last_error"]
        where = f"{counters['handler']} in {counters['hook']}"
        remedy = f"tinybase extensions logs {details.extension.name} shows more."
        if counters["errors"]:
            told = f", last with {last['type']}: {last['message']}" if last else ""
            yield warning(
                "handler_failed",
                f"{counters['errors']} of {counters['calls']} calls failed{told}.",
                where,
                remedy,
            )
        if counters["timeouts"]:
            yield warning(
                "handler_slow",
                f"Requests did not wait for the end of {counters['timeouts']} of "
                f"{counters['calls']} calls.",
                where,
                "Let the handler do less, or hand the work to something that runs beside it.",
            )


def _idle(observed: Observation, collections: set[str]) -> Iterator[Finding]:
    """Report handlers that wait for a collection or a function which does not exist."""
    functions = {function.name for function in observed.functions}
    for handler in observed.handlers:
        for field, noun, known in (
            ("collection", "collection", collections),
            ("function_name", "function", functions),
        ):
            if absent := _absent(handler, field, known):
                yield info(
                    "handler_idle",
                    f"It waits for the {noun} {', '.join(absent)}, which does not exist.",
                    f"{handler.handler} in {handler.hook}",
                    f"Create the {noun}, or correct the filter.",
                )


def _absent(handler: HandlerStats, field: str, known: set[str]) -> list[str]:
    """Return the names a filter asks for, if none of them exists; a glob may match later."""
    patterns = handler.filters.get(field, [])
    if any(re.search(r"[*?\[]", pattern) or pattern in known for pattern in patterns):
        return []
    return list(patterns)


def _public(functions: Sequence[FunctionFacts]) -> Iterator[Finding]:
    for function in functions:
        if function.auth == "public":
            yield info(
                "public_function",
                f"Everybody may call the function {function.name}, signed in or not.",
                f"function {function.name} of {function.owner}",
            )
