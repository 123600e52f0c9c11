"""What each type of field takes, makes of it, and refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybase.collections.compiled import CompiledSchema, RecordInvalid
from tinybase.collections.schema import KINDS, TYPED_LISTS, parse_schema

ID = "0190b6c2-0000-7000-8000-00000000000a"


def compiled(*fields: dict[str, Any], drop: bool = False) -> CompiledSchema:
    return CompiledSchema(parse_schema({"fields": list(fields)}), drop_unknown=drop)


def load(field: dict[str, Any], value: Any) -> Any:
    return compiled({"name": "f", **field}).load({"f": value})["f"]


def fault_types(schema: CompiledSchema, data: dict[str, Any]) -> dict[tuple[Any, ...], str]:
    with pytest.raises(RecordInvalid) as caught:
        schema.load(data)
    return {fault.loc[2:]: fault.type for fault in caught.value.faults}


def fault_type(field: dict[str, Any], value: Any) -> str:
    (found,) = fault_types(compiled({"name": "f", **field}), {"f": value}).values()
    return found


ACCEPTED = [
    ("string", "", ""),
    ("string", "ß İ 😀 \u202e", "ß İ 😀 \u202e"),
    ("integer", 0, 0),
    ("integer", -(2**63), -(2**63)),
    ("integer", 2**63 - 1, 2**63 - 1),
    ("integer", 3.0, 3),
    ("integer", "-42", -42),
    ("integer", "+7", 7),
    ("number", 1.5, 1.5),
    ("number", 3, 3.0),
    ("number", "3.25", 3.25),
    ("number", "-1e3", -1000.0),
    ("number", ".5", 0.5),
    ("boolean", True, True),
    ("boolean", 0, False),
    ("boolean", 1, True),
    ("boolean", "TRUE", True),
    ("boolean", "false", False),
    ("list", [], []),
    ("list", [1, "a", None, [True], {"b": 2.5}], [1, "a", None, [True], {"b": 2.5}]),
    ("list[string]", ["a"], ["a"]),
    ("list[int]", ["1", 2.0], [1, 2]),
    ("list[float]", [1], [1.0]),
    ("list[bool]", [0, "true"], [False, True]),
    ("dict", {"a": {"b": [1]}}, {"a": {"b": [1]}}),
    ("json", "text", "text"),
    ("json", 1, 1),
    ("json", [None, {"a": False}], [None, {"a": False}]),
    ("datetime", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"),
    ("datetime", "2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500000Z"),
    ("datetime", "2026-01-31T12:00", "2026-01-31T12:00:00.000000Z"),
    ("datetime", "0999-01-01", "0999-01-01T00:00:00.000000Z"),
    ("date", "2026-01-31", "2026-01-31"),
    ("email", "Ann@Example.com", "Ann@Example.com"),
    ("url", "https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
    ("url", "http://localhost:8000", "http://localhost:8000"),
    ("uuid", ID.upper(), ID),
]

REFUSED = [
    ("string", 1, "invalid_type"),
    ("string", True, "invalid_type"),
    ("string", ["a"], "invalid_type"),
    ("string", "a\0b", "nul_character"),
    ("string", "\ud800", "lone_surrogate"),
    ("integer", True, "invalid_type"),
    ("integer", 1.5, "invalid_type"),
    ("integer", "", "invalid_type"),
    ("integer", " 1", "invalid_type"),
    ("integer", "1_000", "invalid_type"),
    ("integer", "١", "invalid_type"),
    ("integer", "0x10", "invalid_type"),
    ("integer", 2**63, "integer_out_of_range"),
    ("integer", "9" * 20, "integer_out_of_range"),
    ("integer", 1e300, "integer_out_of_range"),
    ("integer", math.inf, "invalid_type"),
    ("number", False, "invalid_type"),
    ("number", "", "invalid_type"),
    ("number", "nan", "invalid_type"),
    ("number", "Infinity", "invalid_type"),
    ("number", "1e999", "invalid_type"),
    ("number", math.nan, "invalid_type"),
    ("number", {}, "invalid_type"),
    ("boolean", 2, "invalid_type"),
    ("boolean", "", "invalid_type"),
    ("boolean", "yes", "invalid_type"),
    ("boolean", 1.0, "invalid_type"),
    ("list", {}, "invalid_type"),
    ("list", "ab", "invalid_type"),
    ("list", ["\0"], "nul_character"),
    ("list[string]", [1], "invalid_type"),
    ("list[string]", [None], "null"),
    ("list[int]", [True], "invalid_type"),
    ("dict", [], "invalid_type"),
    ("dict", {"a\0": 1}, "nul_character"),
    ("dict", {1: 2}, "invalid_type"),
    ("json", {"a": [2**64]}, "integer_out_of_range"),
    ("json", {"a": [math.inf]}, "invalid_type"),
    ("json", {"a": ["\udfff"]}, "lone_surrogate"),
    ("json", {1, 2}, "invalid_type"),
    ("datetime", "yesterday", "invalid_time"),
    ("datetime", 0, "invalid_time"),
    ("datetime", "0001-01-01T00:00+10:00", "invalid_time"),
    ("datetime", "", "invalid_time"),
    ("date", "2026-02-30", "invalid_date"),
    ("date", "20260131", "invalid_date"),
    ("date", "2026-01-31T00:00", "invalid_date"),
    ("date", 20260131, "invalid_date"),
    ("email", "ann", "invalid_email"),
    ("email", "", "invalid_email"),
    ("email", 1, "invalid_type"),
    ("email", "a" * 250 + "@b.com", "too_long"),
    ("url", "ftp://example.com", "invalid_url"),
    ("url", "//example.com", "invalid_url"),
    ("url", "javascript:alert(1)", "invalid_url"),
    ("url", "http://", "invalid_url"),
    ("url", "http://a b", "invalid_url"),
    ("url", "http://[::1", "invalid_url"),
    ("url", "http://a:99999", "invalid_url"),
    ("uuid", "x", "invalid_uuid"),
    ("uuid", ID.replace("-", ""), "invalid_uuid"),
    ("uuid", f"{{{ID}}}", "invalid_uuid"),
    ("uuid", 1, "invalid_uuid"),
]

COERCED = [("integer", 3.0), ("integer", "3"), ("number", 3), ("number", "3")]
COERCED += [("boolean", 0), ("boolean", "true"), ("list[int]", ["1"])]


@pytest.mark.parametrize(("type_", "value", "stored"), ACCEPTED)
def test_a_type_stores_what_it_accepts(type_, value, stored):
    loaded = load({"type": type_}, value)
    assert loaded == stored
    assert type(loaded) is type(stored)


@pytest.mark.parametrize(("type_", "value", "stored"), ACCEPTED)
def test_what_is_stored_is_accepted_again_without_change(type_, value, stored):
    assert load({"type": type_, "strict": True}, stored) == stored


@pytest.mark.parametrize(("type_", "value", "fault"), REFUSED)
def test_a_type_refuses_with_a_stable_fault(type_, value, fault):
    assert fault_type({"type": type_}, value) == fault


@pytest.mark.parametrize(("type_", "value"), COERCED)
def test_strict_refuses_coercions(type_, value):
    load({"type": type_}, value)
    assert fault_type({"type": type_, "strict": True}, value) == "invalid_type"


@pytest.mark.parametrize("spelling", [*KINDS, *TYPED_LISTS])
def test_every_spelling_of_a_type_is_known_in_every_case(spelling):
    field = {"name": "f", "type": spelling.upper()}
    if KINDS.get(spelling) == "enum":
        field["values"] = ["a"]
    assert compiled(field).load({}) in ({"f": None}, {"f": []}, {"f": {}})


def test_a_field_without_type_is_a_string():
    assert fault_type({}, 1) == "invalid_type"
    assert load({}, "a") == "a"


@pytest.mark.parametrize(
    ("options", "good", "bad", "fault"),
    [
        ({"type": "string", "min_length": 2}, "äö", "a", "too_short"),
        ({"type": "string", "max_length": 2}, "äö", "abc", "too_long"),
        ({"type": "string", "pattern": "^a+$"}, "aa", "ab", "pattern"),
        ({"type": "string", "pattern": "b"}, "abc", "ac", "pattern"),
        ({"type": "string", "values": ["x"]}, "x", "y", "not_allowed"),
        ({"type": "enum", "values": ["x", "y"]}, "y", "z", "not_allowed"),
        ({"type": "integer", "min": 2}, 2, 1, "too_small"),
        ({"type": "integer", "max": 2}, "2", "3", "too_large"),
        ({"type": "number", "min": 0.5}, 0.5, 0.4, "too_small"),
        ({"type": "number", "max": 1}, 1, 1.1, "too_large"),
        ({"type": "list", "min_length": 1}, [1], [], "too_short"),
        ({"type": "list", "max_length": 1}, [1], [1, 2], "too_long"),
        ({"type": "dict", "min_length": 1}, {"a": 1}, {}, "too_short"),
        ({"type": "dict", "max_length": 1}, {"a": 1}, {"a": 1, "b": 2}, "too_long"),
        ({"type": "date", "min": "2026-01-02"}, "2026-01-02", "2026-01-01", "too_small"),
        ({"type": "date", "max": "2026-01-02"}, "2026-01-02", "2026-01-03", "too_large"),
        (
            {"type": "datetime", "max": "2026-01-01T00:00+01:00"},
            "2025-12-31T23:00Z",
            "2025-12-31T23:30",
            "too_large",
        ),
        ({"type": "email", "max_length": 6}, "a@b.de", "aa@b.de", "too_long"),
        ({"type": "url", "max_length": 9}, "http://ab", "http://abc", "too_long"),
        ({"type": "list", "items": {"type": "int", "max": 3}}, [3], [4], "too_large"),
        ({"type": "list", "items": "string"}, ["a"], [1], "invalid_type"),
    ],
)
def test_options_bound_values(options, good, bad, fault):
    load(options, good)
    assert fault_type(options, bad) == fault


def test_a_pattern_takes_linear_time():
    assert fault_type({"pattern": "^(a+)+$"}, "a" * 100_000 + "b") == "pattern"


def test_all_faults_of_a_record_are_told_at_once_with_the_way_to_them():
    schema = compiled(
        {"name": "title", "required": True},
        {"name": "n", "type": "int", "max": 3},
        {"name": "tags", "type": "list[string]"},
        {"name": "address", "type": "dict", "properties": {"zip": {"type": "int"}}},
    )
    data = {"n": 4, "tags": ["a", 1], "address": {"zip": "x", "town": ""}, "other": 1}

    assert fault_types(schema, data) == {
        ("title",): "required",
        ("n",): "too_large",
        ("tags", 1): "invalid_type",
        ("address", "zip"): "invalid_type",
        ("address", "town"): "unknown_field",
        ("other",): "unknown_field",
    }


def test_the_message_of_invalid_data_names_fields_and_not_values():
    with pytest.raises(RecordInvalid) as caught:
        compiled({"name": "n", "type": "int"}).load({"n": "secret"})
    assert caught.value.status == 400
    assert "n: Not a valid integer." in caught.value.detail
    assert "secret" not in caught.value.detail


def test_absent_fields_are_stored_with_their_default_or_empty_value():
    schema = compiled(
        {"name": "a"},
        {"name": "b", "type": "int", "default": "7"},
        {"name": "c", "type": "list"},
        {"name": "d", "type": "dict"},
        {"name": "e", "type": "boolean", "default": False, "required": True},
    )
    assert schema.load({}) == {"a": None, "b": 7, "c": [], "d": {}, "e": False}


def test_defaults_are_not_shared_between_records():
    schema = compiled({"name": "tags", "type": "list", "default": [["a"]]})
    schema.load({})["tags"][0].append("b")
    assert schema.load({}) == {"tags": [["a"]]}


def test_null_is_a_value_where_a_field_is_not_required():
    assert compiled({"name": "a", "type": "int", "default": 1}).load({"a": None}) == {"a": None}
    assert fault_type({"type": "int", "required": True}, None) == "null"
    assert fault_type({"type": "int", "required": True, "default": 1}, None) == "null"


def test_unknown_keys_can_be_dropped_but_not_a_wrapper_gone_wrong():
    schema = compiled({"name": "a"}, drop=True)
    assert schema.load({"a": "x", "b": 1}) == {"a": "x"}
    assert fault_types(schema, {"data": {"a": "x"}, "id": 1}) == {("data",): "unknown_field"}
    assert compiled({"name": "data"}, drop=True).load({"data": "x"}) == {"data": "x"}


@pytest.mark.parametrize("name", ["load", "fields", "Meta", "dump", "opts", "__init__", "data_key"])
def test_a_field_may_have_any_good_name(name):
    assert compiled({"name": name, "type": "int"}).load({name: 1}) == {name: 1}


def test_what_was_not_given_may_be_merged_again():
    schema = compiled(
        {"name": "a"},
        {"name": "tags", "type": "list", "min_length": 1},
        {"name": "place", "type": "dict", "properties": [{"name": "zip", "required": True}]},
        {
            "name": "outer",
            "type": "dict",
            "properties": [{"name": "inner", "type": "list", "min_length": 1}],
        },
    )
    stored = schema.load({"outer": {}})

    assert stored == {"a": None, "tags": [], "place": {}, "outer": {"inner": []}}
    assert schema.merge(stored, {"a": "x"}) == {**stored, "a": "x"}
    assert fault_types(schema, {"tags": []}) == {("tags",): "too_short"}


def test_only_declared_fields_are_shown_and_all_of_them():
    schema = compiled({"name": "a", "type": "int", "default": 1}, {"name": "b", "type": "list"})
    assert schema.show({"b": [2], "gone": 3}) == {"a": 1, "b": [2]}


def test_nesting_has_an_end():
    value: Any = 1
    for _ in range(70):
        value = [value]
    assert fault_type({"type": "json"}, value) == "too_deep"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_value_is_kept_as_it_is(value):
    loaded = load({"type": "json"}, value)
    assert loaded == value
    assert repr(loaded) == repr(value)


@given(st.sampled_from(sorted({*KINDS, *TYPED_LISTS} - {"enum"})), JSON)
def test_every_type_loads_any_value_to_its_stored_form_or_refuses_it(type_, value):
    schema = compiled({"name": "f", "type": type_})
    try:
        stored = schema.load({"f": value})
    except RecordInvalid:
        return
    assert schema.load(stored) == stored
    assert schema.faults(stored) == []
