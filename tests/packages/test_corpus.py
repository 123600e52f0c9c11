"""Broken and hostile packages: what comes of each, and that it does no harm."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.request import HTTPSHandler, Request, build_opener
from urllib.response import addinfourl

import pytest
from click.testing import CliRunner
from github import Hub, write

from tinybase.api.services import Services
from tinybase.cli import main
from tinybase.errors import TinyBaseError
from tinybase.packages import archive, pip

from .conftest import make_wheel, opened
from .corpus import CORPUS, Case, Place, Verdict
from .corpus.case import flat
from .samples import WITH_FUNCTION, host_state

FOLDERS = ("instance", "home", "work", "temporary", "packages", "index")
SECRET = "CANARY-of-the-operator"
RESIDENT = {
    "extension.toml": (
        '[extension]\nname = "resident"\nversion = "1.0.0"\n'
        '[extension.dependencies]\nshared-library = "<2"\n'
    ),
    "__init__.py": WITH_FUNCTION.format(name="resident"),
}

LIKE_OTHERS = frozenset(
    [
        "multi-line",
        "exits",
        "torn",
        "crashes",
        "prints",
        "two-gib",
        "no-module",
        "brings-path-file",
        "misspelt",
        "null",
        "pretends",
        "kills",
        "spins",
        "wails",
        "recurses",
        "hoards",
        "interrupts",
        "unwinds",
        "unprintable",
        "misused",
        "signals",
        "patches",
        "threads",
        "moves",
        "talks",
        "no-object",
        "a-class",
        "an-async",
        "no-attribute",
        "two-packages",
        "no-backend",
        "backend-lies",
        "closes",
    ]
)
"""What fares as another row does.

That those which fail do so is seen when they are served, and that those which come along with
a path file are refused, where they are part of a set.
"""

CASES = [
    case
    for case in CORPUS
    if os.environ.get("TINYBASE_TEST_CORPUS") == "all" or case.name not in LIKE_OTHERS
]


class Desk:
    """An operator's machine: an instance with one extension, a home, a folder to work in.

    :param root: the folder that has all of it.
    """

    def __init__(self, root: Path, place: Place, services: Services) -> None:
        self.place = place
        self.instance = root / "instance"
        self.temporary = root / "temporary"
        self.host = host_state()
        self.extensions = services.extensions
        self._desired = services.host.desired
        self._folders = [root / name for name in FOLDERS]

    def state(self) -> dict[str, str]:
        """Return all files with their digests, and what the database wishes for."""
        found = {"wishes": repr(sorted(self._desired.read().items()))}
        for folder in self._folders:
            for path in sorted(folder.rglob("*")):
                if path.is_symlink():
                    found[str(path)] = f"-> {path.readlink()}"
                elif path.is_file() and not path.name.startswith("tinybase.db"):
                    found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
                else:
                    found[str(path)] = "not a file"
        return found


class _GitHub(HTTPSHandler):
    """Answers for GitHub, to those who have no git."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        super().__init__()
        self._answers = answers

    def https_open(self, req: Request) -> addinfourl:  # type: ignore[override]
        answer = addinfourl(BytesIO(self._answers[req.full_url]), Message(), req.full_url, 200)
        answer.msg = ""  # type: ignore[attr-defined]
        return answer


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Desk]:
    """Return the one machine of all cases; it has no network."""
    root = tmp_path_factory.mktemp("corpus")
    for name in (*FOLDERS, "github"):
        (root / name).mkdir()
    instance, index = root / "instance", root / "index"
    (instance / "tinybase.toml").touch()
    shutil.copy(empty_database, instance / "tinybase.db")
    place = Place(Hub(root / "github"), root / "packages", index, {})
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            patch.delenv(name, raising=False)
        for name, value in {**place.hub.environment, **_environment(root)}.items():
            patch.setenv(name, value)
        patch.setattr("tempfile.tempdir", None)
        patch.chdir(root / "work")
        for version in ("1.0", "2.0"):
            make_wheel(index, "shared-library", version)
        with opened(instance) as services:
            services.extensions.install(str(write(root / "work" / "resident", RESIDENT)))
            yield Desk(root, place, services)


def _environment(root: Path) -> dict[str, str]:
    return {
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "temporary"),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(root / "index"),
        "TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS": "2",
        "TINYBASE_GIT_TOKEN": SECRET,
        "DATABASE_PASSWORD": SECRET,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_comes_of_a_package_is_what_the_table_says(
    case: Case, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = case.package(desk.place, case.name)
    if "/archived/" in address:
        _without_git(desk, monkeypatch)
    if case.name == "backend-hangs":
        monkeypatch.setattr(pip, "_TIMEOUT", 3.0)
    before = desk.state()

    if case.verdict is Verdict.INSTALLED:
        assert desk.extensions.install(address).status == "enabled"
        desk.extensions.history.roll_back()
    else:
        with pytest.raises(TinyBaseError) as told:
            desk.extensions.install(address)
        _check_line(told.value.detail, case)
        if case.verdict is Verdict.FAILED:
            assert told.value.code == "extension_load_failed"
        assert desk.state() == before
    desk.place.clear()


@pytest.mark.parametrize("name", ["unknown", "slip", "backend-raises", "multi-line"])
def test_the_command_says_what_is_wrong_in_one_line(name: str, desk: Desk) -> None:
    case = next(case for case in CORPUS if case.name == name)
    address = case.package(desk.place, name)

    with CliRunner().isolation() as (out, err, _):
        with pytest.raises(SystemExit) as ended:
            main(["-C", str(desk.instance), "extensions", "install", "--yes", "--", address])
        shown, told = out.getvalue().decode(), err.getvalue().decode()

    assert (ended.value.code, shown) == (1, "")
    *progress, last = told.splitlines()
    assert last.startswith("Error: ")
    assert not any(line.startswith("Error") for line in progress)
    _check_line(last, case)
    assert "Traceback" not in told
    desk.place.clear()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_process_opens_a_file_for_writing_elsewhere(desk: Desk, tmp_path: Path) -> None:
    address = flat(init="raise RuntimeError('traced')")(desk.place, "traced")
    log = tmp_path / "trace"
    trace = ["strace", "-f", "-qq", "-y", "-e", "trace=openat,creat", "-o", str(log)]
    install = ["-C", str(desk.instance), "extensions", "install", "--yes", address]

    done = subprocess.run(
        [*trace, sys.executable, "-P", "-m", "tinybase", *install],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "RuntimeError: traced" in done.stderr
    opened_files = re.findall(r"(?:O_WRONLY|O_RDWR|O_CREAT).* = \d+<(.*)>$", log.read_text(), re.M)
    allowed = (f"{desk.instance}/", f"{desk.temporary}/", "/dev/", "/proc/")
    assert any(name.startswith(f"{desk.temporary}/") for name in opened_files)
    assert [name for name in opened_files if not name.startswith(allowed)] == []
    desk.place.clear()


def test_the_environment_of_the_host_is_as_it_was_before(desk: Desk) -> None:
    assert host_state() == desk.host


def _check_line(detail: str, case: Case) -> None:
    """Check that an error is one line, with what the table says and no secret."""
    assert case.told in detail
    assert detail.isprintable()
    assert detail.endswith((".", "?"))
    assert SECRET not in detail


def _without_git(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    opener = build_opener(_GitHub(desk.place.github))
    patch.setattr(archive, "build_opener", lambda *handlers: opener)
    patch.setattr("shutil.which", lambda *a, **k: None)
