"""OpenTelemetry: spans of requests, functions and handlers, where the operator wants them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tinybase.extensions import on_record_create
from tinybase.functions import register
from tinybase.testing import Running, running

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@on_record_create(collection="orders")
def tell(event):
    if event.data["item"] == "bad":
        raise ValueError("no luck with token=abc")


@register(name="sell", auth="admin")
def sell(payload, ctx):
    ctx.records.create("orders", {"item": "tea"})


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Set up a tracer provider, as the operator does."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def followed(tmp_path: Path, exporter: InMemorySpanExporter) -> Iterator[Running]:
    environ = {"OTEL_SERVICE_NAME": "shop"}
    with running(tmp_path, modules=[__name__], environ=environ) as tinybase:
        tinybase.collection("orders", {"fields": [{"name": "item"}]})
        exporter.clear()
        yield tinybase


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_request_continues_the_trace_of_its_client(followed, exporter):
    headers = {**followed.headers, "traceparent": PARENT}
    followed.post("/api/functions/sell", {}, headers)

    spans = named(exporter)
    request = spans["POST /api/functions/{function_name}"]
    function = spans[f"function {sell.__name__}"]
    handler = spans[f"on_record_create {__name__}:tell"]
    assert request.kind is SpanKind.SERVER
    assert f"{request.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    assert request.attributes["http.request.method"] == "POST"
    assert request.attributes["http.route"] == "/api/functions/{function_name}"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["url.path"] == "/api/functions/sell"
    assert function.parent.span_id == request.context.span_id
    assert handler.parent.span_id == function.context.span_id
    assert dict(handler.attributes) == {
        "tinybase.extension": "project",
        "tinybase.handler": f"{__name__}:tell",
        "tinybase.hook": "on_record_create",
        "tinybase.about": "orders",
        "tinybase.outcome": "ok",
    }


def test_a_handler_that_fails_is_an_error_without_its_secrets(followed, exporter):
    followed.post("/api/collections/orders/records", {"item": "bad"})

    spans = named(exporter)
    handler = spans[f"on_record_create {__name__}:tell"]
    assert handler.status.status_code is StatusCode.ERROR
    assert handler.status.description == "ValueError: no luck with token=***"
    assert handler.attributes["error.type"] == "ValueError"
    assert not handler.events
    request = spans["POST /api/collections/{collection_name}/records"]
    assert request.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("environ", "followed"),
    [
        ("", False),
        ("OTEL_SERVICE_NAME=shop", True),
        ("OTEL_SERVICE_NAME=shop OTEL_SDK_DISABLED=true", False),
        ("OTEL_SERVICE_NAME=shop TINYBASE_TELEMETRY_TRACES=off", False),
        ("TINYBASE_TELEMETRY_TRACES=on", True),
    ],
)
def test_nothing_is_imported_unless_the_operator_says_so(environ, followed, tmp_path):
    code = (
        "import sys; from tinybase import config; from tinybase.host.telemetry import spans_of\n"
        "given = dict(item.split('=') for item in sys.argv[1].split())\n"
        "print(spans_of(config.load('.', given)) is not None, 'opentelemetry' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, environ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )

    assert done.stdout.split() == [str(followed)] * 2


def test_who_wants_spans_without_opentelemetry_is_told_what_to_install(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("tinybase.host.telemetry.find_spec", lambda name: None)

    with running(tmp_path, environ={"TINYBASE_TELEMETRY_TRACES": "on"}) as tinybase:
        assert tinybase.get("/health").status_code == 200

    assert "pip install 'tinybase[otel]'" in caplog.text
