"""``ctx.collections``: what an extension may do about collections."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from tinybase.api.services import Services
from tinybase.db import Session, db, tables
from tinybase.errors import Conflict, Invalid
from tinybase.functions.collections import ContextCollections

SCHEMA = {"fields": [{"name": "title", "type": "string"}]}


@pytest.fixture
def session(services: Services) -> Iterator[Session]:
    with Session(db, bind=services.database.engine) as session:
        yield session


@pytest.fixture
def collections(services: Services, session: Session) -> ContextCollections:
    return ContextCollections(services.collections, session)


def test_a_collection_that_is_missing_is_made_and_committed(collections, services):
    options = {"access": {"list": "admin"}}
    made = collections.ensure("notes", label="Notes", schema=SCHEMA, options=options)
    assert (made.name, made.label, made.schema, made.options) == ("notes", "Notes", SCHEMA, options)
    assert services.collections.get("notes").id == made.id


def test_a_collection_that_is_there_stays_as_it_is(collections, services):
    there = services.collections.create("notes", schema=SCHEMA)
    found = collections.ensure("notes", label="Other", schema={"fields": []}, options={})
    assert (found.id, found.label, found.schema) == (there.id, "notes", SCHEMA)


def test_a_missing_collection_is_found_to_be_none(collections):
    assert collections.find("notes") is None
    made = collections.ensure("notes")
    assert collections.find("notes").id == made.id


def test_everybody_who_makes_the_same_collection_at_once_gets_the_same_one(services):
    start, found = threading.Barrier(4), []

    def ensure() -> None:
        with Session(db, bind=services.database.engine) as session:
            start.wait()
            found.append(ContextCollections(services.collections, session).ensure("notes").id)

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_schema_that_cannot_be_used_is_refused(collections):
    with pytest.raises(Invalid, match="fields"):
        collections.ensure("notes", schema={"fields": [{"type": "string"}]})


def test_making_one_while_the_session_holds_the_database_is_refused_at_once(
    app, collections, session
):
    with app.app_context():
        session.execute(insert(tables.settings).values(key="a", value=1))
        session.flush()
        with pytest.raises(Conflict, match=r"ctx\.collections.*ctx\.db\.commit"):
            collections.ensure("notes")
