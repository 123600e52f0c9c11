"""Options and commands in an address, which git would obey if it were given them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from github import Hub

from tinybase.errors import BadRequest
from tinybase.packages import addresses, fetch
from tinybase.packages.extensions import Extensions

from .conftest import flat

OPTION = "--upload-pack=touch {planted};false"

INJECTIONS = [
    pytest.param("https://github.com/user/x", OPTION, id="an option as the ref"),
    pytest.param(OPTION, "https://github.com/user/x", id="an option as the address"),
    pytest.param("ext::sh -c touch% {planted}", "main", id="a command as the address"),
]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return the file that is there if an injected command was run."""
    return tmp_path / "planted"


@pytest.fixture(autouse=True)
def _repository(hub: Hub) -> None:
    hub.repository("x", flat("x-ext"))


def fetch_trustingly(address: str, ref: str, folder: Path) -> None:
    """Do what an installer does that passes on what it is given, but for one protocol."""
    for arguments in (["init", "--quiet"], ["fetch", "--quiet", address, ref]):
        subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, "GIT_ALLOW_PROTOCOL": "file:https:ext"},
            capture_output=True,
            check=False,
        )


@pytest.mark.parametrize(("address", "ref"), INJECTIONS)
def test_what_git_would_have_run_is_refused(
    address: str, ref: str, planted: Path, extensions: Extensions, tmp_path: Path
) -> None:
    address, ref = address.format(planted=planted), ref.format(planted=planted)
    fetch_trustingly(address, ref, tmp_path)
    assert planted.exists()
    planted.unlink()

    with pytest.raises(BadRequest) as refused:
        extensions.install(address, ref=ref)
    with pytest.raises(BadRequest):
        extensions.install(f"{address}@{ref}")

    assert refused.value.code == "invalid_source"
    assert not planted.exists()


def test_a_ref_that_gets_past_the_grammar_is_still_no_option(
    planted: Path, extensions: Extensions, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = OPTION.format(planted=planted)
    monkeypatch.setattr(addresses, "_checked_ref", lambda text: text)

    with pytest.raises(BadRequest, match="has no tag or branch"):
        extensions.install("user/x", ref=ref)
    monkeypatch.setattr(fetch, "_choose", lambda source, refs: fetch._Target(ref, ref, ""))
    with pytest.raises(BadRequest, match="git cannot get"):
        extensions.install("user/x", ref=ref)

    assert not planted.exists()


def test_without_any_of_the_guards_the_option_is_run(
    planted: Path, extensions: Extensions, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = OPTION.format(planted=planted)
    guarded = fetch._Git._git

    def unguarded(self: fetch._Git, *arguments: str) -> str:
        return guarded(self, *(item for item in arguments if item != "--end-of-options"))

    monkeypatch.setattr(addresses, "_checked_ref", lambda text: text)
    monkeypatch.setattr(fetch, "_choose", lambda source, refs: fetch._Target(ref, ref, ""))
    monkeypatch.setattr(fetch._Git, "_git", unguarded)

    with pytest.raises(BadRequest):
        extensions.install("user/x", ref=ref)

    assert planted.exists()
