"""Models that pydantic validates: its own, and dataclasses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from functools import cached_property
from typing import Any, Literal

import pydantic
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import PydanticSerializationError

from tinybase.functions.errors import ValidationError
from tinybase.functions.model_faults import Direction, does_not_fit, listed


class PydanticModel:
    """A pydantic model or a dataclass; pydantic validates both."""

    def __init__(self, cls: type, direction: Direction) -> None:
        self._name = cls.__name__
        self._adapter = pydantic.TypeAdapter[Any](cls)
        self._adapter.rebuild(raise_errors=True)  # a no-op unless an annotation was unknown
        self._mode: Any = {"input": "validation", "output": "serialization"}[direction]
        self._is_plain = is_dataclass(cls) and not is_pydantic_dataclass(cls)
        self._extra: Literal["forbid"] | None = "forbid" if self._is_plain else None

    def load(self, payload: Mapping[str, Any]) -> Any:
        try:
            return self._adapter.validate_python(payload, extra=self._extra)
        except pydantic.ValidationError as error:
            raise ValidationError(listed(_pydantic_faults(error))) from error

    def dump(self, value: Any) -> Any:
        extra = self._extra
        if self._is_plain and is_dataclass(value) and not isinstance(value, type):
            # A dataclass does not look at what it is given, so its content is checked here.
            value, extra = asdict(value), None
        try:
            # An instance of a model passes this; its content is checked while it is dumped.
            checked = self._adapter.validate_python(value, extra=extra)
            return self._adapter.dump_python(checked, mode="json", by_alias=True, warnings="error")
        except pydantic.ValidationError as error:
            faults = listed(_pydantic_faults(error))
        except PydanticSerializationError:
            faults = self._faults_inside(checked)
        raise does_not_fit(self._name, faults)

    def _faults_inside(self, value: Any) -> str:
        """Say what is wrong with the content of an instance, without showing it."""
        try:
            self._adapter.validate_python(
                self._adapter.dump_python(value, mode="json", by_alias=True, warnings=False)
            )
        except pydantic.ValidationError as error:
            return listed(_pydantic_faults(error))
        except PydanticSerializationError:
            pass
        return "a value is of another type than its field"

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        return self._adapter.json_schema(mode=self._mode)


def _pydantic_faults(error: pydantic.ValidationError) -> Iterator[tuple[str, str]]:
    # Values and contexts stay out: they would show a password to whoever reads the call.
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        yield ".".join(str(part) for part in fault["loc"]), fault["msg"]
