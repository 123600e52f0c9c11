"""``tinybase doctor``: every fault that it promises to find, planted."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, text, update
from uuid_utils.compat import uuid7

from tinybase import config
from tinybase.cli.doctor import environment
from tinybase.db import Database, migrate, tables, utcnow
from tinybase.packages.generations import Generations

from .conftest import Run

Codes = Mapping[str, Mapping[str, str]]


def by_code(findings: list[dict[str, str]]) -> Codes:
    """Return the findings by their codes; a finding without text would be no use."""
    for item in findings:
        assert list(item) == ["severity", "code", "what", "where", "remedy"]
        assert item["what"]
        assert item["where"]
        assert item["remedy"] or item["severity"] == "info", item
    return {item["code"]: item for item in findings}


def errors(found: Codes) -> set[str]:
    return {code for code, item in found.items() if item["severity"] == "error"}


def write(instance: Path, *statements: Any) -> None:
    """Write to the database behind the back of the services."""
    with migrate.opened(config.load(instance, {})) as engine, Database(engine).write() as work:
        for statement in statements:
            work.connection.execute(statement)


def generation(instance: Path) -> Path:
    found = Generations(instance).current()
    assert found is not None
    return found


def test_a_healthy_instance_has_no_errors(run: Run, extended: Path) -> None:
    result = run("doctor", "--json")

    found = by_code(result.json)
    assert set(found) == {"versions", "public_function", "handler_idle"}
    assert {item["severity"] for item in found.values()} == {"info"}
    shown = run("extensions", "doctor").out
    assert shown.endswith("0 errors, 0 warnings, 3 notes.\n")


def test_a_folder_that_is_no_instance_and_a_broken_configuration_are_errors(
    run: Run, instance: Path, tmp_path: Path
) -> None:
    found = by_code(run("-C", tmp_path, "doctor", "--json", code=1).json)
    assert "tinybase init" in found["configuration_broken"]["what"]

    (instance / "tinybase.toml").write_text("[server]\nprot = 1\n")
    found = by_code(run("doctor", "--json", code=1).json)
    assert "Did you mean server.port?" in found["configuration_broken"]["what"]
    assert errors(found) == {"configuration_broken"}


def test_faults_of_the_configuration_are_found(
    run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = instance / "tinybase.toml"
    path.write_text(
        '[auth]\ntoken_ttl_hours = 2\n[mail]\nurl = "smtp://me:secret@localhost"\n', "utf-8"
    )
    path.chmod(0o644)
    monkeypatch.setenv("TINYBASE_SERVER_PROT", "1")
    monkeypatch.setenv("TINYBASE_EXTENSIONS", "one")

    result = run("doctor", "--json", code=1)

    found = by_code(result.json)
    assert "auth.access_token_minutes" in found["key_outdated"]["remedy"]
    assert found["secrets_readable"]["remedy"] == f"Run chmod 600 {path}."
    assert found["variable_unknown"]["remedy"] == "Write TINYBASE_SERVER_PORT."
    assert found["safe_mode"]["where"] == "TINYBASE_EXTENSIONS"
    assert errors(found) == {"secrets_readable"}
    assert "secret@" not in result.out

    path.chmod(0o600)
    assert "secrets_readable" not in by_code(run("doctor", "--json").json)


def test_files_that_are_not_what_the_lock_says_are_found(run: Run, extended: Path) -> None:
    folder = generation(extended)
    (folder / "alpha" / "__init__.py").write_text("# changed")
    foreign = folder / "foreign-1.0.dist-info"
    foreign.mkdir()
    (foreign / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    shutil.rmtree(folder / "beta-1.0.0.dist-info")
    for wheel in (extended / "extensions" / "wheels").rglob("alpha*.whl"):
        wheel.write_bytes(b"x")
    for wheel in (extended / "extensions" / "wheels").rglob("beta*.whl"):
        wheel.unlink()
    (extended / "extensions" / "pending").write_text('{"generation": "099"}')
    lock = json.loads((folder / "extensions.lock").read_text())
    lock["extensions"]["beta"]["wheel"]["file"] = "beta-1.0.0-cp37-cp37m-win32.whl"
    (folder / "extensions.lock").write_text(
        json.dumps({**lock, "python": "3.7.1", "tinybase": "0.3.0"})
    )
    lock["extensions"]["alpha"]["version"] = "9"
    (extended / "extensions.lock").write_text(json.dumps(lock))

    found = by_code(run("doctor", "--json", code=1).json)

    assert "alpha/__init__.py" in found["files_changed"]["what"]
    assert "foreign 1.0" in found["package_unlocked"]["what"]
    assert "beta 1.0.0" in found["package_missing"]["what"]
    assert "alpha" in found["wheel_changed"]["what"]
    assert "beta" in found["wheel_missing"]["what"]
    assert "of alpha." in found["lock_differs"]["what"]
    assert "in which beta cannot work" in found["lock_other_python"]["what"]
    assert "0.3.0" in found["lock_other_tinybase"]["what"]
    assert "change_interrupted" in found


def test_a_change_under_way_is_no_fault(run: Run, extended: Path) -> None:
    (extended / "extensions" / "pending").write_text('{"generation": "099"}')

    with Generations(extended).locked("a test"):
        found = by_code(run("doctor", "--json").json)

    assert found["change_under_way"]["severity"] == "info"
    assert "change_interrupted" not in found


def test_a_generation_that_is_gone_and_a_damaged_lock_are_found(run: Run, extended: Path) -> None:
    (extended / "extensions.lock").write_text("{")
    assert errors(by_code(run("doctor", "--json", code=1).json)) == {"lock_damaged"}

    (generation(extended) / "extensions.lock").write_text("{")
    assert "files_unreadable" in errors(by_code(run("doctor", "--json", code=1).json))

    shutil.rmtree(generation(extended))
    found = by_code(run("doctor", "--json", code=1).json)
    assert found["generation_missing"]["remedy"] == "Run tinybase extensions sync."


def test_the_remedy_for_a_missing_wheel_works(run: Run, extended: Path) -> None:
    for wheel in (extended / "extensions" / "wheels").rglob("beta*.whl"):
        wheel.unlink()
    assert (
        "uninstall beta" in by_code(run("doctor", "--json", code=1).json)["wheel_missing"]["remedy"]
    )

    run("extensions", "uninstall", "beta", "--yes")

    assert errors(by_code(run("doctor", "--json").json)) == set()


def test_an_extension_that_pip_installed_too_is_found(
    run: Run, extended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "site"
    other.mkdir()
    for name in ("alpha", "alpha-1.0.0.dist-info"):
        shutil.copytree(generation(extended) / name, other / name)
    monkeypatch.syspath_prepend(str(other))

    found = by_code(run("doctor", "--json", code=1).json)

    assert str(other) in found["installed_twice"]["where"]


def test_a_database_of_another_version_is_found(run: Run, instance: Path) -> None:
    write(instance, text("UPDATE alembic_version SET version_num = '9999'"))
    found = by_code(run("doctor", "--json", code=1).json)
    assert "a newer one made it" in found["database_revision"]["what"]

    (instance / "tinybase.db").unlink()
    for leftover in instance.glob("tinybase.db-*"):
        leftover.unlink()
    found = by_code(run("doctor", "--json", code=1).json)
    assert found["database_revision"]["remedy"] == "Run tinybase db upgrade."


def test_what_is_wrong_in_the_database_is_found(run: Run, instance: Path) -> None:
    (instance / "tinybase.toml").write_text('[collections]\ndefault_access = "compatible"\n')
    run("collections", "create", "blog", "--options", '{"access": {"list": "public"}}')
    run("collections", "create", "wall", "--options", '{"access": {"create": "public"}}')
    gone = f"{socket.gethostname()}:4194305"  # above the highest number of a process
    call = {"function_name": "f", "status": "running", "host": gone, "trigger_type": "manual"}
    times = {"started_at": utcnow(), "created_at": utcnow()}
    write(
        instance,
        text("DELETE FROM users"),
        insert(tables.function_calls).values(**call, **times),
    )
    write_orphan(instance)

    found = by_code(run("doctor", "--json", code=1).json)

    assert "1 rows of tokens" in found["rows_orphaned"]["what"]
    assert "1 function calls" in found["calls_abandoned"]["what"]
    assert found["public_reading"]["where"] == "collection blog"
    assert found["public_by_default"]["where"] == "collection wall"
    assert "create records of wall" in found["public_writing"]["what"]
    assert "no_admin" in found
    assert errors(found) == {"rows_orphaned"}


def test_fields_that_lists_needed_an_index_on_are_found(run: Run, instance: Path) -> None:
    schema = '{"fields": [{"name": "n", "type": "int"}, {"name": "m", "indexed": true}]}'
    made = run("collections", "create", "posts", "--schema", schema, "--json").json
    values = {"collection_id": UUID(made["id"]), "seen_at": utcnow()}
    scans = [{**values, "field": name} for name in ("n", "m", "gone")]
    write(instance, insert(tables.unindexed_scans).values(scans))

    found = [item for item in run("doctor", "--json").json if item["code"] == "index_missing"]

    assert [item["where"] for item in found] == ["collection posts, field n"]
    assert '"indexed": true' in found[0]["remedy"]


def write_orphan(instance: Path) -> None:
    """Store a token of a user who does not exist."""
    with migrate.opened(config.load(instance, {})) as engine, engine.connect() as connection:
        _switch_off_foreign_keys(connection)
        connection.exec_driver_sql(
            "INSERT INTO tokens (id, digest, kind, user_id, scopes, created_at, expires_at) "
            "VALUES (x'01', 'x', 'access', x'02', '[]', '2026', '2026')"
        )
        connection.commit()


def _switch_off_foreign_keys(connection: Connection) -> None:
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys = OFF")


def test_extensions_that_do_not_do_well_are_found(run: Run, extended: Path) -> None:
    times = {"created_at": utcnow(), "updated_at": utcnow()}
    seen = {"status": "enabled", "status_reason": "on_startup failed in alpha:begin: E: x"}
    counters = {
        "extension": "alpha",
        "hook": "tinybase_on_record_create",
        "handler": "alpha:write_down",
        "calls": 4,
        "errors": 3,
        "timeouts": 1,
        "total_ms": 50.0,
        "max_ms": 40.0,
        "last_error": {"at": "2026-01-01T00:00:00Z", "type": "ValueError", "message": "no luck"},
    }
    extensions = tables.extensions
    write(
        extended,
        insert(extensions).values(name="gone", is_enabled=True, status="enabled", **times),
        insert(extensions).values(name="bad", quarantine_reason="it hung", status="x", **times),
        update(extensions).where(extensions.c.name == "alpha").values(**seen),
        insert(tables.worker_metrics).values(
            process_id=uuid7(), started_at=utcnow(), updated_at=utcnow(), handlers=[counters]
        ),
    )
    (generation(extended) / "beta" / "__init__.py").write_text("import os; os._exit(3)")
    (extended / "functions" / "mine.py").write_text("1 / 0")

    found = by_code(run("doctor", "--json", code=1).json)

    assert "importing it ended the process" in found["extension_failed"]["what"]
    assert "uninstall gone" in found["extension_missing"]["remedy"]
    assert "it hung" in found["extension_quarantined"]["what"]
    assert "alpha:begin" in found["startup_failed"]["what"]
    assert "3 of 4 calls failed, last with ValueError: no luck." in found["handler_failed"]["what"]
    assert found["handler_slow"]["where"] == "alpha:write_down in tinybase_on_record_create"
    assert found["handler_idle"]["what"] == "It waits for the function pay, which does not exist."
    assert "ZeroDivisionError" in found["project_failed"]["what"]


def test_faults_of_the_machine_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    monkeypatch.setattr(environment.os, "access", lambda path, mode: False)
    monkeypatch.setattr(environment.sqlite3, "sqlite_version_info", (3, 30, 0))
    monkeypatch.setattr(environment, "requires", lambda name: ["pip>=999", "absent-package"])
    monkeypatch.setattr(
        environment.shutil, "disk_usage", lambda path: SimpleNamespace(free=30 * 2**20)
    )

    found = list(environment.check(tmp_path))

    assert [(item.severity.value, item.code) for item in found] == [
        ("info", "versions"),
        ("error", "package_unfit"),
        ("error", "package_unfit"),
        ("warning", "git_missing"),
        ("error", "sqlite_too_old"),
        ("error", "not_writable"),
        ("warning", "disk_full"),
    ]
