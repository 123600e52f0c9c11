"""A receiver of webhooks, which checks signatures as the specification tells it to."""

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Verify one of the signatures; ``secret`` is what the receiver was given."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.{self.body.decode()}".encode()
        right = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        given = self.headers["webhook-signature"].encode().split(b" ")
        return any(hmac.compare_digest(right, one) for one in given)


@dataclass
class Receiver:
    """What came in, and how to answer the next ones."""

    url: str = ""
    requests: queue.Queue[Received] = field(default_factory=queue.Queue)
    answer: Callable[[Received], int] = lambda _: 204

    def next(self, seconds: float = 20) -> Received:
        """Wait for a request."""
        return self.requests.get(timeout=seconds)


@contextmanager
def receiving():
    """Run a receiver while the block runs."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = Received({name.lower(): text for name, text in self.headers.items()}, body)
            receiver.requests.put(received)
            self.send_response(receiver.answer(received))
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
