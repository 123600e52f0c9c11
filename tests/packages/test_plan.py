"""Seeing what an installation would do, and what the code does, before it is done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from github import Hub, write

from tinybase.cli.plan_screen import changes_lines, plan_lines
from tinybase.errors import Conflict
from tinybase.packages import build
from tinybase.packages.extensions import Extensions
from tinybase.packages.inspection import Inspection, Power, compare
from tinybase.packages.inspection.findings import (
    Implementation,
    Offer,
    OwnCollection,
    OwnField,
    OwnSetting,
    Unread,
    Use,
)
from tinybase.packages.plan import Plan

from .conftest import Run, flat, make_wheel
from .samples import own_build

POWERFUL = """
import os, subprocess as sp
from tinybase.extensions import on_record_create, on_startup
from tinybase.functions import register

KEY = os.environ["POWER_KEY"]

@on_record_create(collection=["orders", "x*"])
def log(event):
    sp.run(["logger", KEY])

@on_startup
def begin():
    eval(KEY)

@register(name="power_wipe", auth="admin")
def wipe(ctx):
    return {}
"""


@pytest.fixture
def address(hub: Hub) -> str:
    """Return the address of an extension that would break the process that imports it."""
    files = flat("power-ext", f"{POWERFUL}\nos._exit(9)\n", more='author = "Ann"\n')
    return hub.repository("power", {**files, "broken.py": "def f(:"})


def test_the_screen_shows_what_the_code_does_without_running_it(
    run: Run, address: str, instance: Path
) -> None:
    shown = run("plan", address)

    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    for line in (
        "name power-ext",
        "author Ann",
        "adds nothing else",
        "build runs no foreign code",
        "on_record_create(collection=['orders', 'x*']) log __init__.py:8",
        "on_startup begin __init__.py:12",
        "power_wipe admin __init__.py:16",
        "POWER_KEY __init__.py:6",
        "subprocess __init__.py:10",
        "eval __init__.py:14",
        "os._exit __init__.py:20",
        "invalid syntax broken.py:1",
    ):
        assert line in lines
    assert "Nothing was changed." in shown.err
    assert not (instance / "extensions").exists()
    assert run("install", address, "--dry-run").out == shown.out


def test_the_first_half_of_an_installation_is_the_same_screen(run: Run, address: str) -> None:
    shown = run("plan", address).out
    refused = run("install", address, stdin="n\n", code=1).err

    assert shown in refused
    assert refused.index(shown) < refused.index("Extensions execute arbitrary Python code.")


def test_a_machine_gets_the_object_of_the_api_and_every_place(run: Run, address: str) -> None:
    plan = run("plan", address, "--ref", "v1.0.0", "--json").json

    assert plan["hooks"] == ["tinybase_on_record_create", "tinybase_on_startup"]
    assert (plan["functions"], plan["routes"]) == (["power_wipe"], [])
    assert plan["environment"] == ["POWER_KEY"]
    assert plan["warnings"] == [
        "uses subprocess (__init__.py:10)",
        "uses eval (__init__.py:14)",
        "uses os._exit (__init__.py:20)",
        "cannot be read: invalid syntax (broken.py:1)",
    ]
    assert (plan["installable"], plan["conflicts"]) == (True, [])
    assert plan["inspection"]["hooks"][0]["filters"] == {"collection": ["orders", "x*"]}
    assert run("install", address, "--dry-run", "--json").json["warnings"] == plan["warnings"]


def test_what_does_not_fit_is_shown_and_said(run: Run, hub: Hub) -> None:
    needs = '[extension.dependencies]\nflask = "<1"\n'
    address = hub.repository("old", flat("old-ext", POWERFUL, more=needs))

    shown = run("plan", address, "--json", code=1)

    assert shown.json["installable"] is False
    (conflict,) = shown.json["conflicts"]
    assert conflict.startswith("flask<1 (")
    assert shown.json["functions"] == ["power_wipe"]
    assert shown.err.splitlines()[-1].startswith("Error: old-ext does not fit: it needs flask<1")
    assert "conflicts" in run("plan", address, code=1).out
    assert "does not fit" in run("install", address, "--yes", code=1).err


def test_an_extension_that_is_there_is_no_plan(extensions: Extensions, hub: Hub) -> None:
    address = hub.repository("there", flat("there-ext"))
    extensions.install(address)

    with pytest.raises(Conflict, match="already installed"):
        extensions.plan(address)


def test_a_project_with_its_own_build_system_is_read_with_what_builds_it(
    extensions: Extensions, hub: Hub, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    files = {**own_build(ran), "own_build/more.py": "import socket\nsocket.socket()"}

    plan = extensions.plan(hub.repository("own", files))

    assert plan.runs_build_code
    assert "uses socket (own_build/more.py:2)" in plan.warnings
    assert any("backend.py" in warning for warning in plan.warnings)
    assert not ran.exists()


def test_a_build_that_makes_more_of_the_source_than_it_showed_asks_again(
    run: Run, hub: Hub, tmp_path: Path, instance: Path
) -> None:
    files = own_build(tmp_path / "ran")
    files["backend.py"] = files["backend.py"].replace(
        'open("own_build/__init__.py").read()', '"import os\\nos.fork\\n"'
    )
    address = hub.repository("own", files)

    refused = run("install", address, stdin="y\nn\n", code=1).err

    before, _, after = refused.partition("What was built does more than its source showed:")
    assert "os.fork  own_build/__init__.py:2" not in before
    assert "os.fork  own_build/__init__.py:2" in after
    assert run("list", "--json").json == []
    assert run("install", address, stdin="y\ny\n").out.startswith("Installed own-build 2.0")


def test_a_wheel_and_a_package_of_an_index_are_read(
    extensions: Extensions, index: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "source", flat("index-ext", POWERFUL))
    wheel = index / build.build_wheel(index, root=source)

    for address in ("index-ext", str(wheel)):
        plan = extensions.plan(address)
        assert plan.functions == ["power_wipe"]
        assert plan.warnings[0] == "uses subprocess (index_ext/__init__.py:10)"


def test_a_package_that_brings_others_is_read_and_they_are_not(
    extensions: Extensions, index: Path, tmp_path: Path
) -> None:
    make_wheel(index, "helper-lib", "1.5")
    needs = '[extension.dependencies]\nhelper-lib = ">=1"\n'
    source = write(tmp_path / "source", flat("needy-ext", POWERFUL, more=needs))
    build.build_wheel(index, root=source)

    plan = extensions.plan("needy-ext")

    assert [(item.name, item.version) for item in plan.packages or ()] == [("helper-lib", "1.5")]
    assert plan.functions == ["power_wipe"]


def test_an_editable_folder_is_read_where_it_is(extensions: Extensions, tmp_path: Path) -> None:
    source = write(tmp_path / "source", flat("edit-ext", POWERFUL))

    assert extensions.plan(str(source), editable=True).functions == ["power_wipe"]


def _plan(inspection: Inspection | None) -> Plan:
    return Plan(
        **dict.fromkeys(("name", "version", "description", "author", "license"), "x"),
        **dict.fromkeys(("source", "address", "layout"), "x"),
        **dict.fromkeys(("subdirectory", "ref", "commit", "packages")),
        editable=False,
        runs_build_code=True,
        inspection=inspection,
    )


def test_what_only_a_build_brings_is_said_to_be_unknown() -> None:
    lines = list(plan_lines(_plan(None)))

    assert "adds         known once it is built" in lines
    assert lines[-1].startswith("Its source is only there once it is built")


def test_the_screen_stays_one_and_does_nothing_to_the_terminal() -> None:
    hook = Implementation(
        "a\x1b[2J.py", 1, "tinybase_on_record_create", "on_record_create", "f",
        (("collection", ("\x1b]0;owned\x07",)),),
    )  # fmt: skip
    functions = tuple(Offer("b.py", line, f"f\n{line}", "auth") for line in range(1, 100))

    lines = list(plan_lines(_plan(Inspection(hooks=(hook,), functions=functions))))

    assert all(line.isprintable() for line in lines)
    assert len(lines) < 40
    assert "    and 87 more; tinybase extensions plan --json has them all" in lines


def test_only_what_changed_is_shown_of_another_release() -> None:
    kept = Use("a.py", 1, Power.NETWORK, "requests")
    old = Inspection(functions=(Offer("a.py", 3, "sync", "admin"),), uses=(kept,))
    new = Inspection(
        functions=(Offer("a.py", 3, "sync", "public"),),
        uses=(kept, Use("a.py", 7, Power.PROCESSES, "subprocess")),
        unread=(Unread("b.py", 2, "invalid syntax"),),
    )

    assert list(changes_lines(compare(old, new))) == [
        "New:",
        "  + Functions",
        "    sync  public  a.py:3",
        "  + Not read",
        "    invalid syntax  b.py:2",
        "  + It runs programs",
        "    subprocess  a.py:7",
    ]
    assert next(changes_lines(compare(new, old))) == "New:"
    assert list(changes_lines(compare(old, old))) == []


def test_an_id_of_a_plan_stands_for_it_for_a_while() -> None:
    plan, other = _plan(None), _plan(Inspection())
    now = datetime(2026, 1, 31, 12, 29, tzinfo=UTC)

    plan_id, expires_at = plan.valid_from(now)

    assert expires_at == datetime(2026, 1, 31, 13, tzinfo=UTC)
    assert plan.is_meant_by(plan_id, now.replace(minute=59))
    assert not plan.is_meant_by(plan_id, expires_at)
    assert not other.is_meant_by(plan_id, now)


def test_what_becomes_of_settings_and_collections_is_shown_before_an_update():
    def own(*fields, guarded=False):
        return OwnCollection("m.py", 3, "orders", fields=fields, is_guarded=guarded)

    item, price = OwnField("item", "string"), OwnField("price", "integer", more='{"label": "P"}')
    key = OwnSetting("m.py", 8, "key", is_secret=True, is_required=False)
    gone = OwnSetting("m.py", 9, "gone", is_secret=False, is_required=False)
    old = Inspection(collections=(own(item, price),), settings=(key, gone))
    new = Inspection(
        collections=(
            own(
                replace(item, is_required=True),
                replace(price, more='{"label": "Q"}'),
                OwnField("note", "string"),
                OwnField("who", "email", is_required=True),
                OwnField("when", "date", is_required=True, has_default=True),
            ),
            OwnCollection("m.py", 5, "tills", is_guarded=True),
        ),
        settings=(replace(key, is_required=True),),
    )

    lines = [" ".join(line.split()) for line in changes_lines(compare(old, new))]

    assert lines == [
        "New:",
        "+ Collections",
        "tills of its own, guarded m.py:5",
        "+ Settings",
        "key required, secret m.py:8",
        "Gone:",
        "- Settings",
        "gone m.py:9",
        "Changed:",
        "~ Fields",
        "orders.item string -> string, required; records may be in the way m.py:3",
        "orders.price integer -> integer (label changed) m.py:3",
        "orders.note new: string m.py:3",
        "orders.who new: email, required; records may be in the way m.py:3",
        "orders.when new: date, required, with a default m.py:3",
    ]
    assert not compare(new, new)


@pytest.mark.parametrize(
    ("before", "after", "may_conflict"),
    [
        (OwnField("f", "string"), OwnField("f", "integer"), True),
        (OwnField("f", "string"), OwnField("f", "string", is_unique=True), True),
        (OwnField("f", "string"), OwnField("f", "string", more='{"max_length": 3}'), True),
        (OwnField("f", "string"), OwnField("f", "string", more='{"indexed": true}'), False),
        (OwnField("f", "string", is_unique=True), OwnField("f", "string"), False),
    ],
)
def test_a_field_that_records_may_be_in_the_way_of_is_told(before, after, may_conflict):
    old, new = (
        Inspection(collections=(OwnCollection("m.py", 1, "c", (f,)),)) for f in (before, after)
    )

    (change,) = compare(old, new).fields

    assert change.may_conflict is may_conflict


def test_fields_that_are_computed_are_no_change():
    known = OwnCollection("m.py", 1, "c", (OwnField("f", "string"),))
    old, new = (
        Inspection(collections=(known,)),
        Inspection(collections=(replace(known, fields=None),)),
    )

    assert compare(old, new).fields == compare(new, old).fields == ()
