"""The secrets of extensions show in no error of theirs."""

from __future__ import annotations

import logging

import pytest

from tinybase import logs
from tinybase.host.secrets import Secrets
from tinybase.testing import running

SECRET = "open-sesame"

SHOP = """
    from tinybase.extensions import Setting, on_startup, register_settings

    @register_settings
    class Settings:
        api_key = Setting(str, secret=True, env="PAYMENT_KEY")
        pin = Setting(str, secret=True, env="PAYMENT_PIN")

    @on_startup
    def start():
        try:
            raise ValueError(f"Bearer {Settings.api_key}")
        except ValueError as error:
            raise RuntimeError(f"{Settings.pin}: no answer from ?key={Settings.api_key}") from error
"""

SERVED = """
from flask import Blueprint
from tinybase.extensions import Setting, public, register_blueprint, register_settings
from tinybase.functions import register

@register_settings
class Settings:
    api_key = Setting(str, secret=True, env="PAYMENT_KEY")

pay = Blueprint("pay", __name__)
register_blueprint(pay)

@pay.get("/")
@public
def view():
    raise RuntimeError(f"?key={Settings.api_key}")

@register(name="pay")
def function(ctx, payload: dict):
    raise RuntimeError(f"?key={Settings.api_key}")
"""


def test_a_secret_is_neither_logged_nor_shown_when_a_handler_says_it(make_host, site, caplog):
    site.add("shop", SHOP)
    host = make_host(PAYMENT_KEY=SECRET, PAYMENT_PIN="the")

    host.start()

    (handler,) = host.handlers("shop")
    expected = "the: no answer from ?key=***"  # what is as short as this word is no secret
    assert handler.last_error.message == expected
    assert host.extension("shop").reason.endswith(f"RuntimeError: {expected}")
    assert "ValueError: Bearer ***" in caplog.text
    assert SECRET not in caplog.text


def test_a_secret_is_neither_answered_nor_logged_when_a_function_or_a_view_says_it(
    tmp_path, caplog
):
    (tmp_path / "secretive.py").write_text(SERVED)
    with running(tmp_path, modules=["secretive"], environ={"PAYMENT_KEY": SECRET}) as site:
        called = site.call("pay")
        assert site.get("/api/ext/secretive/").status_code == 500

    assert called["error_message"] == "?key=***"
    assert caplog.text.count("RuntimeError: ?key=***") >= 2
    assert SECRET not in caplog.text


TALKATIVE = """
import logging
from tinybase.extensions import Setting, register_settings
from tinybase.functions import register

@register_settings
class Settings:
    api_key = Setting(str, secret=True)
    pin = Setting(str, secret=True)
    currency = Setting(str)

@register(name="talk", auth="public")
def talk():
    logging.getLogger(__name__).warning("%s and %s", Settings.currency, Settings.pin)
    try:
        raise ValueError(f"line one {Settings.api_key}")
    except ValueError:
        logging.getLogger("somebody.else").exception("with %s", Settings.api_key)
"""


def test_a_secret_that_an_extension_logs_itself_is_not_in_the_log(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    handler = logs.LogFile(tmp_path / "log" / "tinybase.log")
    handler.setFormatter(logs.LineFormatter())
    logging.getLogger().addHandler(handler)
    settings = {"api_key": "two\nlines of a key", "pin": "sesame", "currency": "not secret"}
    try:
        with running(tmp_path / "instance", modules=["talkative"], settings=settings) as site:
            site.call("talk")
        logging.getLogger("talkative").warning("it is over: %s", settings["api_key"])
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()

    *lines, last = (tmp_path / "log" / "tinybase.log").read_text().split("it is over: ")
    (text,) = lines
    assert "lines of a key" not in text
    assert text.count("with ***") == text.count("ValueError: line one ***") == 1
    assert "not secret and sesame" in text  # six letters are found in any text by chance
    assert "lines of a key" in last  # the log is that of the whole process


class Told(Exception):  # one that keeps its text outside of its arguments
    def __init__(self, text):
        super().__init__()
        self.text = text

    def __str__(self):
        return f"told {self.text}"


class Sealed(Exception):  # one that nothing can be taken out of
    def __str__(self):
        raise RuntimeError(SECRET)

    @property
    def args(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError(SECRET), "'***'"),
        (OSError(2, "gone", f"/{SECRET}"), "[Errno 2] gone: '/***'"),
        (ValueError(3, [SECRET, None]), "(3, ['***', None])"),
        (RuntimeError(ValueError(f"{SECRET}-2")), "***-2"),
        (Told(SECRET), "told ***"),
        (ValueError("sesame"), "sesame"),
    ],
)
def test_a_secret_is_found_wherever_an_exception_has_its_text(error, text):
    secrets = Secrets()
    secrets.keep("shop", [SECRET, None, ["sesam", "another"]])

    secrets.conceal(error)

    assert str(error) == text


def test_a_group_of_exceptions_is_searched_and_one_that_forbids_it_left_alone():
    secrets = Secrets()
    secrets.keep("shop", [SECRET])
    inner = ValueError(SECRET)

    secrets.conceal(ExceptionGroup("several", [Sealed(), inner]))

    assert inner.args == ("***",)
