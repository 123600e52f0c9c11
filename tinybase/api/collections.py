"""Collections, as everybody sees them and admins manage them."""

from __future__ import annotations

import orjson

from tinybase.api import fields
from tinybase.api.operation import Answer, Call, Operations, Repetition, Who
from tinybase.api.paging import LARGEST_LIMIT, PageQuery
from tinybase.api.schemas import Patch, Query, Schema
from tinybase.collections.collection import Collection
from tinybase.collections.collections import LONGEST_LABEL, NAME_PATTERN
from tinybase.collections.preconditions import etag, parse_versions

operations = Operations("collections")

_SCHEMA = {"description": 'The fields of the records: {"fields": [...]}.'}
_OPTIONS = {"description": "The access rules and other options."}


class CollectionResponse(Schema):
    """A collection. ``options`` is as given, ``access`` the effective rules."""

    id = fields.Id(required=True)
    name = fields.String(required=True)
    label = fields.String(required=True)
    schema = fields.Object(required=True, metadata=_SCHEMA)
    options = fields.Object(required=True, metadata=_OPTIONS)
    access = fields.Object(
        required=True,
        metadata={"description": "The rule of each operation, defaults included."},
    )
    version = fields.Integer(required=True)
    created_at = fields.Time(required=True)
    updated_at = fields.Time(required=True)


class CollectionCreate(Schema):
    """A new collection. The label is the name if none is given."""

    name = fields.String(required=True, pattern=NAME_PATTERN)
    label = fields.String(min_length=1, max_length=LONGEST_LABEL, allow_none=True)
    schema = fields.Object(required=True, metadata=_SCHEMA)
    options = fields.Object(allow_none=True, metadata=_OPTIONS)


class CollectionUpdate(Patch):
    """What to change about a collection; schema and options are replaced whole."""

    label = fields.String(min_length=1, max_length=LONGEST_LABEL)
    schema = fields.Object(metadata=_SCHEMA)
    options = fields.Object(metadata=_OPTIONS)


class CollectionPageQuery(PageQuery):
    """Which collections."""

    limit = fields.Integer(minimum=1, maximum=LARGEST_LIMIT, load_default=LARGEST_LIMIT)


class CollectionUpdateQuery(Query):
    """How to change a schema."""

    dry_run = fields.Boolean(
        load_default=False,
        metadata={"description": "Only report which records would not fit."},
    )
    force = fields.Boolean(
        load_default=False,
        metadata={"description": "Change it although records do not fit."},
    )


@operations.get(
    "/api/collections",
    id="collections_list_collections",
    who=Who.OPEN,
    query=CollectionPageQuery,
    answers={200: CollectionResponse},
    many=True,
    headers=("X-Total-Count",),
)
def list_collections(call: Call) -> object:
    """List the collections that the caller may see, by name."""
    found, total = call.services.collections.list(call.actor, **call.query)
    return Answer(found, headers={"X-Total-Count": str(total)})


@operations.post(
    "/api/collections",
    id="collections_create_collection",
    who=Who.ADMIN,
    body=CollectionCreate,
    answers={201: CollectionResponse},
    errors=("collection_exists", "invalid_schema"),
    headers=("Location", "ETag"),
    repetition=Repetition.IN_TRANSACTION,
)
def create_collection(call: Call) -> object:
    """Make a collection."""
    collection = call.services.collections.create(**call.body)
    return _answer(collection, Location=f"/api/collections/{collection.name}")


@operations.get(
    "/api/collections/<collection_name>",
    id="collections_get_collection",
    who=Who.OPEN,
    answers={200: CollectionResponse, 304: None},
    headers=("If-None-Match", "ETag"),
)
def get_collection(call: Call) -> object:
    """Return a collection."""
    collection = call.services.collections.visible(call.actor, call.path["collection_name"])
    known = parse_versions(call.header("If-None-Match"), "If-None-Match", weak=True)
    if known is not None and collection.version in known:
        return Answer(status=304, headers={"ETag": etag(collection.version)})
    return _answer(collection)


@operations.patch(
    "/api/collections/<collection_name>",
    id="collections_update_collection",
    who=Who.ADMIN,
    query=CollectionUpdateQuery,
    body=CollectionUpdate,
    answers={200: CollectionResponse},
    errors=("schema_conflict", "version_mismatch", "invalid_schema"),
    headers=("If-Match", "ETag"),
)
def update_collection(call: Call) -> object:
    """Change a collection.

    A dry run answers `{"valid", "records_checked", "conflicts"}` instead of the collection.
    """
    name, query = call.path["collection_name"], call.query
    if_match = parse_versions(call.header("If-Match"), "If-Match")
    collections = call.services.collections
    if query["dry_run"]:
        report = collections.check(name, **call.body, if_match=if_match)
        return Answer(orjson.dumps(report.as_dict()))
    return _answer(collections.update(name, **call.body, force=query["force"], if_match=if_match))


@operations.delete(
    "/api/collections/<collection_name>",
    id="collections_delete_collection",
    who=Who.ADMIN,
    answers={204: None},
    errors=("version_mismatch",),
    headers=("If-Match",),
)
def delete_collection(call: Call) -> object:
    """Delete a collection and all its records."""
    if_match = parse_versions(call.header("If-Match"), "If-Match")
    call.services.collections.delete(call.path["collection_name"], if_match=if_match)
    return Answer()


def _answer(collection: Collection, **headers: str) -> Answer:
    return Answer(collection, headers={"ETag": etag(collection.version), **headers})
