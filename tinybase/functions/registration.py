"""``@register``: offer a function to clients by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, Never, TypeVar

from tinybase.extensions.routes import LEVELS
from tinybase.extensions.rows import note_declaration
from tinybase.extensions.signatures import HandlerError
from tinybase.functions.parameters import read_parameters
from tinybase_hookspecs import FunctionDeclaration

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_F = TypeVar("_F", bound=Callable[..., Any])


def register(
    name: str = "",
    *misplaced: Never,
    description: str | None = None,
    auth: str = "auth",
    input_model: Any = None,
    output_model: Any = None,
    tags: Iterable[str] | None = None,
    **unknown: Never,
) -> Callable[[_F], _F]:
    """Offer the decorated function to clients as ``POST /api/functions/{name}``.

    The decorator only notes the function and returns it unchanged; the server offers it
    when it loads the extension. It is the same as returning a ``FunctionDeclaration`` from
    an implementation of ``tinybase_register_functions``.

    The function takes a :class:`~tinybase.functions.Context`, the payload, both or neither.
    A parameter called ``ctx`` or annotated with ``Context`` is the context, the other one
    the payload.

    :param description: what lists show; without one, the docstring's first line.
    :param auth: ``"public"``, ``"auth"`` or ``"admin"``.
    :param input_model: a pydantic model, a marshmallow schema or a dataclass; without one,
        the payload's annotation if it is such a model, else the payload is a ``dict``.
    :param output_model: likewise, for what the function returns.
    :raises HandlerError: for a use that cannot work; the message says how to mend it.
    """
    if not isinstance(name, str) or not name or misplaced:
        raise HandlerError(
            "@register takes a name, and everything else by keyword. "
            'Write @register(name="a_name", auth="auth") above the function.'
        )
    if unknown:
        raise HandlerError(
            f"@register({name!r}) takes no {', '.join(sorted(unknown))}. It takes name, "
            "description, auth, input_model, output_model and tags."
        )
    # The module in which the decorator is written decides to whom the function belongs.
    frame = sys._getframe(1)  # noqa: SLF001

    def decorate(function: _F) -> _F:
        declaration = FunctionDeclaration(
            name=name,
            handler=function,
            description=description or "",
            auth=auth,
            input_model=input_model,
            output_model=output_model,
            tags=_as_tuple(tags),
        )
        check_declaration(declaration)
        note_declaration("tinybase_register_functions", declaration, frame)
        return function

    return decorate


def check_declaration(declaration: FunctionDeclaration) -> None:
    """Refuse a declaration that cannot work; its models are looked at when it is loaded.

    :raises HandlerError: with what is wrong and the remedy.
    """
    fault = _fault(declaration)
    if fault:
        raise HandlerError(f"@register({declaration.name!r}): {fault}")
    read_parameters(declaration.name, declaration.handler)


def _fault(declaration: FunctionDeclaration) -> str | None:
    if not isinstance(declaration.name, str) or not _NAME.fullmatch(declaration.name):
        return (
            "a name has at most 100 letters, digits, - and _, and begins with a letter or _. "
            "Choose another one."
        )
    if declaration.auth not in LEVELS:
        return f'auth is "public", "auth" or "admin", not {declaration.auth!r}. Choose one of them.'
    if not isinstance(declaration.description, str):
        return 'description is a text. Write description="What it does".'
    if not isinstance(declaration.tags, tuple) or not all(
        isinstance(tag, str) for tag in declaration.tags
    ):
        return 'tags is a list of texts. Write tags=["a", "b"].'
    return None


def _as_tuple(tags: Any) -> Any:
    """Make a tuple of any collection; what is none is refused with the declaration."""
    if tags is None:
        return ()
    return tuple(tags) if isinstance(tags, list | tuple | set | frozenset) else tags
