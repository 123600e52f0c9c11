from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import ADMIN, PASSWORD, Run

EMAIL = "bob@example.com"


def add_admin(run: Run, email: str = EMAIL) -> None:
    run("admin", "add", email, "--password", PASSWORD)


def test_add_makes_an_admin(run: Run, instance: Path) -> None:
    add_admin(run)

    found = {user["email"]: user["is_admin"] for user in run("users", "list", "--json").json}
    assert found == {ADMIN: True, EMAIL: True}


def test_add_takes_the_password_from_the_environment(run: Run, instance: Path) -> None:
    run("admin", "add", EMAIL, env={"TINYBASE_ADMIN_PASSWORD": PASSWORD})


def test_add_needs_a_password_from_somewhere(run: Run, instance: Path) -> None:
    assert "TINYBASE_ADMIN_PASSWORD" in run("admin", "add", EMAIL, code=1).err


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [("nobody", PASSWORD, "email: "), (EMAIL, "short", "password: ")],
)
def test_what_the_service_refuses_is_said_in_its_words(
    run: Run, instance: Path, email: str, password: str, words: str
) -> None:
    error = run("admin", "add", email, "--password", password, code=1).err

    assert error.startswith(f"Error: {words}")


def test_add_lets_somebody_in_again_who_forgot_the_password(run: Run, instance: Path) -> None:
    run("admin", "add", ADMIN, "--password", "another good password")

    assert len(run("users", "list", "--json").json) == 1


def test_show_takes_an_address_in_any_case_or_an_id(run: Run, instance: Path) -> None:
    user = run("users", "show", ADMIN.upper(), "--json").json

    assert user["email"] == ADMIN
    assert run("users", "show", user["id"], "--json").json == user
    assert list(user) == ["id", "email", "is_admin", "is_active", "created_at", "updated_at"]
    assert ADMIN in run("users", "show", user["id"]).out


@pytest.mark.parametrize(
    "named", ["who@example.com", "who", "0190b6c2-0000-7000-8000-000000000000"]
)
@pytest.mark.parametrize("command", ["show", "disable", "enable", "delete"])
def test_an_unknown_user_is_1(run: Run, instance: Path, command: str, named: str) -> None:
    assert "There is no user" in run("users", command, named, code=1).err


def test_disable_and_enable_are_inverses(run: Run, instance: Path) -> None:
    add_admin(run)

    run("users", "disable", EMAIL)
    assert run("users", "show", EMAIL, "--json").json["is_active"] is False
    run("users", "enable", EMAIL)
    assert run("users", "show", EMAIL, "--json").json["is_active"] is True


@pytest.mark.parametrize("command", [["disable"], ["delete", "--yes"]])
def test_the_last_admin_stays(run: Run, instance: Path, command: list[str]) -> None:
    assert "Error: " in run("users", *command, ADMIN, code=1).err
    assert run("users", "show", ADMIN, "--json").json["is_active"] is True


def test_delete_asks_first(run: Run, instance: Path) -> None:
    add_admin(run)

    assert "--yes" in run("users", "delete", EMAIL, code=1).err
    run("users", "delete", EMAIL, stdin="n\n", code=1)
    run("users", "delete", EMAIL, stdin="y\n")
    assert [user["email"] for user in run("users", "list", "--json").json] == [ADMIN]


def test_delete_needs_no_answer_with_yes(run: Run, instance: Path) -> None:
    add_admin(run)

    run("users", "delete", EMAIL, "--yes")


def test_list_without_users_names_the_remedy(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "empty", "--no-admin")

    assert "tinybase admin add" in run("-C", tmp_path / "empty", "users", "list").out


CLI_HANDLERS = """
from pathlib import Path

from tinybase.extensions import *

def tell(*what):
    with Path(__file__).with_name("told.txt").open("a") as file:
        print(*what, file=file)

@before_user_register
def before(event):
    event.data["email"] = "eve@example.com"

@on_user_update
def updated(event):
    tell("changed", event.email, event.changes, event.origin)

@on_user_delete
def deleted(event):
    tell("deleted", event.email)

@before_collection_create
def refuse(event):
    raise Reject("No collections today.", code="closed")
"""


def test_extensions_are_asked_and_told_on_the_command_line(run: Run, instance: Path) -> None:
    (instance / "handlers_for_cli.py").write_text(CLI_HANDLERS)
    env = {"TINYBASE_EXTENSIONS_MODULES": "handlers_for_cli"}

    run("admin", "add", EMAIL, "--password", PASSWORD, env=env)
    run("users", "disable", "eve@example.com", env=env)
    run("users", "delete", "eve@example.com", "--yes", env=env)
    refused = run("collections", "create", "notes", env=env, code=1)

    assert (instance / "told.txt").read_text().splitlines() == [
        "changed eve@example.com ('is_active',) cli",
        "deleted eve@example.com",
    ]
    assert "No collections today." in refused.err
