"""Bringing a repository from GitHub: with git, or without it as an archive."""

from __future__ import annotations

import base64
import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tinybase.errors import BadRequest, Unavailable, one_line
from tinybase.packages import archive, environment, layout
from tinybase.packages.addresses import HOST, GitSource
from tinybase.packages.process import Finished, Overdue, run

_TIMEOUT = 300.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SEMVER = re.compile(
    r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
)
_SAFE_SETTINGS = (
    # Hooks come from the operator's own templates, which know nothing of this.
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("submodule.recurse", "false"),
    ("protocol.ext.allow", "never"),
    ("advice.detachedHead", "false"),
    # A connection that brings next to nothing for a minute is given up.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
)
_UNREACHABLE = re.compile(
    "Could not resolve|Failed to connect|timed out|unable to connect|Connection re|HTTP 5"
    "|early EOF|hung up unexpectedly|unexpected disconnect|transfer closed|Operation too slow"
)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A source tree: ``root`` is the folder that the address means."""

    root: Path
    ref: str
    commit: str


@dataclass(frozen=True, slots=True)
class Found:
    """What an address means at the moment."""

    ref: str
    commit: str


@dataclass(frozen=True, slots=True)
class _Target:
    """What to fetch: the full name of a ref or a commit, and what people call it."""

    name: str
    shown: str
    commit: str


def fetch(
    source: GitSource,
    folder: Path,
    *,
    protocols: Sequence[str],
    environ: Mapping[str, str] = os.environ,
) -> Checkout:
    """Bring a repository into an empty folder.

    Without a ref in the address it is the highest release by semantic version, else the
    default branch. Submodules and large files kept elsewhere stay out.

    :raises BadRequest: ``source_not_found``, when there is no such repository, ref or folder.
    :raises Unavailable: ``source_unavailable``, when GitHub cannot be reached.
    """
    repository = _open(source, folder, protocols, environ)
    target = _choose(source, repository.refs())
    commit = repository.bring(target.name, target.commit)
    layout.check_links(folder)
    return Checkout(_subfolder(source, folder), target.shown, commit)


def look_up(
    source: GitSource, *, protocols: Sequence[str], environ: Mapping[str, str] = os.environ
) -> Found:
    """Return what :func:`fetch` would bring, and raise as it does; nothing is fetched."""
    with tempfile.TemporaryDirectory(prefix="tinybase-") as folder:
        refs = _open(source, Path(folder), protocols, environ).refs()
    target = _choose(source, refs)
    return Found(target.shown, target.commit)


def is_release(ref: str) -> bool:
    """Say whether a ref is called like a release."""
    return _release(ref) is not None


def is_older_release(ref: str, other: str | None) -> bool:
    """Say whether two refs are releases, and the first has the lower version."""
    one, two = _release(ref), _release(other or "")
    return one is not None and two is not None and one < two


def _open(
    source: GitSource, folder: Path, protocols: Sequence[str], environ: Mapping[str, str]
) -> _Git | archive.Repository:
    if source.transport not in protocols:
        raise BadRequest(
            f"{source.transport} is not allowed by extensions.git_protocols. "
            f"Use an address that begins with {protocols[0] if protocols else 'https'}.",
            code="invalid_source",
        )
    if shutil.which("git", path=environ.get("PATH")):
        return _Git(source, folder, protocols, environ)
    if source.transport == "https":
        return archive.Repository(source, folder, _token(environ))
    raise Unavailable(
        "git is not installed, and only https works without it. Install git, "
        f"or write {source.address}.",
        code="source_unavailable",
    )


def newest_release(tags: Sequence[str]) -> str | None:
    """Return the tag with the highest semantic version; a pre-release only if all are."""
    releases = [(version, tag) for tag in tags if (version := _release(tag))]
    finished = [item for item in releases if not item[0].is_prerelease]
    return max(finished or releases, default=(None, None))[1]


def _release(tag: str) -> Version | None:
    if not _SEMVER.fullmatch(tag):
        return None
    try:
        return Version(tag)
    except InvalidVersion:  # a pre-release of a form that Python does not know
        return None


def _choose(source: GitSource, refs: Mapping[str, str]) -> _Target:
    """Find what the address means among the refs of the repository."""
    if source.ref is None:
        tag = newest_release([name[10:] for name in refs if name.startswith("refs/tags/")])
        if tag is not None:
            return _target(refs, f"refs/tags/{tag}", tag)
        if "HEAD" not in refs:
            raise _not_found(f"{source.address} is empty. Push a commit to it")
        branch = refs.get("HEAD -> ", "refs/heads/HEAD").removeprefix("refs/heads/")
        return _target(refs, "HEAD", branch)
    if source.known_as is not None:
        return _Target(source.ref, source.known_as, source.ref)
    for prefix in ("refs/tags/", "refs/heads/"):
        if f"{prefix}{source.ref}" in refs:
            return _target(refs, f"{prefix}{source.ref}", source.ref)
    if _COMMIT.fullmatch(source.ref):
        return _Target(source.ref, source.ref, source.ref)
    raise _not_found(
        f"{source.address} has no tag or branch {source.ref}. "
        f"{_suggestion(source.ref, refs)}Give a tag, a branch or the full commit"
    )


def _target(refs: Mapping[str, str], name: str, shown: str) -> _Target:
    return _Target(name, shown, refs.get(f"{name}^{{}}", refs[name]))


def _suggestion(ref: str, refs: Mapping[str, str]) -> str:
    known = [name.split("/", 2)[2] for name in refs if name.count("/") > 1 and "^" not in name]
    near = difflib.get_close_matches(ref, known, n=1)
    return f"Did you mean {near[0]}? " if near else ""


def _not_found(reason: str) -> BadRequest:
    return BadRequest(f"{reason}.", code="source_not_found")


def _subfolder(source: GitSource, folder: Path) -> Path:
    if source.subdirectory is None:
        return folder
    found = folder / source.subdirectory
    if not found.is_dir():
        raise _not_found(f"{source.address} has no folder {source.subdirectory} at that ref")
    return found


def _token(environ: Mapping[str, str]) -> str | None:
    token = environ.get(environment.GIT_TOKEN, "").strip()
    if not token:
        return None
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadRequest(f"{environment.GIT_TOKEN} is no token. Correct it.", code="invalid_source")
    return token


class _Git:
    """One repository, through the git of the machine."""

    def __init__(
        self,
        source: GitSource,
        folder: Path,
        protocols: Sequence[str],
        environ: Mapping[str, str],
    ) -> None:
        self._source = source
        self._folder = folder
        self._environ = _git_environment(source, protocols, environ)

    def refs(self) -> dict[str, str]:
        """Return every ref with its commit; ``HEAD -> `` names the default branch."""
        listing = self._git("ls-remote", "--symref", "--end-of-options", self._source.url)
        refs = {}
        for line in listing.splitlines():
            value, _, name = line.partition("\t")
            if value.startswith("ref: "):
                refs[f"{name} -> "] = value.removeprefix("ref: ")
            else:
                refs[name] = value
        return refs

    def bring(self, name: str, commit: str) -> str:  # noqa: ARG002 - git says what it fetched
        """Check out one ref or commit and return the commit."""
        self._git("init", "--quiet", "--template=", ".")
        self._git(
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--end-of-options",
            self._source.url,
            name,
        )
        self._git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        try:
            finished = run(
                ["git", *arguments], environ=self._environ, cwd=self._folder, timeout=_TIMEOUT
            )
        except Overdue as error:
            raise Unavailable(
                f"git did not get {self._source} in {_TIMEOUT:g} s. Try again later.",
                code="source_unavailable",
            ) from error
        if finished.succeeded:
            return finished.stdout
        raise self._failure(finished)

    def _failure(self, finished: Finished) -> BadRequest | Unavailable:
        reason = _first_reason(finished.stderr)
        if _UNREACHABLE.search(finished.stderr):
            return Unavailable(
                f"{self._source.address} cannot be reached ({reason}). "
                "Check the network and try again.",
                code="source_unavailable",
            )
        return BadRequest(
            f"git cannot get {self._source} ({reason}). Check the address; for a private "
            f"repository set {environment.GIT_TOKEN} or use git@{HOST}:{self._source.owner}/"
            f"{self._source.repository}.",
            code="source_not_found",
        )


def _first_reason(stderr: str) -> str:
    """Return what git complained about; its last line is often only the end of a sentence."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "remote:", "error:", "ERROR:"))]
    return one_line((telling or lines or ["it failed without a word"])[0].removeprefix("fatal: "))


def _git_environment(
    source: GitSource, protocols: Sequence[str], environ: Mapping[str, str]
) -> dict[str, str]:
    found = environment.for_git(environ)
    settings = list(_SAFE_SETTINGS)
    if source.transport == "https" and (token := _token(environ)):
        credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        # Through the environment, so that the token is in no list of processes, in no
        # address and in no file.
        settings.append(
            (f"http.https://{HOST}/.extraHeader", f"Authorization: Basic {credentials}")
        )
    count = int(found.get("GIT_CONFIG_COUNT", "0") or 0)
    for number, (key, value) in enumerate(settings, count):
        found[f"GIT_CONFIG_KEY_{number}"] = key
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    found["GIT_CONFIG_COUNT"] = str(count + len(settings))
    return found | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": ":".join(protocols),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }
