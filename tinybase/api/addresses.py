"""From which address a request comes, when reverse proxies stand in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from tinybase.errors import ConfigError

Network = IPv4Network | IPv6Network


class AddressReader:
    """Tells a client's address; believes ``X-Forwarded-For`` from trusted proxies alone.

    :raises ConfigError: for a trusted proxy that is neither an address nor a network.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = tuple(_network(text) for text in trusted_proxies)

    def __call__(self, environ: Mapping[str, Any]) -> str:
        """Return the nearest address that is not a proxy of ours."""
        address: str = environ.get("REMOTE_ADDR") or ""
        if not self._trusted:
            return address
        # Every proxy appends the address it heard from, so the truth is read from the end;
        # what stands before the last hop that we trust may be anybody's invention.
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        for hop in reversed(forwarded):
            parsed = _parse(hop)
            if parsed is None or not self._trusts(address):
                break
            address = str(parsed)
        return address

    def _trusts(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"server.trusted_proxies has {text!r}, which is no address. "
            "Write addresses such as 10.0.0.1 or networks such as 10.0.0.0/8."
        ) from error
