"""Bringing a repository from GitHub where there is no git: as the archive of a commit."""

from __future__ import annotations

import base64
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage, IncompleteRead
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from tinybase.errors import BadRequest, Unavailable
from tinybase.packages import layout
from tinybase.packages.addresses import HOST, GitSource

_ARCHIVE_HOST = f"codeload.{HOST}"
_TIMEOUT = 60.0
_MAX_ARCHIVE = 200 * 1024 * 1024
_MAX_LISTING = 20 * 1024 * 1024


class Repository:
    """One public or private repository, over https alone."""

    def __init__(
        self,
        source: GitSource,
        folder: Path,
        token: str | None,
        opener: OpenerDirector | None = None,
    ) -> None:
        self._source = source
        self._folder = folder
        self._headers = {"User-Agent": "tinybase"}
        if token:
            credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"
        self._opener = opener or build_opener(HTTPSHandler(), _OnlyGitHub())

    def refs(self) -> dict[str, str]:
        """Return every ref with its commit, as git itself would be told."""
        with tempfile.TemporaryFile() as file:
            address = f"{self._source.url}.git/info/refs?service=git-upload-pack"
            self._download(address, file, _MAX_LISTING)
            file.seek(0)
            return dict(_read_refs(file.read()))

    def bring(self, name: str, commit: str) -> str:  # noqa: ARG002 - a commit is never ambiguous
        """Unpack the tree of a commit and return the commit."""
        with tempfile.TemporaryFile() as file:
            self._download(f"{self._source.url}/archive/{commit}.tar.gz", file, _MAX_ARCHIVE)
            file.seek(0)
            try:
                _unpack(file, self._folder)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise BadRequest(
                    f"The archive of {self._source} cannot be unpacked ({error}). "
                    "Install git and try again.",
                    code="source_not_found",
                ) from error
        return commit

    def _download(self, address: str, file: IO[bytes], limit: int) -> None:
        request = Request(address, headers=self._headers)  # noqa: S310 - built from checked parts
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                begun = file.tell()
                while chunk := answer.read(1024 * 1024):
                    file.write(chunk)
                    if file.tell() > limit:
                        raise BadRequest(
                            f"{self._source} is larger than {limit // 1024 // 1024} MiB. "
                            "Ask its author for a smaller repository.",
                            code="source_not_found",
                        )
                _check_complete(answer.headers.get("Content-Length"), file.tell() - begun)
        except HTTPError as error:
            error.close()
            raise self._refused(error) from error
        except (URLError, HTTPException, OSError) as error:
            raise Unavailable(
                f"{self._source.address} cannot be reached ({error}). "
                "Check the network and try again.",
                code="source_unavailable",
            ) from error

    def _refused(self, error: HTTPError) -> BadRequest | Unavailable:
        if error.code in (401, 403, 404):
            return BadRequest(
                f"GitHub does not show {self._source} ({error.code}). Check the address; for a "
                "private repository set TINYBASE_GIT_TOKEN.",
                code="source_not_found",
            )
        return Unavailable(
            f"GitHub answered {error.code} for {self._source}. Try again later.",
            code="source_unavailable",
        )


def _check_complete(promised: str | None, received: int) -> None:
    """Refuse an answer that has ended early: read in parts, ``http.client`` lets it pass."""
    if promised is not None and promised.isdecimal() and received < int(promised):
        raise IncompleteRead(b"", int(promised) - received)


class _OnlyGitHub(HTTPRedirectHandler):
    """Follows a redirect to the host of the archives, and to no other."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        target = urlsplit(newurl)
        if target.scheme != "https" or target.hostname not in (HOST, _ARCHIVE_HOST):
            raise URLError("it sent us to a host that is not its own")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and target.hostname != HOST:
            following.remove_header("Authorization")
        return following


def _read_refs(listing: bytes) -> Iterator[tuple[str, str]]:
    """Read the lines of git's protocol: four hexadecimal digits of length, then the line."""
    position = 0
    while position + 4 <= len(listing):
        length = int(listing[position : position + 4], 16)
        line = listing[position + 4 : position + max(length, 4)].decode("utf-8", errors="replace")
        position += max(length, 4)
        fact, _, capabilities = line.rstrip("\n").partition("\0")
        commit, _, name = fact.partition(" ")
        if length > 4 and not line.startswith("#") and name:
            yield name, commit
        for capability in capabilities.split():
            if capability.startswith("symref=HEAD:"):
                yield "HEAD -> ", capability.removeprefix("symref=HEAD:")


def _unpack(file: IO[bytes], folder: Path) -> None:
    """Unpack an archive into a folder, without the folder that everything in it is in."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        with tarfile.open(fileobj=file, mode="r:gz") as found:
            _extract(found, Path(temporary).resolve())
        tops = list(Path(temporary).iterdir())
        if len(tops) != 1 or not tops[0].is_dir() or tops[0].is_symlink():
            raise tarfile.TarError("not everything is in one folder")
        for path in tops[0].iterdir():
            shutil.move(path, folder / path.name)


def _extract(found: tarfile.TarFile, folder: Path) -> None:
    """Write files, folders and links, and nothing outside of the folder.

    The filters of :mod:`tarfile` would do, but Python has them only from 3.11.4 on.
    """
    links: list[tuple[Path, str]] = []
    for member in _limited(found):
        path = folder / member.name
        if ".." in path.parts or not path.is_relative_to(folder):
            raise tarfile.TarError(f"{member.name} would be written outside")
        if member.issym():
            links.append((path, member.linkname))
        elif member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        else:
            content = found.extractfile(member) if member.isreg() else None
            if content is None:
                raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as copy:
                shutil.copyfileobj(content, copy)
            path.chmod(0o644 | (member.mode & 0o111))
    # Links come last, so that nothing is written through one.
    for path, target in links:
        _require_inside(path.parent, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    for path, _ in links:
        _require_inside(path, folder)


def _require_inside(path: Path, folder: Path) -> None:
    if not Path(os.path.realpath(path)).is_relative_to(folder):
        raise tarfile.TarError(f"{path.relative_to(folder)} is a link that leads out of it")


def _limited(found: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    size = 0
    for number, member in enumerate(found):
        size += member.size
        if number > layout.MAX_FILES or size > _MAX_ARCHIVE:
            raise tarfile.TarError("it is too large")
        yield member
