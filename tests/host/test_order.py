"""The order of handlers: said by handlers, manifests, operators, and shown with the reason."""

from __future__ import annotations

import random
from uuid import uuid4

import pytest

from tinybase.config import load
from tinybase.errors import ConfigError, Conflict
from tinybase.extensions.rows import Order
from tinybase.host import event_facts
from tinybase.host.arranging import arrange
from tinybase.host.ordering import Rules
from tinybase.host.plugin import ExtensionPlugin
from tinybase.host.stats import HandlerStats
from tinybase_hookspecs import RecordCreateEvent

HEAD = """
from tinybase.extensions import *
from tinybase.extensions import hookimpl
from seen import seen
NAME = __name__
"""


def handler(name: str = "f", **order: object) -> str:
    options = ", ".join(f"{key}={value!r}" for key, value in order.items())
    body = f"seen.append(NAME + '.{name}')"
    return f"@on_record_create({options})\ndef {name}(event): {body}\n"


def add(site, name: str, *handlers: str, before=(), after=()) -> None:
    toml = f"[extension.order]\nbefore = {list(before)}\nafter = {list(after)}\n"
    files = {"extension.toml": toml} if before or after else {}
    site.add(name, HEAD + "\n".join(handlers or (handler(),)), files=files)


def called(host, seen) -> list[str]:
    seen.clear()
    event = RecordCreateEvent("orders", uuid4(), {}, None, **event_facts())
    host.pm.hook.tinybase_on_record_create(event=event)
    return list(seen)


def told(host) -> dict[str, str]:
    """Return the reason of each handler of on_record_create, in the order of the list."""
    hook = "tinybase_on_record_create"
    turns = [turn for turn in host.turns() if turn.handler.hook == hook]
    assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
    return {turn.handler.handler.replace(":", "."): turn.why for turn in turns}


def test_nothing_said_is_by_name_and_own_code_first(make_host, site, seen, instance, monkeypatch):
    monkeypatch.syspath_prepend(instance)
    (instance / "mine.py").write_text(HEAD + handler("own"))
    for name in ("shop", "audit"):
        add(site, name, handler("one"), handler("another"))
    host = make_host(TINYBASE_EXTENSIONS_MODULES="mine")
    host.load()

    assert called(host, seen) == [
        "mine.own",
        "audit.one",
        "audit.another",
        "shop.one",
        "shop.another",
    ]
    assert list(told(host).values()) == [
        "own code first", "own code first", "as written", "by name", "as written"
    ]  # fmt: skip


def test_a_priority_goes_before_the_name_and_between_handlers_of_another(host, site, seen):
    add(site, "audit", handler("low", priority=-5), handler("high", priority=20))
    add(site, "shop", handler("middle", priority=10), handler("last", trylast=True))
    host.load()

    assert called(host, seen) == ["audit.high", "shop.middle", "audit.low", "shop.last"]
    assert told(host) == {
        "audit.high": "priority 20 over 10",
        "shop.middle": "priority 20 over 10",
        "audit.low": "priority 10 over -5",
        "shop.last": "trylast",
    }


def test_a_handler_names_extensions_by_any_spelling_and_unknown_ones_are_fine(host, site, seen):
    add(site, "audit-trail", handler(after=("Shop_Two", "absent"), priority=9), handler("free"))
    add(site, "shop-two", handler(), handler("late"))
    add(site, "zebra", handler(before="shop.two"))
    host.load()

    assert called(host, seen) == [
        "audit_trail.free", "zebra.f", "shop_two.f", "shop_two.late", "audit_trail.f"
    ]  # fmt: skip
    assert told(host) == {
        "audit_trail.free": "by name",
        "zebra.f": "by name",
        "shop_two.f": "after zebra (decorator of zebra)",
        "shop_two.late": "as written",
        "audit_trail.f": "after shop-two (decorator of audit-trail)",
    }


def test_a_manifest_speaks_for_all_handlers_that_say_nothing_themselves(host, site, seen):
    add(site, "audit", handler("quiet"), handler("loud", before=["shop"]), after=["shop"])
    add(site, "shop")
    host.load()

    assert called(host, seen) == ["audit.loud", "shop.f", "audit.quiet"]
    assert told(host)["audit.quiet"] == "after shop (extension.toml of audit)"
    assert host.turns()[0].before == ("shop",)


def test_the_operator_has_the_last_word_even_over_tryfirst(make_host, site, seen):
    add(site, "audit", handler(tryfirst=True), handler("said", before=("shop",)))
    add(site, "shop", before=["audit"])
    add(site, "unlisted")
    host = make_host(TINYBASE_EXTENSIONS_ORDER="shop, absent, Audit")
    host.load()

    assert called(host, seen) == ["shop.f", "audit.f", "audit.said", "unlisted.f"]
    assert told(host)["audit.f"] == "after shop (tinybase.toml)"
    assert told(host)["audit.said"].endswith("; not before shop: tinybase.toml")


def test_tryfirst_and_trylast_go_before_what_extensions_say(host, site, seen):
    add(site, "audit", handler(after=("shop",), tryfirst=True))
    add(site, "shop")
    host.load()

    assert called(host, seen) == ["audit.f", "shop.f"]
    assert told(host)["audit.f"] == "tryfirst; not after shop: tryfirst and trylast"


def test_raw_hookimpls_and_wrappers_have_their_place_too(host, site, seen):
    raw = "@hookimpl\ndef tinybase_on_record_create(event): seen.append(NAME + '.raw')\n"
    wrapper = (
        "@hookimpl(wrapper=True, specname='tinybase_on_record_create')\n"
        "def around(event):\n    seen.append('in')\n    result = yield\n    seen.append('out')\n"
        "    return result\n"
    )
    add(site, "audit", wrapper, raw, after=["shop"])
    add(site, "shop", handler())
    host.load()

    assert called(host, seen) == ["in", "shop.f", "audit.raw", "out"]
    assert told(host)["audit.around"] == "wrappers first; not after shop: wrappers go around"


def test_a_circle_that_is_there_when_the_server_starts_is_told_and_one_edge_not_followed(
    host, site, seen, caplog
):
    add(site, "audit", handler(before=("shop",)))
    add(site, "shop", handler(before=("audit",)))
    host.load()

    assert called(host, seen) == ["audit.f", "shop.f"]
    (circle,) = host.snapshot.arrangement.circles
    assert circle.statements == [
        "shop before audit (decorator of shop)",
        "audit before shop (decorator of audit)",
    ]
    assert told(host)["shop.f"].endswith("; not before audit: a circle")
    (record,) = [record for record in caplog.records if "circle" in record.message]
    assert "the order of on_record_create is a circle" in record.message
    assert 'order = ["audit", "shop"] under [extensions]' in record.message
    host.refresh()
    assert caplog.text.count("is a circle") == 1


def test_enabling_what_makes_a_circle_is_refused_and_nothing_changes(host, site, seen, make_host):
    for name, then in (("a", "b"), ("b", "c"), ("c", "a")):
        add(site, name, before=[then])
    host.desired.set_enabled("c", is_enabled=False)
    host.load()

    with pytest.raises(Conflict) as refused:
        host.set_enabled("c", enabled=True)

    assert refused.value.code == "dependency_conflict"
    for part in (
        "c before a (extension.toml of c)",
        "a before b (extension.toml of a)",
        "b before c (extension.toml of b)",
        'order = ["a", "b", "c"] under [extensions] in tinybase.toml',
    ):
        assert part in refused.value.detail
    assert host.extension("c").status == "disabled"
    assert called(host, seen) == ["a.f", "b.f"]

    other = make_host(TINYBASE_EXTENSIONS_ORDER="a,b,c")
    other.load()
    assert other.set_enabled("c", enabled=True).status == "enabled"


def test_extensions_start_in_the_declared_order_and_stop_in_reverse(host, site, seen):
    life = "@on_startup\ndef begin(): seen.append('+' + NAME)\n"
    end = "@on_shutdown\ndef end(): seen.append('-' + NAME)\n"
    add(site, "a", life, end, after=["c"])
    add(site, "b", end, before=["c"])
    add(site, "c", life, end)
    host.start()
    ends = [turn for turn in host.turns() if turn.handler.hook == "tinybase_on_shutdown"]
    host.stop()

    assert seen == ["+c", "+a", "-a", "-c", "-b"]
    assert [turn.handler.extension for turn in ends] == ["a", "c", "b"]
    assert [turn.why for turn in ends] == [
        "started last",
        "started last",
        "started last",
    ]


def test_a_handler_that_is_alone_is_the_only_one_also_at_the_start(site, host, seen):
    add(site, "a", "@on_startup\ndef begin(): seen.append(NAME)\n")
    add(site, "b", "@on_shutdown\ndef end(): seen.append(NAME)\n")
    host.load()

    assert {turn.handler.hook: turn.why for turn in host.turns()} == {
        "tinybase_on_startup": "only one",
        "tinybase_on_shutdown": "only one",
    }


def test_a_name_twice_in_the_order_of_the_operator_is_an_error(instance):
    (instance / "tinybase.toml").write_text('[extensions]\norder = ["a", "b", "a"]\n')

    with pytest.raises(ConfigError, match=r"extensions.order .* names a twice"):
        load(instance, {})


def test_a_manifest_that_cannot_be_read_says_nothing(host, site, seen):
    site.add("a", HEAD + handler(), files={"extension.toml": "[extension.order]\nafter = 7\n"})
    site.add("b", HEAD + handler(), files={"extension.toml": "= ="})
    host.load()

    assert called(host, seen) == ["a.f", "b.f"]


def test_whatever_is_said_each_place_is_explained_by_the_one_in_front():
    """The order is total, stable, and keeps every statement that is no circle."""
    chance = random.Random(4)
    for _ in range(200):
        plugins, manifests = [], {}
        for name in "abcdef":
            plugin = ExtensionPlugin(name)
            for number in range(chance.randrange(3)):
                order = Order(chance.choice([0, 0, 5]), **_said(chance))
                stats = HandlerStats(name, "tinybase_on_record_create", f"{name}{number}")
                plugin.add(stats.hook, lambda event: None, stats, order)
            plugins.append(plugin)
            manifests[name] = Order(**_said(chance))
        made = arrange(plugins, Rules("", chance.sample("abcdef", 2), manifests))
        calls = [i.stats.handler for i in made.calls.get("tinybase_on_record_create", ())]
        assert sorted(calls) == sorted(h.handler for p in plugins for h in p.handlers)
        assert calls == [turn.handler.handler for turn in made.turns]
        dropped = {str(circle.dropped) for circle in made.circles}
        place = {name: number for number, name in enumerate(calls)}
        for turn in made.turns:
            for said, sign in ((turn.before, "before"), (turn.after, "after")):
                for name in said:
                    others = [place[c] for c in calls if c[0] == name]
                    mine = place[turn.handler.handler]
                    held = all((mine < o) == (sign == "before") for o in others)
                    assert held or f"not {sign} {name}" in turn.why
                    assert held or dropped or "tinybase.toml" in turn.why


def _said(chance: random.Random) -> dict[str, tuple[str, ...]]:
    names = chance.sample("abcdef", 2)
    return {
        "before": tuple(names[:1]) if chance.random() < 0.3 else (),
        "after": tuple(names[1:]) if chance.random() < 0.3 else (),
    }
