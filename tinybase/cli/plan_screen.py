"""A plan on one screen: what somebody has to know before foreign code is let in.

What comes from the extension is printed so that it does nothing to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tinybase.cli.output import printable
from tinybase.packages.inspection.findings import (
    MEANING,
    Implementation,
    Inspection,
    OwnCollection,
    OwnSetting,
    Route,
    Use,
    grouped,
    shortened,
)

if TYPE_CHECKING:
    from tinybase.packages.inspection import Changes
    from tinybase.packages.inspection.evolution import FieldChange
    from tinybase.packages.plan import Plan

_MOST: Final = 12
_WIDEST: Final = 60
_UNKNOWN: Final = "known once it is built"

Cells = tuple[str, ...]


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of the whole screen."""
    yield from _columns(_facts(plan))
    if plan.inspection is None:
        yield ""
        yield "Its source is only there once it is built, so what it does is not known."
        return
    yield ""
    yield from _inspection_lines(plan.inspection)


def changes_lines(changes: Changes) -> Iterator[str]:
    """Yield what is different in another release, with a ``+`` for what is new."""
    inspected = Inspection(
        hooks=changes.hooks,
        functions=(*changes.functions, *changes.opened),
        routes=changes.routes,
        commands=changes.commands,
        collections=changes.collections,
        settings=changes.settings,
        environment=changes.environment,
        uses=changes.powers,
        unread=changes.unread,
    )
    lost = Inspection(
        hooks=changes.lost_hooks,
        functions=changes.lost_functions,
        routes=changes.lost_routes,
        commands=changes.lost_commands,
        collections=changes.lost_collections,
        settings=changes.lost_settings,
        environment=changes.lost_environment,
        uses=changes.lost_powers,
    )
    for sign, heading, found in (("+", "New", inspected), ("-", "Gone", lost)):
        sections = list(_sections(found))
        if sections:
            yield f"{heading}:"
        for title, rows in sections:
            yield from _section(f"{sign} {title}", rows)
    if changes.fields:
        yield "Changed:"
        yield from _section("~ Fields", [_field(item) for item in changes.fields])


def _field(item: FieldChange) -> Cells:
    told = f"{item.how}; records may be in the way" if item.may_conflict else item.how
    return f"{item.collection}.{item.field}", told, item.place


def _facts(plan: Plan) -> Iterator[Cells]:
    folder = f"#subdirectory={plan.subdirectory}" if plan.subdirectory else ""
    packages = [f"{item.name} {item.version} ({item.action})" for item in plan.packages or ()]
    facts = {
        "name": plan.name or _UNKNOWN,
        "version": plan.version or _UNKNOWN,
        "description": plan.description,
        "author": plan.author or "not given",
        "license": plan.license or "not given",
        "from": f"{plan.address}{folder}{' (editable)' if plan.editable else ''}",
        "ref": plan.ref or "",
        "commit": plan.commit or "",
        "adds": _UNKNOWN if plan.packages is None else ", ".join(packages) or "nothing else",
        "conflicts": "; ".join(plan.conflicts),
        "build": (
            "runs code of its own, with your rights"
            if plan.runs_build_code
            else "runs no foreign code"
        ),
    }
    yield from ((label, printable(value)) for label, value in facts.items() if value)


def _inspection_lines(inspection: Inspection) -> Iterator[str]:
    yield "Read from its source, of which nothing was run:"
    for title, rows in _sections(inspection):
        yield from _section(title, rows)
    if not inspection.hooks and not inspection.functions:
        yield "  No hook and no function can be seen."
    if not inspection.uses and not inspection.unread:
        yield "  Nothing is seen that runs programs, opens connections or writes files."


def _sections(inspection: Inspection) -> Iterator[tuple[str, list[Cells]]]:
    """Yield what there is, by title, as rows of what, how and where."""
    sections: dict[str, list[Cells]] = {
        "Hooks": [
            (_hook(item), item.handler or "not seen", item.place) for item in inspection.hooks
        ],
        "Functions": [
            (item.name or "a computed name", item.auth or "a computed level", item.place)
            for item in inspection.functions
        ],
        "Routes": [(item.rule, _route(item), item.place) for item in inspection.routes],
        "Commands": [(item.name, "", item.place) for item in inspection.commands],
        "Collections": [
            (item.name or "a computed name", _own(item), item.place)
            for item in inspection.collections
        ],
        "Settings": [(item.name, _demand(item), item.place) for item in inspection.settings],
        "Environment": list(_by_name((item.name, item.place) for item in inspection.environment)),
        "Not read": [(item.reason, "", item.place) for item in inspection.unread],
        **_powers(inspection.uses),
    }
    yield from ((title, rows) for title, rows in sections.items() if rows)


def _own(item: OwnCollection) -> str:
    return "of its own, guarded" if item.is_guarded else "of its own"


def _demand(item: OwnSetting) -> str:
    words = (("required", item.is_required), ("secret", item.is_secret))
    return ", ".join(word for word, holds in words if holds)


def _route(item: Route) -> str:
    methods = ", ".join(item.methods) or "computed methods"
    return f"{methods}; {item.auth}" if item.auth else methods


def _hook(item: Implementation) -> str:
    if item.decorator == "hookimpl":
        return item.hook
    told = ", ".join(f"{name}={_patterns(patterns)}" for name, patterns in item.filters)
    return f"{item.decorator}({told})" if told else item.decorator


def _patterns(patterns: tuple[str, ...] | None) -> str:
    if patterns is None:
        return "computed"
    return repr(patterns[0] if len(patterns) == 1 else list(patterns))


def _powers(uses: Iterable[Use]) -> dict[str, list[Cells]]:
    rows: dict[str, list[Cells]] = {}
    for power, what, places in grouped(uses):
        rows.setdefault(f"It {MEANING[power]}", []).append((what, "", shortened(places, 4)))
    return rows


def _section(title: str, rows: Sequence[Cells]) -> Iterator[str]:
    yield f"  {title}"
    shown = [tuple(printable(cell) for cell in row) for row in rows[:_MOST]]
    yield from (f"    {line}" for line in _columns(shown))
    if len(rows) > _MOST:
        yield f"    and {len(rows) - _MOST} more; tinybase extensions plan --json has them all"


def _columns(rows: Iterable[Cells]) -> Iterator[str]:
    """Yield rows as lines, with the columns in line as far as that is readable."""
    found = list(rows)
    count = max(map(len, found), default=0)
    widths = [
        min(max(len(row[index]) for row in found if len(row) > index), _WIDEST)
        for index in range(count)
    ]
    for row in found:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False) if width)
        yield "  ".join(cells).rstrip()


def _by_name(pairs: Iterable[tuple[str, str]]) -> Iterator[Cells]:
    places: dict[str, list[str]] = {}
    for name, place in pairs:
        places.setdefault(name, []).append(place)
    for name in sorted(places):
        yield name, "", shortened(places[name], 4)
