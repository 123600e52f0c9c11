"""One face for the three kinds of models that functions may have.

Unknown keys in a payload follow the custom of each kind: pydantic ignores them unless the
model says otherwise, marshmallow and dataclasses refuse them.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cached_property
from typing import Any, Protocol

import marshmallow
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from tinybase.functions.errors import ValidationError
from tinybase.functions.model_faults import Direction, does_not_fit, listed


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


def adapt(candidate: Any, direction: Direction) -> Model:
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


def _kind(candidate: Any) -> Callable[[Any, Direction], Model] | None:
    if isinstance(candidate, marshmallow.Schema):
        return _Marshmallow
    if not isinstance(candidate, type):
        return None
    if issubclass(candidate, marshmallow.Schema):
        return _Marshmallow
    if is_dataclass(candidate) or _is_pydantic(candidate):
        # It takes a tenth of the time in which a server starts, and not every one has models.
        from tinybase.functions.pydantic_models import PydanticModel  # noqa: PLC0415

        return PydanticModel
    return None


def _is_pydantic(candidate: type) -> bool:
    """Say whether something is a pydantic model; there is none where pydantic is not loaded."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(candidate, pydantic.BaseModel)


class _Marshmallow:
    """A marshmallow schema, as a class or as an instance."""

    def __init__(self, schema: Any, direction: Direction) -> None:
        self._schema: marshmallow.Schema = schema() if isinstance(schema, type) else schema
        if self._schema.many and direction == "input":
            raise ValueError("input_model describes one object: leave out many=True.")

    def load(self, payload: Mapping[str, Any]) -> Any:
        try:
            return self._schema.load(payload)
        except marshmallow.ValidationError as error:
            faults = _marshmallow_faults(error.messages)
            raise ValidationError(listed(faults)) from error

    def dump(self, value: Any) -> Any:
        name = _name(type(self._schema))
        try:
            dumped = self._schema.dump(value)
        except (ValueError, TypeError, AttributeError, marshmallow.ValidationError) as error:
            raise does_not_fit(name, str(error)) from error
        faults = list(self._faults_of(dumped))
        if faults:
            raise does_not_fit(name, listed(faults))
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


def _name(candidate: Any) -> str:
    return str(getattr(candidate, "__qualname__", None) or type(candidate).__qualname__)
