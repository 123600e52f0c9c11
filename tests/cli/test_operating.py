"""Looking into an instance: what would run, and how the extensions fare."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import uuid_utils.compat
from sqlalchemy import insert

from tinybase import config
from tinybase.cli.operating import hooks
from tinybase.db import Database, migrate, tables, utcnow

from .conftest import Run


def counted(instance: Path, *handlers: dict[str, object]) -> None:
    """Let a worker that has ended have counted the calls of handlers."""
    values = {"process_id": uuid_utils.compat.uuid7(), "handlers": list(handlers)}
    with migrate.opened(config.load(instance, {})) as engine, Database(engine).write() as work:
        work.connection.execute(
            insert(tables.worker_metrics).values(started_at=utcnow(), updated_at=utcnow(), **values)
        )


WRITE_DOWN = {
    "extension": "alpha",
    "hook": "tinybase_on_record_create",
    "handler": "alpha:write_down",
    "calls": 4,
    "errors": 3,
    "timeouts": 1,
    "total_ms": 50.0,
    "max_ms": 40.0,
    "last_error": {"at": "2026-01-01T00:00:00Z", "type": "ValueError", "message": "no\n\x1bluck"},
}


def test_hooks_are_listed_in_the_order_in_which_they_run(run: Run, extended: Path) -> None:
    found = run("extensions", "hooks", "on_record_create", "--json").json

    assert [(item["order"], item["extension"], item["handler"]) for item in found] == [
        (1, "beta", "beta:come_first"),
        (2, "alpha", "alpha:write_down"),
    ]
    assert found[1] == {
        "extension": "alpha",
        "hook": "tinybase_on_record_create",
        "decorator": "on_record_create",
        "handler": "alpha:write_down",
        "filter": {"collection": ["orders", "bills*"]},
        "order": 2,
        "priority": 0,
        "before": [],
        "after": ["beta"],
        "why": "tryfirst",
        "is_async": False,
        "status": "active",
        "status_reason": None,
    }
    heading, *rows = run("extensions", "hooks").out.splitlines()
    assert heading.split() == [
        "ORDER", "HOOK", "EXTENSION", "HANDLER", "FILTER", "AFTER", "ASYNC", "WHY"
    ]  # fmt: skip
    assert any("collection: orders, bills*" in row and row.endswith("tryfirst") for row in rows)


@pytest.mark.parametrize(
    ("arguments", "handlers"),
    [
        (["--collection", "notes"], ["come_first", "tinybase_on_record_delete"]),
        (["--function", "pay"], ["look_at"]),
        (["tinybase_on_record_create", "--collection", "bills_1"], ["come_first", "write_down"]),
    ],
)
def test_hooks_can_be_asked_about_one_event(
    run: Run, extended: Path, arguments: list[str], handlers: list[str]
) -> None:
    found = run("extensions", "hooks", *arguments, "--json").json

    assert [item["handler"].partition(":")[2] for item in found] == handlers


def test_a_hook_that_does_not_exist_is_told_with_the_one_that_was_meant(
    run: Run, instance: Path
) -> None:
    said = run("extensions", "hooks", "on_record_creat", code=1).err

    assert said == "Error: There is no hook on_record_creat. Did you mean on_record_create?\n"


def test_hooks_say_whose_handlers_are_silent(run: Run, extended: Path) -> None:
    (extended / "extensions" / "current" / "alpha" / "__init__.py").write_text("import absent")
    (extended / "functions" / "mine.py").write_text("1 / 0")

    result = run("extensions", "hooks", "--json")

    assert {item["extension"] for item in result.json} == {"beta"}
    assert "alpha is failed, so nothing of it runs: ModuleNotFoundError" in result.err
    assert "mine.py of this project does not load" in result.err


def test_names_of_hooks_are_completed() -> None:
    parameter = hooks.params[0]

    found = parameter.shell_complete(click.Context(hooks), "on_record_c")

    assert [item.value for item in found] == ["on_record_change", "on_record_create"]


def test_info_tells_everything(run: Run, extended: Path) -> None:
    counted(extended, WRITE_DOWN)
    counted(extended, {**WRITE_DOWN, "max_ms": 60.0, "last_error": None})

    found = run("extensions", "info", "Alpha", "--json").json

    assert [item["handler"] for item in found["handlers"]] == [
        "alpha:look_at",
        "alpha:write_down",
        "alpha:begin",
    ]
    busy = found["handlers"][1]
    assert (busy["calls"], busy["errors"], busy["timeouts"]) == (8, 6, 2)
    assert (busy["total_ms"], busy["max_ms"]) == (100.0, 60.0)
    assert busy["last_error"]["message"] == "no\n\x1bluck"
    never = found["handlers"][0]
    assert never["is_async"]
    assert (never["mean_ms"], never["p95_ms"], never["max_ms"]) == (None, None, None)
    assert found["function_details"] == [
        {"name": "alpha_hello", "auth": "public", "description": "Say hello"}
    ]
    assert found["functions"] == ["alpha_hello"]
    assert found["packages"] == []
    assert found["counted_since"].endswith("Z")

    shown = run("extensions", "info", "alpha").out
    for part in ("nothing else", "12.5", "60.0", "Say hello", "alpha:write_down: ValueError: no"):
        assert part in shown
    assert "\x1b" not in shown
    assert re.search(r"alpha:look_at .* 0 +0 +0 +- +- +-", shown)
    assert "There are none." in run("extensions", "info", "beta").out
    run("extensions", "disable", "beta")
    assert "None run: the extension is disabled." in run("extensions", "info", "beta").out


def test_the_list_counts(run: Run, extended: Path) -> None:
    counted(extended, WRITE_DOWN, WRITE_DOWN)

    heading, alpha, beta = run("extensions", "list").out.splitlines()

    assert heading.split()[4:] == ["HOOKS", "FUNCTIONS", "CALLS", "ERRORS", "REASON"]
    assert alpha.split()[4:] == ["3", "1", "8", "6", "-"]
    assert beta.split()[4:] == ["2", "0", "0", "0", "-"]


def test_a_handler_that_is_not_called_any_more_is_told_with_the_reason(
    run: Run, extended: Path
) -> None:
    counted(extended, {**WRITE_DOWN, "skipped": 2})
    place = {key: WRITE_DOWN[key] for key in ("extension", "hook", "handler")}
    with migrate.opened(config.load(extended, {})) as engine, Database(engine).write() as work:
        work.connection.execute(
            insert(tables.handler_quarantines).values(**place, reason="it failed 5 times")
        )

    told = "alpha:write_down is quarantined, so it is not called: it failed 5 times"
    info = run("extensions", "info", "alpha")
    assert told in info.err
    assert "SKIPPED" in info.out
    assert told in run("extensions", "hooks", "on_record_create").err


def test_safe_mode_is_seen_by_who_looks_and_not_by_who_changes(
    run: Run, extended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("extensions", "disable", "alpha")
    monkeypatch.setenv("TINYBASE_EXTENSIONS", "none")

    assert run("extensions", "enable", "alpha", "--json").json[0]["status"] == "enabled"
    listed = run("extensions", "list", "--json").json
    assert [item["status"] for item in listed] == ["disabled", "disabled"]
    assert "TINYBASE_EXTENSIONS" in listed[0]["status_reason"]
    assert run("extensions", "hooks", "--json").json == []

    (extended / "extensions" / "current" / "alpha" / "__init__.py").write_text("import absent")
    run("extensions", "disable", "alpha")
    assert "absent" in run("extensions", "enable", "alpha", code=1).err


def test_check_says_which_extensions_fit_a_coming_version(run: Run, extended: Path) -> None:
    metadata = extended / "extensions" / "current" / "alpha-1.0.0.dist-info" / "METADATA"
    text = metadata.read_text() + "\n"
    lines = "Requires-Dist: tinybase>=0.4,<0.5\nRequires-Dist: absent; python_version<'3'\n"
    metadata.write_text(text.replace("\nVersion:", f"\n{lines}Version:", 1))

    found = run("extensions", "check", "--against", "0.5", "--json", code=1)

    assert found.json[0] == {
        "name": "alpha",
        "version": "1.0.0",
        "fits": False,
        "needs": "<0.5,>=0.4",
        "python": found.json[0]["python"],
        "reasons": ["it needs tinybase<0.5,>=0.4, not 0.5"],
    }
    assert found.json[1]["fits"]
    assert "only that version can tell" in found.err
    assert "FITS" in run("extensions", "check", "--against", "0.4.9").out
    assert "is no version" in run("extensions", "check", "--against", "new", code=2).err


def test_check_tries_out_the_present_version(run: Run, extended: Path) -> None:
    assert [item["fits"] for item in run("extensions", "check", "--json").json] == [True, True]

    folder = extended / "extensions" / "current"
    (folder / "beta" / "__init__.py").write_text(
        "from tinybase.extensions import hookimpl\n"
        "@hookimpl\ndef tinybase_on_record_archive(event): pass\n"
    )
    metadata = folder / "alpha-1.0.0.dist-info" / "METADATA"
    lines = "Requires-Dist: flask<1\nRequires-Dist: absent\nRequires-Dist: not/one\n"
    metadata.write_text(metadata.read_text().replace("\nVersion:", f"\n{lines}Version:", 1))

    alpha, beta = run("extensions", "check", "--json", code=1).json

    assert "unknown hook tinybase_on_record_archive" in beta["reasons"][0]
    assert "it needs flask<1, and there is 3." in alpha["reasons"][1]
    assert alpha["reasons"][0] == "its requirement 'not/one' cannot be read"
    assert alpha["reasons"][2] == "it needs absent, which is not installed"
