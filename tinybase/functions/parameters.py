"""What a registered function takes, read once from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from inspect import Parameter
from typing import Any

from tinybase.extensions.signatures import Arguments, HandlerError
from tinybase.functions.context import Context

CONTEXT, PAYLOAD = "ctx", "event"
"""What :class:`Arguments` calls the two things; to a function the event is its payload."""

_CONTEXT_NAMES = ("ctx", "context")
_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def read_parameters(name: str, function: Any) -> Arguments:
    """Decide what to pass to a function.

    A parameter called ``ctx`` or ``context``, or annotated with ``Context``, is the context;
    the first other one without a default, or one called ``payload``, is the payload. Of two
    that cannot be told apart the first is the context. Others with defaults are left alone.

    :raises HandlerError: for something that cannot be called, and for a function that
        requires more than there is to give.
    """
    _refuse_uncallable(name, function)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # some callables written in C do not tell
        return Arguments((PAYLOAD,))
    _refuse_method(name, function, parameters)
    if [p.kind for p in parameters[:1]] == [Parameter.VAR_POSITIONAL]:
        return Arguments((CONTEXT, PAYLOAD))  # def wrapper(*args): it passes on what it gets
    wanted = dict(_assign(parameters))
    left = [p.name for p in parameters if _is_required(p) and p.name not in wanted]
    if left:
        raise HandlerError(
            f"@register({name!r}): {_called(function)} is given ctx and the payload, but it also "
            f"requires {', '.join(left)}. Remove the parameter or give it a default."
        )
    return _arrange(parameters, wanted)


def payload_parameter(function: Any) -> str | None:
    """Return the name of the parameter that takes the payload, if there is one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return None
    return next((name for name, thing in _assign(parameters) if thing == PAYLOAD), None)


def _assign(parameters: list[Parameter]) -> Iterator[tuple[str, str]]:
    """Yield which parameter takes which thing."""
    named = [p for p in parameters if p.kind not in _VARIABLE]
    context = next((p for p in named if _is_context(p)), None)
    others = [p for p in named if p is not context and _is_required(p)]
    if context is None and len(others) > 1:
        context = others.pop(0)
    payload = next(iter(others), None) or next((p for p in named if p.name == "payload"), None)
    if context is not None:
        yield context.name, CONTEXT
    if payload is not None:
        yield payload.name, PAYLOAD


def _is_context(parameter: Parameter) -> bool:
    annotation = parameter.annotation
    if isinstance(annotation, str):
        annotated = annotation.rpartition(".")[2] == Context.__name__
    else:
        annotated = annotation is Context
    return annotated or parameter.name in _CONTEXT_NAMES


def _is_required(parameter: Parameter) -> bool:
    return parameter.kind not in _VARIABLE and parameter.default is Parameter.empty


def _arrange(parameters: list[Parameter], wanted: dict[str, str]) -> Arguments:
    """Pass by position what comes first and by name the rest."""
    positional: list[str] = []
    keywords: list[tuple[str, str]] = []
    in_front = True
    for parameter in parameters:
        thing = wanted.get(parameter.name)
        in_front = in_front and thing is not None and parameter.kind in _BY_POSITION
        if thing is not None and in_front:
            positional.append(thing)
        elif thing is not None:
            keywords.append((parameter.name, thing))
    return Arguments(tuple(positional), tuple(keywords))


def _refuse_uncallable(name: str, function: Any) -> None:
    fault = None
    if isinstance(function, type):
        fault = f"decorates a function, not the class {function.__qualname__}"
    elif not callable(function):
        fault = f"needs a function, not something of type {type(function).__name__}"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        fault = f"cannot use {_called(function)}, which is a generator: return a list instead"
    if fault:
        raise HandlerError(f"@register({name!r}) {fault}. Put it directly above a def.")


def _refuse_method(name: str, function: Any, parameters: list[Parameter]) -> None:
    scope = str(getattr(function, "__qualname__", "")).split(".")[:-1]
    is_in_class = bool(scope) and scope[-1] != "<locals>" and inspect.isfunction(function)
    if is_in_class and parameters and parameters[0].name in ("self", "cls"):
        raise HandlerError(
            f"@register({name!r}): {_called(function)} is a method and there is no object to call "
            "it on. Make it a @staticmethod, or register the bound method."
        )


def _called(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
