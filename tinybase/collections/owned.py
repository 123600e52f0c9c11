"""The collections of extensions: made, brought up to date, and dropped when nobody wants them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, func, select, update

from tinybase.actors import SYSTEM
from tinybase.collections.changes import MOST_CONFLICTS
from tinybase.collections.collection import Collection
from tinybase.collections.collections import COLLECTIONS, Collections, check_definition
from tinybase.collections.expressions import RECORDS
from tinybase.db import Database, tables, utcnow
from tinybase.errors import BadRequest, Conflict, Invalid, TinyBaseError
from tinybase.extensions.signatures import HandlerError
from tinybase.host.contributions import Contribution
from tinybase.host.origin import caused_by
from tinybase_hookspecs import CollectionDeclaration

HOOK: Final = "tinybase_register_collections"

_table = tables.extension_collections


@dataclass(frozen=True, slots=True)
class OwnedCollection:
    """A collection that belongs to an extension, and how many records are in it.

    ``is_guarded`` says whether only admins reach them while the extension does not run.
    """

    name: str
    records: int
    is_guarded: bool


@dataclass(frozen=True, slots=True)
class _Owner:
    """To whom a collection belongs, and the digest of the schema that it is up to date with."""

    extension: str
    digest: str


def check(owner: str, declaration: CollectionDeclaration, others: Sequence[Contribution]) -> None:
    """Refuse a collection that could not be made, or that the extension has declared already.

    :raises HandlerError: with what is wrong and the remedy.
    """
    name = declaration.name
    if any(who == owner and other.name == name for who, other in others):
        raise HandlerError(f"the collection {name!r} is declared twice. Remove one of them.")
    if not isinstance(declaration.guarded, bool):
        raise HandlerError(f"the collection {name!r}: guarded is True or False.")
    try:
        check_definition(name, None, declaration.schema, declaration.options)
    except Invalid as error:
        raise HandlerError(f"the collection {name!r}: {_told(error)}") from error
    except (AttributeError, TypeError) as error:
        raise HandlerError(
            f"the collection {name!r} needs a name, and a schema and options that are "
            'mappings. Write register_collection("orders", {"fields": [...]}).'
        ) from error


def _told(invalid: Invalid) -> str:
    """Return the faults with their places in the declaration, which is in no body."""
    places = (".".join(map(str, fault.loc[1:])) for fault in invalid.faults)
    return "; ".join(
        f"{place}: {fault.msg}" for place, fault in zip(places, invalid.faults, strict=True)
    )


class OwnedCollections:
    """Knows which collections belong to which extension, whether that is installed or not."""

    def __init__(self, database: Database, collections: Collections) -> None:
        self._database = database
        self._collections = collections

    def of(self, extension: str) -> Sequence[OwnedCollection]:
        """Return the collections of an extension, by name."""
        counted = (
            select(
                COLLECTIONS.c.name, func.count(RECORDS.c.id), COLLECTIONS.c.guarded_by.is_not(None)
            )
            .join(_table, _table.c.collection_id == COLLECTIONS.c.id)
            .outerjoin(RECORDS, RECORDS.c.collection_id == COLLECTIONS.c.id)
            .where(_table.c.extension == extension)
            .group_by(COLLECTIONS.c.name, COLLECTIONS.c.guarded_by)
            .order_by(COLLECTIONS.c.name)
        )
        with self._database.connect() as connection:
            return [OwnedCollection(*row) for row in connection.execute(counted)]

    def drop(self, extension: str) -> Sequence[OwnedCollection]:
        """Delete the collections of an extension with all their records; return what went."""
        found = self.of(extension)
        with caused_by(actor=SYSTEM):
            for item in found:
                self._collections.delete(item.name)
        return found

    def owner_of(self, name: str) -> str | None:
        """Return the extension to which a collection belongs.

        :raises NotFound: when there is none of this name.
        """
        owner = self._owner(self._collections.get(name).id)
        return None if owner is None else owner.extension

    def disown(self, name: str) -> None:
        """Let a collection belong to no extension any more; its records stay.

        It is open to whomever its rules admit. Whoever calls has seen to it that the extension
        is switched off or gone.

        :raises NotFound: when there is none of this name.
        """
        with caused_by(actor=SYSTEM):
            collection = self._collections.get(name)
            self._collections.guard(name, None)
            with self._database.write() as work:
                mine = _table.c.collection_id == collection.id
                work.connection.execute(_table.delete().where(mine))

    def provide(self, extension: str, declarations: Sequence[CollectionDeclaration]) -> None:
        """See to it that the collections of an extension exist and have the declared fields.

        Any number of workers may do this at the same time. What is up to date already stays as
        it is, so an operator may change more of it. Nothing is ever taken away.

        :raises Conflict: for a collection that belongs to somebody else, and for a schema that
            records are in the way of.
        """
        with caused_by(actor=SYSTEM, origin="extension"):
            for declaration in declarations:
                self._provide(extension, declaration)

    def _provide(self, extension: str, declaration: CollectionDeclaration) -> None:
        digest = _digest(declaration)
        found = self._collections.find(declaration.name)
        if found is None:
            found = self._create(extension, declaration, digest)
        owner = self._owner(found.id)
        if owner is None or owner.extension != extension:
            raise _belongs_to_another(extension, declaration.name, owner)
        if owner.digest != digest:
            self._extend(extension, found, declaration, digest)
        guard = extension if declaration.guarded else None
        if found.guarded_by != guard:
            self._collections.guard(found.name, guard)

    def _create(
        self, extension: str, declaration: CollectionDeclaration, digest: str
    ) -> Collection:
        def own(connection: Connection, collection_id: UUID) -> None:
            connection.execute(
                _table.insert().values(
                    collection_id=collection_id,
                    extension=extension,
                    digest=digest,
                    created_at=utcnow(),
                )
            )

        try:
            return self._collections.create(
                declaration.name,
                schema=_plain(declaration.schema),
                options=_plain(declaration.options),
                guarded_by=extension if declaration.guarded else None,
                and_write=own,
            )
        except BadRequest:
            made_meanwhile = self._collections.find(declaration.name)
            if made_meanwhile is None:
                raise
            return made_meanwhile

    def _extend(
        self,
        extension: str,
        collection: Collection,
        declaration: CollectionDeclaration,
        digest: str,
    ) -> None:
        schema = _extended(collection.schema, _plain(declaration.schema))
        try:
            self._collections.update(collection.name, schema=schema)
        except TinyBaseError as error:
            raise Conflict(
                f"the collection {collection.name} cannot be brought to the schema of this "
                f"version: {_what_is_in_the_way(error)}. Correct the records and run tinybase "
                f"extensions enable {extension}, or go back with tinybase extensions rollback.",
                code="extension_load_failed",
            ) from error
        with self._database.write() as work:
            work.connection.execute(
                update(_table).where(_table.c.collection_id == collection.id).values(digest=digest)
            )

    def _owner(self, collection_id: UUID) -> _Owner | None:
        statement = select(_table.c.extension, _table.c.digest).where(
            _table.c.collection_id == collection_id
        )
        with self._database.connect() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _Owner(*row)


def _what_is_in_the_way(error: TinyBaseError) -> str:
    """Say what keeps a schema from being extended; the first record stands for all."""
    conflicts = error.members.get("conflicts")
    if not conflicts:
        return error.detail.rstrip(".")
    number = len(conflicts)
    many = "its first records do" if number == MOST_CONFLICTS else f"{number} of its records do"
    first = conflicts[0]["errors"][0]
    name = ".".join(str(part) for part in first["loc"][2:])
    said = "1 of its records does" if number == 1 else many
    return f"{said} not fit: {name}: {first['msg'].rstrip('.')}"


def _belongs_to_another(extension: str, name: str, owner: _Owner | None) -> Conflict:
    whose = f"the extension {owner.extension}" if owner else "this project"
    drop = (
        f"drop the data of {owner.extension} with tinybase extensions uninstall "
        f"{owner.extension} --purge"
        if owner
        else f"export its records and delete it with tinybase collections delete {name}"
    )
    return Conflict(
        f"its collection {name} exists already and belongs to {whose}. Nothing was changed; "
        f"{drop}, or do without {extension}.",
        code="extension_load_failed",
    )


def _extended(stored: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with all the fields of both; what is declared of a field wins."""
    fields = {field["name"]: dict(field) for field in stored.get("fields", ())}
    for field in declared.get("fields", ()):
        fields[field["name"]] = {**fields.get(field["name"], {}), **field}
    return {**stored, **declared, "fields": list(fields.values())}


def _digest(declaration: CollectionDeclaration) -> str:
    text = json.dumps(_plain(declaration.schema), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy that is JSON, whatever kinds of mappings and sequences it is made of."""
    plain: dict[str, Any] = json.loads(json.dumps(value, default=_as_json))
    return plain


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
