"""``register_metric``: numbers of an extension on the page that Prometheus reads."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from tinybase.extensions.rows import note_declaration
from tinybase.extensions.signatures import HandlerError
from tinybase_hookspecs import MetricDeclaration

_C = TypeVar("_C")


def register_metric(collector: _C) -> _C:
    """Show the numbers of a collector of ``prometheus_client`` at ``/metrics``; return it.

    It is the same as returning a ``MetricDeclaration`` from an implementation of
    ``tinybase_register_metrics``. Make the collector with ``registry=None``: the common registry
    of ``prometheus_client`` would still have it after the extension is switched off.

    :param collector: a ``Counter``, ``Gauge``, ``Histogram``, or any object with ``collect()``.
    :raises HandlerError: for something else.
    """
    declaration = MetricDeclaration(collector)
    check_declaration(declaration)
    # The module in which this is written decides to whom the numbers belong.
    note_declaration("tinybase_register_metrics", declaration, sys._getframe(1))  # noqa: SLF001
    return collector


def check_declaration(declaration: MetricDeclaration) -> None:
    """Refuse what has no numbers to give.

    :raises HandlerError: with what is wrong and the remedy.
    """
    collector: Any = declaration.collector
    if isinstance(collector, type) or not callable(getattr(collector, "collect", None)):
        raise HandlerError(
            "register_metric takes a collector of prometheus_client. Write "
            'register_metric(Counter("shop_orders", "Orders taken.", registry=None)).'
        )
