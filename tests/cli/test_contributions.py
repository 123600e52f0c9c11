"""An extension with settings, a collection and commands, in the hands of an operator."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from tinybase.app import create_app
from tinybase.cli.main import main, tinybase
from tinybase.config import load

from .conftest import Run

SHOP = '''
import click

from tinybase.extensions import (
    Setting, command, pass_context, register_collection, register_settings,
)
from tinybase.functions import register

ORDERS = register_collection(
    "orders", {"fields": [{"name": "item", "type": "string", "required": True}]}, read="public"
)


@register_settings
class Settings:
    """What an operator sets."""

    api_key = Setting(str, required=True, secret=True, env="PAYMENT_KEY")
    currency = Setting(str, default="EUR", choices=["EUR", "USD"], description="Of prices.")


@command
@click.group()
def stock():
    """Look after the stock."""


@stock.command()
@click.argument("item")
@pass_context
def order(ctx, item):
    """Order an item."""
    record = ctx.records.create("orders", {"item": item})
    click.echo(f"{record.data['item']} for {Settings.currency} by {ctx.user_id}")


@command
@click.command("fail")
@click.option("--code", type=int)
def fail(code):
    """Fail."""
    if code is not None:
        raise SystemExit(code)
    raise ValueError("no\\nluck")


@register(name="shop_broken")
def broken():
    raise ValueError("no luck")


@register(name="shop_currency", auth="public")
def currency():
    return {"currency": Settings.currency}
'''


@pytest.fixture(scope="session")
def with_shop(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an instance with the extension shop, not configured, that is only ever copied."""
    parent = tmp_path_factory.mktemp("with-shop")
    shutil.copytree(prepared, folder := parent / "instance")
    source = parent / "shop"
    source.mkdir()
    (source / "extension.toml").write_text('[extension]\nname = "shop"\nversion = "1.0.0"\n')
    (source / "__init__.py").write_text(SHOP)
    with CliRunner().isolation("", {"PIP_NO_INDEX": "1"}) as (_, err, _both):
        with pytest.raises(SystemExit) as ended:
            main(["-C", str(folder), "extensions", "install", str(source), "--yes"])
        assert not ended.value.code, err.getvalue()
    return folder


@pytest.fixture
def shop(with_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an instance with the extension shop; commands work on it."""
    folder = tmp_path / "shop"
    shutil.copytree(with_shop, folder, symlinks=True)
    monkeypatch.setenv("TINYBASE_INSTANCE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _own_search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def run(run: Run) -> Run:
    """Return a runner of commands after which nothing can be imported from their instance."""

    def run_and_forget(*arguments, **options):
        before = [*sys.path]
        try:
            return run(*arguments, **options)
        finally:
            sys.path[:] = before

    return run_and_forget


@pytest.fixture
def open_shop(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the same with the setting that it requires."""
    monkeypatch.setenv("PAYMENT_KEY", "sesame")
    return shop


def release(folder: Path, version: str, change: tuple[str, str] = ("", "")) -> Path:
    """Write another version of the extension shop."""
    folder.mkdir(exist_ok=True)
    (folder / "extension.toml").write_text(f'[extension]\nname = "shop"\nversion = "{version}"\n')
    (folder / "__init__.py").write_text(SHOP.replace(*change, 1))
    return folder


def test_settings_are_set_and_unset_and_a_secret_is_never_said(run, shop):
    change = ("extensions", "config", "shop", "api_key", "currency=USD", "--json")
    found = run(*change, stdin="sesame\n")

    assert found.json["status"] == "enabled"
    key, currency = found.json["settings"]
    assert (key["value"], key["is_set"], key["source"]) == (None, True, "database")
    assert key["variables"] == ["TINYBASE_EXT_SHOP_API_KEY", "PAYMENT_KEY"]
    assert (currency["value"], currency["source"]) == ("USD", "database")
    assert run("functions", "call", "shop_currency").json == {"currency": "USD"}

    shown = run("extensions", "config", "shop", "--unset", "currency")
    assert "required, secret" in shown.out
    assert "one of EUR, USD" in shown.out
    assert "(redacted)" in shown.out
    everything = [found.out, found.err, shown.out, *(p.read_text() for p in shop.glob("logs/*"))]
    assert "sesame" not in "".join(everything)
    assert run("functions", "call", "shop_currency").json == {"currency": "EUR"}


def test_who_installs_or_updates_what_lacks_a_setting_is_told_and_may_give_it_along(run, open_shop):
    run("extensions", "uninstall", "shop", "--yes")
    source = release(open_shop.parent / "newer", "2.0.0")
    refused = run("extensions", "install", source, "--yes", "--set", "curency=USD", code=1)
    assert "Did you mean currency?" in refused.err
    assert run("extensions", "list", "--json").json == []
    installed = run("extensions", "install", source, "--yes", "--set", "currency=USD")
    assert "does not run" not in installed.err
    assert run("functions", "call", "shop_currency").json == {"currency": "USD"}

    desk_and_pin = "    desk = Setting(int, required=True)\n    pin = Setting(str, secret=True)\n"
    release(source, "2.1.0", ("    currency =", f"{desk_and_pin}    currency ="))
    shown = run("extensions", "update", "shop", "--dry-run").err
    assert "+ Settings" in shown
    assert "desk  required" in shown
    update = ("extensions", "update", "shop", "--yes")
    told = run(*update, code=1).err
    assert "shop 2.1.0 would not run any more: the setting desk is missing." in told
    assert "--set KEY=VALUE" in told
    assert "must be a whole number" in run(*update, "--set", "desk=x", code=1).err
    assert "pin is a secret" in run(*update, "--set", "desk=7", "--set", "pin=1234", code=1).err
    (found,) = run("extensions", "list", "--json").json
    assert (found["version"], found["status"]) == ("2.0.0", "enabled")

    done = run(*update, "--set", "desk=7", "--set", "pin", stdin="1234\n")

    assert "does not run" not in done.err
    currency, desk, pin = sorted(
        run("extensions", "config", "shop", "--json").json["settings"][1:],
        key=lambda item: item["name"],
    )
    assert (desk["value"], desk["source"]) == (7, "database")
    assert (pin["is_set"], pin["value"], currency["value"]) == (True, None, "USD")
    assert "Nothing was set" in run(*update[:3], "--set", "desk=8", code=1).err
    every = run("extensions", "update", "--set", "desk=8", code=1)
    assert "--set gives values to one extension" in every.err

    more = f"    till = Setting(str, required=True)\n{desk_and_pin}    currency ="
    release(source, "2.2.0", ("    currency =", more))
    waits = "shop 2.2.0 does not run: the setting till is missing: set it with tinybase extensions"
    assert waits in run(*update, "--allow-needs-config").err
    assert waits in run("extensions", "enable", "shop").err
    run("extensions", "uninstall", "shop", "--yes")
    assert waits in run("extensions", "install", source, "--yes").err


def test_an_extension_that_the_server_could_not_load_is_failed_on_the_command_line(run, open_shop):
    run("records", "create", "orders", '{"item": "tea"}')
    run("extensions", "uninstall", "shop", "--yes")
    number = ('"type": "string"', '"type": "integer"')
    source = release(open_shop.parent / "newer", "2.0.0", number)
    run("extensions", "install", source, "--yes")

    with closing(create_app(load(open_shop)).extensions["tinybase"]) as services:
        services.host.start()

    (listed,) = run("extensions", "list", "--json").json
    assert listed["status"] == "failed"
    assert "1 of its records does not fit: item: Not a valid integer" in listed["status_reason"]
    assert "force" not in listed["status_reason"]
    assert "shop does not run, it is failed" in run("doctor", code=1).out
    hooks = run("extensions", "hooks")
    assert "shop is failed, so nothing of it runs" in hooks.err


def test_a_change_of_settings_that_does_not_fit_changes_nothing(run, open_shop):
    refused = run("extensions", "config", "shop", "currency=YEN", "cash=1", code=1)
    assert "values.currency: It must be one of EUR, USD." in refused.err
    assert "values.cash: There is no such setting." in refused.err
    assert run("functions", "call", "shop_currency").json == {"currency": "EUR"}

    told = run("extensions", "config", "shop", "api_key=sesame", code=2)
    assert "Write api_key without a value" in told.err


def test_commands_are_listed_described_and_run_with_a_context(run, open_shop):
    listed = run("x").out
    assert "shop" in listed
    assert "Look after the stock." in listed
    assert "fail" in run("x", "shop", "--help").out

    assert run("x", "Shop", "stock", "order", "tea").out == "tea for EUR by None\n"
    (record,) = run("records", "list", "orders", "--json").json
    assert record["data"] == {"item": "tea"}


def test_a_command_that_fails_is_told_in_one_line_and_in_full_in_the_log(run, open_shop):
    failed = run("x", "shop", "fail", code=1)

    assert failed.err.startswith(
        "Error: The command fail of the extension shop failed: ValueError: no luck."
    )
    assert failed.err.count("\n") == 1
    told = "Error: shop_broken of the extension shop failed: ValueError: no luck"
    assert told in run("functions", "call", "shop_broken", code=1).err
    assert "Traceback" in (open_shop / "logs" / "tinybase.log").read_text()
    assert run("x", "shop", "fail", "--code", "7", code=7).err == ""
    run("x", "shop", "fail", "--code", "x", code=2)
    run("x", "shop", "nothing", code=2)


def test_the_commands_of_an_extension_that_does_not_run_say_why(run, shop):
    told = run("x", "shop", "fail", code=1).err
    assert told.startswith(
        "Error: shop is needs_config, so its commands cannot be run: the setting"
    )
    assert "No extension has commands." in run("x").out

    run("extensions", "disable", "shop")
    told = run("x", "shop", "fail", code=1).err
    assert "shop is disabled" in told
    assert "tinybase extensions enable shop" in told
    assert "not found" in run("x", "nobody", code=1).err


def test_the_shell_completes_extensions_and_their_commands(open_shop):
    complete = ShellComplete(tinybase, {}, "tinybase", "_TINYBASE_COMPLETE")

    assert [item.value for item in complete.get_completions(["x"], "s")] == ["shop"]
    assert [item.value for item in complete.get_completions(["x", "shop"], "st")] == ["stock"]
    assert complete.get_completions(["-C", "/nowhere", "x"], "s") == []


def test_help_imports_no_extension(run, open_shop, monkeypatch):
    monkeypatch.setattr("tinybase.host.host.Host.load", lambda _: pytest.fail("it was loaded"))

    assert "Run the commands that extensions bring." in run("--help").out
    assert "--traceback" in run("x", "--help").out


def test_the_data_of_an_extension_stays_until_it_is_purged(run, open_shop):
    run("x", "shop", "stock", "order", "tea")
    info = run("extensions", "info", "shop")
    assert "the collection orders (1)" in info.out
    gone = run("extensions", "uninstall", "shop", "--yes").err
    assert "Its data stays: the collection orders (1)." in gone
    assert len(run("records", "list", "orders", "--json").json) == 1
    asked = run("extensions", "uninstall", "shop", "--purge", stdin="n\n", code=1)
    assert "This deletes, of shop: the collection orders (1)" in asked.err
    run("extensions", "uninstall", "shop", "--purge", "--yes")
    assert run("collections", "list", "--json").json == []
    assert "not found" in run("extensions", "uninstall", "shop", "--purge", "--yes", code=1).err


def test_a_guarded_collection_can_be_taken_from_an_extension_that_is_off(run, open_shop):
    run("extensions", "uninstall", "shop", "--yes")
    source = release(open_shop.parent / "newer", "2.0.0")
    with (source / "extension.toml").open("a") as manifest:
        manifest.write('[[extension.collections]]\nname = "tills"\nguarded = true\n')
    assert "of its own, guarded" in run("extensions", "plan", source).out
    run("extensions", "install", source, "--yes")
    run("x", "shop", "stock", "order", "tea")
    assert "the collection tills (0, guarded)" in run("extensions", "info", "shop").out

    told = run("collections", "disown", "tills", "--yes", code=1).err
    assert "Run tinybase extensions disable shop first" in told
    closed = "Only admins reach the records of tills now: shop guards them."
    assert closed in run("extensions", "disable", "shop").err
    assert run("records", "export", "tills", "-").out == ""
    asked = run("collections", "disown", "tills", stdin="n\n", code=1).err
    assert "Open the collection tills to whom its rules admit (list: owner" in asked
    found = run("collections", "disown", "tills", "--yes", "--json").json
    assert found == {"name": "tills", "extension": "shop"}

    assert "tills" not in run("extensions", "info", "shop").out
    assert "no extension already" in run("collections", "disown", "tills", "-y", code=1).err
    assert "not found" in run("collections", "disown", "nothing", "-y", code=1).err


def test_a_collection_of_somebody_else_keeps_an_extension_from_running(run, open_shop):
    run("collections", "create", "orders", env={"TINYBASE_EXTENSIONS": "none"})

    told = run("x", "shop", "fail", code=1).err

    assert "shop is failed" in told
    assert "its collection orders exists already and belongs to this project" in told
    assert "tinybase collections delete orders" in told
    run("collections", "delete", "orders", "--yes")
    run("x", "shop", "stock", "order", "tea")
