"""Collections that belong to extensions: made once, extended, kept, and dropped on demand."""

from __future__ import annotations

import threading

import pytest

from tinybase.actors import SYSTEM
from tinybase.collections.owned import OwnedCollections
from tinybase.errors import Conflict, NotFound
from tinybase_hookspecs import CollectionDeclaration

ITEM = {"name": "item", "type": "string", "required": True}
PRICE = {"name": "price", "type": "integer"}


@pytest.fixture
def owned(services):
    return OwnedCollections(services.database, services.collections)


def declared(*fields, name="orders", **options):
    return [CollectionDeclaration(name, {"fields": list(fields)}, options)]


def names(services):
    return [field["name"] for field in services.collections.get("orders").schema["fields"]]


def test_workers_that_start_at_once_make_a_collection_once(owned, services):
    barrier = threading.Barrier(4)
    failures = []

    def start():
        barrier.wait()
        try:
            owned.provide("shop", declared(ITEM, access={"read": "public"}))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert [(item.name, item.records) for item in owned.of("shop")] == [("orders", 0)]
    assert services.collections.get("orders").version == 1


def test_a_later_version_adds_fields_and_what_an_operator_changed_stays(owned, services):
    owned.provide("shop", declared(ITEM))
    services.records.create(SYSTEM, "orders", {"item": "tea"})
    mine = {"name": "note", "type": "string"}
    services.collections.update("orders", schema={"fields": [{**ITEM, "indexed": True}, mine]})
    version = services.collections.get("orders").version
    owned.provide("shop", declared(ITEM))
    assert services.collections.get("orders").version == version, "nothing new was declared"

    owned.provide("shop", declared({**PRICE, "default": 3}, ITEM))

    assert sorted(names(services)) == ["item", "note", "price"]
    assert services.collections.get("orders").schema["fields"][0]["indexed"] is True
    (record,) = services.records.list(SYSTEM, "orders").records
    assert record.data["item"] == "tea"


def test_a_schema_that_records_are_in_the_way_of_is_refused_and_nothing_changes(owned, services):
    owned.provide("shop", declared(ITEM))
    services.records.create(SYSTEM, "orders", {"item": "tea"})

    with pytest.raises(Conflict) as refused:
        owned.provide("shop", declared({**ITEM, "type": "integer"}))

    assert "the collection orders cannot be brought to the schema" in refused.value.detail
    assert "rollback" in refused.value.detail
    assert services.collections.get("orders").schema == {"fields": [ITEM]}
    owned.provide("shop", declared(ITEM))


@pytest.mark.parametrize("other", ["operator", "extension"])
def test_a_collection_of_somebody_else_is_left_alone(other, owned, services):
    if other == "operator":
        services.collections.create("orders")
    else:
        owned.provide("archive", declared(PRICE))
    before = services.collections.get("orders")

    with pytest.raises(Conflict) as refused:
        owned.provide("shop", declared(ITEM))

    whose = "this project" if other == "operator" else "the extension archive"
    assert f"its collection orders exists already and belongs to {whose}" in refused.value.detail
    assert services.collections.get("orders") == before
    assert owned.drop("shop") == []


def test_dropping_takes_the_records_and_only_what_is_owned(owned, services):
    owned.provide("shop", declared(ITEM))
    services.records.create(SYSTEM, "orders", {"item": "tea"})
    owned.provide("archive", declared(ITEM, name="kept"))

    assert [(item.name, item.records) for item in owned.drop("shop")] == [("orders", 1)]

    assert owned.of("shop") == []
    with pytest.raises(NotFound):
        services.collections.get("orders")
    assert services.collections.get("kept")


def test_a_collection_that_an_operator_deleted_is_nobodys(owned, services):
    owned.provide("shop", declared(ITEM))
    services.collections.delete("orders")

    assert owned.of("shop") == []
    services.collections.create("orders")
    with pytest.raises(Conflict):
        owned.provide("shop", declared(ITEM))
