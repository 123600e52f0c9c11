"""Moving to newer releases: what moves, what stays, and what a failure leaves."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from github import Hub, write

from tinybase.errors import BadRequest, Conflict, NotFound
from tinybase.packages.build import build_wheel
from tinybase.packages.extensions import Extensions
from tinybase.packages.updates import UpdatePlan

from .conftest import flat, make_wheel
from .samples import host_state, visible


def needs(specifier: str) -> str:
    return f'[extension.dependencies]\ntbdep = "{specifier}"\n'


def packages(instance: Path) -> dict[str, str]:
    lock = json.loads((instance / "extensions.lock").read_text())
    return {name: item["version"] for name, item in lock["packages"].items()}


def test_one_without_a_ref_moves_to_the_newest_release(
    hub: Hub, extensions: Extensions, instance: Path
) -> None:
    hub.repository("up", flat("up-ext"), tag="v1.9.0")
    old = extensions.install("user/up")
    assert extensions.updates.update().kept[0].reason == "it is the newest"
    files = flat(
        "up-ext", "import subprocess\ndef run():\n    subprocess.run(['ls'])\n", version="1.10.0"
    )
    hub.repository("up", files, tag="v1.10.0")
    hub.repository("up", {"README.md": "x"}, tag=None)
    host, shown = host_state(), list[UpdatePlan]()

    done = extensions.updates.update(confirm=shown.append)

    (planned,) = shown[0].updates
    assert (planned.before.version, planned.after.version) == ("1.0.0", "1.10.0")
    assert (planned.before.ref, planned.after.ref) == ("v1.9.0", "v1.10.0")
    assert planned.changes is not None
    assert [item.what for item in planned.changes.powers] == ["subprocess"]
    assert [str(change) for change in done.changes] == ["up-ext 1.0.0 -> 1.10.0"]
    (new,) = extensions.list()
    assert (new.version, new.ref, new.status) == ("1.10.0", "v1.10.0", "enabled")
    assert new.installed_at == old.installed_at
    assert new.generation == 2
    assert host_state() == host
    assert extensions.history.roll_back().number == 1
    assert extensions.get("up-ext").version == "1.0.0"


def test_what_is_newer_is_looked_for_in_the_background_and_not_too_often(
    hub: Hub, extensions: Extensions, instance: Path
) -> None:
    extensions.updates.look_in_background()
    assert threads() == []
    extensions.install(hub.repository("up", flat("up-known")))
    hub.repository("up", flat("up-known", version="1.1.0"), tag="v1.1.0")
    assert extensions.get("up-known").update_available is None

    extensions.updates.look_in_background()
    for thread in threads():
        thread.join(60)

    assert extensions.get("up-known").update_available == "v1.1.0"
    hub.repository("up", flat("up-known", version="1.2.0"), tag="v1.2.0")
    extensions.updates.look_in_background()
    assert threads() == []
    asked = instance / "extensions" / "updates.asked"
    os.utime(asked, (0, 0))
    # Nobody answers; what was known is still told.
    shutil.rmtree(hub.folder / "user" / "up")
    extensions.updates.look_in_background()
    for thread in threads():
        thread.join(60)
    assert asked.stat().st_mtime > 0
    assert extensions.get("up-known").update_available == "v1.1.0"


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tinybase-updates"]


def test_one_with_a_ref_stays_unless_another_is_named(hub: Hub, extensions: Extensions) -> None:
    hub.repository("pinned", flat("pinned-ext"))
    extensions.install("user/pinned@main")
    hub.repository("pinned", flat("pinned-ext", version="2.0.0"), tag="v2.0.0")

    assert "asked for at main" in extensions.updates.update().kept[0].reason
    extensions.updates.update(["Pinned_Ext"], ref="v2.0.0")

    assert extensions.get("pinned-ext").version == "2.0.0"
    assert "asked for at v2.0.0" in extensions.updates.update().kept[0].reason
    with pytest.raises(BadRequest, match="Name exactly one"):
        extensions.updates.update(ref="v1.0.0")
    with pytest.raises(NotFound, match="absent is not among"):
        extensions.updates.update(["absent"])


def test_what_an_update_keeps_stays_as_locked(
    hub: Hub, extensions: Extensions, index: Path, instance: Path
) -> None:
    make_wheel(index, "tbdep", "1.0")
    make_wheel(index, "tbother", "1.0")
    both = needs("<2") + 'tbother = "*"\n'
    hub.repository("a", flat("a-ext", "import tbdep", more=both))
    hub.repository("b", flat("b-ext", "import tbdep", more=needs("*")))
    extensions.install("user/a")
    extensions.install("user/b")
    for name in ("tbdep", "tbother"):
        make_wheel(index, name, "2.0")

    hub.repository("b", flat("b-ext", version="2", more=needs("*")), tag="v2.0.0")
    extensions.updates.update()
    assert packages(instance) == {"tbdep": "1.0", "tbother": "1.0"}

    # The other one is in the way.
    hub.repository("b", flat("b-ext", version="3", more=needs(">=2")), tag="v3.0.0")
    before = visible(instance)
    with pytest.raises(Conflict, match="tbdep") as told:
        extensions.updates.update()
    assert told.value.code == "dependency_conflict"
    assert visible(instance) == before

    # Together they can move, and only what is in the way moves with them.
    more = needs(">=2") + 'tbother = "*"\n'
    hub.repository("a", flat("a-ext", version="3", more=more), tag="v3.0.0")
    done = extensions.updates.update()
    assert [str(change) for change in done.changes] == [
        "a-ext 1.0.0 -> 3",
        "b-ext 2 -> 3",
        "tbdep 1.0 -> 2.0",
    ]
    assert packages(instance) == {"tbdep": "2.0", "tbother": "1.0"}

    hub.repository("a", flat("a-ext", version="4", more=needs("*")), tag="v4.0.0")
    assert "- tbother 1.0" in map(str, extensions.updates.update().changes)


def test_a_failed_update_changes_nothing(hub: Hub, extensions: Extensions, instance: Path) -> None:
    hub.repository("one", flat("one-fails"))
    extensions.install("user/one")
    more = '[extension.dependencies]\none-fails = "<2"\n'
    extensions.install(hub.repository("top", flat("top-fails", more=more)))
    before = visible(instance)

    hub.repository("one", flat("one-fails", "1 / 0", version="1.1"), tag="v1.1.0")
    with pytest.raises(Conflict, match="one-fails does not load: ZeroDivisionError"):
        extensions.updates.update()
    hub.repository("one", flat("renamed", version="1.2"), tag="v1.2.0")
    with pytest.raises(Conflict, match="another name, renamed"):
        extensions.updates.update()
    hub.repository("one", flat("one-fails", version="2.0"), tag="v2.0.0")
    with pytest.raises(Conflict, match="top-fails needs one-fails<2"):
        extensions.updates.update()

    assert visible(instance) == before


def test_one_from_the_index_moves_within_what_was_asked_for(
    extensions: Extensions, index: Path, tmp_path: Path
) -> None:
    def publish(version: str) -> None:
        folder = write(tmp_path / version, flat("from-index", version=version))
        built = tmp_path / f"built-{version}"
        built.mkdir()
        (built / build_wheel(built, root=folder)).rename(
            index / f"from_index-{version}-py3-none-any.whl"
        )

    publish("1.0")
    extensions.install("from-index<2")
    assert extensions.updates.update().kept[0].reason == "it is the newest that fits"
    publish("1.5")
    publish("2.0")

    assert [str(item) for item in extensions.updates.update().changes] == ["from-index 1.0 -> 1.5"]


def test_a_folder_is_taken_again_when_it_is_named(extensions: Extensions, tmp_path: Path) -> None:
    source = write(tmp_path / "source", flat("local-ext"))
    extensions.install(str(source))
    write(source, flat("local-ext", version="1.1.0"))

    assert "name it" in extensions.updates.update().kept[0].reason
    done = extensions.updates.update(["local-ext"])

    assert [str(change) for change in done.changes] == ["local-ext 1.0.0 -> 1.1.0"]
    assert extensions.updates.update(["local-ext"]).kept[0].reason == "it has not changed"
