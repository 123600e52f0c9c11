"""Routes of an extension: handing over a blueprint, and who may call what of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from tinybase.extensions.rows import note_declaration
from tinybase.extensions.signatures import HandlerError
from tinybase_hookspecs import BlueprintDeclaration

LEVELS: Final = ("public", "auth", "admin")
"""Who may call something: everybody, whoever is signed in, or admins."""

LEVEL: Final = "tinybase_level"
"""The attribute of a view in which its own level is kept."""

_F = TypeVar("_F", bound=Callable[..., Any])


def register_blueprint(
    blueprint: Any, *, auth: str = "auth", body_bytes: int | None = None
) -> None:
    """Offer the routes of a Flask blueprint under ``/api/ext/NAME``.

    It is the same as returning a ``BlueprintDeclaration`` from an implementation of
    ``tinybase_register_blueprints``, and called once, where the blueprint is made: its
    routes may be added afterwards, by the time the extension is imported.

    :param blueprint: a ``flask.Blueprint``; its ``url_prefix`` follows the extension's name.
    :param auth: ``"public"``, ``"auth"`` or ``"admin"``: whom its views admit, unless one
        says otherwise with ``@requires`` or ``@public``.
    :param body_bytes: how much a request may send; by default ``limits.body_bytes``.
    :raises HandlerError: for a use that cannot work; the message says how to mend it.
    """
    declaration = BlueprintDeclaration(blueprint, auth, body_bytes)
    check_options(declaration)
    # The module in which this is written decides to whom the routes belong.
    note_declaration("tinybase_register_blueprints", declaration, sys._getframe(1))  # noqa: SLF001


def requires(level: str) -> Callable[[_F], _F]:
    """Say who may call a view, whatever holds for the rest of its blueprint.

    It stands above or below the decorator with the route, or above a ``MethodView`` or one
    of its methods, and returns what it decorates unchanged.

    :param level: ``"public"``, ``"auth"`` or ``"admin"``.
    :raises HandlerError: for another level.
    """
    if level not in LEVELS:
        raise HandlerError(
            f'@requires takes "public", "auth" or "admin", not {level!r}. '
            'Write @requires("admin") above the view.'
        )

    def decorate(view: _F) -> _F:
        setattr(view, LEVEL, level)
        return view

    return decorate


def public(view: _F) -> _F:
    """Let everybody call a view, whatever holds for the rest of its blueprint."""
    return requires("public")(view)


def check_options(declaration: BlueprintDeclaration) -> None:
    """Refuse what cannot be wanted of a blueprint, as far as that can be told without Flask.

    :raises HandlerError: with what is wrong and the remedy.
    """
    if declaration.auth not in LEVELS:
        raise HandlerError(
            f'register_blueprint: auth is "public", "auth" or "admin", not {declaration.auth!r}. '
            "Choose one of them."
        )
    size = declaration.body_bytes
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise HandlerError(
            "register_blueprint: body_bytes is a number of bytes. Write body_bytes=10 * 2**20."
        )
