"""Settings of extensions: where a value comes from, and what happens without one."""

from __future__ import annotations

import threading

import pytest

from tinybase.errors import Invalid
from tinybase.host.settings import checked

SHOP = """
    from seen import seen
    from tinybase.extensions import Setting, on_shutdown, on_startup, register_settings

    @register_settings
    class Settings:
        api_key = Setting(
            str, required=True, secret=True, env="PAYMENT_KEY", description="The key."
        )
        currency = Setting(str, default="EUR", choices=["EUR", "USD"])
        retries = Setting(int, default=3)
        rate = Setting(float)
        strict = Setting(bool, default=False)
        lanes = Setting(list, default=[])

    def everything():
        return [getattr(Settings, name) for name in vars(Settings) if name[0] != "_"]

    @on_startup
    def start():
        seen.append(everything())
"""


def test_a_missing_setting_keeps_an_extension_from_running_until_it_is_set(
    host, site, seen, caplog
):
    site.add("shop", SHOP)
    host.start()

    state = host.extension("shop")

    assert state.status == "needs_config"
    assert state.is_enabled
    assert state.is_ill
    assert state.reason == (
        "the setting api_key (The key) is missing: set it with tinybase extensions config shop "
        "api_key, or in the environment as PAYMENT_KEY or TINYBASE_EXT_SHOP_API_KEY. "
        "tinybase extensions config shop shows all settings"
    )
    assert host.handlers("shop") == []
    assert seen == []
    assert caplog.text.count("extension shop does not run: the setting api_key") == 1

    host.stored_settings.change("shop", {"api_key": "sesame"})
    host.refresh()

    assert host.extension("shop").status == "enabled"
    assert seen == [["sesame", "EUR", 3, None, False, []]]


def test_another_worker_follows_a_change_by_itself(make_host, site, seen):
    site.add("shop", SHOP + "\n    @on_startup\n    def tell():\n        seen[0].set()\n")
    seen.append(threading.Event())
    here, there = make_host(), make_host()
    there.start()

    here.stored_settings.change("shop", {"api_key": "sesame"})

    assert seen[0].wait(5)
    assert seen[1][0] == "sesame"


def test_a_value_comes_from_the_strongest_place_that_has_one(make_host, site, seen, instance):
    site.add("shop", SHOP)
    (instance / "tinybase.toml").write_text(
        "[extension.Shop]\napi_key = 'file'\ncurrency = 'USD'\nretries = 4\n"
        "rate = 1\nstrict = true\nlanes = ['a']\n"
    )
    environ = {
        "PAYMENT_KEY": "plain",
        "TINYBASE_EXT_SHOP_API_KEY": "named",
        "TINYBASE_EXT_SHOP_RETRIES": "5",
        "TINYBASE_EXT_SHOP_STRICT": "off",
        "TINYBASE_EXT_SHOP_LANES": "b, c",
    }
    make_host().start()
    make_host(**environ).start()
    third = make_host(**environ)
    third.stored_settings.change("shop", {"api_key": "stored", "retries": 6})
    third.start()

    assert seen == [
        ["file", "USD", 4, 1.0, True, ["a"]],
        ["named", "USD", 5, 1.0, False, ["b", "c"]],
        ["stored", "USD", 6, 1.0, False, ["b", "c"]],
    ]


@pytest.mark.parametrize(
    ("environ", "toml", "words"),
    [
        ({"TINYBASE_EXT_SHOP_RETRIES": "x17x"}, "", "TINYBASE_EXT_SHOP_RETRIES must be a whole"),
        ({}, "retries = 'x17x'", "retries under [extension.shop] in tinybase.toml must be a whole"),
        ({}, "currency = 'x17x'", "currency under [extension.shop] in tinybase.toml must be one"),
        ({}, "retries = true", "retries under [extension.shop] in tinybase.toml must be a whole"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_place_and_never_said(
    environ, toml, words, make_host, site, seen, instance
):
    site.add("shop", SHOP)
    (instance / "tinybase.toml").write_text(f"[extension.shop]\napi_key = 'k'\n{toml}\n")
    host = make_host(**environ)
    host.start()

    state = host.extension("shop")

    assert state.status == "needs_config"
    assert words in state.reason
    assert "x17x" not in state.reason


def test_a_misspelt_key_of_the_file_is_told_of(make_host, site, seen, instance, caplog):
    site.add("shop", SHOP)
    (instance / "tinybase.toml").write_text("[extension.shop]\napi_key = 'k'\nretires = 3\n")
    make_host().start()

    assert "unknown key retires; did you mean retries?" in caplog.text


def test_a_handler_reads_what_holds_now_and_a_change_starts_nothing_anew(host, site, seen):
    site.add("shop", SHOP + "\n    @on_shutdown\n    def end():\n        start()\n")
    host.stored_settings.change("shop", {"api_key": "one"})
    host.start()
    host.stored_settings.change("shop", {"api_key": "two", "retries": 9})
    host.refresh()
    host.stored_settings.change("shop", {"retries": None})
    host.refresh()
    host.set_enabled("shop", False)

    assert [values[:3] for values in seen] == [["one", "EUR", 3], ["two", "EUR", 3]]


def test_two_applications_in_one_process_have_values_of_their_own(make_host, site, seen):
    site.add("shop", SHOP)
    hosts = [make_host(PAYMENT_KEY=value) for value in ("one", "two")]
    for host in hosts:
        host.load()
    for host in hosts:
        host.start()

    assert [values[0] for values in seen] == ["one", "two"]


BAD = {
    "a type that there is not": ("a = Setting(dict)", "type is str, int, float, bool or list"),
    "a default of another type": ("a = Setting(int, default='3')", "default is not a whole number"),
    "required with a default": ("a = Setting(int, required=True, default=3)", "Keep one of"),
    "a default that is no choice": ("a = Setting(int, default=3, choices=[1])", "Add it to them"),
    "bounds of a text": ("a = Setting(str, min=1)", "for settings of type int and float"),
    "bounds that are none": ("a = Setting(int, min='1')", "min and max are numbers"),
    "bounds the wrong way": ("a = Setting(int, min=2, max=1)", "min is greater than max"),
    "a default out of bounds": ("a = Setting(int, default=3, max=2)", "must be at most 2"),
    "a choice out of bounds": ("a = Setting(int, choices=[0, 1], min=1)", "must be at least 1"),
    "a bad name": ("A = Setting(int)", "a name has a-z"),
    "no settings": ("pass", "Write a line like api_key = Setting(str)"),
    "read while imported": ("a = Setting(int, default=1)\nS.a", "Read it inside a function"),
    "twice": ("a = Setting(int)\n@register_settings\nclass T:\n    a = Setting(int)", "twice"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_setting_that_cannot_work_fails_its_extension_and_says_the_remedy(case, host, site):
    body, words = BAD[case]
    head = "from tinybase.extensions import Setting, register_settings\n\n"
    site.add("shop", f"{head}@register_settings\nclass S:\n    {body}\n")
    host.start()

    state = host.extension("shop")

    assert state.status == "failed"
    assert words in state.reason
    assert "\n" not in state.reason


def test_values_are_refused_all_at_once_and_none_is_said(host, site, seen):
    site.add("shop", SHOP)
    host.load()

    with pytest.raises(Invalid) as refused:
        checked(host.extension("shop").settings, {"retires": 1, "retries": "x17x", "api_key": 5})

    assert [fault.loc[-1] for fault in refused.value.faults] == ["retires", "retries", "api_key"]
    assert "Did you mean retries?" in refused.value.detail
    assert "x17x" not in refused.value.detail


BOUNDED = """
    from tinybase.extensions import Setting, register_settings

    @register_settings
    class Settings:
        lanes = Setting(int, default=2, min=1, max=8)
        share = Setting(float, min=0.5)
"""


@pytest.mark.parametrize(
    ("environ", "file", "told"),
    [
        ({"TINYBASE_EXT_SHOP_LANES": "9"}, "", "TINYBASE_EXT_SHOP_LANES must be at most 8"),
        ({"TINYBASE_EXT_SHOP_SHARE": "nan"}, "", "TINYBASE_EXT_SHOP_SHARE must be at least 0.5"),
        ({}, "lanes = 0", "lanes under [extension.shop] in tinybase.toml must be at least 1"),
    ],
)
def test_a_number_out_of_bounds_is_named_by_its_place(
    environ, file, told, make_host, site, instance
):
    site.add("shop", BOUNDED)
    (instance / "tinybase.toml").write_text(f"[extension.shop]\n{file}\n")
    host = make_host(**environ)
    host.load()

    state = host.extension("shop")

    assert state.status == "needs_config"
    assert told in state.reason
    with pytest.raises(Invalid) as refused:
        checked(state.settings, {"lanes": 9, "share": 0.25})
    assert "It must be at most 8" in refused.value.detail
    assert "It must be at least 0.5" in refused.value.detail
    assert checked(state.settings, {"lanes": 8, "share": 0.5})
