"""The three kinds of models, each with its own custom for unknown keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import marshmallow
import pytest
from marshmallow import fields
from pydantic import BaseModel, Field, field_validator

from tinybase.functions.errors import OutputValidationError, ValidationError
from tinybase.functions.models import adapt, is_model


class PydanticInput(BaseModel):
    force: bool = False
    count: int = Field(1, ge=1)


class SchemaInput(marshmallow.Schema):
    force = fields.Boolean(load_default=False)
    count = fields.Integer(load_default=1, validate=marshmallow.validate.Range(min=1))


@dataclass
class DataclassInput:
    force: bool = False
    count: int = 1


@dataclass
class Item:
    name: str
    at: datetime | None = None


@dataclass
class Order:
    id: UUID
    items: list[Item] = field(default_factory=list)


def plain(value):
    return value if isinstance(value, dict) else {"force": value.force, "count": value.count}


KINDS = [PydanticInput, SchemaInput, SchemaInput(), DataclassInput]


@pytest.mark.parametrize("model", KINDS, ids=str)
def test_every_kind_fills_in_defaults(model):
    loaded = adapt(model, "input").load({"force": True})

    assert plain(loaded) == {"force": True, "count": 1}


@pytest.mark.parametrize("model", KINDS, ids=str)
def test_every_kind_says_which_field_is_wrong_and_never_shows_the_value(model):
    with pytest.raises(ValidationError, match=r"force: .*boolean") as caught:
        adapt(model, "input").load({"force": "s3cret"})

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("model", KINDS, ids=str)
def test_every_kind_has_a_json_schema(model):
    schema = adapt(model, "input").json_schema

    assert schema["type"] == "object"
    assert set(schema["properties"]) == {"force", "count"}
    assert schema["properties"]["force"]["type"] == "boolean"


def test_pydantic_ignores_unknown_keys():
    assert adapt(PydanticInput, "input").load({"more": 1}) == PydanticInput()


def test_a_pydantic_model_may_forbid_unknown_keys():
    class Strict(BaseModel, extra="forbid"):
        pass

    with pytest.raises(ValidationError, match="more"):
        adapt(Strict, "input").load({"more": 1})


def test_marshmallow_refuses_unknown_keys():
    with pytest.raises(ValidationError, match="more: Unknown field"):
        adapt(SchemaInput, "input").load({"more": 1})


def test_dataclasses_refuse_unknown_keys_at_every_depth():
    with pytest.raises(ValidationError, match="more"):
        adapt(DataclassInput, "input").load({"more": 1})
    with pytest.raises(ValidationError, match=r"items\.0\.more"):
        adapt(Order, "input").load(
            {"id": "0190b6c2-0000-7000-8000-000000000000", "items": [{"name": "a", "more": 1}]}
        )


def test_dataclasses_are_built_with_everything_inside_them():
    order = adapt(Order, "input").load(
        {
            "id": "0190b6c2-0000-7000-8000-000000000000",
            "items": [{"name": "a", "at": "2026-01-31T12:00:00Z"}],
        }
    )

    assert order == Order(
        UUID("0190b6c2-0000-7000-8000-000000000000"),
        [Item("a", datetime(2026, 1, 31, 12, tzinfo=UTC))],
    )


def test_all_faults_of_a_payload_are_told_at_once():
    with pytest.raises(ValidationError, match=r"force: .*; count: "):
        adapt(PydanticInput, "input").load({"force": "x", "count": 0})


def test_a_schema_gives_what_its_post_load_makes():
    class Made(marshmallow.Schema):
        name = fields.String()

        @marshmallow.post_load
        def make(self, data, **_):
            return data["name"].upper()

    assert adapt(Made, "input").load({"name": "ann"}) == "ANN"


class Output(BaseModel):
    synced_count: int
    errors: list[str] = []


class OutputSchema(marshmallow.Schema):
    synced_count = fields.Integer(required=True)
    errors = fields.List(fields.String())


@dataclass
class DataclassOutput:
    synced_count: int
    errors: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (Output, Output(synced_count=1)),
        (Output, {"synced_count": 1}),
        (OutputSchema, {"synced_count": 1, "errors": []}),
        (OutputSchema(), DataclassOutput(1)),
        (DataclassOutput, DataclassOutput(1)),
        (DataclassOutput, {"synced_count": 1}),
    ],
)
def test_every_kind_dumps_instances_and_dicts(model, value):
    assert adapt(model, "output").dump(value) == {"synced_count": 1, "errors": []}


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (Output, {}),
        (Output, None),
        (Output, 3),
        (Output, Output.model_construct(synced_count="many")),
        (OutputSchema, {}),
        (OutputSchema, None),
        (OutputSchema, {"synced_count": "many"}),
        (OutputSchema, {"synced_count": 1, "errors": 3}),
        (DataclassOutput, {}),
        (DataclassOutput, None),
        (DataclassOutput, DataclassOutput("many")),
        (DataclassOutput, DataclassOutput(1, None)),
    ],
)
def test_a_result_that_breaks_its_model_is_refused(model, value):
    with pytest.raises(OutputValidationError, match="does not fit the output model"):
        adapt(model, "output").dump(value)


def test_keys_that_only_one_side_has_are_no_fault_of_a_result():
    class Inner(marshmallow.Schema):
        id = fields.Integer(dump_only=True)
        password = fields.String(load_only=True, required=True)

    class Outer(marshmallow.Schema):
        id = fields.Integer(dump_only=True, data_key="ID")
        password = fields.String(load_only=True, required=True)
        inner = fields.Nested(Inner)
        inners = fields.List(fields.Nested(Inner))

    value = {"id": 1, "inner": {"id": 2}, "inners": [{"id": 3}]}

    dumped = adapt(Outer, "output").dump(value)

    assert dumped == {"ID": 1, "inner": {"id": 2}, "inners": [{"id": 3}]}


def test_an_output_schema_may_describe_many():
    model = adapt(OutputSchema(many=True), "output")

    assert model.dump([{"synced_count": 1}]) == [{"synced_count": 1}]
    assert model.json_schema["type"] == "array"
    with pytest.raises(OutputValidationError, match=r"0\.synced_count"):
        model.dump([{}])


def test_a_schema_that_contains_itself_has_a_json_schema():
    class Node(marshmallow.Schema):
        name = fields.String(required=True)
        children = fields.List(fields.Nested(lambda: Node(many=False)))

    schema = adapt(Node, "input").json_schema

    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["required"] == ["name"]


def test_aliases_are_the_keys_of_the_result_as_the_json_schema_says():
    class Aliased(BaseModel):
        count: int = Field(alias="syncedCount")

    model = adapt(Aliased, "output")

    assert model.dump(Aliased(syncedCount=1)) == {"syncedCount": 1}
    assert list(model.json_schema["properties"]) == ["syncedCount"]


class Unfinished(BaseModel):
    other: Missing  # noqa: F821


@pytest.mark.parametrize(
    "candidate", [dict, 3, "Name", PydanticInput(), list[PydanticInput], SchemaInput(many=True)]
)
def test_something_that_is_no_model_is_refused_with_what_is_accepted(candidate):
    with pytest.raises(ValueError, match=r"input_model (is a pydantic model|describes one)"):
        adapt(candidate, "input")


def test_a_model_that_its_library_cannot_use_is_refused_when_it_is_loaded():
    with pytest.raises(ValueError, match="input_model Unfinished cannot be used"):
        adapt(Unfinished, "input")


def test_an_error_of_a_validator_counts_as_invalid_input():
    class Picky(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def check(cls, value):
            raise ValueError("no such name")

    with pytest.raises(ValidationError, match="name: Value error, no such name"):
        adapt(Picky, "input").load({"name": "x"})


def test_only_the_three_kinds_are_models():
    assert [is_model(kind) for kind in KINDS] == [True] * 4
    assert not any(is_model(other) for other in (dict, None, 3, list[int], PydanticInput()))
