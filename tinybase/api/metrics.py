"""``/metrics``: what Prometheus reads."""

from __future__ import annotations

from tinybase.api.operation import Answer, Call, Operations, Who

operations = Operations("system")


@operations.get("/metrics", id="system_get_metrics", who=Who.METRICS, answers={200: None})
def get_metrics(call: Call) -> object:
    """Return the numbers of the instance as Prometheus reads them.

    The answer is text. Requests by method, route and status, and calls, errors, overruns and
    durations of handlers, are summed over all workers and at most some seconds old. What the
    collectors of extensions tell is of the worker that answers, and labelled with it.
    """
    # The client library is for those whom Prometheus asks.
    from tinybase.api import exposition  # noqa: PLC0415

    return Answer(exposition.page(call.services.host), headers=exposition.HEADERS)
