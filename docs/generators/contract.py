"""The contract: hooks, events and decorators."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from types import ModuleType
from typing import Any

import tinybase_hookspecs
from generators.examples import examples
from generators.guarantees import guarantees
from generators.text import code, doc, signature, table
from tinybase.extensions import decorators as door
from tinybase_hookspecs import (
    access,
    auth,
    collections,
    functions,
    lifecycle,
    records,
    registration,
    requests,
)
from tinybase_hookspecs import events as all_events

_ORDER = ("priority", "before", "after", "tryfirst", "trylast")
_GROUPS: tuple[ModuleType, ...] = (
    lifecycle,
    auth,
    collections,
    records,
    access,
    functions,
    requests,
    registration,
)


def hooks() -> str:
    """Return every hook with its exact signature, what is guaranteed, and an example."""
    shown = examples()
    return "\n\n".join(_hook_group(module, shown) for module in _GROUPS)


def events() -> str:
    """Return what all events share, then every event with its own fields."""
    first_line, _, shared = doc(all_events).partition("\n")
    return "\n\n".join([first_line, shared.strip(), *map(_event, _event_classes())])


def decorators() -> str:
    """Return a table of the decorators."""
    hints = typing.get_type_hints(door)
    names = [name for name in vars(door) if f"tinybase_{name}" in tinybase_hookspecs.__all__]
    return table(
        ("Decorator", "Filter", "Handler receives", "Hook"),
        [_decorator(name, hints[name]) for name in names],
    )


def default(item: Field[Any]) -> str:
    """Return the default of a dataclass field as code."""
    if inspect.isroutine(item.default):
        return "the host's"
    if isinstance(item.default, type):
        return code(item.default.__name__)
    if item.default is not MISSING:
        return code(repr(item.default))
    return "made anew" if item.default_factory is not MISSING else "–"


def _hook_group(module: ModuleType, shown: Mapping[str, str]) -> str:
    title, _, introduction = doc(module).partition("\n")
    own = [name for name in tinybase_hookspecs.__all__ if name.startswith("tinybase_")]
    found = [name for name in vars(module) if name in own]
    lines = [f"## {title.rstrip('.')}", introduction.strip()]
    lines += [_hook(vars(module)[name], shown[name]) for name in found]
    return "\n\n".join(line for line in lines if line)


def _hook(function: Any, example: str) -> str:
    name = function.__name__
    rows = [*_decorated(name), *_received(function), *guarantees(name)]
    lines = [
        f"### `{signature(function)}` {{ #{name} }}",
        doc(function),
        table(("", ""), [(f"**{title}**", text) for title, text in rows]),
        f"```python\n{example}\n```",
    ]
    return "\n\n".join(lines)


def _decorated(hook: str) -> Iterator[tuple[str, str]]:
    name = hook.removeprefix("tinybase_")
    if hasattr(door, name):
        protocol = typing.get_type_hints(door)[name]
        own = [f"{option}=" for option in _options(protocol) if option not in _ORDER]
        filters = f"({', '.join(own)})" if own else ""
        yield "Decorator", f"[`@{name}{filters}`](decorators.md)"


def _received(function: Any) -> Iterator[tuple[str, str]]:
    shared = {item.name for item in fields(tinybase_hookspecs.Event)}
    for parameter in inspect.signature(function).parameters.values():
        cls = parameter.annotation
        own = [code(item.name) for item in fields(cls) if item.name not in shared]
        yield (
            "Event",
            f"[`{cls.__name__}`](events.md#{cls.__name__.lower()}): {', '.join(own)}",
        )


def _event_classes() -> Iterator[type]:
    for name in tinybase_hookspecs.__all__:
        if name.endswith("Event"):
            yield getattr(tinybase_hookspecs, name)


def _event(cls: type) -> str:
    shared = set.intersection(*({item.name for item in fields(c)} for c in _event_classes()))
    own = [item for item in fields(cls) if item.name not in shared]
    rows = [(code(item.name), code(item.type)) for item in own]
    heading = f"## `{cls.__name__}` {{ #{cls.__name__.lower()} }}"
    return "\n\n".join([heading, doc(cls), table(("Field", "Type"), rows)])


def _decorator(name: str, protocol: type) -> tuple[str, str, str, str]:
    own = [option for option in _options(protocol) if option not in _ORDER]
    hook = getattr(tinybase_hookspecs, f"tinybase_{name}")
    received = [p.annotation.__name__ for p in inspect.signature(hook).parameters.values()]
    return (
        code(f"@{name}"),
        ", ".join(code(f"{option}=") for option in own) or "–",
        ", ".join(f"[`{cls}`](events.md#{cls.lower()})" for cls in received) or "nothing",
        f"[`{hook.__name__}`](hooks.md#{hook.__name__})",
    )


def _options(protocol: type) -> list[str]:
    """Return the keywords of a decorator, from the last overload of its protocol."""
    source = ast.parse(inspect.getsource(protocol))
    calls = [node for node in ast.walk(source) if isinstance(node, ast.FunctionDef)]
    return [argument.arg for argument in calls[-1].args.kwonlyargs]
