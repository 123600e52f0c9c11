"""The decorators: sugar over implementations of the hooks of ``tinybase_hookspecs``.

``@on_record_create(collection="orders")`` above a function is the same as a hookimpl of
``tinybase_on_record_create`` that looks at ``event.collection`` and calls the function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

from tinybase.extensions.rows import Handler, Place, note
from tinybase.extensions.signatures import HandlerError, read_arguments

_F = TypeVar("_F", bound=Callable[..., Any])
_Filter = str | Sequence[str] | None


class PlainDecorator(Protocol):
    """A decorator without a filter."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(self, *, tryfirst: bool = False, trylast: bool = False) -> Callable[[_F], _F]: ...


class CollectionDecorator(Protocol):
    """A decorator that can be narrowed to collections: a name, a glob, or several."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(
        self, *, collection: _Filter = None, tryfirst: bool = False, trylast: bool = False
    ) -> Callable[[_F], _F]: ...


class FunctionDecorator(Protocol):
    """A decorator that can be narrowed to server functions: a name, a glob, or several."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(
        self, *, name: _Filter = None, tryfirst: bool = False, trylast: bool = False
    ) -> Callable[[_F], _F]: ...


class _EventDecorator:
    """Note a handler for one hook; ``filters`` maps its keywords to fields of the event."""

    def __init__(self, name: str, filters: Mapping[str, str], *, has_event: bool) -> None:
        self.__name__ = name
        self._filters = filters
        self._has_event = has_event

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        # The frame of the caller is the module in which the decorator is written; the
        # function's own __module__ is a library's if a foreign decorator wrapped it.
        place = Place.of(sys._getframe(1))  # noqa: SLF001
        tryfirst, trylast = self._read_order(options)
        filters = self._read_filters(options)

        def decorate(function: _F) -> _F:
            note(
                Handler(
                    function=function,
                    hook=f"tinybase_{self.__name__}",
                    decorator=self.__name__,
                    arguments=read_arguments(self.__name__, function, has_event=self._has_event),
                    filters=filters,
                    tryfirst=tryfirst,
                    trylast=trylast,
                    place=place,
                )
            )
            return function

        return decorate(self._only(arguments)) if arguments else decorate

    def _only(self, arguments: tuple[Any, ...]) -> Any:
        if len(arguments) == 1 and not isinstance(arguments[0], str | list | tuple):
            return arguments[0]
        raise HandlerError(f"@{self.__name__} takes its filter by name. {self._usage()}")

    def _read_order(self, options: dict[str, Any]) -> tuple[bool, bool]:
        """Take ``tryfirst`` and ``trylast`` out of the options."""
        order = {name: options.pop(name, False) for name in ("tryfirst", "trylast")}
        for name, value in order.items():
            if not isinstance(value, bool):
                raise HandlerError(f"@{self.__name__}: {name} is True or False.")
        if all(order.values()):
            raise HandlerError(
                f"@{self.__name__} cannot be both tryfirst and trylast. Keep one of them."
            )
        return order["tryfirst"], order["trylast"]

    def _read_filters(self, options: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        unknown = sorted(set(options) - set(self._filters))
        if unknown:
            raise HandlerError(f"@{self.__name__} takes no {', '.join(unknown)}. {self._usage()}")
        return {
            self._filters[name]: self._patterns(name, value)
            for name, value in options.items()
            if value is not None
        }

    def _patterns(self, name: str, value: Any) -> tuple[str, ...]:
        patterns = (value,) if isinstance(value, str) else value
        if (
            isinstance(patterns, list | tuple)
            and patterns
            and all(isinstance(item, str) and item for item in patterns)
        ):
            return tuple(patterns)
        raise HandlerError(
            f'@{self.__name__}: {name} takes a name, a pattern such as "order*", or a list of '
            f"them. {self._usage()}"
        )

    def _usage(self) -> str:
        example = "".join(f'{name}="a_name"' for name in self._filters)
        if example:
            return f"Write @{self.__name__}({example}), or @{self.__name__}() for all."
        return f"Write @{self.__name__} without arguments."


_BY_COLLECTION = {"collection": "collection"}
_BY_FUNCTION = {"name": "function_name"}

on_startup: PlainDecorator = _EventDecorator("on_startup", {}, has_event=False)
on_shutdown: PlainDecorator = _EventDecorator("on_shutdown", {}, has_event=False)
on_user_login: PlainDecorator = _EventDecorator("on_user_login", {}, has_event=True)
on_user_register: PlainDecorator = _EventDecorator("on_user_register", {}, has_event=True)
on_record_create: CollectionDecorator = _EventDecorator(
    "on_record_create", _BY_COLLECTION, has_event=True
)
on_record_update: CollectionDecorator = _EventDecorator(
    "on_record_update", _BY_COLLECTION, has_event=True
)
on_record_delete: CollectionDecorator = _EventDecorator(
    "on_record_delete", _BY_COLLECTION, has_event=True
)
on_function_call: FunctionDecorator = _EventDecorator(
    "on_function_call", _BY_FUNCTION, has_event=True
)
on_function_complete: FunctionDecorator = _EventDecorator(
    "on_function_complete", _BY_FUNCTION, has_event=True
)
