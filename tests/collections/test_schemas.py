"""Checking schemas and options: every fault, all at once, with the way to it."""

from __future__ import annotations

from typing import Any

import pytest

from tinybase.collections.access import Operation, Rule
from tinybase.collections.options import parse_options, stored_options
from tinybase.collections.schema import parse_schema
from tinybase.errors import Invalid


def faults(field: dict[str, Any]) -> dict[tuple[Any, ...], str]:
    """Return the faults of one field, by the way to them below the field."""
    return {loc[2:]: type_ for loc, type_ in schema_faults({"fields": [field]}).items()}


def schema_faults(schema: Any) -> dict[tuple[Any, ...], str]:
    with pytest.raises(Invalid) as caught:
        parse_schema(schema)
    assert caught.value.code == "invalid_schema"
    assert caught.value.status == 422
    assert all(fault.loc[:2] == ("body", "schema") for fault in caught.value.faults)
    return {fault.loc[2:]: fault.type for fault in caught.value.faults}


@pytest.mark.parametrize("schema", [None, {}, {"fields": []}, {"fields": None}])
def test_a_schema_may_be_empty(schema):
    assert parse_schema(schema) == ()


@pytest.mark.parametrize("schema", [[], "fields", 1])
def test_a_schema_is_an_object(schema):
    assert schema_faults(schema) == {(): "invalid_type"}


def test_a_schema_has_nothing_but_fields():
    assert schema_faults({"fields": {}, "name": 1}) == {
        ("name",): "unknown_field",
        ("fields",): "invalid_type",
    }


@pytest.mark.parametrize(
    "name",
    ["", "1a", "a-b", "a.b", "a b", 'a"b', "a]b", "ä", "x" * 64, 1, ["a"], "a\n", "$[#-1]", "**"],
)
def test_a_bad_name_is_refused(name):
    assert faults({"name": name}) == {("name",): "invalid_name"}


@pytest.mark.parametrize("name", ["a", "_", "select", "A1_", "x" * 63, "id", "data", "rowid"])
def test_a_good_name_is_accepted(name):
    assert parse_schema({"fields": [{"name": name}]})[0].name == name


def test_names_are_unique_and_case_matters():
    fields = [{"name": "a"}, {"name": "A"}, {"name": "a"}]
    assert schema_faults({"fields": fields}) == {("fields", 2, "name"): "duplicate_name"}


@pytest.mark.parametrize(
    ("field", "way", "fault"),
    [
        ({"name": None}, "name", "required"),
        ({"type": "strin"}, "type", "unknown_type"),
        ({"type": 1}, "type", "unknown_type"),
        ({"type": "list[date]"}, "type", "unknown_type"),
        ({"type": "relation"}, "type", "unknown_type"),
        ({"reqired": True}, "reqired", "unknown_option"),
        ({"required": 1}, "required", "invalid_option"),
        ({"strict": "yes"}, "strict", "invalid_option"),
        ({"min": 1}, "min", "unknown_option"),
        ({"type": "int", "min_length": 1}, "min_length", "unknown_option"),
        ({"type": "bool", "min": 1}, "min", "unknown_option"),
        ({"type": "json", "values": ["a"]}, "values", "unknown_option"),
        ({"type": "email", "min_length": 1}, "min_length", "unknown_option"),
        ({"type": "list[int]", "items": "int"}, "items", "unknown_option"),
        ({"type": "list", "unique": True}, "unique", "unknown_option"),
        ({"type": "dict", "indexed": True}, "indexed", "unknown_option"),
        ({"type": "json", "indexed": True}, "indexed", "unknown_option"),
        ({"min_length": -1}, "min_length", "invalid_option"),
        ({"max_length": True}, "max_length", "invalid_option"),
        ({"max_length": 2**70}, "max_length", "invalid_option"),
        ({"min_length": 3, "max_length": 2}, "max_length", "invalid_option"),
        ({"type": "int", "min": 1.5}, "min", "invalid_option"),
        ({"type": "int", "min": 3, "max": 2}, "max", "invalid_option"),
        ({"type": "date", "min": "1.1.2026"}, "min", "invalid_option"),
        ({"pattern": "("}, "pattern", "invalid_pattern"),
        ({"pattern": "(?=a)"}, "pattern", "invalid_pattern"),
        ({"pattern": "(a)\\1"}, "pattern", "invalid_pattern"),
        (
            {"pattern": "a" * 501},
            "pattern",
            "invalid_option",
        ),
        ({"pattern": 1}, "pattern", "invalid_option"),
        ({"values": []}, "values", "invalid_option"),
        ({"values": [1]}, "values", "invalid_option"),
        ({"type": "enum"}, "values", "required"),
        (
            {
                "type": "enum",
                "values": ["a"] * 201,
            },
            "values",
            "invalid_option",
        ),
        ({"default": 1}, "default", "invalid_default"),
        ({"type": "int", "max": 3, "default": 4}, "default", "invalid_default"),
        ({"type": "enum", "values": ["a"], "default": "b"}, "default", "invalid_default"),
        ({"type": "list[int]", "default": [1, "x"]}, "default.1", "invalid_default"),
        (
            {"description": "x" * 1001},
            "description",
            "invalid_option",
        ),
        ({"label": 1}, "label", "invalid_option"),
        ({"order": "1"}, "order", "invalid_option"),
        ({"type": "list", "items": "strin"}, "items.type", "unknown_type"),
        ({"type": "list", "items": {"name": "b"}}, "items.name", "unknown_option"),
        ({"type": "list", "items": 1}, "items", "invalid_type"),
        (
            {"type": "list", "items": {"type": "int", "unique": True}},
            "items.unique",
            "unknown_option",
        ),
        ({"type": "dict", "properties": 1}, "properties", "invalid_type"),
        ({"type": "dict", "properties": [{"name": "1"}]}, "properties.0.name", "invalid_name"),
        ({"type": "dict", "properties": {"b": {"type": "x"}}}, "properties.b.type", "unknown_type"),
        ({"type": "dict", "properties": {"b": {"name": "c"}}}, "properties.b.name", "invalid_name"),
        ({"type": "dict", "properties": {"b": 1}}, "properties.b", "invalid_type"),
        (
            {"type": "dict", "properties": {"b": {"unique": True}}},
            "properties.b.unique",
            "unknown_option",
        ),
    ],
)
def test_a_fault_of_a_field_is_told_with_its_place(field, way, fault):
    found = faults({"name": "a", **field})
    assert {".".join(map(str, loc)): type_ for loc, type_ in found.items()} == {way: fault}


def test_an_option_that_no_type_has_is_told_beside_an_unknown_type():
    found = faults({"name": "a", "type": "x", "nope": 1, "min": 1})
    assert found == {("type",): "unknown_type", ("nope",): "unknown_option"}


def test_all_faults_of_a_schema_are_told_at_once():
    fields = [{"name": "1"}, 7, {"name": "a", "type": "x"}, {"name": "b", "min": 1, "pattern": "("}]
    assert schema_faults({"fields": fields}) == {
        ("fields", 0, "name"): "invalid_name",
        ("fields", 1): "invalid_type",
        ("fields", 2, "type"): "unknown_type",
        ("fields", 3, "min"): "unknown_option",
        ("fields", 3, "pattern"): "invalid_pattern",
    }


def test_there_are_at_most_200_fields():
    fields = [{"name": f"f{index}"} for index in range(201)]
    assert len(parse_schema({"fields": fields[:200]})) == 200
    assert schema_faults({"fields": fields}) == {("fields",): "too_long"}


def test_nesting_ends_after_five_levels():
    def nested(levels: int) -> dict[str, Any]:
        field: dict[str, Any] = {"name": "a", "type": "dict"}
        for _ in range(levels):
            field = {"name": "a", "type": "dict", "properties": [field]}
        return {"fields": [field]}

    parse_schema(nested(5))
    assert list(schema_faults(nested(6)).values()) == ["too_deep"]


def test_an_option_that_is_null_is_not_there():
    field = {"name": "a", "type": None, "min": None, "default": None, "values": None}
    (spec,) = parse_schema({"fields": [field]})
    assert (spec.kind, spec.default) == ("string", None)


def test_unique_implies_an_index_and_defaults_are_coerced():
    field = {"name": "a", "type": "int", "unique": True, "default": "7", "label": "A", "order": 1}
    (spec,) = parse_schema({"fields": [field]})
    assert spec.wants_index
    assert spec.default == 7


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {(): "invalid_type"}),
        ({"nope": 1}, {("nope",): "unknown_option"}),
        ({"history": True}, {("history",): "unknown_option"}),
        ({"access": []}, {("access",): "invalid_type"}),
        ({"access": {"list": "Public"}}, {("access", "list"): "unknown_rule"}),
        ({"access": {"list": None}}, {("access", "list"): "unknown_rule"}),
        ({"access": {"view": "auth"}}, {("access", "view"): "unknown_operation"}),
        ({"require_if_match": 1}, {("require_if_match",): "invalid_type"}),
        ({"unknown_fields": "keep"}, {("unknown_fields",): "not_allowed"}),
        ({"unknown_fields": ["drop"]}, {("unknown_fields",): "not_allowed"}),
        ({"x_": 1}, {("x_",): "unknown_option"}),
        ({"x_big": "a" * 8200}, {("x_big",): "too_long"}),
        ({"a": 1, "b": 2}, {("a",): "unknown_option", ("b",): "unknown_option"}),
    ],
)
def test_a_fault_of_the_options_is_told_with_its_place(options, expected):
    with pytest.raises(Invalid) as caught:
        parse_options(options)
    assert caught.value.code == "invalid_schema"
    assert {fault.loc[2:]: fault.type for fault in caught.value.faults} == expected


def test_good_options_are_understood():
    options = {
        "access": {"list": "public", "delete": "admin"},
        "require_if_match": True,
        "unknown_fields": "drop",
        "x_audit": {"any": ["json"]},
    }
    parsed = parse_options(options)
    assert parsed.access == {Operation.LIST: Rule.PUBLIC, Operation.DELETE: Rule.ADMIN}
    assert parsed.require_if_match
    assert parsed.drop_unknown_fields
    assert parsed == stored_options(options)


def test_a_rule_in_the_database_that_nobody_knows_is_for_admins():
    options = stored_options({"access": {"list": "everybody", "read": ["public"], "x": "public"}})
    assert options.access == {Operation.LIST: Rule.ADMIN, Operation.READ: Rule.ADMIN}
