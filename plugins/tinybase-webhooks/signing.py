"""Signatures after the specification of Standard Webhooks, version 1.0.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac


def key_of(secret: str, endpoint: str) -> bytes:
    """Return the key of one endpoint.

    Each has its own, so that no receiver can write letters to another one, and none is
    stored: whoever reads the database or a backup cannot sign.
    """
    return hmac.digest(secret.encode(), f"webhook endpoint {endpoint}".encode(), hashlib.sha256)


def shown(key: bytes) -> str:
    """Return a key as the specification has it, for the receiver to keep."""
    return f"whsec_{base64.b64encode(key).decode()}"


def headers(message_id: str, timestamp: int, body: bytes, keys: list[bytes]) -> dict[str, str]:
    """Return what goes with a body; with several keys it has a signature by each."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)) for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature.decode()}" for signature in signatures),
    }
