from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

import pytest

from tinybase import config
from tinybase.config import keys

from .conftest import ADMIN, PASSWORD, Run

CREDENTIALS = ("--admin-email", ADMIN, "--admin-password", PASSWORD)


def test_init_makes_everything(run: Run, tmp_path: Path) -> None:
    result = run("init", tmp_path / "new", *CREDENTIALS)

    assert result.out == ""
    assert {path.name for path in (tmp_path / "new").iterdir()} >= {
        "tinybase.toml",
        "functions",
        "tinybase.db",
    }
    assert run("-C", tmp_path / "new", "db", "current", "--json").json["up_to_date"] is True
    (user,) = run("-C", tmp_path / "new", "users", "list", "--json").json
    assert (user["email"], user["is_admin"], user["is_active"]) == (ADMIN, True, True)


def test_init_takes_the_current_folder_by_default(run: Run) -> None:
    run("init", *CREDENTIALS)

    assert Path("tinybase.toml").is_file()


def test_init_takes_the_admin_from_the_environment(run: Run, tmp_path: Path) -> None:
    environment = {"TINYBASE_ADMIN_EMAIL": ADMIN, "TINYBASE_ADMIN_PASSWORD": PASSWORD}

    assert f"Made the admin {ADMIN}" in run("init", tmp_path / "new", env=environment).err


def test_init_again_changes_nothing_and_says_so(run: Run, instance: Path) -> None:
    toml = instance / "tinybase.toml"
    toml.write_text('[server]\nlog_level = "debug"\n')
    (instance / "functions" / "mine.py").write_text("")

    result = run("init", instance, "--admin-email", "b@example.com", "--admin-password", PASSWORD)

    assert "stays as it is" in result.err
    assert f"There is an admin already: {ADMIN}" in result.err
    assert toml.read_text() == '[server]\nlog_level = "debug"\n'
    assert (instance / "functions" / "mine.py").exists()
    assert len(run("users", "list", "--json").json) == 1


def test_init_again_needs_no_admin_to_be_named(run: Run, instance: Path) -> None:
    assert "There is an admin already" in run("init", instance).err


def test_without_anybody_to_ask_init_makes_nothing(run: Run, tmp_path: Path) -> None:
    error = run("init", tmp_path / "new", code=1).err

    assert "--no-admin" in error
    assert not (tmp_path / "new").exists()


def test_no_admin_is_a_choice(run: Run, tmp_path: Path) -> None:
    assert "tinybase admin add" in run("init", tmp_path / "new", "--no-admin").err
    assert run("-C", tmp_path / "new", "users", "list", "--json").json == []


@pytest.mark.parametrize("password", ["short", "password", "12345678"])
def test_a_weak_password_is_refused_and_init_can_be_repeated(
    run: Run, tmp_path: Path, password: str
) -> None:
    arguments = ("init", tmp_path / "new", "--admin-email", ADMIN, "--admin-password")

    error = run(*arguments, password, code=1).err

    assert error.splitlines()[-1].startswith("Error: password: ")
    assert "Made the admin" in run(*arguments, PASSWORD).err


def test_the_configuration_explains_every_key(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "new", "--no-admin")
    text = (tmp_path / "new" / "tinybase.toml").read_text()
    in_one_line = re.sub(r"\n# ", " ", text)

    for key in keys():
        assert key.doc in in_one_line, key.path
        for variable in key.variables:
            assert variable in text


def test_the_configuration_shows_the_defaults(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "new", "--no-admin")
    text = (tmp_path / "new" / "tinybase.toml").read_text()

    everything = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))

    for key in keys():
        default = list(key.default) if isinstance(key.default, tuple) else key.default
        assert everything[key.section][key.name] == default, key.path
    fresh = config.load(tmp_path / "new", {})
    assert set(fresh.sources.values()) == {"default", "tinybase.toml"}


def test_the_configuration_is_for_its_owner_only(run: Run, instance: Path) -> None:
    assert stat.S_IMODE((instance / "tinybase.toml").stat().st_mode) == 0o600


def test_another_database_is_written_to_the_configuration(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "new", "--no-admin", "--database", "sqlite:///data/other.db", code=1)
    (tmp_path / "new" / "data").mkdir(parents=True)

    run("init", tmp_path / "new", "--no-admin", "--database", "sqlite:///data/other.db")

    assert config.load(tmp_path / "new", {}).database.url == "sqlite:///data/other.db"
    assert (tmp_path / "new" / "data" / "other.db").is_file()


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://u:p@localhost/x", "postgresql+psycopg://u:p@127.0.0.1:1/x"],
)
def test_a_database_that_cannot_be_used_is_refused_before_anything_is_written(
    run: Run, tmp_path: Path, url: str
) -> None:
    error = run("init", tmp_path / "new", "--no-admin", "--database", url, code=1).err

    assert "database.url" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_value_that_toml_cannot_write_is_refused(run: Run, tmp_path: Path) -> None:
    url = "sqlite:///C:\\xfoo.db"

    assert "backslash" in run("init", tmp_path / "n", "--no-admin", "--database", url, code=1).err
