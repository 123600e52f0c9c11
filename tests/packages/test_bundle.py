"""Everything in one file, for a machine that can ask nobody; a bad file changes nothing."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from github import Hub, write

from tinybase.cli import main
from tinybase.errors import TinyBaseError
from tinybase.packages.build import build_wheel
from tinybase.packages.bundle import write_bundle
from tinybase.packages.lock import Lock, LockedExtension, LockedWheel
from tinybase.packages.wheels import sha256

from .conftest import Result, Run, flat, make_wheel, opened
from .samples import host_state, visible

NEEDS = '[extension.dependencies]\ntbdep = "*"\n'
USES = "import tbdep\nimport subprocess\ndef run():\n    subprocess.run(['ls'])\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle of two extensions, one of which brings a package; nothing is installed."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    sources = {"b-one": flat("b-one", USES, more=NEEDS), "b-two": flat("b-two")}
    wheels = {"tbdep": make_wheel(folder, "tbdep", "1.0")}
    for name, files in sources.items():
        wheels[name] = folder / build_wheel(folder, root=write(tmp_path / name, files))
    lock = Lock(
        extensions={name: locked(wheels[name]) for name in sources},
        packages={"tbdep": locked(wheels["tbdep"]).wheel},
        tinybase="0.4.0",
        python="3.11.0",
    )
    path = tmp_path / "made.zip"
    write_bundle(path, lock, wheels)
    return path


def locked(wheel: Path) -> LockedExtension:
    """Return what a lock says of a wheel; most of it tells only people something."""
    told = {field.name: "x" for field in fields(LockedExtension)}
    unknown = dict.fromkeys(("subdirectory", "requested_ref", "ref", "commit"))
    version = wheel.name.split("-")[1]
    found = LockedWheel(version, wheel.name, sha256(wheel), ("b-one",))
    known = {"version": version, "editable": False, "wheel": found}
    return LockedExtension(**{**told, **unknown, **known})  # type: ignore[arg-type]


@pytest.fixture
def island(tmp_path: Path, empty_database: Path) -> Path:
    """Return an instance on a machine without a network."""
    folder = tmp_path / "island"
    folder.mkdir()
    (folder / "tinybase.toml").write_text("", "utf-8")
    shutil.copy(empty_database, folder / "tinybase.db")
    return folder


@pytest.fixture
def there(island: Path, hub: Hub, index: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner on the island."""
    return runner(island, monkeypatch)


def runner(island: Path, patch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands where git and pip reach nobody."""
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "GIT_CONFIG_COUNT"):
        patch.delenv(name, raising=False)
    patch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    patch.setenv("PIP_RETRIES", "1")
    patch.setattr("tinybase.logs.configure", lambda level: None)

    def run(*arguments: str, stdin: str = "", code: int = 0) -> Result:
        with CliRunner().isolation(stdin) as (out, err, _):
            with pytest.raises(SystemExit) as ended:
                main(["-C", str(island), "extensions", *arguments])
            result = Result(out.getvalue().decode(), err.getvalue().decode())
        assert (ended.value.code or 0) == code, result
        assert "Traceback" not in result.out + result.err
        return result

    return run


def test_a_machine_without_a_network_gets_the_same_set(
    run: Run, hub: Hub, index: Path, instance: Path, island: Path, tmp_path: Path
) -> None:
    make_wheel(index, "tbdep", "1.0")
    run("install", hub.repository("one", flat("b-one", USES, more=NEEDS)), "--yes")
    run("install", hub.repository("two", flat("b-two")), "--yes")
    first, copy, newer = (str(tmp_path / f"{name}.zip") for name in ("first", "copy", "newer"))
    run("bundle", first)
    lock = (instance / "extensions.lock").read_bytes()
    more = "import os\nkey = os.environ.get('NEW_KEY')\n"
    hub.repository("two", flat("b-two", more, version="1.1.0"), tag="v1.1.0")
    run("update", "b-two", "--yes")
    run("uninstall", "b-one", "--yes")
    told = run("bundle", newer, "--json").json
    assert (told["extensions"], told["packages"]) == ({"b-two": "1.1.0"}, {})
    assert told["sha256"] == sha256(Path(newer))

    with pytest.MonkeyPatch.context() as patch:
        there = runner(island, patch)
        host, before = host_state(), visible(island)
        # The proof that there is none: what is not in a bundle cannot be had.
        assert "cannot be reached" in there("install", "tbdep", code=1).err
        refused = there("install", "--from-bundle", first, stdin="n\n", code=1).err
        for part in (
            "https://github.com/user/one",
            "tbdep 1.0 (add)",
            "subprocess",
            "+ b-two 1.0.0",
            "Only install extensions from trusted sources.",
            "Nothing was changed.",
        ):
            assert part in refused
        assert visible(island) == before

        done = there("install", "--from-bundle", first, "--yes", "--json").json

        assert [(item["name"], item["status"]) for item in done] == [
            ("b-one", "enabled"),
            ("b-two", "enabled"),
        ]
        assert (island / "extensions.lock").read_bytes() == lock
        assert host_state() == host
        assert "is installed" in there("install", "--from-bundle", first).out
        there("bundle", copy)
        assert Path(copy).read_bytes() == Path(first).read_bytes()

        shown = there("install", "--from-bundle", newer, stdin="y\n")

        assert shown.out.splitlines() == ["- b-one 1.0.0", "b-two 1.0.0 -> 1.1.0", "- tbdep 1.0"]
        assert "+ Environment" in shown.err
        assert "NEW_KEY" in shown.err
        # What follows needs no network either.
        there("rollback", "--yes")
        assert "is what extensions.lock says" in there("sync", "--frozen").out


def test_what_a_bundle_would_do_is_shown_without_doing_it(
    bundle: Path, there: Run, island: Path
) -> None:
    before = visible(island)

    plan = there("install", "--from-bundle", str(bundle), "--dry-run", "--json").json
    shown = there("install", "--from-bundle", str(bundle), "--dry-run")

    assert [item["name"] for item in plan["changes"]] == ["b-one", "b-two", "tbdep"]
    assert [(item["name"], item["warnings"] != []) for item in plan["new"]] == [
        ("b-one", True),
        ("b-two", False),
    ]
    assert "subprocess" in shown.out
    assert "Nothing was changed." in shown.err
    assert visible(island) == before


Members = dict[str, bytes]


def rewritten(path: Path, change: Callable[[Members], Any], **options: Any) -> None:
    """Write a bundle anew with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def lock_changed(path: Path, change: Callable[[Any], object]) -> None:
    def edit(members: Members) -> None:
        document = json.loads(members["extensions.lock"])
        change(document)
        members["extensions.lock"] = json.dumps(document).encode()

    rewritten(path, edit)


def of_package(path: Path, **changes: object) -> None:
    """Change what the lock of a bundle says of its package, and the name of its wheel."""

    def edit(members: Members) -> None:
        document = json.loads(members["extensions.lock"])
        item = document["packages"]["tbdep"]
        wheel = members.pop(f"wheels/{item['file']}")
        item |= changes
        members[f"wheels/{item['file']}"] = wheel
        members["extensions.lock"] = json.dumps(document).encode()

    rewritten(path, edit)


WHEEL = "wheels/tbdep-1.0-py3-none-any.whl"


def add_link(path: Path) -> None:
    info = zipfile.ZipInfo(WHEEL)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    rewritten(path, lambda members: members.pop(WHEEL))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")


def add_twice(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(WHEEL, b"")


def overlap(path: Path) -> None:
    """Let the lock claim to be as long as everything together."""
    content = path.read_bytes()
    central = content.rindex(b"PK\x01\x02", 0, content.index(b"extensions.lock", len(content) // 2))
    size = len(content).to_bytes(4, "little")
    path.write_bytes(content[: central + 20] + size + size + content[central + 28 :])


def editable_wheel(path: Path) -> None:
    """Put a path file into a wheel, with a lock that knows."""

    def edit(members: Members) -> None:
        wheel = path.with_suffix(".whl")
        wheel.write_bytes(members[WHEEL])
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("__editable__.tbdep.pth", "import os; os._exit(9)\n")
        document = json.loads(members["extensions.lock"])
        document["packages"]["tbdep"]["sha256"] = sha256(wheel)
        members |= {
            WHEEL: wheel.read_bytes(),
            "extensions.lock": json.dumps(document).encode(),
        }
        wheel.unlink()

    rewritten(path, edit)


HOSTILE: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: path.write_bytes(b""), "not a zip file"),
    "text": (lambda path: path.write_text("hello"), "not a zip file"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "not a zip file"),
    "cut in the middle": (
        lambda path: path.write_bytes(path.read_bytes()[500:]),
        "its beginning is missing",
    ),
    "no lock": (
        lambda path: rewritten(path, lambda m: m.pop("extensions.lock")),
        "has no extensions.lock",
    ),
    "another wheel": (
        lambda path: rewritten(path, lambda m: m.update({WHEEL: b"x"})),
        "tbdep-1.0-py3-none-any.whl is not what was locked",
    ),
    "a wheel less": (lambda path: rewritten(path, lambda m: m.pop(WHEEL)), "any.whl' is missing"),
    "a wheel more": (
        lambda path: rewritten(path, lambda m: m.update({"wheels/x-1-py3-none-any.whl": b""})),
        "x-1-py3-none-any.whl' is in it",
    ),
    "a way out": (
        lambda path: rewritten(path, lambda m: m.update({"../../escaped": b"x"})),
        "escaped' is in it",
    ),
    "a root": (lambda path: rewritten(path, lambda m: m.update({"/escaped": b"x"})), "in it"),
    "a link": (add_link, "is not what was locked"),
    "a file twice": (add_twice, "a file twice"),
    "compressed": (
        lambda path: rewritten(path, lambda m: None, compression=zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "a bomb": (
        lambda path: rewritten(
            path, lambda m: m.update({"bomb": bytes(2**24)}), compression=zipfile.ZIP_BZIP2
        ),
        "compressed",
    ),
    "overlapping": (overlap, "overlap"),
    "a lock that is none": (
        lambda path: rewritten(path, lambda m: m.update({"extensions.lock": b"[" * 10**5})),
        "no bundle",
    ),
    "a lock of another kind": (
        lambda path: lock_changed(path, lambda lock: lock.update(version=7)),
        "format 7",
    ),
    "a number for a text": (
        lambda path: lock_changed(path, lambda lock: lock["extensions"]["b-one"].update(author=7)),
        "author is of the wrong type",
    ),
    "a path for a wheel": (
        lambda path: of_package(path, file="../tbdep-1.0-py3-none-any.whl"),
        "'tbdep' cannot be right",
    ),
    "a digest that is none": (lambda path: of_package(path, sha256="../x"), "cannot be right"),
    "another version": (
        lambda path: of_package(path, version="2.0", file="tbdep-2.0-py3-none-any.whl"),
        "tbdep 1.0",
    ),
    "an option for pip": (
        lambda path: of_package(path, version="1.0 --index-url=http://x"),
        "cannot be right",
    ),
    "editable": (
        lambda path: lock_changed(
            path, lambda lock: lock["extensions"]["b-one"].update(editable=True)
        ),
        "b-one is editable",
    ),
    "a path file": (editable_wheel, "path file __editable__.tbdep.pth"),
    "another system": (
        lambda path: of_package(path, file="tbdep-1.0-cp27-cp27m-win32.whl"),
        "win32.whl is made for another machine",
    ),
    "a package that is gone": (
        lambda path: rewritten(
            path,
            lambda m: (
                m.pop(WHEEL),
                m.update(
                    {
                        "extensions.lock": json.dumps(
                            {**json.loads(m["extensions.lock"]), "packages": {}}
                        ).encode()
                    }
                ),
            ),
        ),
        "b-one needs tbdep, which is missing",
    ),
}


def test_a_bundle_that_is_not_sound_or_does_not_fit_is_refused(
    bundle: Path, there: Run, island: Path, tmp_path: Path
) -> None:
    before = visible(island)
    outside = sorted(path.name for path in tmp_path.iterdir())
    spoiled = tmp_path / "spoiled.zip"
    with opened(island) as services:
        for name, (spoil, told) in HOSTILE.items():
            shutil.copy(bundle, spoiled)
            spoil(spoiled)

            with pytest.raises(TinyBaseError) as refused:
                services.extensions.bundles.install(spoiled)

            assert told in refused.value.detail, name
            assert visible(island) == before, name
    shown = there("install", "--from-bundle", str(spoiled), "--yes", code=1).err
    assert shown.splitlines()[0] == f"Reading {spoiled}"
    assert shown.splitlines()[1].startswith("Error: ")
    assert len(shown.splitlines()) == 2
    spoiled.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == outside


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["install"], 2, "Missing argument 'ADDRESS'"),
        (["install", "user/x", "--from-bundle", "x.zip"], 2, "takes no address"),
        (["install", "--from-bundle", "/absent.zip"], 1, "/absent.zip is no file"),
        (["bundle", "/absent/x.zip"], 1, "There are no extensions"),
    ],
)
def test_what_makes_no_sense_is_told(arguments: list[str], code: int, told: str, run: Run) -> None:
    assert told in run(*arguments, code=code).err.splitlines()[-1]


def test_what_cannot_travel_is_told(
    run: Run, hub: Hub, index: Path, instance: Path, tmp_path: Path
) -> None:
    # In the environment of the tests, and nothing that TinyBase needs.
    needs = '[extension.dependencies]\npytest = "*"\nflask = "*"\n'
    run("install", hub.repository("x", flat("b-expects", more=needs)), "--yes")
    path = str(tmp_path / "x.zip")

    result = run("bundle", path, "--json")

    assert result.json["expects"] == ["pytest"]
    assert "Not in it: pytest" in result.err
    assert "is there already" in run("bundle", path, code=1).err
    assert "/absent" in run("bundle", "/absent/x.zip", code=1).err
    (wheel,) = (instance / "extensions" / "wheels").rglob("*.whl")
    wheel.write_bytes(b"x")
    other = str(tmp_path / "other.zip")
    told = run("bundle", other, code=1).err
    assert "The wheel of b-expects is damaged or missing. Run tinybase extensions sync." in told
    run("uninstall", "b-expects", "--yes")
    run("install", "-e", str(write(tmp_path / "edited", flat("b-edited"))), "--yes")
    assert "without --editable" in run("bundle", other, code=1).err
    assert not Path(other).exists()
