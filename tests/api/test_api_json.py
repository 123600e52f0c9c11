"""What is refused in a JSON body, and with which answer."""

from __future__ import annotations

import io
import json
import random
import sys
from typing import Any

import pytest

JSON = "application/json"


def nested(levels: int) -> bytes:
    return b'{"a":' + b"[" * levels + b"]" * levels + b"}"


NOT_JSON = {
    "not UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "ann"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "ann"}',
    "an unfinished object": b'{"name": "ann"',
    "a trailing comma": b'{"name": "ann",}',
    "something after the object": b'{"name": "ann"} x',
    "single quotes": b"{'name': 'ann'}",
    "a raw control character": b'{"name": "a\nb"}',
    "the same key twice": b'{"name": "ann", "name": "bob"}',
    "the same key twice, spelt differently": b'{"name": "ann", "n\\u0061me": "bob"}',
    "the same key twice deep inside": b'{"name": [{"a": 1, "a": 2}]}',
    "NaN": b'{"price": NaN}',
    "Infinity": b'{"price": Infinity}',
    "-Infinity": b'{"price": -Infinity}',
    "a number that overflows a double": b'{"price": 1e400}',
    "a negative number that overflows": b'{"price": -1e400}',
    "too many digits": b'{"count": ' + b"1" * 4301 + b"}",
    "too many digits after the point": b'{"price": 0.' + b"1" * 4301 + b"}",
    "65 levels": nested(64),
    "200,000 levels": nested(200_000),
    "200,000 opening brackets": b'{"a":' + b"[" * 200_000,
}

NOT_STORABLE = {
    "nothing": b"",
    "only spaces": b"  \n",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"ann"',
    "a number": b"1",
    "a NUL character": b'{"name": "a\\u0000b"}',
    "a NUL character in a key": b'{"na\\u0000me": 1}',
    "a NUL character deep inside": b'{"a": {"b": [{"c": "\\u0000"}]}}',
    "half of a surrogate pair": b'{"name": "\\ud800"}',
    "the other half": b'{"name": "\\udc00"}',
    "half of a surrogate pair in a key": b'{"\\ud800": 1}',
    "an integer of 64 bits and one": b'{"count": 9223372036854775808}',
    "a negative integer of 64 bits and one": b'{"count": -9223372036854775809}',
    "4,300 digits": b'{"count": ' + b"1" * 4300 + b"}",
    "more than 1,000 keys": b"{" + b",".join(b'"k%d": 1' % n for n in range(1001)) + b"}",
    "a text of more than 256 KiB": b'{"a": "' + b"x" * 262_145 + b'"}',
    "a text of few characters and many bytes": b'{"a": "' + "€".encode() * 90_000 + b'"}',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("path", ["/api/things", "/api/any"])
def test_what_is_not_unambiguous_json_is_a_bad_request(tiny, path, body):
    answer = tiny.post(path, data=body, content_type=JSON)

    assert answer.status_code == 400
    assert answer.json["code"] == "invalid_json"
    assert isinstance(answer.json["detail"], str)


@pytest.mark.parametrize("body", NOT_STORABLE.values(), ids=NOT_STORABLE)
def test_json_that_cannot_be_stored_is_not_valid(tiny, body):
    answer = tiny.post("/api/things", data=body, content_type=JSON)

    assert answer.status_code == 422
    assert answer.json["code"] == "validation_error"
    assert answer.json["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    "value",
    ["9223372036854775807", "-9223372036854775808", "1e308", '"\\ud83d\\ude00"', '"\\u001f"'],
)
def test_what_is_within_the_bounds_is_kept_as_it_is(tiny, value):
    answer = tiny.post("/api/any", data=f'{{"a": {value}}}', content_type=JSON)

    assert answer.status_code == 200


def any_value(dice: random.Random, depth: int = 0) -> Any:
    texts = [
        "",
        "x",
        "12:30",
        ":",
        "https://a.example/?b=c:d",
        "€",
        "\n",
        '"',
        "\\",
        "\0",
        "\ud800",
    ]
    numbers = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, -(2**63) - 1, 10**30]
    floats = [0.1, -0.0, 1e308, 5e-324, 1e19, float("inf")]
    kinds = [texts, numbers, floats, [True, False, None]]
    if depth < 3 and dice.random() < 0.4:
        size = dice.randrange(3)
        if dice.random() < 0.5:
            return [any_value(dice, depth + 1) for _ in range(size)]
        return {dice.choice(texts): any_value(dice, depth + 1) for _ in range(size)}
    return dice.choice(dice.choice(kinds))


def any_body(dice: random.Random) -> bytes:
    pairs = [(dice.choice("abc:"), any_value(dice)) for _ in range(dice.randrange(1, 4))]
    is_ascii = dice.random() < 0.3
    texts = [f'"{key}":{json.dumps(value, ensure_ascii=is_ascii)}' for key, value in pairs]
    return f"{{{','.join(texts)}}}".encode("utf-8", "surrogatepass")


def test_a_short_body_is_read_as_the_same_body_with_spaces_behind_it(tiny):
    dice, seen, headers = random.Random("bodies"), set(), {"X-Request-Id": "same"}
    for _ in range(600):
        body = any_body(dice)
        long = tiny.post("/api/any", data=body + b" " * 4_000, content_type=JSON, headers=headers)
        short = tiny.post("/api/any", data=body, content_type=JSON, headers=headers)
        assert (short.status_code, short.data) == (long.status_code, long.data), body
        seen.add(short.status_code)
    assert seen == {200, 400, 422}


def test_64_levels_are_fine(tiny):
    assert tiny.post("/api/any", data=nested(63), content_type=JSON).status_code == 200


def test_a_bad_value_behind_a_bad_key_does_not_break_the_answer(tiny):
    answer = tiny.post("/api/any", data=b'{"\\ud800": "\\u0000"}', content_type=JSON)

    assert answer.status_code == 422
    assert answer.json["detail"][1]["loc"] == ["body", "?"]


def test_the_input_of_a_function_may_have_long_texts(tiny):
    body = b'{"a": "' + b"x" * 300_000 + b'"}'

    assert tiny.post("/api/call", data=body, content_type=JSON).status_code == 200


def test_no_body_is_an_empty_object_where_that_is_allowed(tiny):
    answer = tiny.post("/api/any")

    assert answer.status_code == 200
    assert answer.json == {}


def test_a_lowered_limit_of_python_for_digits_is_no_server_error(tiny):
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        answer = tiny.post("/api/any", data=b'{"a": ' + b"1" * 700 + b"}", content_type=JSON)
    finally:
        sys.set_int_max_str_digits(before)

    assert answer.json["code"] == "invalid_json"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/merge-patch+json",
        "nonsense",
    ],
)
def test_a_body_of_another_type_is_refused(tiny, content_type):
    answer = tiny.post("/api/things", data=b'{"name": "ann"}', content_type=content_type)

    assert answer.status_code == 415
    assert answer.json["code"] == "unsupported_media_type"


@pytest.mark.parametrize("content_type", [None, JSON, "application/json; charset=UTF-8"])
def test_json_and_a_missing_type_are_read_as_json(tiny, content_type):
    answer = tiny.post("/api/things", data=b'{"name": "ann"}', content_type=content_type)

    assert answer.status_code == 200
    assert answer.json["body"] == {"name": "ann"}


def test_a_compressed_body_is_refused(tiny):
    answer = tiny.post(
        "/api/things",
        data=b"\x1f\x8b",
        content_type=JSON,
        headers={"Content-Encoding": "gzip"},
    )

    assert answer.status_code == 415


class Unreadable:
    """A body that must not be looked at."""

    def read(self, *_):
        raise AssertionError("the body was read")

    readinto = readline = read


def test_a_declared_size_is_checked_before_anything_is_read(tiny):
    answer = tiny.post(
        "/api/things",
        environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": str(2**40)},
        content_type=JSON,
    )

    assert answer.status_code == 413
    assert answer.json["code"] == "payload_too_large"
    assert "exceeds maximum size" in answer.json["detail"]


def test_a_chunked_body_is_counted_while_it_is_read(make_tiny):
    tiny = make_tiny(TINYBASE_LIMITS_BODY_BYTES="100")
    stream = io.BytesIO(b'{"a": "' + b"x" * 100_000 + b'"}')
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = tiny.post("/api/any", environ_overrides=environ, content_type=JSON)

    assert answer.status_code == 413
    assert stream.tell() <= 70_000


def test_a_chunked_body_within_the_limit_is_read(tiny):
    stream = io.BytesIO(b'{"a": 1}')
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = tiny.post("/api/any", environ_overrides=environ, content_type=JSON)

    assert answer.json == {"a": 1}


def test_a_body_that_is_shorter_than_it_says_is_a_bad_request(tiny):
    answer = tiny.post(
        "/api/things",
        data=b'{"name": ',
        environ_overrides={"CONTENT_LENGTH": "100"},
        content_type=JSON,
    )

    assert answer.status_code == 400


def test_a_body_that_arrives_in_parts_is_read_whole(tiny):
    class Parts(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    answer = tiny.post(
        "/api/any",
        data=b'{"a": 1, "b": [1]}',
        environ_overrides={"wsgi.input": Parts(b'{"a": 1, "b": [1]}')},
        content_type=JSON,
    )

    assert answer.json == {"a": 1, "b": [1]}


def test_a_client_that_is_gone_while_its_body_is_read_is_a_bad_request(tiny):
    class Gone(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError(size)

    answer = tiny.post(
        "/api/any",
        data=b'{"a": 1}',
        environ_overrides={"wsgi.input": Gone()},
        content_type=JSON,
    )

    assert answer.status_code == 400


def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not(make_tiny):
    tiny = make_tiny(TINYBASE_LIMITS_BODY_BYTES="20")

    assert tiny.post("/api/any", data=b'{"a": "%s"}' % (b"x" * 11)).status_code == 200
    assert tiny.post("/api/any", data=b'{"a": "%s"}' % (b"x" * 12)).status_code == 413


def test_a_function_has_its_own_limit(make_tiny):
    tiny = make_tiny(TINYBASE_MAX_FUNCTION_PAYLOAD_BYTES="20")

    assert tiny.post("/api/call", data=b'{"a": "%s"}' % (b"x" * 12)).status_code == 413
    assert tiny.post("/api/any", data=b'{"a": "%s"}' % (b"x" * 12)).status_code == 200
