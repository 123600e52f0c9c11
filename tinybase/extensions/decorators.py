"""The decorators: sugar over implementations of the hooks of ``tinybase_hookspecs``.

``@on_record_create(collection="orders")`` above a function is the same as a hookimpl of
``tinybase_on_record_create`` that looks at ``event.collection`` and calls the function.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

from tinybase.extensions.rows import Handler, Order, Place, note
from tinybase.extensions.signatures import HandlerError, read_arguments

_F = TypeVar("_F", bound=Callable[..., Any])
_Filter = str | Sequence[str] | None
_Names = str | Sequence[str]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class PlainDecorator(Protocol):
    """A decorator without a filter."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(
        self,
        *,
        priority: int = 0,
        before: _Names = (),
        after: _Names = (),
        tryfirst: bool = False,
        trylast: bool = False,
    ) -> Callable[[_F], _F]: ...


class CollectionDecorator(Protocol):
    """A decorator that can be narrowed to collections: a name, a glob, or several."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(
        self,
        *,
        collection: _Filter = None,
        priority: int = 0,
        before: _Names = (),
        after: _Names = (),
        tryfirst: bool = False,
        trylast: bool = False,
    ) -> Callable[[_F], _F]: ...


class FunctionDecorator(Protocol):
    """A decorator that can be narrowed to server functions: a name, a glob, or several."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(
        self,
        *,
        name: _Filter = None,
        priority: int = 0,
        before: _Names = (),
        after: _Names = (),
        tryfirst: bool = False,
        trylast: bool = False,
    ) -> Callable[[_F], _F]: ...


class RedactDecorator(Protocol):
    """A decorator for what is left out of records; ``fields`` names all that it changes."""

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(
        self,
        *,
        collection: _Filter = None,
        fields: _Names | None = None,
        priority: int = 0,
        before: _Names = (),
        after: _Names = (),
        tryfirst: bool = False,
        trylast: bool = False,
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
        order = self._read_order(options)
        fields = self._read_fields(options)
        filters = self._read_filters(options)

        def decorate(function: _F) -> _F:
            note(
                Handler(
                    function=function,
                    hook=f"tinybase_{self.__name__}",
                    decorator=self.__name__,
                    arguments=read_arguments(self.__name__, function, has_event=self._has_event),
                    filters=filters,
                    order=order,
                    place=place,
                    fields=fields,
                )
            )
            return function

        return decorate(self._only(arguments)) if arguments else decorate

    def _only(self, arguments: tuple[Any, ...]) -> Any:
        if len(arguments) == 1 and not isinstance(arguments[0], str | list | tuple):
            return arguments[0]
        raise HandlerError(f"@{self.__name__} takes its filter by name. {self._usage()}")

    def _read_order(self, options: dict[str, Any]) -> Order:
        """Take what says when the handler is called out of the options."""
        ends = {name: options.pop(name, False) for name in ("tryfirst", "trylast")}
        for name, value in ends.items():
            if not isinstance(value, bool):
                raise HandlerError(f"@{self.__name__}: {name} is True or False.")
        if all(ends.values()):
            raise HandlerError(
                f"@{self.__name__} cannot be both tryfirst and trylast. Keep one of them."
            )
        priority = options.pop("priority", 0)
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise HandlerError(
                f"@{self.__name__}: priority is a whole number; the highest is called first."
            )
        before, after = (
            self._extensions(name, options.pop(name, ())) for name in ("before", "after")
        )
        if both := {*map(_canonical, before)} & {*map(_canonical, after)}:
            raise HandlerError(
                f"@{self.__name__} has {min(both)} in before and in after. Keep one of them."
            )
        return Order(priority, before, after, **ends)

    def _extensions(self, name: str, value: Any) -> tuple[str, ...]:
        names = (value,) if isinstance(value, str) else value
        if isinstance(names, list | tuple) and all(
            isinstance(n, str) and _NAME.fullmatch(n) for n in names
        ):
            return tuple(names)
        raise HandlerError(
            f"@{self.__name__}: {name} takes the name of an extension, or a list of them. "
            f'Write {name}=("audit-trail",).'
        )

    def _read_fields(self, options: dict[str, Any]) -> tuple[str, ...] | None:  # noqa: ARG002
        """Take what the handler may change out of the options."""
        return None

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


class _RedactDecorator(_EventDecorator):
    """Note a handler that says what it changes of the data of records."""

    def _read_fields(self, options: dict[str, Any]) -> tuple[str, ...] | None:
        value = options.pop("fields", None)
        names = (value,) if isinstance(value, str) else value
        if names is None:
            return None
        if isinstance(names, list | tuple) and all(isinstance(n, str) and n for n in names):
            return tuple(names)
        raise HandlerError(
            f"@{self.__name__}: fields takes the name of a field, or a list of them. "
            'Write fields=("salary",).'
        )


def _canonical(name: str) -> str:
    """Return an extension's name as the host writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _plain(name: str, *, has_event: bool = True) -> PlainDecorator:
    decorator: PlainDecorator = _EventDecorator(name, {}, has_event=has_event)
    return decorator


def _by_collection(name: str) -> CollectionDecorator:
    decorator: CollectionDecorator = _EventDecorator(
        name, {"collection": "collection"}, has_event=True
    )
    return decorator


def _by_function(name: str) -> FunctionDecorator:
    decorator: FunctionDecorator = _EventDecorator(name, {"name": "function_name"}, has_event=True)
    return decorator


on_startup: PlainDecorator = _plain("on_startup", has_event=False)
on_shutdown: PlainDecorator = _plain("on_shutdown", has_event=False)
on_extension_enable: PlainDecorator = _plain("on_extension_enable")
on_extension_disable: PlainDecorator = _plain("on_extension_disable")

before_user_register: PlainDecorator = _plain("before_user_register")
before_user_login: PlainDecorator = _plain("before_user_login")
token_claims: PlainDecorator = _plain("token_claims")
on_user_login: PlainDecorator = _plain("on_user_login")
on_user_login_failed: PlainDecorator = _plain("on_user_login_failed")
on_user_logout: PlainDecorator = _plain("on_user_logout")
on_user_register: PlainDecorator = _plain("on_user_register")
on_user_update: PlainDecorator = _plain("on_user_update")
on_user_delete: PlainDecorator = _plain("on_user_delete")
on_password_change: PlainDecorator = _plain("on_password_change")

before_collection_create: CollectionDecorator = _by_collection("before_collection_create")
before_collection_update: CollectionDecorator = _by_collection("before_collection_update")
before_collection_delete: CollectionDecorator = _by_collection("before_collection_delete")
on_collection_create: CollectionDecorator = _by_collection("on_collection_create")
on_collection_update: CollectionDecorator = _by_collection("on_collection_update")
on_collection_delete: CollectionDecorator = _by_collection("on_collection_delete")

before_record_create: CollectionDecorator = _by_collection("before_record_create")
before_record_update: CollectionDecorator = _by_collection("before_record_update")
before_record_delete: CollectionDecorator = _by_collection("before_record_delete")
on_record_write: CollectionDecorator = _by_collection("on_record_write")
on_record_create: CollectionDecorator = _by_collection("on_record_create")
on_record_update: CollectionDecorator = _by_collection("on_record_update")
on_record_delete: CollectionDecorator = _by_collection("on_record_delete")
on_record_change: CollectionDecorator = _by_collection("on_record_change")
on_record_write_failed: CollectionDecorator = _by_collection("on_record_write_failed")

can_access: CollectionDecorator = _by_collection("can_access")
filter_records: CollectionDecorator = _by_collection("filter_records")
redact_record: RedactDecorator = _RedactDecorator(
    "redact_record", {"collection": "collection"}, has_event=True
)

before_function_call: FunctionDecorator = _by_function("before_function_call")
on_function_call: FunctionDecorator = _by_function("on_function_call")
on_function_complete: FunctionDecorator = _by_function("on_function_complete")

before_request: PlainDecorator = _plain("before_request")
authenticate: PlainDecorator = _plain("authenticate")
after_request: PlainDecorator = _plain("after_request")
on_error: PlainDecorator = _plain("on_error")
