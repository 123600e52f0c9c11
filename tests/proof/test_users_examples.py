"""Every other statement and every further example of the user's guide, word for word."""

from __future__ import annotations

import builtins
import dataclasses
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, ModuleType
from unittest.mock import MagicMock, call
from uuid import UUID

import pytest
from github import write

from tinybase import extensions
from tinybase.host.loading import unload
from tinybase.testing import Running, running

from .guide import Guide

PACKAGE = "examples_of_the_guide"

FUNCTIONS = """\
from tinybase.functions import register


@register(name="process_payment", auth="public")
def process_payment(payload: dict):
    return None


@register(name="critical_task", auth="public")
def critical_task():
    raise TimeoutError("too late")
"""

EXAMPLES = {
    "lifecycle": ("def cleanup",),
    "authentication": ("def handle_login",),
    "records": ("def handle_new_order",),
    "filters": ("def orders_only",),
    "calls": ("def before_payment",),
}
"""The examples by a name for each, and what they are found by."""

COLLECTIONS = {"orders": ("email", "items", "status"), "files": ("path",)}


@dataclass
class Examples:
    """The examples, loaded; ``helpers`` stands for the functions that the guide leaves out."""

    tinybase: Running
    helpers: MagicMock


@pytest.fixture(scope="module")
def examples(users: Guide, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    folder = tmp_path_factory.mktemp("examples")
    texts = {name: users.code(*found) for name, found in EXAMPLES.items()}
    # The guide imports the decorator of this one in the block above it.
    texts["filters"] = "from tinybase.extensions import on_record_create\n" + texts["filters"]
    texts["functions"] = FUNCTIONS
    files = {f"{PACKAGE}/{name}.py": text for name, text in texts.items()}
    write(folder, {**files, f"{PACKAGE}/__init__.py": f"from . import {', '.join(texts)}\n"})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        with running(folder, modules=[PACKAGE]) as tinybase:
            helpers = MagicMock()
            for name in EXAMPLES:
                _give(sys.modules[f"{PACKAGE}.{name}"], helpers)
            for name, fields in {
                "orders": ("email", "items", "status"),
                "files": ("path",),
            }.items():
                schema = {"fields": [{"name": field, "type": "json"} for field in fields]}
                tinybase.collection(name, schema)
            yield Examples(tinybase, helpers)
        unload(PACKAGE)


@pytest.fixture
def tinybase(examples: Examples) -> Running:
    examples.helpers.reset_mock()
    return examples.tinybase


@pytest.fixture
def helpers(examples: Examples) -> MagicMock:
    return examples.helpers


def _give(module: ModuleType, helpers: MagicMock) -> None:
    """Define in a module whatever its functions use and nobody defined."""
    for function in list(vars(module).values()):
        if getattr(function, "__module__", None) == module.__name__:
            for name in _globals_used(function.__code__):
                if not hasattr(module, name) and name not in dir(builtins):
                    setattr(module, name, getattr(helpers, name))


def _globals_used(code: CodeType) -> set[str]:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_globals_used, inner))


def test_startup_and_shutdown(users, tmp_path, capfd, monkeypatch):
    package = "lifecycle_of_the_guide"
    write(tmp_path, {f"{package}.py": users.code("def cleanup")})
    monkeypatch.syspath_prepend(str(tmp_path))
    with running(tmp_path, modules=[package]):
        assert "Extension initialized!" in capfd.readouterr().out
    assert "Extension shutting down!" in capfd.readouterr().out
    unload(package)


def test_a_login_of_an_admin_and_of_a_user(tinybase, helpers, capfd):
    tinybase.user("boss@example.com", is_admin=True)
    assert "User logged in: boss@example.com" in capfd.readouterr().out
    helpers.send_admin_login_alert.assert_called_once_with("boss@example.com")

    helpers.reset_mock()
    headers = tinybase.user("ann@example.com")
    user_id = tinybase.get("/api/auth/me", headers).json["id"]
    helpers.send_admin_login_alert.assert_not_called()
    helpers.track_analytics.assert_called_once_with("user_login", {"user_id": user_id})


def test_a_registration(tinybase, helpers, capfd):
    body = {"email": "new@example.com", "password": "correct-horse-battery"}
    user_id = tinybase.post("/api/auth/register", body, {}).json["id"]
    assert "New user: new@example.com" in capfd.readouterr().out
    helpers.send_welcome_email.assert_called_once_with("new@example.com")
    helpers.create_default_data.assert_called_once_with(UUID(user_id))


def test_a_new_order(tinybase, helpers, capfd):
    order = {"email": "ann@example.com", "items": ["tea"]}
    order_id = tinybase.post("/api/collections/orders/records", order).json["id"]
    printed = capfd.readouterr().out
    assert f"New order: {order_id}" in printed
    assert "Record created in orders" in printed
    helpers.send_order_confirmation.assert_called_once_with("ann@example.com", UUID(order_id))
    helpers.update_inventory.assert_called_once_with(["tea"])


def test_an_order_whose_status_changes_and_one_whose_does_not(tinybase, helpers):
    order = {"email": "a@b.c", "items": [], "status": "new"}
    order_id = tinybase.post("/api/collections/orders/records", order).json["id"]
    path = f"/api/collections/orders/records/{order_id}"
    tinybase.patch(path, {"items": ["tea"]})
    helpers.notify_status_change.assert_not_called()
    tinybase.patch(path, {"status": "paid"})
    helpers.notify_status_change.assert_called_once_with(UUID(order_id), "paid")


def test_a_file_that_is_deleted(tinybase, helpers, capfd):
    file_id = tinybase.post("/api/collections/files/records", {"path": "/a"}).json["id"]
    printed = capfd.readouterr().out
    assert "Record created in files" in printed, "a handler without a filter hears of all"
    assert "New order" not in printed, "a handler of orders does not"
    tinybase.delete(f"/api/collections/files/records/{file_id}")
    helpers.delete_from_storage.assert_called_once_with("/a")


def test_a_call_that_is_watched_before_and_after(tinybase, helpers, capfd):
    headers = tinybase.user("payer@example.com")
    user_id = tinybase.get("/api/auth/me", headers).json["id"]
    assert tinybase.call("process_payment", {"amount": 3}, headers)["status"] == "succeeded"
    assert f"Payment attempt by {user_id}" in capfd.readouterr().out
    helpers.audit_log.assert_called_once_with("payment_attempt", {"amount": 3})
    (recorded,) = helpers.metrics.record.call_args_list
    assert recorded.kwargs["function"] == "process_payment"
    assert recorded.kwargs["success"] is True
    assert isinstance(recorded.kwargs["duration_ms"], int)
    helpers.send_alert.assert_not_called()


def test_a_critical_task_that_fails(tinybase, helpers):
    assert tinybase.call("critical_task")["status"] == "failed"
    assert helpers.metrics.record.call_args.kwargs["success"] is False
    alert = call("Critical task failed: too late", error_type="TimeoutError")
    assert helpers.send_alert.call_args_list == [alert]
    helpers.audit_log.assert_not_called()


def test_events_have_the_fields_of_the_guide_in_its_order(users):
    shown = [block.text for block in users.blocks if block.text.startswith("@dataclass\n")]
    names: dict[str, object] = {"dataclass": dataclass, "UUID": UUID}
    for text in shown:
        exec(text, names)  # the guide's own classes
    classes = [value for name, value in names.items() if name.endswith("Event")]
    assert len(classes) == 7
    for expected in classes:
        real = getattr(extensions, expected.__name__)
        fields = [field.name for field in dataclasses.fields(expected)]
        assert [field.name for field in dataclasses.fields(real)][: len(fields)] == fields
        assert real(*fields), "the guide's fields are positional and suffice"


def test_the_summary_names_decorators_and_events_that_exist(users):
    rows = re.findall(r"^\| `@(on_\w+)` \| (?:`(\w+)`|None) \|", users.text, re.M)
    assert len(rows) == 9
    for decorator, event in rows:
        assert callable(getattr(extensions, decorator))
        assert not event or hasattr(extensions, event)


def test_no_code_of_the_guide_is_left_untested(users):
    tested = [*(users.code(*found) for found in EXAMPLES.values()), *users.example.values()]
    tested += [users.code("# In your extension"), users.code("logger.debug")]
    left = [
        block.text
        for block in users.blocks
        if block.language == "python"
        and block.text not in tested
        and not block.text.startswith("@dataclass\n")
    ]
    assert left == []
    for block in users.blocks:
        if block.language == "python":
            compile(block.text, "guide", "exec")


def test_the_files_of_the_guide_are_those_of_the_example(users):
    tree = users.text[users.text.index("my-extension/\n") :].split("```")[0]
    assert set(re.findall(r"── (\S+)", tree)) == {*users.example, "README.md"}
