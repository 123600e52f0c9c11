"""Events reach the handlers that want them, and cost nothing where nobody does."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tinybase.testing import running

HANDLERS = """
import sys

from tinybase.extensions import on_record_create, on_record_update

def tell(*what):
    sys.modules["told_of_records"].told.append(what)

@on_record_create(collection=["orders", "log_*"])
def created(event):
    tell("created", event.collection)

@on_record_update(collection="orders")
def updated(event):
    tell("updated", event.collection)
"""


@pytest.fixture
def told(monkeypatch):
    module = ModuleType("told_of_records")
    module.told = []
    monkeypatch.setitem(sys.modules, "told_of_records", module)
    return module.told


@pytest.fixture
def site(tmp_path, told):
    (tmp_path / "handlers_of_records.py").write_text(HANDLERS)
    with running(tmp_path, modules=["handlers_of_records"]) as started:
        for name in ("orders", "log_1", "others"):
            started.collection(name, {"fields": [{"name": "n", "type": "integer"}]})
        yield started


def add(site, name):
    answer = site.post(f"/api/collections/{name}/records", {"n": 1})
    assert answer.status_code == 201
    return f"/api/collections/{name}/records/{answer.json['id']}"


def test_handlers_are_told_of_the_collections_that_they_name(site, told):
    for name in ("others", "log_1", "orders", "log_1"):
        add(site, name)

    assert told == [("created", "log_1"), ("created", "orders"), ("created", "log_1")]


def test_an_event_that_no_handler_wants_is_handed_to_no_thread(site, told, monkeypatch):
    handed = []
    run = site.services.database._runner
    monkeypatch.setattr(
        site.services.database, "_runner", lambda calls: (handed.extend(calls), run(calls))
    )
    for name in ("others", "log_1"):
        assert site.patch(add(site, name), {"n": 2}).status_code == 200
    assert (len(handed), told) == (1, [("created", "log_1")])

    assert site.patch(add(site, "orders"), {"n": 2}).status_code == 200
    assert (len(handed), told[1:]) == (3, [("created", "orders"), ("updated", "orders")])


def test_a_handler_is_told_from_the_moment_in_which_its_extension_is_enabled(tmp_path, told):
    extension = tmp_path / "late"
    extension.mkdir()
    (extension / "extension.toml").write_text('[extension]\nname = "late"\nversion = "1.0.0"\n')
    (extension / "__init__.py").write_text(HANDLERS)
    with running(tmp_path / "site", extension=extension) as site:
        site.collection("orders", {"fields": [{"name": "n", "type": "integer"}]})
        for enabled in (False, True):
            site.services.host.set_enabled("late", enabled)
            add(site, "orders")
            assert told == [("created", "orders")] * enabled
