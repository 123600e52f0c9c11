"""Bringing a repository: with git, and as an archive where there is no git."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, OpenerDirector, Request, build_opener
from urllib.response import addinfourl

import pytest
from github import Hub

from tinybase.errors import BadRequest, TinyBaseError, Unavailable
from tinybase.packages import archive
from tinybase.packages.addresses import GitSource, parse
from tinybase.packages.fetch import Checkout, fetch, newest_release

PROTOCOLS = ("https", "ssh", "file")


def got(text: str, folder: Path, protocols: tuple[str, ...] = PROTOCOLS) -> Checkout:
    source = parse(text)
    assert isinstance(source, GitSource)
    folder.mkdir(exist_ok=True)
    return fetch(source, folder, protocols=protocols)


def test_without_a_ref_the_newest_release_is_taken(hub: Hub, tmp_path: Path) -> None:
    for version in ("v1.2.0", "v1.10.0", "v1.9.0", "v2.0.0-rc.1", "nightly"):
        hub.repository("x", {"version": version}, tag=version)

    checkout = got("user/x", tmp_path / "out")

    assert checkout.ref == "v1.10.0"
    assert checkout.commit == hub.git("x", "rev-parse", "v1.10.0")
    assert (checkout.root / "version").read_text() == "v1.10.0"


def test_without_a_release_the_default_branch_is_taken(hub: Hub, tmp_path: Path) -> None:
    hub.repository("x", {"a": "1"}, tag=None)

    checkout = got("user/x", tmp_path / "out")

    assert (checkout.ref, checkout.commit) == ("main", hub.git("x", "rev-parse", "HEAD"))


@pytest.mark.parametrize("ref", ["v1.0.0", "feature/x", "annotated", "COMMIT"])
def test_a_tag_a_branch_and_a_commit_can_be_named(ref: str, hub: Hub, tmp_path: Path) -> None:
    hub.repository("x", {"a": "1"}, tag="v1.0.0")
    hub.git("x", "branch", "feature/x")
    hub.git("x", "tag", "--annotate", "--message=x", "annotated")
    hub.git("x", "config", "uploadpack.allowAnySHA1InWant", "true")
    commit = hub.git("x", "rev-parse", "HEAD")
    hub.repository("x", {"a": "2"}, tag=None)

    checkout = got(f"user/x@{commit if ref == 'COMMIT' else ref}", tmp_path / "out")

    assert checkout.commit == commit
    assert (checkout.root / "a").read_text() == "1"


def test_a_folder_of_a_repository_can_be_named(hub: Hub, tmp_path: Path) -> None:
    hub.repository("x", {"one/a": "1"})

    assert (got("user/x#subdirectory=one", tmp_path / "a").root / "a").exists()
    with pytest.raises(BadRequest, match="no folder two"):
        got("user/x#subdirectory=two", tmp_path / "b")


def test_a_ref_that_is_not_there_is_refused_with_a_suggestion(hub: Hub, tmp_path: Path) -> None:
    hub.repository("x", {"a": "1"}, tag="v1.0.0")

    with pytest.raises(BadRequest, match=r"no tag or branch v1.0.1. Did you mean v1.0.0\?") as told:
        got("user/x@v1.0.1", tmp_path / "out")
    assert told.value.code == "source_not_found"


def test_an_empty_repository_is_refused(hub: Hub, tmp_path: Path) -> None:
    (hub.folder / "user" / "x").mkdir(parents=True)
    hub.git("x", "init", "--quiet")

    with pytest.raises(BadRequest, match="is empty"):
        got("user/x", tmp_path / "out")


def test_a_repository_that_is_not_there_is_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="TINYBASE_GIT_TOKEN"):
        got("user/absent", tmp_path / "out")


def test_only_allowed_protocols_are_used(hub: Hub, tmp_path: Path) -> None:
    hub.repository("x", {"a": "1"})

    with pytest.raises(BadRequest, match="transport 'file' not allowed"):
        got("user/x", tmp_path / "a", ("https", "ssh"))
    with pytest.raises(BadRequest, match=r"extensions\.git_protocols"):
        got("git@github.com:user/x", tmp_path / "b", ("https",))


class _TornServer(BaseHTTPRequestHandler):
    """Serves repositories as GitHub does, but breaks off in the middle of what is fetched."""

    folder: Path

    def do_GET(self) -> None:
        self._serve(self._backend(b""))

    def do_POST(self) -> None:
        answer = self._backend(self.rfile.read(int(self.headers["Content-Length"])))
        is_pack = b"PACK" in answer
        self._serve(answer, len(answer) // 2 if is_pack else None)

    def _backend(self, body: bytes) -> bytes:
        path, _, query = self.path.partition("?")
        environ = {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env={**os.environ, **environ},
            capture_output=True,
            check=True,
        )
        return done.stdout

    def _serve(self, answer: bytes, size: int | None = None) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            name, _, value = line.partition(": ")
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if size is None else body[:size])

    def log_message(self, *_: object) -> None:
        pass


def test_a_network_that_goes_away_in_the_middle_is_told_as_such(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repository("x", {"a": os.urandom(40_000).hex()}, tag="v1.0.0")
    handler = type("Handler", (_TornServer,), {"folder": hub.folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.http://127.0.0.1:{server.server_port}/.insteadOf")

    try:
        with pytest.raises(Unavailable, match="Check the network and try again") as told:
            got("user/x", tmp_path / "out", (*PROTOCOLS, "http"))
    finally:
        server.shutdown()
        server.server_close()
    assert told.value.code == "source_unavailable"
    assert not (tmp_path / "out" / "a").exists()


def test_submodules_stay_out(hub: Hub, tmp_path: Path) -> None:
    inner = hub.repository("inner", {"a": "1"})
    hub.repository("x", {"a": "1"}, tag=None)
    hub.git("x", "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", inner, "sub")
    hub.repository("x", {}, tag=None)

    assert list((got("user/x", tmp_path / "out").root / "sub").iterdir()) == []


def test_hooks_of_the_operators_templates_do_not_run(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'pwned'}\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(hook.parents[1]))
    hub.repository("x", {"a": "1"})
    (tmp_path / "pwned").unlink(missing_ok=True)

    got("user/x", tmp_path / "out")

    assert not (tmp_path / "pwned").exists()


@pytest.fixture
def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a git on the path that writes down what it was given, and fails."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nenv > {tmp_path}/seen\necho "$@" >> {tmp_path}/seen\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "seen"


def test_a_token_goes_through_the_settings_of_git_alone(
    fake_git: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYBASE_GIT_TOKEN", "s3cret")
    monkeypatch.setenv("CANARY", "of the operator")

    with pytest.raises(BadRequest) as told:
        got("user/x", tmp_path / "out")

    seen = fake_git.read_text()
    assert "http.https://github.com/.extraHeader" in seen
    assert "Authorization: Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0" in seen
    assert "s3cret" not in seen + told.value.detail
    assert "CANARY" not in seen
    assert "GIT_TERMINAL_PROMPT=0" in seen
    assert "GIT_ALLOW_PROTOCOL=https:ssh:file" in seen
    assert "--end-of-options https://github.com/user/x" in seen


def test_a_token_that_cannot_be_one_is_refused(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYBASE_GIT_TOKEN", "a\nb")

    with pytest.raises(BadRequest, match="TINYBASE_GIT_TOKEN is no token"):
        got("user/x", tmp_path / "out")


@pytest.mark.parametrize(
    ("tags", "newest"),
    [
        ([], None),
        (["latest", "1.0", "v1"], None),
        (["v0.9.0", "v0.10.0"], "v0.10.0"),
        (["1.0.0", "v1.0.1-beta.1"], "1.0.0"),
        (["v1.0.0-alpha.1", "v1.0.0-alpha.2"], "v1.0.0-alpha.2"),
        (["v01.0.0", "v1.0.0x", "V1.0.0"], None),
    ],
)
def test_the_newest_release_is_the_highest_version(tags: list[str], newest: str | None) -> None:
    assert newest_release(tags) == newest


# --- without git --------------------------------------------------------------------


class Torn(bytes):
    """An answer of which only the beginning comes."""

    whole: int

    def __new__(cls, content: bytes, size: int) -> Torn:
        found = super().__new__(cls, content[:size])
        found.whole = len(content)
        return found


class GitHub(HTTPSHandler):
    """Answers requests instead of the network."""

    def __init__(self, answers: dict[str, bytes | int | str]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[Request] = []

    def https_open(self, req: Request) -> addinfourl:  # type: ignore[override]
        self.asked.append(req)
        answer = self.answers[req.full_url]
        headers, code = Message(), 200
        if isinstance(answer, str):
            headers["Location"], code, answer = answer, 302, b""
        if isinstance(answer, int):
            code, answer = answer, b""
        if isinstance(answer, Torn):
            headers["Content-Length"] = str(answer.whole)
        found = addinfourl(io.BytesIO(answer), headers, req.full_url, code)
        found.msg = ""  # type: ignore[attr-defined]
        return found


COMMIT, OTHER = "a" * 40, "b" * 40
BASE = "https://github.com/user/x"
REFS = f"{BASE}.git/info/refs?service=git-upload-pack"


def packed(files: dict[str, bytes], *, link: str | None = None) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(f"x-1/{name}")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("x-1/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            file.addfile(info)
    return data.getvalue()


def listing(*lines: str) -> bytes:
    body = b"".join(f"{len(line.encode()) + 4:04x}{line}".encode() for line in lines)
    return b"001e# service=git-upload-pack\n0000" + body + b"0000"


def opener(answers: dict[str, bytes | int | str]) -> tuple[GitHub, OpenerDirector]:
    github = GitHub(answers)
    return github, build_opener(github, archive._OnlyGitHub())


def repository(
    folder: Path, answers: dict[str, bytes | int | str], token: str | None = None
) -> tuple[GitHub, archive.Repository]:
    github, director = opener(answers)
    folder.mkdir()
    return github, archive.Repository(GitSource("user", "x"), folder, token, director)


def test_without_git_the_refs_are_read_from_github_itself(tmp_path: Path) -> None:
    lines = [
        f"{COMMIT} HEAD\0multi_ack symref=HEAD:refs/heads/main agent=git/2\n",
        f"{COMMIT} refs/heads/main\n",
        f"{OTHER} refs/tags/v1.0.0\n",
        f"{COMMIT} refs/tags/v1.0.0^{{}}\n",
    ]
    _, found = repository(tmp_path / "x", {REFS: listing(*lines)})

    assert found.refs() == {
        "HEAD": COMMIT,
        "HEAD -> ": "refs/heads/main",
        "refs/heads/main": COMMIT,
        "refs/tags/v1.0.0": OTHER,
        "refs/tags/v1.0.0^{}": COMMIT,
    }


def test_without_git_the_archive_of_the_commit_is_unpacked(tmp_path: Path) -> None:
    target = f"https://codeload.github.com/user/x/tar.gz/{COMMIT}"
    answers: dict[str, bytes | int | str] = {
        f"{BASE}/archive/{COMMIT}.tar.gz": target,
        target: packed({"extension.toml": b"x", "a/b.py": b""}),
    }
    github, found = repository(tmp_path / "x", answers, "s3cret")

    assert found.bring("refs/tags/v1.0.0", COMMIT) == COMMIT
    assert (tmp_path / "x" / "extension.toml").read_bytes() == b"x"
    assert (tmp_path / "x" / "a" / "b.py").exists()
    assert [request.has_header("Authorization") for request in github.asked] == [True, False]


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (404, BadRequest, "does not show"),
        (503, Unavailable, "Try again later"),
        ("https://evil.example/x", Unavailable, "cannot be reached"),
        ("http://github.com/x", Unavailable, "cannot be reached"),
        (b"no archive", BadRequest, "cannot be unpacked"),
        (packed({"../../evil": b""}), BadRequest, "cannot be unpacked"),
        (packed({"a": b""}, link="/etc/passwd"), BadRequest, "cannot be unpacked"),
    ],
    ids=["missing", "down", "other host", "no https", "torn", "path leads out", "link leads out"],
)
def test_without_git_a_failure_is_told_and_nothing_is_unpacked(
    answer: bytes | int | str, error: type[TinyBaseError], told: str, tmp_path: Path
) -> None:
    _, found = repository(tmp_path / "x", {f"{BASE}/archive/{COMMIT}.tar.gz": answer})

    with pytest.raises(error, match=told):
        found.bring("HEAD", COMMIT)
    assert list((tmp_path / "x").iterdir()) == []


def test_without_git_an_archive_that_breaks_off_is_told_as_a_fault_of_the_network(
    tmp_path: Path,
) -> None:
    whole = packed({"a": os.urandom(4000)})
    _, found = repository(tmp_path / "x", {f"{BASE}/archive/{COMMIT}.tar.gz": Torn(whole, 2000)})

    with pytest.raises(Unavailable, match=r"cannot be reached \(.*\). Check the network"):
        found.bring("HEAD", COMMIT)
    assert list((tmp_path / "x").iterdir()) == []


def test_without_git_links_that_lead_out_only_together_are_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tree:
        for name, target in (("up", "here/../.."), ("here", "."), ("up/evil", "here")):
            link = tarfile.TarInfo(f"x-1/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            tree.addfile(link)
    _, found = repository(tmp_path / "x", {f"{BASE}/archive/{COMMIT}.tar.gz": content.getvalue()})

    with pytest.raises(BadRequest, match="leads out"):
        found.bring("HEAD", COMMIT)
    assert list(tmp_path.rglob("evil")) == []


def test_without_git_links_and_the_right_to_run_a_file_are_kept(tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tree:
        link = tarfile.TarInfo("x-1/docs/run")
        link.type, link.linkname = tarfile.SYMTYPE, "../run.sh"
        tree.addfile(link)
        script = tarfile.TarInfo("x-1/run.sh")
        script.mode = 0o777
        tree.addfile(script)
    _, found = repository(tmp_path / "x", {f"{BASE}/archive/{COMMIT}.tar.gz": content.getvalue()})

    found.bring("HEAD", COMMIT)

    assert (tmp_path / "x/docs/run").resolve() == (tmp_path / "x/run.sh").resolve()
    assert (tmp_path / "x/run.sh").stat().st_mode & 0o777 == 0o755


def test_without_git_an_archive_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.layout, "MAX_FILES", 3)
    content = packed({str(number): b"" for number in range(10)})
    _, found = repository(tmp_path / "x", {f"{BASE}/archive/{COMMIT}.tar.gz": content})

    with pytest.raises(BadRequest, match="too large"):
        found.bring("HEAD", COMMIT)


def test_without_git_and_without_a_network_it_says_so(tmp_path: Path) -> None:
    class Down(HTTPSHandler):
        def https_open(self, req: Request) -> IO[bytes]:  # type: ignore[override]
            raise URLError("no route")

    (tmp_path / "x").mkdir()
    found = archive.Repository(GitSource("user", "x"), tmp_path / "x", None, build_opener(Down()))

    with pytest.raises(Unavailable, match="Check the network") as told:
        found.refs()
    assert told.value.code == "source_unavailable"
    assert not isinstance(told.value.__cause__, HTTPError)


def test_without_git_an_ssh_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Unavailable, match="git is not installed"):
        got("git@github.com:user/x", tmp_path / "out")
