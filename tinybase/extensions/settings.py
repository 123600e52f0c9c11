"""``Setting`` and ``@register_settings``: what an operator sets for an extension."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

from tinybase.extensions.rows import note_declaration
from tinybase.extensions.signatures import HandlerError
from tinybase_hookspecs import SettingDeclaration

_T = TypeVar("_T")
_S = TypeVar("_S")
_C = TypeVar("_C", bound=type)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of texts",
}


class Setting(Generic[_T]):
    """A setting of an extension, as an attribute of a class under ``@register_settings``.

    Read as an attribute of that class it is the value that holds now; reading costs no
    query. What is neither required nor has a default is ``None`` until somebody sets it.

    :param type: ``str``, ``int``, ``float``, ``bool`` or ``list`` (of texts).
    :param default: what holds until somebody sets it.
    :param required: keep the extension from running until somebody sets it.
    :param secret: never show the value.
    :param env: an environment variable that it is also read from.
    :param choices: the only values that it may have.
    :param description: what operators read.
    :param min: the least number that it may be.
    :param max: the greatest.
    """

    @overload
    def __init__(
        self: Setting[_S],
        type: type[_S],
        *,
        required: Literal[True],
        secret: bool = ...,
        env: str | None = ...,
        choices: Sequence[_S] = ...,
        description: str = ...,
        min: float | None = ...,
        max: float | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Setting[_S],
        type: type[_S],
        *,
        default: _S,
        secret: bool = ...,
        env: str | None = ...,
        choices: Sequence[_S] = ...,
        description: str = ...,
        min: float | None = ...,
        max: float | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Setting[_S | None],
        type: type[_S],
        *,
        secret: bool = ...,
        env: str | None = ...,
        choices: Sequence[_S] = ...,
        description: str = ...,
        min: float | None = ...,
        max: float | None = ...,
    ) -> None: ...
    def __init__(
        self,
        type: type[Any],  # noqa: A002
        *,
        default: Any = None,
        required: bool = False,
        secret: bool = False,
        env: str | None = None,
        choices: Sequence[Any] = (),
        description: str = "",
        min: float | None = None,  # noqa: A002
        max: float | None = None,  # noqa: A002
    ) -> None:
        self._given = {
            "type": type,
            "default": default,
            "required": required,
            "secret": secret,
            "env": env,
            "choices": tuple(choices),
            "description": description,
            "min": min,
            "max": max,
        }
        self._declared: SettingDeclaration | None = None
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> _T:
        if self._declared is None:
            raise HandlerError(
                f"The setting {self._name} belongs to no extension. Write @register_settings "
                "above its class."
            )
        value: _T = self._declared.value
        return value

    def declare(self) -> SettingDeclaration:
        """Return the declaration; the setting has its value from now on.

        :raises HandlerError: for one that cannot work.
        """
        self._declared = SettingDeclaration(name=self._name, **self._given)
        check_setting(self._declared)
        return self._declared


def register_settings(cls: _C, *misplaced: object) -> _C:
    """Declare the settings of an extension: the attributes of a class that are a ``Setting``.

    ::

        @register_settings
        class Settings:
            api_key = Setting(str, required=True, secret=True, env="PAYMENT_KEY")
            currency = Setting(str, default="EUR", choices=["EUR", "USD"])

    Read ``Settings.api_key`` where it is needed, inside handlers and functions: then it is
    the value of that moment. A value comes from the admin API or ``tinybase extensions
    config``, else from the environment (``TINYBASE_EXT_NAME_API_KEY``, or the variable that
    ``env`` names), else from ``[extension.NAME]`` in ``tinybase.toml``, else it is the
    default.

    :raises HandlerError: for a use that cannot work; the message says how to mend it.
    """
    if not isinstance(cls, type) or misplaced:
        raise HandlerError(
            "@register_settings stands above a class. Write class Settings: below it, with a "
            "line like api_key = Setting(str) for each setting."
        )
    found = [item for item in vars(cls).values() if isinstance(item, Setting)]
    if not found:
        raise HandlerError(
            f"@register_settings: {cls.__name__} has no settings. Write a line like "
            "api_key = Setting(str) into it."
        )
    # The module in which the class is written decides to whom the settings belong.
    frame = sys._getframe(1)  # noqa: SLF001
    for item in found:
        note_declaration("tinybase_register_settings", item.declare(), frame)
    return cls


def check_setting(declaration: SettingDeclaration) -> None:
    """Refuse a declaration that cannot work.

    :raises HandlerError: with what is wrong and the remedy.
    """
    fault = _fault(declaration)
    if fault:
        raise HandlerError(f"setting {declaration.name!r}: {fault}")


def fits(value: object, type: type) -> bool:  # noqa: A002 - the field is called so
    """Say whether a value is of the type of a setting."""
    if type is list:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if type is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, type) and (type is bool or not isinstance(value, bool))


def kind(type: type) -> str:  # noqa: A002
    """Return what a value of a type is, for a sentence."""
    return _KINDS[type]


def _fault(declaration: SettingDeclaration) -> str | None:
    name, default = declaration.name, declaration.default
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "a name has a-z, 0-9 and _, and begins with a letter. Choose another one."
    if declaration.type not in _KINDS:
        return "type is str, int, float, bool or list. Choose one of them."
    if default is not None and not fits(default, declaration.type):
        return f"default is not {_KINDS[declaration.type]}. Correct one of the two."
    if declaration.required and default is not None:
        return "it is required and has a default. Keep one of the two."
    if declaration.env is not None and not (
        isinstance(declaration.env, str) and _VARIABLE.fullmatch(declaration.env)
    ):
        return 'env is the name of an environment variable. Write env="PAYMENT_KEY".'
    if not all(fits(item, declaration.type) for item in declaration.choices):
        return f"a choice is not {_KINDS[declaration.type]}. Correct it."
    if declaration.choices and default is not None and default not in declaration.choices:
        return "default is none of the choices. Add it to them."
    return _fault_of_bounds(declaration)


def out_of_bounds(value: float, least: float | None, most: float | None) -> str | None:
    """Say in which bounds a number has to be, if it is not."""
    if least is not None and not value >= least:  # which nan is not either
        return f"must be at least {least}"
    if most is not None and not value <= most:
        return f"must be at most {most}"
    return None


def _fault_of_bounds(declaration: SettingDeclaration) -> str | None:
    least, most = declaration.min, declaration.max
    bounds = [bound for bound in (least, most) if bound is not None]
    if not bounds:
        return None
    if declaration.type not in (int, float) or not all(fits(bound, float) for bound in bounds):
        return (
            "min and max are numbers, for settings of type int and float. Correct or remove them."
        )
    if least is not None and most is not None and least > most:
        return "min is greater than max. Correct one of the two."
    given = [*declaration.choices, *([] if declaration.default is None else [declaration.default])]
    faults = (out_of_bounds(value, least, most) for value in given)
    if fault := next(filter(None, faults), None):
        return f"its default, or a choice, {fault}. Correct one of the two."
    return None
