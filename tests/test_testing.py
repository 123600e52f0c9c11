"""What authors test their extensions with: everything runs as installed, or the test says why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tinybase.errors import Conflict, Invalid
from tinybase.extensions.rows import forget
from tinybase.testing import Running, import_extension, running

MANIFEST = """
[extension]
name = "corner-shop"
version = "1.2.0"
description = "Sells tea"
author = "Ann"
license = "MIT"

[extension.order]
before = ["audit"]
"""

INIT = "from . import hooks\n"

HOOKS = '''
import click
from flask import Blueprint, request

from tinybase.extensions import (
    Setting, command, on_record_create, pass_context, register_blueprint, register_settings
)
from tinybase.functions import register

pages = Blueprint("pages", __name__)
seen = []


@register_settings
class Settings:
    currency = Setting(str, default="EUR")
    retries = Setting(int, default=3)


@on_record_create(collection="orders")
def remember(event):
    seen.append(event.data["item"])


@register(name="whoami", auth="public")
def whoami(ctx, payload):
    return {"user": str(ctx.user_id) if ctx.user_id else None, "admin": ctx.is_admin}


@register(name="currency", auth="public")
def currency():
    return Settings.currency


@pages.put("/price")
def price():
    return {"price": request.json["price"]}


register_blueprint(pages, auth="public")


@command
@click.command()
@click.argument("item")
@pass_context
def order(ctx, item):
    """Order something."""
    ctx.records.create("orders", {"item": item})
    click.echo(f"Ordered {item}.")
    click.echo("It costs nothing.", err=True)


@command
@click.command()
@click.pass_context
def give_up(ctx):
    ctx.exit(3)


@command
@click.command()
def burn():
    raise RuntimeError("the kettle is on fire")


@command
@click.command()
@click.argument("text", type=click.File())
def shout(text):
    click.echo(text.read().upper())
'''

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Write]:
    """Write an extension into a folder; its package is forgotten in the end."""

    def make(files: Mapping[str, str] | None = None, manifest: str = MANIFEST) -> Path:
        _forget()
        folder = tmp_path_factory.mktemp("repository")
        everything = {"extension.toml": manifest, "__init__.py": INIT, "hooks.py": HOOKS}
        for name, text in {**everything, **(files or {})}.items():
            (folder / name).write_text(text)
        return folder

    yield make
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "corner_shop"]:
        del sys.modules[name]
    forget("corner_shop")


@pytest.fixture(scope="module")
def shop(write: Write, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("instance")
    with running(folder, extension=write(), settings={"currency": "USD"}) as tinybase:
        tinybase.collection("orders", {"fields": [{"name": "item", "type": "string"}]})
        yield tinybase


def test_an_extension_runs_under_its_own_name(shop: Running) -> None:
    found = shop.get("/api/admin/extensions/corner-shop").json

    assert (found["status"], found["version"]) == ("enabled", "1.2.0")
    (handler,) = shop.get("/api/admin/hooks").json["hooks"]
    assert (handler["extension"], handler["before"]) == ("corner-shop", ["audit"])


def test_its_modules_are_those_that_the_tests_import(shop: Running) -> None:
    shop.post("/api/collections/orders/records", {"item": "tea"})

    assert sys.modules["corner_shop.hooks"].seen[-1] == "tea"


def test_its_settings_are_given_by_name(shop: Running) -> None:
    assert shop.call("currency")["result"] == "USD"


def test_its_routes_are_where_they_will_be(shop: Running) -> None:
    assert shop.put("/api/ext/corner-shop/price", {"price": 3}).json == {"price": 3}


def test_a_test_instance_is_as_ready_as_a_server(shop: Running) -> None:
    answer = shop.get("/health/ready")

    assert (answer.status_code, set(answer.json["checks"].values())) == (200, {"ok"})


def test_a_command_leaves_code_and_output_and_its_handlers_have_run(shop: Running) -> None:
    ended = shop.x("corner-shop", "order", "coffee")

    assert (ended.exit_code, ended.stdout) == (0, "Ordered coffee.\n")
    assert ended.stderr == "It costs nothing.\n"
    assert sys.modules["corner_shop.hooks"].seen[-1] == "coffee"


def test_a_command_reads_stdin(shop: Running) -> None:
    assert shop.x("corner-shop", "shout", "-", stdin="tea").stdout == "TEA\n"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("corner-shop", "give-up"), 3, ""),
        (("corner-shop", "order"), 2, "Missing argument 'ITEM'"),
        (("corner-shop", "burn"), 1, "command burn of the extension corner-shop failed: Runtime"),
        (("corner-shop", "brew"), 2, "No such command 'brew'"),
        (("nobody",), 1, "Extension 'nobody' not found"),
    ],
)
def test_a_command_that_fails_says_what_the_operator_would_see(
    shop: Running, words: tuple[str, ...], code: int, told: str
) -> None:
    ended = shop.x(*words)

    assert ended.exit_code == code
    assert told in ended.stderr


def test_a_function_is_called_directly_as_anybody(shop: Running) -> None:
    whoami = sys.modules["corner_shop.hooks"].whoami
    ada = shop.user("ada@example.com")
    ada_id = shop.get("/api/auth/me", ada).json["id"]

    with shop.context() as ctx:
        ctx.records.create("orders", {"item": "milk"})
        assert whoami(ctx, {}) == {"user": None, "admin": True}
    with shop.context(ada) as ctx:
        assert whoami(ctx, {}) == {"user": ada_id, "admin": False}
    with shop.context({}) as ctx:
        assert whoami(ctx, {}) == {"user": None, "admin": False}
    assert sys.modules["corner_shop.hooks"].seen[-1] == "milk"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"hooks.py": HOOKS + '\nregister_blueprint(pages, auth="everyone")\n'},
            'auth is "public"',
        ),
        ({"hooks.py": HOOKS + "\nimport nothing_like_it\n"}, "No module named 'nothing_like_it'"),
        ({"hooks.py": HOOKS + '\nregister(name="currency")(whoami)\n'}, "corner-shop does not"),
        ({"__init__.py": ""}, "hooks.py:14: nothing imports this module"),
    ],
)
def test_an_extension_that_does_not_load_ends_the_test_with_the_cause(
    write: Write, tmp_path: Path, files: Mapping[str, str], told: str
) -> None:
    with (
        pytest.raises((Conflict, ImportError, TypeError), match=told),
        running(tmp_path, extension=write(files)),
    ):
        pytest.fail("it runs")


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ('[extension]\nname = "corner-shop"\n', "extension.toml:1: extension.version"),
        (MANIFEST + '\n[extension.tinybase]\nmin_version = "99"\n', "needs TinyBase >=99"),
    ],
)
def test_a_manifest_that_install_would_refuse_ends_the_test(
    write: Write, tmp_path: Path, manifest: str, told: str
) -> None:
    with (
        pytest.raises(Conflict, match=told),
        running(tmp_path, extension=write(manifest=manifest)),
    ):
        pytest.fail("it runs")


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"curency": "USD"}, Invalid, "Did you mean currency"),
        ({"retries": "many"}, Invalid, "must be"),
        ({}, Conflict, "corner-shop does not run, it is needs_config: the setting key is missing"),
    ],
)
def test_settings_that_do_not_fit_end_the_test(
    write: Write,
    tmp_path: Path,
    settings: Mapping[str, object],
    error: type[Exception],
    told: str,
) -> None:
    files = {
        "hooks.py": HOOKS.replace(
            "    currency", "    key = Setting(str, required=True)\n    currency"
        )
    }

    with (
        pytest.raises(error) as caught,
        running(tmp_path, extension=write(files), settings=settings),
    ):
        pytest.fail("it runs")
    faults = getattr(caught.value, "faults", ())
    assert told in "".join([str(caught.value), *(fault.msg for fault in faults)])


def test_what_does_not_end_is_named_with_its_extension(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hangs = """
import threading
from tinybase.extensions import on_shutdown
END = threading.Event()

@on_shutdown
def hang():
    END.wait(30)
"""
    environ = {"TINYBASE_HOOKS_SHUTDOWN_SECONDS": "1"}
    with running(tmp_path, extension=write({"hooks.py": hangs}), environ=environ):
        pass
    sys.modules["corner_shop.hooks"].END.set()

    told = "extension corner-shop: on_shutdown did not end in 1 s: corner_shop.hooks:hang"
    assert told in caplog.messages


def test_what_is_no_error_of_its_code_is_told_without_a_traceback(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = """
from tinybase.extensions import register_collection
register_collection("orders", {"fields": [{"name": "pieces", "minimum": 1}]})
"""
    told = "the collection 'orders': schema.fields.0.minimum: Not an option here"

    with (
        pytest.raises(Conflict, match=told),
        running(tmp_path, extension=write({"hooks.py": wrong})),
    ):
        pytest.fail("it runs")
    (record,) = [record for record in caplog.records if told in record.getMessage()]
    assert record.exc_info is None


def test_a_module_that_does_not_load_ends_the_test_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("import nothing_like_it\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with (
        pytest.raises(Conflict, match="The module broken_module does not load: it imports nothing"),
        running(tmp_path / "instance", modules=["broken_module"]),
    ):
        pytest.fail("it runs")


def test_a_folder_without_an_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="missing, and there is no pyproject"):
        import_extension(tmp_path)
