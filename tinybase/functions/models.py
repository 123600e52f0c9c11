"""One face for the three kinds of models that functions may have.

Unknown keys in a payload follow the custom of each kind: pydantic ignores them unless the
model says otherwise, marshmallow and dataclasses refuse them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import marshmallow
import pydantic
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import PydanticSerializationError

from tinybase.functions.errors import OutputValidationError, ValidationError

_MOST_FAULTS = 20
_Direction = Literal["input", "output"]


class Model(Protocol):
    """What a function needs of a model."""

    def load(self, payload: Mapping[str, Any]) -> Any:
        """Return what the function receives.

        :raises ValidationError: with everything that is wrong with the payload.
        """

    def dump(self, value: Any) -> Any:
        """Return what the function returned, as far as the model has it.

        :raises OutputValidationError: if the model does not allow it.
        """

    @property
    def json_schema(self) -> dict[str, Any]:
        """The model as JSON Schema."""


def is_model(candidate: Any) -> bool:
    """Say whether something is a model of one of the three kinds."""
    return _kind(candidate) is not None


def adapt(candidate: Any, direction: _Direction) -> Model:
    """Return the one face of a model.

    :raises ValueError: for something that is none, or that its library cannot work with;
        the message says what is accepted.
    """
    kind = _kind(candidate)
    if kind is None:
        raise ValueError(
            f"{direction}_model is a pydantic model, a marshmallow schema or a dataclass, "
            f"not {candidate!r}. Give the class itself."
        )
    try:
        return kind(candidate, direction)
    except ValueError:
        raise
    except Exception as error:  # whatever a foreign class does when it is looked at
        raise ValueError(
            f"{direction}_model {_name(candidate)} cannot be used: "
            f"{type(error).__name__}: {error}. Correct the model."
        ) from error


def _kind(candidate: Any) -> Callable[[Any, _Direction], Model] | None:
    if isinstance(candidate, marshmallow.Schema):
        return _Marshmallow
    if not isinstance(candidate, type):
        return None
    if issubclass(candidate, marshmallow.Schema):
        return _Marshmallow
    if issubclass(candidate, pydantic.BaseModel) or is_dataclass(candidate):
        return _Pydantic
    return None


class _Pydantic:
    """A pydantic model or a dataclass; pydantic validates both."""

    def __init__(self, cls: type, direction: _Direction) -> None:
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
            raise ValidationError(_listed(_pydantic_faults(error))) from error

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
            faults = _listed(_pydantic_faults(error))
        except PydanticSerializationError:
            faults = self._faults_inside(checked)
        raise _does_not_fit(self._name, faults)

    def _faults_inside(self, value: Any) -> str:
        """Say what is wrong with the content of an instance, without showing it."""
        try:
            self._adapter.validate_python(
                self._adapter.dump_python(value, mode="json", by_alias=True, warnings=False)
            )
        except pydantic.ValidationError as error:
            return _listed(_pydantic_faults(error))
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


class _Marshmallow:
    """A marshmallow schema, as a class or as an instance."""

    def __init__(self, schema: Any, direction: _Direction) -> None:
        self._schema: marshmallow.Schema = schema() if isinstance(schema, type) else schema
        if self._schema.many and direction == "input":
            raise ValueError("input_model describes one object: leave out many=True.")

    def load(self, payload: Mapping[str, Any]) -> Any:
        try:
            return self._schema.load(payload)
        except marshmallow.ValidationError as error:
            faults = _marshmallow_faults(error.messages)
            raise ValidationError(_listed(faults)) from error

    def dump(self, value: Any) -> Any:
        name = _name(type(self._schema))
        try:
            dumped = self._schema.dump(value)
        except (ValueError, TypeError, AttributeError, marshmallow.ValidationError) as error:
            raise _does_not_fit(name, str(error)) from error
        faults = list(self._faults_of(dumped))
        if faults:
            raise _does_not_fit(name, _listed(faults))
        return dumped

    def _faults_of(self, dumped: Any) -> Iterator[tuple[str, str]]:
        """Check what was dumped by loading it again.

        A key that only answers have is unknown then, and one that only payloads have is
        missing; neither is a fault of the result.
        """
        unknown = self._schema.error_messages["unknown"]
        for path, message in _marshmallow_faults(self._schema.validate(dumped)):
            if message != unknown and not _is_load_only(self._schema, path.split(".")):
                yield path, message

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        plugin = MarshmallowPlugin()
        spec = APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
        with warnings.catch_warnings():
            # Two variants of one nested schema get different names, which is what we want.
            warnings.simplefilter("ignore")
            document = plugin.converter.schema2jsonschema(self._schema)  # type: ignore[union-attr]
        if self._schema.many:
            document = {"type": "array", "items": document}
        if spec.components.schemas:
            document = {**document, "$defs": spec.components.schemas}
        text = json.dumps(document).replace("#/components/schemas/", "#/$defs/")
        return dict(json.loads(text))


def _marshmallow_faults(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            here = path if key == "_schema" else f"{path}.{key}".lstrip(".")
            yield from _marshmallow_faults(inner, here)
    elif isinstance(messages, list):
        for message in messages:
            yield from _marshmallow_faults(message, path)
    else:
        yield path, str(messages)


def _is_load_only(schema: marshmallow.Schema, path: list[str]) -> bool:
    """Follow a path down the fields; list indexes are part of it."""
    for part in path:
        keys = {field.data_key or name: field for name, field in schema.fields.items()}
        field = keys.get(part)
        if field is not None and field.load_only:
            return True
        inner = field.inner if isinstance(field, marshmallow.fields.List) else field
        if isinstance(inner, marshmallow.fields.Nested):
            schema = inner.schema
    return False


def _does_not_fit(name: str, faults: str) -> OutputValidationError:
    return OutputValidationError(f"The result does not fit the output model {name}: {faults}")


def _listed(faults: Iterable[tuple[str, str]]) -> str:
    texts = [f"{path}: {message}" if path else message for path, message in faults]
    more = len(texts) - _MOST_FAULTS
    return "; ".join(texts[:_MOST_FAULTS]) + (f"; and {more} more" if more > 0 else "")


def _name(candidate: Any) -> str:
    return str(getattr(candidate, "__qualname__", None) or type(candidate).__qualname__)
