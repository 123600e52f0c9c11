from __future__ import annotations

from pathlib import Path

from tinybase.config import keys

from .conftest import Run


def test_show_tells_where_every_value_comes_from(run: Run, instance: Path) -> None:
    (instance / "tinybase.toml").write_text("[server]\nport = 9000\nthreads = 3\n")

    rows = run("config", "show", "--json", env={"TINYBASE_SERVER_THREADS": "5"}).json

    found = {row["key"]: (row["value"], row["source"]) for row in rows}
    assert found["server.port"] == (9000, "tinybase.toml")
    assert found["server.threads"] == (5, "TINYBASE_SERVER_THREADS")
    assert found["hooks.wait_ms"] == (200, "default")
    assert [row["key"] for row in rows] == [key.path for key in keys()]


def test_show_redacts_secrets(run: Run, instance: Path) -> None:
    environment = {
        "TINYBASE_DATABASE_URL": "postgresql+psycopg://u:hunter2@localhost/x",
        "TINYBASE_MAIL_URL": "smtp://u:hunter2@localhost",
    }

    for arguments in (["config", "show"], ["config", "show", "--json"]):
        assert "hunter2" not in run(*arguments, env=environment).out
