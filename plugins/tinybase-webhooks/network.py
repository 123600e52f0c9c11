"""One POST request to an address that somebody else has chosen.

Whoever can add an endpoint could make the server knock at doors behind the firewall. So the
addresses that a name stands for are checked, and the connection goes to a checked address and
not to the name, which may mean something else a moment later. Redirects are not followed and
no proxy is asked, for both would lead elsewhere.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

_NAT64: Final = IPv6Network("64:ff9b::/96")
_PORTS: Final = {"http": 80, "https": 443}


class Refused(Exception):
    """A webhook must not go there; the message says why."""


def check_url(url: str) -> SplitResult:
    """Return the parts of an address.

    :raises Refused: for what is no address of a web server.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused(f"{url} is no address.") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise Refused("A webhook goes to an address that begins with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise Refused("Leave the password out of the address: receivers check the signature.")
    if not url.isascii() or any(char <= " " for char in url):
        raise Refused("Write the address in ASCII, without spaces.")
    return parts


def check_address(address: str, allowed: Iterable[str]) -> None:
    """Let public addresses pass, and those of networks that the operator allows.

    :raises Refused: for all others.
    """
    found = _within(ip_address(address.partition("%")[0]))
    if any(found in ip_network(network, strict=False) for network in allowed):
        return
    if not found.is_global or found.is_multicast:
        raise Refused(
            f"{address} is not a public address. If webhooks shall go there, add its network to "
            "the setting allowed_networks."
        )


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, allowed: Iterable[str]
) -> int:
    """Send a body and return the status of the answer; nothing else of it is read.

    :param seconds: for all of it: a receiver that sends a byte now and then is cut off.
    :raises Refused: if it must not go there.
    :raises OSError: if nobody answers, or too late.
    """
    deadline = time.monotonic() + seconds
    parts = check_url(url)
    connection = _Connection(parts, _addresses(parts, list(allowed)), deadline)
    too_late = threading.Event()
    timer = threading.Timer(seconds, _cut, (connection, too_late))
    timer.daemon = True
    timer.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, dict(headers))
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        if too_late.is_set() or isinstance(error, TimeoutError):
            raise _no_answer(seconds) from None
        raise ConnectionError(str(error) or type(error).__name__) from None
    else:
        if too_late.is_set():  # the headers ended because we cut them
            raise _no_answer(seconds)
        return status
    finally:
        timer.cancel()
        connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection to one of the addresses that were checked."""

    def __init__(self, parts: SplitResult, addresses: list[tuple[str, int]], deadline: float):
        self.default_port = _PORTS[parts.scheme]
        super().__init__(parts.hostname or "", parts.port)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._addresses = addresses
        self._deadline = deadline

    def connect(self) -> None:
        """Connect to the first address that answers."""
        fault: OSError | None = None
        for address in self._addresses:
            try:
                left = max(0.01, self._deadline - time.monotonic())
                self.sock = socket.create_connection(address, left)
            except OSError as error:
                fault = error
            else:
                self._encrypt()
                return
        raise fault or TimeoutError

    def _encrypt(self) -> None:
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.sock.do_handshake()


def _addresses(parts: SplitResult, allowed: list[str]) -> list[tuple[str, int]]:
    """Return the addresses of a host; one that must not be asked refuses them all."""
    port = parts.port or _PORTS[parts.scheme]
    found = socket.getaddrinfo(
        parts.hostname, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    addresses = [str(address[0]) for *_, address in found]
    for address in addresses:
        check_address(address, allowed)
    return [(address, port) for address in addresses]


def _within(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that is inside of one of IPv6, if there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _no_answer(seconds: float) -> TimeoutError:
    return TimeoutError(f"no answer within {seconds:g} s")


def _cut(connection: _Connection, too_late: threading.Event) -> None:
    too_late.set()
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            # Not its own method: that of an encrypted socket is for its own thread.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
