"""Threads that send what is due.

Each worker of each host has a few. One of them at a time looks for a delivery, waiting if need
be; when it has claimed one it lets the next one look, and sends. A worker sends only one
delivery to an endpoint at a time, so a slow receiver holds up one thread and not all.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final
from uuid import UUID

from prometheus_client import Counter

from tinybase.extensions import on_shutdown, on_startup, register_metric
from tinybase.functions import Context, NotFound, PreconditionFailed

from . import deliveries
from .endpoints import ENDPOINTS
from .network import Refused, post
from .settings import Settings
from .signing import headers, key_of

THREADS: Final = 4
POLL_SECONDS: Final = 1.0
"""How soon a worker sees what another process has queued."""
PRUNE_SECONDS: Final = 600.0
STOP_SECONDS: Final = 2.0

OpenContext = Callable[[], AbstractContextManager[Context]]

attempts = register_metric(
    Counter("webhooks_attempts", "Attempts to deliver a webhook.", ["outcome"], registry=None)
)
logger = logging.getLogger(__name__)


class Sender:
    """The threads of one worker.

    :param open_context: opens a context for one of them.
    """

    def __init__(self, open_context: OpenContext) -> None:
        self.open_context = open_context
        self._looking = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._busy: set[str] = set()
        self._pruned_at = time.monotonic()
        self._threads = [
            threading.Thread(target=self._run, name=f"webhooks-{number}", daemon=True)
            for number in range(THREADS)
        ]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more, and wait a little for what is being sent.

        What takes longer is given up with the process, and sent again by another one.
        """
        self._stopping.set()
        self._wake.set()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while not self._stopping.is_set():
            delivery = self._next()
            if delivery is not None:
                self._deliver(delivery)

    def _next(self) -> Any | None:
        """Wait for a delivery and claim it; ``None`` when there is no more time."""
        with self._looking:
            while not self._stopping.is_set():
                self._wake.clear()
                delivery = self._claim()
                if delivery is not None:
                    self._busy.add(delivery.data["endpoint"])
                    return delivery
                self._wake.wait(POLL_SECONDS)
        return None

    def _claim(self) -> Any | None:
        try:
            with self.open_context() as ctx:
                self._prune(ctx)
                return deliveries.claim(ctx, list(self._busy))
        except Exception:
            logger.exception("webhooks cannot look for deliveries; the next look is soon")
            return None

    def _prune(self, ctx: Context) -> None:
        if time.monotonic() - self._pruned_at >= PRUNE_SECONDS:
            self._pruned_at = time.monotonic()
            deliveries.prune(ctx)

    def _deliver(self, delivery: Any) -> None:
        """Send a delivery; whatever goes wrong, it is due again."""
        try:
            deliver(self.open_context, delivery)
        except (NotFound, PreconditionFailed):
            logger.info("delivery %s was changed or taken over meanwhile", delivery.id)
        except Exception:
            logger.exception("delivery %s was not finished, and will be sent again", delivery.id)
        finally:
            self._busy.discard(delivery.data["endpoint"])
            self._wake.set()


def deliver(open_context: OpenContext, delivery: Any) -> None:
    """Send a claimed delivery to its endpoint, and write down what became of it.

    No context is open while the receiver is waited for: it would keep a connection.
    """
    with open_context() as ctx:
        endpoint = _endpoint(ctx, delivery)
        if endpoint is None:
            deliveries.finish(ctx, delivery, "failed", None, "its endpoint is gone or inactive")
            return
    answer, error = send(
        endpoint.data["url"],
        str(endpoint.id),
        deliveries.message_id(delivery.id),
        delivery.data["body"],
    )
    attempts.labels("failed" if error else "delivered").inc()
    with open_context() as ctx:
        if error is None:
            deliveries.finish(ctx, delivery, "delivered", answer, None)
            return
        logger.warning("webhook to %s: %s", endpoint.data["url"], error)
        if answer == 410:
            ctx.records.update(ENDPOINTS, endpoint.id, {"is_active": False})
            deliveries.finish(ctx, delivery, "failed", answer, "the receiver wants no more")
        else:
            deliveries.postpone(ctx, delivery, answer, error)


def send(url: str, endpoint: str, message: str, body: str) -> tuple[int | None, str | None]:
    """Send one signed request; return the status of the answer and what went wrong, if it did."""
    secrets = (Settings.signing_secret, Settings.previous_signing_secret)
    keys = [key_of(secret, endpoint) for secret in secrets if secret]
    content = body.encode()
    signed = {
        "Content-Type": "application/json",
        "User-Agent": "TinyBase-webhooks/1.0",
        **headers(message, int(time.time()), content, keys),
    }
    try:
        status = post(
            url,
            content,
            signed,
            seconds=Settings.timeout_seconds,
            allowed=Settings.allowed_networks,
        )
    except (OSError, Refused, ValueError) as error:
        return None, str(error)
    return status, None if 200 <= status < 300 else f"the receiver answered {status}"


def _endpoint(ctx: Context, delivery: Any) -> Any | None:
    with contextlib.suppress(NotFound):
        endpoint = ctx.records.get(ENDPOINTS, UUID(delivery.data["endpoint"]))
        return endpoint if endpoint.data["is_active"] else None
    return None


running: list[Sender] = []


@on_startup
def start(ctx: Context) -> None:
    """Begin to send, in this worker."""
    sender = Sender(ctx.open)
    running.append(sender)
    sender.start()


@on_shutdown
def stop() -> None:
    """Stop sending; what is not sent waits in the database."""
    while running:
        running.pop().stop()
