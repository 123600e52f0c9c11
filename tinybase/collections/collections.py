"""Collections: made, found, changed and deleted."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, bindparam, select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from tinybase.actors import Actor
from tinybase.collections.access import collection_not_found, effective_access
from tinybase.collections.building import IndexBuilder
from tinybase.collections.changes import BEGINNING, Place, Report, SchemaChange
from tinybase.collections.collection import Collection
from tinybase.collections.compiled import CompiledSchema, equal
from tinybase.collections.definitions import ChangedByExtensions, again_if_changed
from tinybase.collections.definitions import Definitions as DefinitionHooks
from tinybase.collections.expressions import RECORDS, expressions_of, in_collection
from tinybase.collections.hooks import Audience
from tinybase.collections.indexes import Definitions, wanted_indexes
from tinybase.collections.options import parse_options, stored_options
from tinybase.collections.participants import all_deleted
from tinybase.collections.preconditions import Versions, version_mismatch
from tinybase.collections.record import RecordRow, shown
from tinybase.collections.schema import parse_schema
from tinybase.config import Config
from tinybase.db import Database, RawWork, tables, utcnow
from tinybase.errors import BadRequest, Fault, Invalid
from tinybase.host.sites import Hooks

COLLECTIONS = tables.collections

NAME_PATTERN = "[a-z][a-z0-9_]{0,99}"
LONGEST_LABEL = 200

_NAME = re.compile(NAME_PATTERN)
_BY_NAME = select(COLLECTIONS.c.id, COLLECTIONS.c.version).where(
    COLLECTIONS.c.name == bindparam("name")
)
_VERSION_BY_ID = select(COLLECTIONS.c.version).where(COLLECTIONS.c.id == bindparam("id"))
_BY_ID = select(COLLECTIONS).where(COLLECTIONS.c.id == bindparam("id"))
_MOST_KNOWN = 1_000
_TURN_OF_OTHERS_SECONDS = 0.005


class Collections:
    """The collections of one database.

    Who may manage them is decided at the door; :meth:`list` and :meth:`visible` are for
    callers who may not see every collection.
    """

    def __init__(self, database: Database, config: Config, hooks: Hooks) -> None:
        self._database = database
        self._default_access = config.collections.default_access
        self._audience = Audience(hooks)
        self._hooks = DefinitionHooks(hooks)
        self._expressions = expressions_of(database.engine)
        self._indexes = IndexBuilder(database, config.database.busy_timeout_seconds)
        self._known = _Known()
        self._by_name = database.reader.statement(_BY_NAME)
        self._version = database.statement(_VERSION_BY_ID.with_for_update(read=True))
        self._by_id = database.statement(_BY_ID)

    def get(self, name: str) -> Collection:
        """Return a collection as it is now.

        :raises NotFound: when there is none of this name.
        """
        collection = self.find(name)
        if collection is None:
            raise collection_not_found(name)
        return collection

    def find(self, name: str) -> Collection | None:
        """Return a collection as it is now, or ``None``."""
        row = self._database.reader.one(self._by_name, {"name": name})
        if row is None:
            return None
        known = self._known.get(*row)
        if known is not None:
            return known
        with self._database.connect() as connection:
            return self._read(connection, COLLECTIONS.c.name == name)

    def visible(self, actor: Actor, name: str) -> Collection:
        """Return a collection that the caller may see.

        :raises NotFound: when it is missing or hidden; one cannot tell which.
        """
        collection = self.find(name)
        if collection is None or not collection.rules.can_admit(actor):
            raise collection_not_found(name)
        return collection

    def list(
        self, actor: Actor, *, limit: int | None = None, offset: int = 0
    ) -> tuple[Sequence[Collection], int]:
        """Return one page of the collections that the caller may see, by name, and the total."""
        with self._database.connect() as connection:
            rows = connection.execute(select(COLLECTIONS).order_by(COLLECTIONS.c.name)).mappings()
            collections = [self._remembered(row) for row in rows]
        visible = [each for each in collections if each.rules.can_admit(actor)]
        end = None if limit is None else offset + limit
        return visible[offset:end], len(visible)

    def current(self, connection: Connection, collection: Collection) -> Collection:
        """Return the collection as a transaction sees it that writes its records.

        It stays as it is until the transaction ends.

        :raises NotFound: when it has been deleted meanwhile.
        """
        now = self._read(connection, COLLECTIONS.c.id == collection.id, shared=True)
        if now is None:
            raise collection_not_found(collection.name)
        return now

    def current_raw(self, work: RawWork, collection: Collection) -> Collection:
        """Return what :meth:`current` does, in a transaction past SQLAlchemy.

        :raises NotFound: when it has been deleted meanwhile.
        """
        key = {"id": str(collection.id)}
        version = work.one(self._version, key)
        if version is None:
            raise collection_not_found(collection.name)
        if version[0] == collection.version:
            return collection
        known = self._known.get(collection.id, version[0])
        if known is not None:
            return known
        row = work.one(self._by_id, key)
        if row is None:
            raise collection_not_found(collection.name)
        return self._remembered(self._by_id.typed(row)._asdict())

    def create(
        self,
        name: str,
        *,
        label: str | None = None,
        schema: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        guarded_by: str | None = None,
        and_write: Callable[[Connection, UUID], None] | None = None,
    ) -> Collection:
        """Make a collection.

        :param guarded_by: see :meth:`guard`.
        :param and_write: writes, in the same transaction, what lives and dies with its id.
        :raises Invalid: ``invalid_schema`` with every fault of schema and options.
        :raises BadRequest: ``collection_exists`` when the name is taken.
        :raises Rejected: when an extension refuses it.
        """
        check_definition(name, label, schema, options)
        now = utcnow()
        values = {
            "id": uuid7(),
            "name": name,
            "label": name if label is None else label,
            "schema": {"fields": []} if schema is None else schema,
            "options": {} if options is None else options,
            "guarded_by": guarded_by,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }
        collection = self._collection(values)
        if self.find(name) is not None:
            raise _exists(name)
        return again_if_changed(
            collection, lambda planned: self._create(collection, planned, and_write)
        )

    def _create(
        self,
        given: Collection,
        planned: Collection,
        and_write: Callable[[Connection, UUID], None] | None,
    ) -> Collection:
        with self._moved_indexes(None, planned), self._database.write() as work:
            collection = self._with(given, self._hooks.creating(work, given))
            self._require_planned(planned, collection)
            values = _values(collection)
            try:
                work.connection.execute(COLLECTIONS.insert().values(values))
            except IntegrityError as error:
                raise _exists(given.name) from error
            if and_write is not None:
                and_write(work.connection, collection.id)
            self._sync_indexes(work.connection, None, collection)
            self._hooks.created(work, collection)
        return collection

    def _with(self, collection: Collection, changes: Mapping[str, Any]) -> Collection:
        """Return a collection with what extensions want of it, once that is found good."""
        if not changes:
            return collection
        check_definition(collection.name, None, changes.get("schema"), changes.get("options"))
        return self._collection({**_values(collection), **changes})

    def _require_planned(self, planned: Collection, wanted: Collection) -> None:
        """Pass if the indexes that were made for what was planned are those that are wanted.

        :raises ChangedByExtensions: when others are needed, which cannot be made in here.
        """
        if self._indexes.is_concurrent and (
            self._definitions(planned) != self._definitions(wanted)
        ):
            raise ChangedByExtensions(wanted)

    def update(
        self,
        name: str,
        *,
        label: str | None = None,
        schema: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        force: bool = False,
        if_match: Versions | None = None,
    ) -> Collection:
        """Change a collection; ``None`` keeps, anything else replaces the whole.

        The new schema, the check of all records and the new fields in them are one
        transaction.

        :param force: change the schema although records will not fit it.
        :raises Conflict: ``schema_conflict`` with the first records that are in the way.
        :raises PreconditionFailed: when the version is not one of ``if_match``.
        """
        self.get(name)
        changes = check_definition(name, label, schema, options)
        planned = None
        if "schema" not in changes:
            try:
                return self._update(name, changes, if_match, force=force)
            except ChangedByExtensions as changed:
                planned = changed.wanted
        with self._indexes.turn():
            seen = self.get(name)

            def attempt(planned: Collection) -> Collection:
                self._prepare(seen, planned, if_match, force=force)
                with self._indexes.moved(self._definitions(seen), self._definitions(planned)):
                    return self._update(name, changes, if_match, force=force, planned=planned)

            return again_if_changed(planned or self._changed(seen, changes), attempt)

    def _prepare(
        self, before: Collection, after: Collection, if_match: Versions | None, *, force: bool
    ) -> None:
        """Do ahead, a few records at a time, what would keep all others from writing meanwhile.

        Nobody sees the new fields before the schema has them. What others write until then is
        made good in the transaction that changes it. For a change that will be refused nothing
        is done, and no index is built later on.
        """
        change = SchemaChange(self._expressions, before.id, before.compiled, after.compiled)
        with self._database.connect() as connection:
            self._found(connection, before.name, if_match)
            change.report(connection).check(force=force)
        place: Place | None = BEGINNING
        while place is not None:
            with self._database.write() as work:
                # Nobody else writes records of it, so none of them waits for one of ours.
                if self._for_update(work.connection, before.name).version != before.version:
                    # What is new to us may have come meanwhile, with values of its own.
                    return
                place = change.fill_some(work.connection, place)
            # Who comes back at once is there before the other processes that wait for a turn.
            time.sleep(_TURN_OF_OTHERS_SECONDS)

    def _update(
        self,
        name: str,
        changes: Mapping[str, Any],
        if_match: Versions | None,
        *,
        force: bool = False,
        planned: Collection | None = None,
    ) -> Collection:
        with self._database.write() as work:
            before = self._for_update(work.connection, name, if_match)
            if equal({key: getattr(before, key) for key in changes}, changes):
                return before
            after = self._changed(before, changes)
            if wanted := self._hooks.updating(work, before, after):
                after, changes = self._with(after, wanted), {**changes, **wanted}
                if equal({key: getattr(before, key) for key in changes}, changes):
                    return before
            self._require_planned(planned or before, after)
            if "schema" in changes:
                change = SchemaChange(self._expressions, before.id, before.compiled, after.compiled)
                change.report(work.connection).check(force=force)
                change.fill(work.connection)
                self._sync_indexes(work.connection, before, after)
            written = work.connection.execute(
                COLLECTIONS.update()
                .where(COLLECTIONS.c.id == before.id, COLLECTIONS.c.version == before.version)
                .values(**changes, version=after.version, updated_at=after.updated_at)
            )
            if written.rowcount == 0:
                raise version_mismatch("collection", None)
            self._hooks.updated(work, before, after)
        return after

    def guard(self, name: str, extension: str | None) -> None:
        """Let only admins reach the records while an extension does not run; ``None`` ends that.

        Every worker sees it at once, because it makes a new version of the collection.

        :raises NotFound: when there is none of this name.
        """
        with self._database.write() as work:
            collection = self._for_update(work.connection, name)
            if collection.guarded_by != extension:
                work.connection.execute(
                    COLLECTIONS.update()
                    .where(COLLECTIONS.c.id == collection.id)
                    .values(
                        guarded_by=extension, version=collection.version + 1, updated_at=utcnow()
                    )
                )

    def check(
        self,
        name: str,
        *,
        label: str | None = None,
        schema: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        if_match: Versions | None = None,
    ) -> Report:
        """Report what :meth:`update` would meet with, and change nothing."""
        self.get(name)
        changes = check_definition(name, label, schema, options)
        with self._database.connect() as connection:
            before = self._found(connection, name, if_match)
            after = self._changed(before, changes)
            change = SchemaChange(self._expressions, before.id, before.compiled, after.compiled)
            return change.report(connection)

    def delete(self, name: str, *, if_match: Versions | None = None) -> None:
        """Delete a collection with its records; the hooks are told of every one of them.

        :raises NotFound: when there is none of this name.
        :raises PreconditionFailed: when the version is not one of ``if_match``.
        """
        with self._moved_indexes(self.get(name), None), self._database.write() as work:
            collection = self._for_update(work.connection, name, if_match)
            self._hooks.deleting(work, collection)
            records = _records_of(work.connection, collection)
            with all_deleted(self._audience, work, collection, records):
                self._sync_indexes(work.connection, collection, None)
                work.connection.execute(RECORDS.delete().where(in_collection(collection.id)))
            work.connection.execute(COLLECTIONS.delete().where(COLLECTIONS.c.id == collection.id))
            self._hooks.deleted(work, collection)

    def _for_update(
        self, connection: Connection, name: str, if_match: Versions | None = None
    ) -> Collection:
        return self._found(connection, name, if_match, exclusive=True)

    def _found(
        self,
        connection: Connection,
        name: str,
        if_match: Versions | None = None,
        *,
        exclusive: bool = False,
    ) -> Collection:
        collection = self._read(connection, COLLECTIONS.c.name == name, exclusive=exclusive)
        if collection is None:
            raise collection_not_found(name)
        if if_match is not None and collection.version not in if_match:
            raise version_mismatch("collection", collection.version)
        return collection

    def repair_indexes(self) -> None:
        """Make and drop indexes where a change of a schema was cut off; do so at the start."""
        if not self._indexes.is_concurrent:
            return
        with self._database.connect() as connection:
            rows = connection.execute(select(COLLECTIONS)).mappings().all()
        wanted = [self._definitions(self._remembered(row)) for row in rows]
        self._indexes.repair({name: each[name] for each in wanted for name in each})

    @contextmanager
    def _moved_indexes(self, before: Collection | None, after: Collection | None) -> Iterator[None]:
        """Make or drop the indexes of a collection that comes or goes in the block."""
        old, new = self._definitions(before), self._definitions(after)
        if not old and not new:
            yield
            return
        with self._indexes.turn(), self._indexes.moved(old, new):
            yield

    def _sync_indexes(
        self, connection: Connection, before: Collection | None, after: Collection | None
    ) -> None:
        self._indexes.sync(connection, self._definitions(before), self._definitions(after))

    def _definitions(self, collection: Collection | None) -> Definitions:
        if collection is None:
            return {}
        return wanted_indexes(self._expressions, collection.id, collection.compiled.specs.values())

    def _read(
        self,
        connection: Connection,
        condition: ColumnElement[bool],
        *,
        shared: bool = False,
        exclusive: bool = False,
    ) -> Collection | None:
        """Read a collection: its version, and the rest only if that is new here.

        What a transaction has written itself must not be read with it.

        :param shared: keep others from changing it; :param exclusive: and from reading it so.
        """
        version = select(COLLECTIONS.c.id, COLLECTIONS.c.version).where(condition)
        if shared or exclusive:
            version = version.with_for_update(read=shared)
        found = connection.execute(version).one_or_none()
        if found is None:
            return None
        known = self._known.get(found.id, found.version)
        if known is not None:
            return known
        whole = select(COLLECTIONS).where(COLLECTIONS.c.id == found.id)
        row = connection.execute(whole).mappings().one_or_none()
        return None if row is None else self._remembered(row)

    def _remembered(self, values: Mapping[Any, Any]) -> Collection:
        known = self._known.get(values["id"], values["version"])
        if known is None:
            known = self._collection(values)
            self._known.add(known)
        return known

    def _changed(self, before: Collection, changes: Mapping[str, Any]) -> Collection:
        values = _values(before)
        moved = {"version": before.version + 1, "updated_at": utcnow()}
        return self._collection({**values, **changes, **moved})

    def _collection(self, values: Mapping[str, Any]) -> Collection:
        settings = stored_options(values["options"])
        specs = parse_schema(values["schema"])
        return Collection(
            **values,
            compiled=CompiledSchema(specs, drop_unknown=settings.drop_unknown_fields),
            rules=effective_access(settings.access, self._default_access),
            settings=settings,
        )


def _values(collection: Collection) -> dict[str, Any]:
    return {column.name: getattr(collection, column.name) for column in COLLECTIONS.c}


def _exists(name: str) -> BadRequest:
    return BadRequest(
        f"A collection '{name}' exists already; choose another name.", code="collection_exists"
    )


def _records_of(connection: Connection, collection: Collection) -> Iterator[RecordRow]:
    """Read the records of a collection when they are asked for, and not before."""
    with connection.execute(select(RECORDS).where(in_collection(collection.id))) as rows:
        for row in rows:
            yield shown(collection, row)


class _Known:
    """Collections that were read, by id and version: their content can never change.

    The least recently read ones are forgotten.
    """

    def __init__(self) -> None:
        self._collections: OrderedDict[tuple[str, int], Collection] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, collection_id: UUID | str, version: int) -> Collection | None:
        key = (str(collection_id), version)
        with self._lock:
            if key in self._collections:
                self._collections.move_to_end(key)
            return self._collections.get(key)

    def add(self, collection: Collection) -> None:
        with self._lock:
            self._collections[str(collection.id), collection.version] = collection
            if len(self._collections) > _MOST_KNOWN:
                self._collections.popitem(last=False)


def check_definition(
    name: str,
    label: str | None,
    schema: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what of a collection is given, if all of it is good."""
    faults = list(_naming_faults(name, label))
    if faults:
        raise Invalid(faults)
    faults = []
    for parse, given in ((parse_schema, schema), (parse_options, options)):
        try:
            parse(given)
        except Invalid as error:
            faults += error.faults
    if faults:
        raise Invalid(faults, code="invalid_schema")
    values = {"label": label, "schema": schema, "options": options}
    return {key: value for key, value in values.items() if value is not None}


def _naming_faults(name: str, label: str | None) -> Iterator[Fault]:
    if not _NAME.fullmatch(name):
        message = "A name has a-z, 0-9 and _, begins with a letter and has at most 100 characters."
        yield Fault(("body", "name"), message, "invalid_name")
    if label is not None and not 1 <= len(label) <= LONGEST_LABEL:
        message = f"A label has 1 to {LONGEST_LABEL} characters."
        yield Fault(("body", "label"), message, "invalid_label")
