"""``tinybase-dashboard``, installed from its folder and looked at with a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, browser
from serving import Server, clean_environment, tinybase

from .conftest import ADMIN, PASSWORD, PLUGINS, left_by_tools

PLUGIN = "tinybase-dashboard"
PAGE = f"/api/ext/{PLUGIN}"
NOTES = "/api/collections/notes/records"

BROKEN = """
from tinybase.extensions import on_record_create


@on_record_create(collection="notes")
def read(event):
    raise ValueError("<img src=x onerror=alert(1)> " + event.data["name"])
"""


def run(instance: Path, *arguments: str | Path) -> str:
    """Run one command, which must succeed, and return what it printed."""
    done = tinybase(*arguments, instance=instance)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the plugin, as it is in the repository."""
    copy = tmp_path_factory.mktemp("plugins") / PLUGIN
    return Path(shutil.copytree(PLUGINS / PLUGIN, copy, ignore=left_by_tools))


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """Return an instance with the plugin, and with a handler that fails."""
    instance = tmp_path_factory.mktemp("dashboard") / "instance"
    made = tinybase("init", instance, "--admin-email", ADMIN, "--admin-password", PASSWORD)
    assert made.returncode == 0, made.stderr
    run(instance, "extensions", "install", "--yes", folder)
    (instance / "functions").mkdir(exist_ok=True)
    (instance / "functions" / "broken.py").write_text(BROKEN)
    return instance


@pytest.fixture(scope="module")
def server(instance: Path) -> Iterator[Server]:
    """Serve the instance, which has a collection of notes that anybody may write."""
    with Server(instance, "--workers", "1") as server:
        schema, options = {"fields": [{"name": "name"}]}, {"access": {"create": "public"}}
        notes = {"name": "notes", "schema": schema, "options": options}
        token = server.login(ADMIN, PASSWORD)
        assert server.request("POST", "/api/collections", notes, token=token).status == 201
        yield server


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture
def window(chromium: Browser, server: Server) -> Browser:
    """Return the window with the page in it, and nobody signed in."""
    chromium.open(server.url + PAGE)
    chromium.run("sessionStorage.clear()")
    chromium.open(server.url + PAGE)
    assert chromium.complaints() == []
    return chromium


def sign_in(window: Browser, email: str, password: str) -> None:
    """Type in who one is, and press the button."""
    window.wait_for(lambda: window.find("#email").is_displayed())
    window.fill("#email", email)
    window.fill("#password", password)
    window.click("#sign-in-form button")


def records_of(window: Browser, collection: str) -> str:
    """Return how many records the page says that a collection has."""
    return str(
        window.run(
            "return [...document.querySelectorAll('#collections tbody tr')]"
            f".find((row) => row.cells[0].textContent === '{collection}')?.cells[1].textContent"
        )
    )


def test_an_admin_signs_in_watches_and_signs_out(server, window):
    sign_in(window, ADMIN, "a wrong password")
    window.wait_for(lambda: window.text("#alert") == "E-mail or password is wrong.")
    assert window.run("return document.activeElement.id") == "password"
    (refused,) = window.complaints()
    assert "/api/auth/login" in refused
    assert "401" in refused

    sign_in(window, ADMIN, PASSWORD)
    window.wait_for(lambda: records_of(window, "notes").isdecimal())
    before = int(records_of(window, "notes"))
    assert not window.find("#sign-in").is_displayed()
    assert not window.find("#alert").is_displayed()
    assert window.run("return document.activeElement.id") == "title"
    assert window.text("#who") == ADMIN
    assert window.text("#figure-extensions") == "1 of 1"
    assert "tinybase_dashboard.routes:overview" in window.text("#handlers")

    assert server.request("POST", NOTES, {"name": "Ann"}).status == 201
    window.click("#refresh")
    window.wait_for(lambda: records_of(window, "notes") == str(before + 1))
    # What a stranger may have written is text on the page, and nothing else.
    window.wait_for(lambda: "<img src=x onerror=alert(1)> Ann" in window.text("#failures"))
    assert window.run("return document.images.length") == 0

    for width in (360, 1200):
        for scheme in ("light", "dark"):
            window.emulate(width=width, scheme=scheme)
            assert window.run("return document.documentElement.scrollWidth") <= width
            assert too_faint(window) == []

    token = window.run("return sessionStorage.getItem('tinybase-dashboard.token')")
    assert server.request("GET", "/api/auth/me", token=token).status == 200
    window.click("#sign-out")
    window.wait_for(lambda: window.find("#sign-in").is_displayed())
    server.wait_for(lambda: server.request("GET", "/api/auth/me", token=token).status == 401)
    assert window.run("return sessionStorage.length") == 0
    assert window.text("#collections") == ""
    assert window.complaints() == []


def test_whoever_is_no_admin_is_told_so(server, window):
    ann = {"email": "ann@example.com", "password": PASSWORD}
    assert server.request("POST", "/api/auth/register", ann).status == 201

    sign_in(window, ann["email"], PASSWORD)

    window.wait_for(lambda: "ann@example.com is not an admin" in window.text("#alert"))
    assert window.run("return sessionStorage.length") == 0
    assert window.complaints() == []


def test_old_numbers_stay_while_nobody_answers_and_say_that_they_are_old(server, window):
    sign_in(window, ADMIN, PASSWORD)
    window.wait_for(lambda: records_of(window, "notes").isdecimal())
    window.click("#automatic")

    window.go_offline(True)
    window.click("#refresh")
    window.wait_for(lambda: "The server does not answer." in window.text("#alert"))
    assert records_of(window, "notes").isdecimal()
    window.go_offline(False)

    token = server.login(ADMIN, PASSWORD)
    for is_enabled, said in ((False, f"{PLUGIN} is disabled."), (True, "")):
        path, body = f"/api/admin/extensions/{PLUGIN}", {"is_enabled": is_enabled}
        assert server.request("PATCH", path, body, token=token).status == 200
        window.click("#refresh")
        window.wait_for(lambda said=said: told(window, said))
    assert records_of(window, "notes").isdecimal()
    window.complaints()


def told(window: Browser, said: str) -> bool:
    """Say whether the page tells that something is wrong, or with no text that all is well."""
    alert = window.text("#alert")
    return said in alert if said else not alert


def too_faint(window: Browser) -> list[str]:
    """Return the texts whose contrast with what is behind them is below 4.5 to 1."""
    faint: list[str] = window.run(CONTRAST)
    return faint


CONTRAST = """
const parts = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => {
  const [r, g, b] = parts(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  const own = getComputedStyle(node).backgroundColor;
  return parts(own)[3] === 0 ? behind(node.parentElement) : own;
};
return [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility() && [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
  .filter((node) => {
    const [one, other] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05) < 4.5;
  })
  .map((node) => `${node.tagName} ${node.textContent}`);
"""  # noqa: E501


def test_the_commands_show_what_failed_and_forget_it(server, instance):
    assert server.request("POST", NOTES, {"name": "Bob"}).status == 201

    shown = json.loads(run(instance, "x", PLUGIN, "failures", "--json"))["failures"]
    assert shown[0]["message"].endswith("Bob")
    assert run(instance, "x", PLUGIN, "clear") == f"Forgot {len(shown)} failures.\n"


def test_its_own_tests_pass(folder):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "tests", "-p", "no:cacheprovider"],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
