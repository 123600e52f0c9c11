"""Whether OpenTelemetry follows what happens: never unless the operator says so."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from tinybase.config import Config
from tinybase.host.tracing import Spans

_log = logging.getLogger(__name__)


def spans_of(config: Config) -> Spans | None:
    """Return what makes the spans of an application, if it is to have any.

    With ``auto`` that is where a variable of OpenTelemetry's own is set.
    """
    wanted = config.telemetry.traces
    named = any(name.startswith("OTEL_") for name in config.environ)
    disabled = config.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if wanted == "off" or (wanted == "auto" and (not named or disabled)):
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
        if wanted == "on":
            _log.warning(
                "telemetry.traces is on, but OpenTelemetry is not installed: "
                "pip install 'tinybase[otel]'"
            )
        return None
    # Nobody else pays for importing it.
    from tinybase.host.spans import OpenTelemetrySpans  # noqa: PLC0415

    return OpenTelemetrySpans()
