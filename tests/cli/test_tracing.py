"""``tinybase extensions trace``."""

from __future__ import annotations

import json

from click.testing import CliRunner

from tinybase.cli.tracing import trace

SEEN = {
    "ms": 12.34,
    "calls": [
        {"hook": "before_record_create", "extension": "shop", "handler": "shop:check"}
        | {"about": "orders", "ms": 1.25, "outcome": "rejected", "error": "409 sold_out: No\x1b."},
        {"hook": "on_record_create", "extension": "shop", "handler": "shop:reserve"}
        | {"ms": 2.0, "outcome": "ok"}
        | {"calls": [{"hook": "h", "extension": "e", "handler": "e:f", "outcome": "waiting"}]},
    ],
    "left_out": 3,
}
HEADERS = f"HTTP/1.1 201 CREATED\r\nX-TinyBase-Trace: {json.dumps(SEEN)}\r\n\r\n"


def test_the_tree_is_shown_in_the_order_of_the_calls():
    done = CliRunner().invoke(trace, input=HEADERS)

    assert done.stdout.splitlines() == [
        "1. before_record_create (orders)  shop  shop:check  1.2 ms  rejected: 409 sold_out: No?.",
        "2. on_record_create  shop  shop:reserve  2.0 ms  ok",
        "   1. h  e  e:f  waiting",
        "12.3 ms in all",
    ]
    assert "3 more" in done.stderr


def test_json_is_the_trace_itself():
    assert json.loads(CliRunner().invoke(trace, ["--json"], input=HEADERS).stdout) == SEEN


def test_headers_without_a_trace_are_told_how_to_get_one(run):
    for headers in ("HTTP/1.1 200 OK\r\n", "X-TinyBase-Trace: [nonsense\r\n"):
        done = run("extensions", "trace", stdin=headers, code=1)
        assert "Send X-TinyBase-Trace: 1 with the token of an admin" in done.err
