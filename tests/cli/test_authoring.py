"""``tinybase extensions new``, ``validate`` and ``build``, as authors use them."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest
from github import Hub
from serving import Server, tinybase

from tinybase.packages.build import build_wheel

from .conftest import ADMIN, PASSWORD, Run

WRONG = "from tinybase.extensions import on_startup\n\n@on_startup(x=1)\ndef f(): ...\n"


@pytest.fixture
def here(run: Run) -> Path:
    """Return the current folder, which holds a sound extension and is no instance."""
    run("extensions", "new", "my-extension", "--author", "Ann")
    return Path.cwd()


def test_new_says_what_it_wrote_and_what_to_do_next(run: Run) -> None:
    result = run("extensions", "new", "My_Extension")

    assert result.out == ""
    assert "Wrote my-extension (11 files) to my-extension." in result.err
    for step in ("cd my-extension", "pytest tests", "tinybase extensions validate", "install -e /"):
        assert step in result.err
    assert Path("my-extension/extension.toml").exists()


def test_new_answers_with_one_document(run: Run) -> None:
    document = run(
        "extensions", "new", "x-y", "--layout", "packaged", "--folder", "z", "--json"
    ).json

    assert document["name"] == "x-y"
    assert document["package"] == "x_y"
    assert document["folder"] == str(Path("z").resolve())
    assert all(Path("z", name).is_file() for name in document["files"])


def test_new_takes_the_author_from_git(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\nname = Ann O'Neil\n")

    run("extensions", "new", "mine", env={"GIT_CONFIG_GLOBAL": str(config)})
    run("extensions", "new", "nobodys", env={"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/nowhere"})

    assert "Ann O'Neil" in Path("mine/LICENSE").read_text()
    assert "The authors of nobodys" in Path("nobodys/LICENSE").read_text()


@pytest.mark.parametrize("name", ["tinybase", "json", "flask", "no good", "-x"])
def test_new_refuses_a_name_that_cannot_be(run: Run, name: str) -> None:
    result = run("extensions", "new", "--", name, code=1)

    assert len(result.err.splitlines()) == 1
    assert list(Path.cwd().iterdir()) == []


def test_new_overwrites_nothing(run: Run, here: Path) -> None:
    (here / "my-extension" / "hooks.py").write_text("mine")

    result = run("extensions", "new", "my-extension", code=1)

    assert "exists already" in result.err
    assert "--folder" in result.err
    assert (here / "my-extension" / "hooks.py").read_text() == "mine"


def test_validate_says_that_all_is_well(run: Run, here: Path) -> None:
    result = run("extensions", "validate", "my-extension")

    assert (result.out, result.err) == ("", "my-extension 0.1.0 is fine.\n")


def test_validate_names_file_line_and_remedy(run: Run, here: Path) -> None:
    (here / "my-extension" / "hooks.py").write_text(WRONG)

    result = run("extensions", "validate", "my-extension", code=1)

    assert result.out == (
        "my-extension/hooks.py:3: error: @on_startup takes no x. "
        "Write @on_startup without arguments.\n"
    )
    assert result.err == "my-extension 0.1.0: 1 error, 0 warnings.\n"


def test_validate_answers_with_one_document(run: Run, here: Path) -> None:
    (here / "my-extension" / "hooks.py").write_text(WRONG)

    document = run("extensions", "validate", "my-extension", "--json", code=1).json

    assert {key: document[key] for key in ("name", "version", "layout", "errors", "warnings")} == {
        "name": "my-extension",
        "version": "0.1.0",
        "layout": "flat",
        "errors": 1,
        "warnings": 0,
    }
    assert document["findings"] == [
        {
            "file": "hooks.py",
            "line": 3,
            "severity": "error",
            "code": "handler",
            "message": "@on_startup takes no x",
            "remedy": "Write @on_startup without arguments.",
        }
    ]


def test_validate_writes_annotations_for_github(run: Run, here: Path) -> None:
    (here / "my-extension" / "hooks.py").write_text(WRONG)
    (here / "my-extension" / "README.md").unlink()
    (here / "my-extension" / "a,b.py").write_text("100%:")

    lines = run("extensions", "validate", "my-extension", "--github", code=1).out.splitlines()

    assert len(lines) == 3
    assert lines[0].startswith("::warning file=my-extension/README.md,title=readme::there is no")
    assert lines[1].startswith("::error file=my-extension/a%2Cb.py,line=1,title=syntax::")
    assert lines[2].startswith("::error file=my-extension/hooks.py,line=3,title=handler::@on_st")


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--strict",), 1)])
def test_warnings_count_only_when_they_are_asked_to(
    run: Run, here: Path, flags: tuple[str, ...], code: int
) -> None:
    (here / "my-extension" / "LICENSE").unlink()

    result = run("extensions", "validate", "my-extension", *flags, code=code)

    assert "my-extension/LICENSE: warning: there is no licence." in result.out


def test_wrong_usage_of_validate_is_refused(run: Run) -> None:
    run("extensions", "validate", "--json", "--github", code=2)
    run("extensions", "validate", "nowhere", code=2)


def test_validate_of_a_folder_without_an_extension_is_an_error(run: Run) -> None:
    assert "extension.toml is missing" in run("extensions", "validate", code=1).out


def test_build_makes_the_wheel_that_an_operator_gets(run: Run, here: Path, tmp_path: Path) -> None:
    document = run("extensions", "build", "my-extension", "--json").json

    wheel = here / "dist" / "my_extension-0.1.0-py3-none-any.whl"
    expected = tmp_path / build_wheel(tmp_path, root=here / "my-extension")
    assert wheel.read_bytes() == expected.read_bytes()
    assert document["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert document["contents"] == zipfile.ZipFile(wheel).namelist()
    assert (document["name"], document["version"]) == ("my-extension", "0.1.0")
    assert [path.name for path in wheel.parent.iterdir()] == [wheel.name]


def test_build_of_a_packaged_extension_is_done_by_pip(run: Run) -> None:
    run("extensions", "new", "my-extension", "--layout", "packaged")
    before = sorted(Path("my-extension").rglob("*"))

    document = run("extensions", "build", "my-extension", "--json").json

    assert document["layout"] == "pyproject"
    assert {"my_extension/hooks.py", "my_extension/py.typed"} <= set(document["contents"])
    entry_points = zipfile.ZipFile(document["file"]).read(
        "my_extension-0.1.0.dist-info/entry_points.txt"
    )
    assert b"my-extension = my_extension" in entry_points
    assert sorted(Path("my-extension").rglob("*")) == before


def test_build_twice_gives_the_same_and_shows_what_is_inside(run: Run, here: Path) -> None:
    first = run("extensions", "build", "my-extension", "--out", "a").out
    second = run("extensions", "build", "my-extension", "--out", "a").out

    assert first == second
    assert "my_extension/hooks.py" in first
    assert re.search(r"sha256:[0-9a-f]{64}\n", first)
    assert "tests/" not in first


def test_build_refuses_what_nobody_could_install(run: Run, here: Path) -> None:
    (here / "my-extension" / "__init__.py").unlink()

    result = run("extensions", "build", "my-extension", code=1)

    assert result.err.startswith("Error: __init__.py: is missing.")
    assert not (here / "dist").exists()


def test_build_of_a_folder_without_an_extension_names_what_is_missing(run: Run) -> None:
    assert "extension.toml: is missing" in run("extensions", "build", code=1).err


def test_a_new_extension_is_installed_from_its_repository_and_its_handler_fires(
    run: Run, instance: Path, tmp_path: Path
) -> None:
    hub = Hub(tmp_path / "github")
    folder = hub.folder / "user" / "my-extension"
    run("extensions", "new", "my-extension", "--folder", folder)
    hub.git("my-extension", "init", "--quiet", "--initial-branch=main")
    address = hub.repository("my-extension", {}, tag="v0.1.0")
    notes = [
        "collections",
        "create",
        "notes",
        "--schema",
        json.dumps({"fields": [{"name": "text"}]}),
    ]

    installed = tinybase(
        "extensions", "install", address, "--yes", instance=instance, env=hub.environment
    )
    made = tinybase(*notes, instance=instance)
    assert (installed.returncode, made.returncode) == (0, 0), installed.stderr + made.stderr

    with Server(instance, "--workers", "1") as server:
        token = server.login(ADMIN, PASSWORD)
        path = "/api/collections/notes/records"
        assert server.request("POST", path, {"text": "Buy milk"}, token=token).status == 201
        server.wait_for(lambda: "A new note: Buy milk" in server.output)
        answer = server.request("POST", "/api/functions/my_extension_count", {}, token=token).json
        assert answer["result"] == {"records": 1}
        assert server.stop() == 0
    assert "my-extension is ready" in server.output
    assert "my-extension has stopped" in server.output
