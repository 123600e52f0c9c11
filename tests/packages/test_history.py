"""Going back to an earlier set of extensions, and what is kept for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from github import Hub

from tinybase.errors import Conflict, NotFound
from tinybase.packages.extensions import Extensions

from .conftest import flat, make_wheel, opened
from .samples import host_state, visible

NEEDS = '[extension.dependencies]\ntbdep = "*"\n'


def test_a_rollback_leads_to_the_set_before_with_all_its_packages(
    hub: Hub, extensions: Extensions, index: Path, instance: Path, names: Callable[[], list[str]]
) -> None:
    make_wheel(index, "tbdep", "1.0")
    extensions.install(hub.repository("one", flat("one-kept")))
    lock = (instance / "extensions.lock").read_text()
    extensions.install(hub.repository("two", flat("two-gone", "import tbdep", more=NEEDS)))
    host = host_state()

    done = extensions.history.roll_back()

    assert (done.number, [str(change) for change in done.changes]) == (
        1,
        ["- two-gone 1.0.0", "- tbdep 1.0"],
    )
    assert names() == ["one-kept"]
    assert (instance / "extensions.lock").read_text() == lock
    assert [(item.name, item.status) for item in extensions.list()] == [("one-kept", "enabled")]
    assert host_state() == host

    forward = extensions.history.roll_back(2)

    assert [str(change) for change in forward.changes] == ["+ two-gone 1.0.0", "+ tbdep 1.0"]
    assert {item.name: item.status for item in extensions.list()} == {
        "one-kept": "enabled",
        "two-gone": "enabled",
    }


def test_history_says_what_changed_when_and_by_which_command(
    hub: Hub, extensions: Extensions
) -> None:
    assert extensions.history.list() == []
    with pytest.raises(NotFound, match="no earlier generation"):
        extensions.history.roll_back()
    address = hub.repository("one", flat("one-told"))
    extensions.install(address)
    extensions.uninstall("one-told")

    newest, first = extensions.history.list()

    assert (newest.number, newest.base, newest.is_current) == (2, 1, True)
    assert newest.command == "extensions uninstall one-told"
    assert [str(change) for change in newest.changes] == ["- one-told 1.0.0"]
    assert (first.number, first.base, first.is_current) == (1, None, False)
    assert first.command == f"extensions install {address}"
    assert first.extensions == {"one-told": "1.0.0"}
    assert first.created_at < newest.created_at
    with pytest.raises(NotFound, match=r"There is no generation 7\. The last 3 are kept: 1, 2"):
        extensions.history.roll_back(7)


def test_the_way_back_is_kept_though_newer_sets_were_left_behind(
    hub: Hub, extensions: Extensions, names: Callable[[], list[str]]
) -> None:
    extensions.install(hub.repository("one", flat("one-base")))
    extensions.install(hub.repository("two", flat("two-left")))
    extensions.uninstall("two-left")
    extensions.history.roll_back(1)

    extensions.install(hub.repository("three", flat("three-new")))

    assert [item.number for item in extensions.history.list()] == [4, 3, 1]
    assert extensions.history.roll_back().number == 1
    assert names() == ["one-base"]


def test_a_set_that_no_longer_loads_is_not_gone_back_to(
    hub: Hub, extensions: Extensions, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os\nos.environ['NEEDED_BY_IT']"
    monkeypatch.setenv("NEEDED_BY_IT", "x")
    extensions.install(hub.repository("one", flat("one-needy", code)))
    extensions.uninstall("one-needy")
    monkeypatch.delenv("NEEDED_BY_IT")
    before = visible(instance)

    with pytest.raises(Conflict, match=r"one-needy does not load.*NEEDED_BY_IT"):
        extensions.history.roll_back()

    assert visible(instance) == before
    # One that is switched off does not have to load.
    with opened(instance) as services:
        services.host.desired.set_enabled("one-needy", is_enabled=False)
    assert extensions.history.roll_back().number == 1
