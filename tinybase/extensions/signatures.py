"""How a handler wants to be called, read once from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_EVENT, _CONTEXT = "event", "ctx"


class HandlerError(TypeError):
    """A decorator is used in a way that cannot work; the message says how to mend it."""


@dataclass(frozen=True)
class Arguments:
    """What a handler takes.

    ``positional`` lists, in order, the things to pass by position and ``keywords`` maps
    parameter names to the things to pass by name; the things are ``"event"`` and ``"ctx"``.
    """

    positional: tuple[str, ...] = ()
    keywords: tuple[tuple[str, str], ...] = ()

    @property
    def wants_context(self) -> bool:
        """Say whether the handler takes ``ctx``."""
        return _CONTEXT in self.positional or _CONTEXT in dict(self.keywords).values()

    def bind(self, function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
        """Return the handler as a function of event and context."""
        positional, keywords = self.positional, self.keywords
        if positional == (_EVENT,) and not keywords:
            return lambda event, ctx: function(event)  # noqa: ARG005
        if not positional and not keywords:
            return lambda event, ctx: function()  # noqa: ARG005

        def call(event: Any, ctx: Any) -> Any:
            things = {_EVENT: event, _CONTEXT: ctx}
            return function(
                *(things[thing] for thing in positional),
                **{name: things[thing] for name, thing in keywords},
            )

        return call


def read_arguments(decorator: str, function: Any, *, has_event: bool) -> Arguments:
    """Decide what to pass to a handler.

    The first parameter without a default is the event, whatever its name; a parameter
    called ``ctx`` is the context; other parameters with defaults are left alone.

    :raises HandlerError: for something that cannot be called, and for a handler that
        requires more than the host has to give.
    """
    _refuse_uncallable(decorator, function)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # some callables written in C do not tell
        return Arguments((_EVENT,) if has_event else ())
    _refuse_method(decorator, function, parameters)
    wanted = _assign(parameters) if has_event else {}
    wanted |= {p.name: _CONTEXT for p in parameters if p.name == _CONTEXT and _is_named(p)}
    left = [p.name for p in parameters if _is_required(p) and p.name not in wanted]
    if left:
        given = "the event and, if it wants, ctx" if has_event else "nothing or ctx"
        raise HandlerError(
            f"@{decorator}: {_name(function)} is given {given}, but it also requires "
            f"{', '.join(left)}. Remove the parameter or give it a default."
        )
    return _arrange(parameters, wanted)


def is_async(function: Any) -> bool:
    """Say whether calling the handler gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the question is not whether it is callable
    )


def _assign(parameters: list[Parameter]) -> dict[str, str]:
    """Find the parameter that takes the event."""
    others = [p for p in parameters if p.name != _CONTEXT]
    for parameter in others:
        if parameter.kind in _BY_POSITION and parameter.default is Parameter.empty:
            return {parameter.name: _EVENT}
    for parameter in others:
        if parameter.name == _EVENT or parameter.kind is Parameter.VAR_POSITIONAL:
            return {parameter.name: _EVENT}
    return {}


def _arrange(parameters: list[Parameter], wanted: dict[str, str]) -> Arguments:
    """Pass by position what comes first and by name the rest."""
    positional: list[str] = []
    keywords: list[tuple[str, str]] = []
    in_front = True
    for parameter in parameters:
        thing = wanted.get(parameter.name)
        if thing is None:
            in_front = in_front and parameter.kind is Parameter.VAR_POSITIONAL
        elif parameter.kind is Parameter.VAR_POSITIONAL or (
            in_front and parameter.kind in _BY_POSITION
        ):
            positional.append(thing)
        else:
            keywords.append((parameter.name, thing))
    return Arguments(tuple(positional), tuple(keywords))


def _is_named(parameter: Parameter) -> bool:
    return parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def _is_required(parameter: Parameter) -> bool:
    return _is_named(parameter) and parameter.default is Parameter.empty


def _refuse_uncallable(decorator: str, function: Any) -> None:
    if isinstance(function, type):
        raise HandlerError(
            f"@{decorator} decorates a function, not the class {function.__qualname__}. "
            "Decorate one of its static methods, or register a bound method."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(
            f"@{decorator}: {_name(function)} is a generator, so its body would never run. "
            "Remove the yield."
        )
    if not callable(function):
        remedy = (
            f"Register the bound method instead: {decorator}(TheClass.method)."
            if isinstance(function, classmethod)
            else "Put it directly above a def."
        )
        raise HandlerError(
            f"@{decorator} needs a function, not {_article(type(function).__name__)}. {remedy}"
        )


def _refuse_method(decorator: str, function: Any, parameters: list[Parameter]) -> None:
    owner = str(getattr(function, "__qualname__", "")).split(".")[:-1]
    if not (owner and owner[-1] != "<locals>" and inspect.isfunction(function)):
        return
    if parameters and parameters[0].name in ("self", "cls"):
        raise HandlerError(
            f"@{decorator}: {_name(function)} is a method and there is no object to call it on. "
            f"Make it a @staticmethod, or register the bound method: {decorator}(object.method)."
        )


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
