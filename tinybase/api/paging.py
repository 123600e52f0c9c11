"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tinybase.api import fields
from tinybase.api.operation import Call
from tinybase.api.schemas import Query, Schema

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1_000
LARGEST_OFFSET = 10_000_000


class PageQuery(Query):
    """Which page."""

    limit = fields.Integer(
        minimum=1,
        maximum=LARGEST_LIMIT,
        load_default=DEFAULT_LIMIT,
        metadata={"description": "How many items the page has at most."},
    )
    offset = fields.Integer(
        minimum=0,
        maximum=LARGEST_OFFSET,
        load_default=0,
        metadata={"description": "How many items come before the page."},
    )


class PageAnswer(Schema):
    """What every page says beside its items; derive from it and add the list of them."""

    total = fields.Integer(required=True)
    limit = fields.Integer(required=True)
    offset = fields.Integer(required=True)


def page(name: str, items: Sequence[Any], total: int, query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer that carries one page of things called ``name``."""
    return {name: items, "total": total, "limit": query["limit"], "offset": query["offset"]}


def next_link(call: Call, cursor: str | None) -> dict[str, str]:
    """Return the header that leads to the page that begins at a cursor, if there is one.

    :param cursor: of letters that a query string takes as they are.
    """
    if cursor is None:
        return {}
    kept, place = call.raw_query.of_any_page, f"cursor={cursor}"
    query = f"{kept}&{place}" if kept else place
    path = call.environ["PATH_INFO"].encode("latin-1")  # as which WSGI has its bytes
    return {"Link": f'<{quote(path)}?{query}>; rel="next"'}
