"""The functions of one snapshot, by name."""

from __future__ import annotations

import inspect
import logging
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from tinybase.actors import Actor, ActorKind
from tinybase.db import utcnow
from tinybase.errors import Conflict, Forbidden, NotFound, TinyBaseError, Unauthenticated
from tinybase.extensions.signatures import HandlerError, is_async
from tinybase.functions.context import Context
from tinybase.functions.models import Model, adapt, is_model
from tinybase.functions.parameters import payload_parameter, read_parameters
from tinybase.functions.registration import check_declaration
from tinybase.host.snapshot import PROJECT
from tinybase_hookspecs import FunctionDeclaration

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Function:
    """One function that clients may call; ``owner`` is an extension or the project."""

    name: str
    owner: str
    description: str
    auth: str
    tags: tuple[str, ...]
    handler: Callable[..., Any]
    run: Callable[[Any, Context], Any]
    input_model: Model | None
    output_model: Model | None
    last_loaded_at: datetime

    @property
    def extension(self) -> str | None:
        """Return the extension it belongs to; the operator's own functions have none."""
        return None if _is_project(self.owner) else self.owner

    @property
    def module(self) -> str:
        """Return the module that the handler was defined in."""
        return str(getattr(_innermost(self.handler), "__module__", None) or "")

    @property
    def file_path(self) -> str | None:
        """Return the file of that module, if it has one."""
        return getattr(sys.modules.get(self.module), "__file__", None)

    @property
    def is_async(self) -> bool:
        """Say whether the handler is an ``async`` function."""
        return is_async(_innermost(self.handler))

    @property
    def has_input_model(self) -> bool:
        """Say whether payloads are checked."""
        return self.input_model is not None

    @property
    def has_output_model(self) -> bool:
        """Say whether results are checked."""
        return self.output_model is not None

    @cached_property
    def input_schema(self) -> dict[str, Any] | None:
        """Return the payload as JSON Schema, if there is a model that can say it."""
        return _schema_of(self.input_model, self)

    @cached_property
    def output_schema(self) -> dict[str, Any] | None:
        """Return the result as JSON Schema, if there is a model that can say it."""
        return _schema_of(self.output_model, self)

    def admits(self, actor: Actor) -> bool:
        """Say whether a caller may call it."""
        try:
            self.require(actor)
        except TinyBaseError:
            return False
        return True

    def require(self, actor: Actor) -> None:
        """Refuse a caller who may not call it.

        :raises Unauthenticated: for an anonymous one, unless the function is public.
        :raises Forbidden: for one whose level or scope does not suffice.
        """
        if self.auth == "public" or actor.is_admin:
            return
        if actor.is_anonymous:
            raise Unauthenticated(f"Sign in to call the function '{self.name}'.")
        if actor.kind is ActorKind.APPLICATION:
            raise Forbidden(
                f"The function '{self.name}' needs a token with the scope admin.",
                code="scope_required",
            )
        if self.auth != "auth":
            raise Forbidden(
                f"Only admins may call the function '{self.name}'.", code="admin_required"
            )


class FunctionTable:
    """Takes in declarations while a snapshot is built; answers while it serves."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def __iter__(self) -> Iterator[Function]:
        return iter(sorted(self._functions.values(), key=lambda function: function.name))

    def add(self, owner: str, declaration: FunctionDeclaration) -> None:
        """Take in one function.

        :raises Conflict: for a declaration that cannot work and for a name that is taken;
            the message names the owners and the remedy.
        """
        if not isinstance(declaration, FunctionDeclaration):
            raise _refused(
                f"tinybase_register_functions returns FunctionDeclaration objects, not "
                f"{declaration!r}. Return a list of them."
            )
        try:
            check_declaration(declaration)
            function = _make(owner, declaration)
        except (HandlerError, ValueError) as error:
            raise _refused(f"function '{declaration.name}' of {_told(owner)}: {error}") from error
        self._refuse_duplicate(function)
        self._functions[function.name] = function

    def discard(self, owner: str) -> None:
        """Forget the functions of an owner."""
        self._functions = {f.name: f for f in self._functions.values() if f.owner != owner}

    def names(self, owner: str) -> list[str]:
        """Return the names of an owner's functions, sorted."""
        return [function.name for function in self if function.owner == owner]

    def get(self, name: str) -> Function:
        """Return one function.

        :raises NotFound: if there is none of that name.
        """
        function = self._functions.get(name)
        if function is None:
            raise NotFound(f"Function '{name}' not found. GET /api/functions lists them.")
        return function

    def _refuse_duplicate(self, function: Function) -> None:
        other = self._functions.get(function.name)
        if other is None:
            return
        if other.owner == function.owner:
            raise _refused(
                f"function '{function.name}' is registered twice by {_told(function.owner)}: "
                f"{_place(other)} and {_place(function)}. Give one of them another name."
            )
        raise _refused(
            f"function '{function.name}' of {_told(function.owner)} ({_place(function)}) is "
            f"already offered by {_told(other.owner)} ({_place(other)}). Rename one of them, "
            "or disable one of the two."
        )


def _make(owner: str, declaration: FunctionDeclaration) -> Function:
    handler = declaration.handler
    hints = _hints(handler)
    payload = payload_parameter(handler)
    arguments = read_parameters(declaration.name, handler)
    return Function(
        name=declaration.name,
        owner=owner,
        description=declaration.description or _first_line(handler),
        auth=declaration.auth,
        tags=declaration.tags,
        handler=handler,
        run=arguments.bind(handler),
        input_model=_model(declaration.input_model, hints.get(payload or ""), "input"),
        output_model=_model(declaration.output_model, hints.get("return"), "output"),
        last_loaded_at=utcnow(),
    )


def _model(
    given: Any, annotated: Any, direction: typing.Literal["input", "output"]
) -> Model | None:
    if given is not None:
        return adapt(given, direction)
    return adapt(annotated, direction) if is_model(annotated) else None


def _hints(handler: Any) -> Mapping[str, Any]:
    """Return the annotations of a handler, as far as they can be evaluated."""
    target = _innermost(handler)
    if not hasattr(target, "__annotations__"):
        target = type(target).__call__ if callable(target) else target
    try:
        return typing.get_type_hints(target)
    except Exception:  # noqa: BLE001 - an annotation that only a type checker can read is no fault
        return {}


def _innermost(handler: Any) -> Any:
    """Return the function inside partials and wrappers."""
    while isinstance(handler, partial):
        handler = handler.func
    return inspect.unwrap(handler)


def _first_line(handler: Any) -> str:
    target = _innermost(handler)
    text = inspect.getdoc(target) if inspect.isroutine(target) else None
    return (text or "").strip().partition("\n")[0]


def _schema_of(model: Model | None, function: Function) -> dict[str, Any] | None:
    if model is None:
        return None
    try:
        return model.json_schema
    except Exception as error:  # noqa: BLE001 - a model may validate what JSON Schema cannot say
        _log.warning(
            "extension %s: a model of the function %s has no JSON Schema: %s",
            function.extension or PROJECT,
            function.name,
            error,
        )
        return None


def _refused(detail: str) -> Conflict:
    return Conflict(detail, code="extension_load_failed")


def _is_project(owner: str) -> bool:
    return owner.partition(":")[0] == PROJECT


def _told(owner: str) -> str:
    return "this project" if _is_project(owner) else f"the extension {owner}"


def _place(function: Function) -> str:
    return f"{function.module}:{getattr(function.handler, '__qualname__', function.name)}"
