"""The records of a collection."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from itertools import count
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from tinybase.api import fields
from tinybase.api.fields import parse_id
from tinybase.api.operation import Answer, Call, Operations, Repetition, Who
from tinybase.api.paging import PageQuery, next_link
from tinybase.api.schemas import AnyObject, Message, Query, Schema
from tinybase.collections.access import Operation
from tinybase.collections.batch import BatchOperation, BatchResult, Op
from tinybase.collections.preconditions import Versions, etag, parse_versions
from tinybase.collections.query import NEWEST_FIRST
from tinybase.collections.records import RecordRow
from tinybase.collections.sight import Sight
from tinybase.collections.terms import FILTER_KEY, OPERATORS, SortKey, parse_sort, parse_terms
from tinybase.errors import BadRequest

operations = Operations("collections")

BASE = "/api/collections/<collection_name>/records"
ONE = f"{BASE}/<uuid:record_id>"

MOST_OPERATIONS = 1_000

_REQUIRED = Message("Missing data for required field.", "required")
_UNKNOWN = Message("This operation does not take it.", "unknown_field")
_OPERATION_KEYS: Mapping[str, tuple[Container[str], Sequence[str]]] = {
    Op.CREATE: (("data", "id"), ("data",)),
    Op.UPDATE: (("data", "id", "version"), ("id", "data")),
    Op.REPLACE: (("data", "id", "version"), ("id", "data")),
    Op.UPSERT: (("data", "id", "version"), ("id", "data")),
    Op.DELETE: (("id", "version"), ("id",)),
}
"""What each operation of a batch takes, and what of it must be there."""

_FIELDS = {"description": "The fields of the data to return, as in `title,price`; all by default."}
_FILTER: dict[str, Any] = {
    "in": "query",
    "name": "filter",
    "style": "deepObject",
    "explode": True,
    "description": "Conditions that all hold: `filter[field]=value` or "
    f"`filter[field][op]=value`, where `op` is one of {', '.join(OPERATORS)}.",
    "schema": {"type": "object", "additionalProperties": True},
}


class RecordResponse(Schema):
    """A record. ``data`` has every field of the collection's schema."""

    id = fields.Id(required=True)
    collection_id = fields.Id(required=True)
    owner_id = fields.Id(required=True, allow_none=True)
    data = fields.Object(required=True)
    version = fields.Integer(required=True)
    created_at = fields.Time(required=True)
    updated_at = fields.Time(required=True)


class RecordListResponse(Schema):
    """A page of records.

    ``total`` is null when it was not asked for, ``offset`` when a cursor was given, and
    ``next_cursor`` on the last page.
    """

    records = fields.List(fields.Nested(RecordResponse), required=True)
    total = fields.Integer(required=True, allow_none=True)
    limit = fields.Integer(required=True)
    offset = fields.Integer(required=True, allow_none=True)
    next_cursor = fields.String(required=True, allow_none=True)


class RecordCreate(AnyObject):
    """The fields of a new record, as they are or as ``{"data": {...}}``."""


class RecordUpdate(AnyObject):
    """The fields to replace, as they are or as ``{"data": {...}}``."""


class BatchOperationInfo(Schema):
    """One change: `create`, `update`, `replace`, `upsert` or `delete`.

    `data` is the record or the fields to replace; `version` acts as `If-Match`.
    """

    component = "RecordBatchOperation"

    op = fields.String(required=True, choices=tuple(Op))
    id = fields.Id()
    data = fields.Object()
    version = fields.Integer(minimum=1)

    @validates_schema(skip_on_field_errors=True)
    def _check_op(self, data: dict[str, Any], **_: Any) -> None:
        """Ask for what the operation needs and refuse what it does not take."""
        takes, needs = _OPERATION_KEYS[data["op"]]
        missing = {key: [_REQUIRED] for key in needs if key not in data}
        unknown = {key: [_UNKNOWN] for key in data if key != "op" and key not in takes}
        if missing or unknown:
            raise ValidationError({**missing, **unknown})

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> BatchOperation:
        return BatchOperation(**{**data, "op": Op(data["op"])})


class RecordBatchRequest(Schema):
    """Changes that are carried out in their order, all or none."""

    operations = fields.List(
        fields.Nested(BatchOperationInfo), required=True, min_length=1, max_length=MOST_OPERATIONS
    )

    def load(self, data: Any, **options: Any) -> Any:
        """Load a request; marshmallow looks at it only when something is wrong with it."""
        operations = _good_operations(data)
        return super().load(data, **options) if operations is None else {"operations": operations}


class BatchResultInfo(Schema):
    """What became of one operation; ``record`` is null when it was deleted."""

    component = "RecordBatchResult"

    index = fields.Integer(required=True)
    status = fields.Integer(required=True)
    record = fields.Nested(RecordResponse, required=True, allow_none=True)


class RecordBatchResponse(Schema):
    """What became of the operations, in their order."""

    results = fields.List(fields.Nested(BatchResultInfo), required=True)


class RecordQuery(PageQuery):
    """Which records, in which order."""

    sort_by = fields.String(metadata={"description": "A field; `created_at` if none is given."})
    sort_order = fields.String(choices=("asc", "desc"))
    sort = fields.String(
        metadata={"description": "Fields such as `-price,created_at`; instead of the other two."}
    )
    cursor = fields.String(
        metadata={
            "description": "The `next_cursor` of the page before, with the same filter and sort; "
            "instead of `offset`."
        }
    )
    count = fields.Boolean(
        load_default=True,
        metadata={"description": "Whether to count all records that match."},
    )
    chosen = fields.String(data_key="fields", metadata=_FIELDS)

    def complete(self, loaded: dict[str, Any], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return it as the service for records takes it."""
        if "cursor" in loaded and any(key == "offset" for key, _ in pairs):
            raise BadRequest("Give either cursor or offset.", code="invalid_cursor")
        return {
            "filters": tuple(parse_terms(pairs)),
            "sort": tuple(_sort(loaded)),
            "limit": loaded["limit"],
            "offset": loaded["offset"],
            "cursor": loaded.get("cursor"),
            "count": loaded["count"],
            "fields": _fields(loaded),
        }


class FieldsQuery(Query):
    """How much of a record."""

    chosen = fields.String(data_key="fields", metadata=_FIELDS)


class OwnerQuery(Query):
    """Whose the record is to be."""

    owner_id = fields.Id(metadata={"description": "The owner; for admins only."})


def _admit(*operations: Operation) -> Callable[[Call], None]:
    def admit(call: Call) -> None:
        name = call.path["collection_name"]
        call.state["sight"] = call.services.records.admit(call.actor, name, *operations)

    return admit


@operations.get(
    BASE,
    id="collections_list_records",
    who=Who.RULE,
    admit=_admit(Operation.LIST),
    query=RecordQuery,
    query_patterns=(FILTER_KEY,),
    parameters=(_FILTER,),
    answers={200: RecordListResponse},
    errors=("invalid_filter", "invalid_sort", "invalid_fields", "invalid_cursor"),
    headers=("Link",),
)
def list_records(call: Call) -> object:
    """List the records that the caller may see, the newest first."""
    page = call.services.records.answer_list(call.actor, _sight(call), **call.query)
    return Answer(page.content, headers=next_link(call, page.next_cursor))


@operations.post(
    BASE,
    id="collections_create_record",
    who=Who.RULE,
    admit=_admit(Operation.CREATE),
    query=OwnerQuery,
    body=RecordCreate,
    answers={201: RecordResponse},
    errors=("record_invalid", "unique_violation"),
    headers=("Location", "ETag"),
    repetition=Repetition.IN_TRANSACTION,
)
def create_record(call: Call) -> object:
    """Store a record."""
    record = call.services.records.create(
        call.actor, _sight(call), _data(call), owner_id=call.query.get("owner_id")
    )
    return _created(call, record)


@operations.post(
    f"{BASE}/batch",
    id="collections_batch_records",
    who=Who.RULE,
    admit=_admit(Operation.CREATE, Operation.UPDATE, Operation.DELETE),
    body=RecordBatchRequest,
    body_limit="batch",
    answers={200: RecordBatchResponse},
    errors=(
        "record_invalid",
        "not_found",
        "unique_violation",
        "id_conflict",
        "version_mismatch",
        "precondition_required",
    ),
    repetition=Repetition.IN_TRANSACTION,
)
def batch_records(call: Call) -> object:
    """Carry out up to 1,000 changes in one transaction, all or none.

    An error is that of the first operation that fails, with its index as `operation`.
    """
    results = call.services.records.batch(call.actor, _sight(call), call.body["operations"])
    return Answer(b'{"results":[%b]}' % b",".join(map(_batch_result, count(), results)))


@operations.get(
    ONE,
    id="collections_get_record",
    who=Who.RULE,
    admit=_admit(Operation.READ),
    query=FieldsQuery,
    answers={200: RecordResponse, 304: None},
    errors=("invalid_fields",),
    headers=("If-None-Match", "ETag"),
)
def get_record(call: Call) -> object:
    """Return a record."""
    record = call.services.records.answer(
        call.actor, _sight(call), call.path["record_id"], fields=_fields(call.query)
    )
    known = parse_versions(call.header("If-None-Match"), "If-None-Match", weak=True)
    if known is not None and record.version in known and not record.is_redacted:
        return Answer(status=304, headers={"ETag": etag(record.version)})
    return Answer(record.content, headers={"ETag": etag(record.version)})


@operations.patch(
    ONE,
    id="collections_update_record",
    who=Who.RULE,
    admit=_admit(Operation.UPDATE),
    query=OwnerQuery,
    body=RecordUpdate,
    answers={200: RecordResponse},
    errors=("record_invalid", "unique_violation", "version_mismatch", "precondition_required"),
    headers=("If-Match", "ETag"),
)
def update_record(call: Call) -> object:
    """Replace the given fields of a record."""
    return _answer(
        call.services.records.update(
            call.actor,
            _sight(call),
            call.path["record_id"],
            _data(call),
            owner_id=call.query.get("owner_id"),
            if_match=_if_match(call),
        )
    )


@operations.put(
    ONE,
    id="collections_replace_record",
    who=Who.RULE,
    admit=_admit(Operation.UPDATE, Operation.CREATE),
    query=OwnerQuery,
    body=RecordUpdate,
    answers={200: RecordResponse, 201: RecordResponse},
    errors=(
        "record_invalid",
        "unique_violation",
        "id_conflict",
        "version_mismatch",
        "precondition_required",
    ),
    headers=("If-Match", "If-None-Match", "Location", "ETag"),
)
def replace_record(call: Call) -> object:
    """Store a whole record under an id: a new one, or in the place of the old one.

    Fields that are not given take their defaults.
    """
    record, is_new = call.services.records.replace(
        call.actor,
        _sight(call),
        call.path["record_id"],
        _data(call),
        owner_id=call.query.get("owner_id"),
        if_match=_if_match(call),
        only_new=_only_new(call),
    )
    return _created(call, record) if is_new else _answer(record)


@operations.delete(
    ONE,
    id="collections_delete_record",
    who=Who.RULE,
    admit=_admit(Operation.DELETE),
    answers={204: None},
    errors=("version_mismatch", "precondition_required"),
    headers=("If-Match",),
)
def delete_record(call: Call) -> object:
    """Delete a record."""
    call.services.records.delete(
        call.actor, _sight(call), call.path["record_id"], if_match=_if_match(call)
    )
    return Answer()


def _good_operations(data: Any) -> list[BatchOperation] | None:
    """Return the operations of a batch, or ``None`` if anything about it is unusual."""
    given = data.get("operations")
    if len(data) != 1 or not isinstance(given, list) or not 0 < len(given) <= MOST_OPERATIONS:
        return None
    operations = []
    for each in given:
        operation = _good_operation(each) if isinstance(each, dict) else None
        if operation is None:
            return None
        operations.append(operation)
    return operations


def _good_operation(given: dict[str, Any]) -> BatchOperation | None:
    try:
        op = Op(given["op"])
    except (KeyError, TypeError, ValueError):
        return None
    takes, needs = _OPERATION_KEYS[op]
    if not all(key in given for key in needs):
        return None
    if not all(key in takes or key == "op" for key in given):
        return None
    data, version, record_id = given.get("data"), given.get("version"), parse_id(given.get("id"))
    if "id" in given and record_id is None:
        return None
    if "data" in given and not isinstance(data, dict):
        return None
    if "version" in given and (type(version) is not int or version < 1):
        return None
    return BatchOperation(op, record_id, data, version)


def _batch_result(index: int, result: BatchResult) -> bytes:
    record, status = b"null", 204
    if result.record is not None:
        record, status = result.record.as_json(), 201 if result.is_new else 200
    return b'{"index":%d,"status":%d,"record":%b}' % (index, status, record)


def _sight(call: Call) -> Sight:
    sight: Sight = call.state["sight"]
    return sight


def _data(call: Call) -> dict[str, Any]:
    """Return the record in the body, which may be wrapped as ``{"data": {...}}``."""
    body = call.body
    is_wrapped = (
        body.keys() == {"data"}
        and isinstance(body["data"], dict)
        and "data" not in _sight(call).collection.compiled.specs
    )
    data: dict[str, Any] = body["data"] if is_wrapped else body
    return data


def _if_match(call: Call) -> Versions | None:
    return parse_versions(call.header("If-Match"), "If-Match")


def _only_new(call: Call) -> bool:
    header = call.header("If-None-Match")
    if header is not None and header.strip() != "*":
        raise BadRequest("If-None-Match can only be * here.", code="invalid_header")
    return header is not None


def _fields(query: dict[str, Any]) -> list[str] | None:
    return query["chosen"].split(",") if "chosen" in query else None


def _sort(query: dict[str, Any]) -> list[SortKey] | tuple[SortKey, ...]:
    by, order = query.get("sort_by"), query.get("sort_order")
    if "sort" in query:
        if by is not None or order is not None:
            raise BadRequest("Give either sort, or sort_by and sort_order.", code="invalid_sort")
        return parse_sort(query["sort"])
    if by is None and order is None:
        return NEWEST_FIRST
    return (SortKey(by or "created_at", descending=order != "asc"),)


def _created(call: Call, record: RecordRow) -> Answer:
    location = f"/api/collections/{_sight(call).collection.name}/records/{record.id}"
    return Answer(record.as_json(), 201, {"ETag": etag(record.version), "Location": location})


def _answer(record: RecordRow) -> Answer:
    return Answer(record.as_json(), headers={"ETag": etag(record.version)})
