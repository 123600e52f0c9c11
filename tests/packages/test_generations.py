"""Sets of packages: built aside, switched at once, cleaned up after the dead."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from tinybase.errors import ConfigError, Conflict
from tinybase.files import write_durably
from tinybase.packages.generations import KEEP, Generations
from tinybase.packages.lock import Lock, LockedWheel
from tinybase.packages.store import WheelStore
from tinybase.packages.wheels import sha256


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    return Generations(tmp_path)


def build(generations: Generations, name: str = "x") -> Path:
    with generations.building({}) as folder:
        (folder / name).write_text(name)
        generations.switch(folder)
    generations.finish()
    return folder


def test_nothing_is_in_force_at_first(generations: Generations) -> None:
    assert generations.current() is None
    assert generations.number() is None
    assert generations.unfinished() is None


def test_a_new_set_is_in_force_once_it_is_switched_to(generations: Generations) -> None:
    with generations.building({}) as folder:
        assert generations.current() is None
        generations.switch(folder)
        assert generations.current() == folder
    generations.finish()

    assert generations.number() == 1
    assert build(generations).name == "002"


def test_a_set_that_fails_is_removed(generations: Generations) -> None:
    before = build(generations)

    with pytest.raises(KeyboardInterrupt), generations.building({}):
        raise KeyboardInterrupt

    assert generations.current() == before
    assert generations.kept() == [before]
    assert generations.unfinished() is None


def test_only_the_last_sets_are_kept(generations: Generations) -> None:
    for _ in range(KEEP + 3):
        current = build(generations)

    assert len(generations.kept()) == KEEP
    assert generations.kept()[-1] == current


def test_a_process_that_died_is_noticed(generations: Generations) -> None:
    def die() -> None:
        with generations.building({"added": "x"}) as folder:
            (folder / "half").touch()
            os._exit(9)

    child = multiprocessing.get_context("fork").Process(target=die)
    child.start()
    child.join()

    found = generations.unfinished()
    assert found is not None
    assert found[1] == {"added": "x"}
    assert generations.current() is None
    generations.discard(found[0])
    assert generations.kept() == []
    assert generations.unfinished() is None


def test_a_torn_note_of_a_dead_process_does_no_harm(generations: Generations) -> None:
    build(generations)
    (generations.folder / "pending").write_text("{")

    found = generations.unfinished()

    assert found is not None
    generations.discard(found[0])
    assert generations.number() == 1


def test_who_comes_second_is_told_who_is_at_it(generations: Generations) -> None:
    other = Generations(generations.folder.parent)

    with (
        generations.locked("extensions install user/x"),
        pytest.raises(Conflict, match=rf"process {os.getpid()} \(extensions install user/x\)") as e,
        other.locked("y"),
    ):
        pass
    assert e.value.code == "install_in_progress"

    with other.locked("y"):
        pass


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_durably(tmp_path / "x", "one")
    write_durably(tmp_path / "x", "two")

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "two")]


def test_the_lock_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    lock = Lock(
        packages={
            "a": LockedWheel("1", "a-1.whl", "0" * 64, ("x", "y")),
            "b": LockedWheel("1", "b-1.whl", "1" * 64, ("x",)),
        },
        tinybase="0.4.0",
        python="3.11.7",
    )
    lock.write(tmp_path / "extensions.lock")

    assert Lock.read(tmp_path / "extensions.lock") == lock
    assert Lock.read(tmp_path / "absent") == Lock()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"version": 2}), '{"version": 1, "extensions": 3}']
)
def test_a_damaged_lock_file_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "extensions.lock").write_text(text)

    with pytest.raises(ConfigError, match=r"extensions\.lock is damaged"):
        Lock.read(tmp_path / "extensions.lock")


def test_the_store_keeps_only_what_is_needed(tmp_path: Path) -> None:
    store = WheelStore(tmp_path / "wheels")
    (tmp_path / "a.whl").write_text("a")
    (tmp_path / "b.whl").write_text("b")
    one, two = (LockedWheel("1", f"{x}.whl", sha256(tmp_path / f"{x}.whl")) for x in "ab")
    store.add(tmp_path / "a.whl", one)
    store.add(tmp_path / "b.whl", two)

    store.keep_only([two])

    assert store.path(two).read_text() == "b"
    with pytest.raises(ConfigError, match=r"is missing\. Run tinybase extensions sync"):
        store.path(one)
    store.path(two).write_text("c")
    with pytest.raises(ConfigError, match="is damaged"):
        store.path(two)
    store.add(tmp_path / "b.whl", two)
    assert store.path(two).read_text() == "b"
