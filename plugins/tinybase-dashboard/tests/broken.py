"""A module that fails, for a dashboard to show."""

from tinybase.extensions import on_record_create
from tinybase.functions import register


@register(name="divide", auth="public")
def divide(payload: dict) -> float:
    """Divide, as long as nobody divides by zero."""
    return payload["a"] / payload["b"]


@on_record_create(collection="notes")
def read(event) -> None:
    """Fail, and say which note it was."""
    if event.data["text"] == "unreadable":
        raise ValueError("x" * 10_000)
