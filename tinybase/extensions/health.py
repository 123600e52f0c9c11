"""``@health_check``: tell whether something that the extension needs is well."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from tinybase.extensions.rows import note_declaration
from tinybase.extensions.signatures import HandlerError, read_arguments
from tinybase_hookspecs import HealthCheckDeclaration

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_F = TypeVar("_F", bound=Callable[..., Any])


def health_check(name: str) -> Callable[[_F], _F]:
    """Run the decorated function whenever somebody asks whether the server is well.

    The function takes nothing or ``ctx``; it returns when all is well and raises when it is
    not. It has two seconds, and is not asked again for five. It is the same as returning a
    ``HealthCheckDeclaration`` from an implementation of ``tinybase_register_health_checks``.

    :param name: what is checked, such as ``"mail-server"``.
    :raises HandlerError: for a use that cannot work; the message says how to mend it.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the module that it is written in owns the check
    if not isinstance(name, str):
        raise HandlerError(
            '@health_check takes a name. Write @health_check("mail-server") above the function.'
        )

    def decorate(function: _F) -> _F:
        declaration = HealthCheckDeclaration(name, function)
        check_declaration(declaration)
        note_declaration("tinybase_register_health_checks", declaration, frame)
        return function

    return decorate


def check_declaration(declaration: HealthCheckDeclaration) -> None:
    """Refuse a check that cannot be run or named.

    :raises HandlerError: with what is wrong and the remedy.
    """
    if not isinstance(declaration.name, str) or not _NAME.fullmatch(declaration.name):
        raise HandlerError(
            f"@health_check({declaration.name!r}): a name has at most 64 letters, digits, "
            "points, - and _. Choose another one."
        )
    if not callable(declaration.check):
        raise HandlerError(
            f"@health_check({declaration.name!r}) needs a function. Put it directly above a def."
        )
    read_arguments("health_check", declaration.check, has_event=False)
