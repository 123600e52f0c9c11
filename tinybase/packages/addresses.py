"""What an operator may write after ``tinybase extensions install``.

The grammar is a list of what is allowed, and nothing is passed on as it was given: git
and pip get text that is put together anew from the recognised parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NoReturn

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tinybase.errors import BadRequest

HOST = "github.com"

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}")
_REF = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._/+-]{0,199}")
_PART = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]{0,99}")
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
    r"(?:\[[A-Za-z0-9._,-]{1,200}\])?"
    r"(?:(?:===|==|~=|!=|<=|>=|<|>)[0-9A-Za-z.*+!,<>=~-]{1,200})?"
)
_URL = re.compile(r"(?:git\+)?(https|ssh)://([^/]*)/(.*)", re.IGNORECASE)
_FORMS = "Write ./FOLDER, the name of a package or https://github.com/USER/REPOSITORY"


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository on GitHub; no ``ref`` means its newest release, else its default branch.

    ``known_as`` is the tag or branch that a ``ref`` that is a commit was found under.
    """

    kind: ClassVar[str] = "github"

    owner: str
    repository: str
    ref: str | None = None
    subdirectory: str | None = None
    transport: str = "https"
    known_as: str | None = None

    @property
    def address(self) -> str:
        """Return where people find it."""
        return f"https://{HOST}/{self.owner}/{self.repository}"

    @property
    def url(self) -> str:
        """Return what git gets."""
        if self.transport == "ssh":
            return f"ssh://git@{HOST}/{self.owner}/{self.repository}"
        return self.address

    def __str__(self) -> str:
        ref = f"@{self.ref}" if self.ref else ""
        folder = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        return f"{self.address}{ref}{folder}"


@dataclass(frozen=True, slots=True)
class _LocalSource:
    """Something on this machine."""

    ref: ClassVar[None] = None
    subdirectory: ClassVar[None] = None

    path: Path

    @property
    def address(self) -> str:
        """Return its absolute path."""
        return str(self.path)

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class FolderSource(_LocalSource):
    """A local folder; an editable one is imported from where it is."""

    kind: ClassVar[str] = "folder"

    editable: bool = False


@dataclass(frozen=True, slots=True)
class WheelSource(_LocalSource):
    """A wheel that is already built."""

    kind: ClassVar[str] = "wheel"


@dataclass(frozen=True, slots=True)
class IndexSource:
    """A package of the index that pip is set up for."""

    kind: ClassVar[str] = "index"
    ref: ClassVar[None] = None
    subdirectory: ClassVar[None] = None

    requirement: Requirement

    @property
    def name(self) -> str:
        """Return the canonical name of the package."""
        return canonicalize_name(self.requirement.name)

    @property
    def address(self) -> str:
        """Return the requirement, as pip understands it."""
        return str(self.requirement)

    def __str__(self) -> str:
        return self.address


Source = GitSource | FolderSource | WheelSource | IndexSource


def parse(text: str, *, ref: str | None = None, editable: bool = False) -> Source:
    """Recognise an address.

    :param ref: the tag, branch or full commit of a repository, when the address names none.
    :param editable: the address is a local folder that stays where it is.
    :raises BadRequest: for everything that the grammar does not know; nothing has been
        run or opened by then, but for looking whether a local path exists.
    """
    _refuse_odd_characters(text)
    if editable or _is_path(text):
        source: Source = _local(text, editable=editable)
    elif " " in text:
        _refuse("an address has no spaces in it. A local path begins with a dot or a slash")
    else:
        source = _remote(text)
    return source if ref is None else _with_ref(source, ref)


def remote_only(source: Source) -> GitSource | IndexSource:
    """Return the source if it is one that a client of the API may name.

    :raises BadRequest: for a path on the server's machine.
    """
    if isinstance(source, FolderSource | WheelSource):
        _refuse("a local path cannot be installed over HTTP. Use the command line")
    return source


def _refuse(reason: str) -> NoReturn:
    raise BadRequest(f"That is no address of an extension: {reason}.", code="invalid_source")


def _refuse_odd_characters(text: str) -> None:
    if not text:
        _refuse(f"it is empty. {_FORMS}")
    if len(text) > 2000:
        _refuse("it is longer than 2000 characters")
    if not text.isprintable():
        _refuse("it has a line break or another invisible character in it. Remove that")
    if text.startswith("-"):
        _refuse("it begins with a dash. Flags come before the address")


def _is_path(text: str) -> bool:
    return text in {".", "..", "~"} or text.startswith(("./", "../", "/", "~/"))


def _local(text: str, *, editable: bool) -> FolderSource | WheelSource:
    path = Path(text).expanduser().resolve()
    if path.is_dir():
        return FolderSource(path, editable)
    if editable:
        _refuse(f"{path} is not a folder. --editable takes the folder of an extension")
    if not path.exists():
        _refuse(f"{path} does not exist. Check the path")
    if path.suffix != ".whl":
        _refuse(f"{path} is neither a folder nor a wheel. Name the folder of the extension")
    return WheelSource(path)


def _remote(text: str) -> Source:
    if text.startswith("git@"):
        return _scp(text)
    if match := _URL.fullmatch(text):
        return _url(match[1].lower(), match[2], match[3])
    if "://" in text or "::" in text or text.lower().startswith(("file:", "ext:")):
        _refuse(f"only https and ssh addresses of {HOST} are taken. {_FORMS}")
    if text.endswith(".whl"):
        _refuse("a wheel is named by its path. Write ./NAME.whl")
    if "/" in text:
        return _short(text)
    return _index(text)


def _url(scheme: str, authority: str, rest: str) -> GitSource:
    """Read ``https://github.com/...`` and ``ssh://git@github.com/...``."""
    user, at, host = authority.rpartition("@")
    if at and (scheme != "ssh" or user != "git"):
        _refuse("user names, passwords and tokens do not belong in it. Set TINYBASE_GIT_TOKEN")
    if scheme == "ssh" and not at:
        _refuse(f"git signs in over ssh as the user git. Write ssh://git@{HOST}/USER/REPOSITORY")
    if host.lower() != HOST:
        _refuse(f"only {HOST} is allowed as its host, without a port. {_FORMS}")
    return replace(_repository(rest), transport=scheme)


def _scp(text: str) -> GitSource:
    """Read ``git@github.com:USER/REPOSITORY``."""
    host, colon, rest = text.removeprefix("git@").partition(":")
    if host.lower() != HOST or not colon:
        _refuse(f"only {HOST} is allowed as its host. Write git@{HOST}:USER/REPOSITORY")
    return replace(_repository(rest), transport="ssh")


def _short(text: str) -> GitSource:
    """Read ``USER/REPOSITORY``."""
    first = text.partition("/")[0]
    if "." in first:
        _refuse(f"it has no scheme. Write https://{HOST}/USER/REPOSITORY")
    return _repository(text)


def _repository(text: str) -> GitSource:
    """Read what comes after the host: owner, repository, and where in it."""
    path, hash_, fragment = text.partition("#")
    if "?" in path:
        _refuse("it has a query in it. Leave out everything from the question mark on")
    if "%" in path or "\\" in path:
        _refuse("it has a percent sign or a backslash in it. Write the address plainly")
    path, at, ref = path.partition("@")
    owner, _, rest = path.partition("/")
    name, slash, inside = rest.removesuffix("/").partition("/")
    if slash and not inside:
        _refuse("it has two slashes in a row. Leave out one of them")
    source = GitSource(_checked_owner(owner), _checked_repository(name))
    if inside:
        if at:
            _refuse("it names what to install both in its path and after @. Keep one of the two")
        source = _inside(source, inside)
    if at:
        source = replace(source, ref=_checked_ref(ref))
    if hash_:
        source = _with_fragment(source, fragment)
    return source


def _inside(source: GitSource, path: str) -> GitSource:
    """Read ``tree/REF[/SUB]`` and ``releases/tag/REF``, as the browser shows them.

    In a tree the first part is taken for the ref; a branch with a slash in its name is
    given after ``@``.
    """
    parts = path.split("/")
    match parts:
        case ["tree", ref]:
            return replace(source, ref=_checked_ref(ref))
        case ["tree", ref, *folders]:
            folder = _checked_folder("/".join(folders))
            return replace(source, ref=_checked_ref(ref), subdirectory=folder)
        case ["releases", "tag", _, *_]:
            return replace(source, ref=_checked_ref("/".join(parts[2:])))
        case _:
            _refuse(
                f"/{parts[0]} is no place to install from. Write {source.address}, "
                "with @ and a tag, branch or full commit if you like"
            )


def _with_fragment(source: GitSource, fragment: str) -> GitSource:
    key, _, value = fragment.partition("=")
    if key != "subdirectory":
        _refuse("after # it may only say subdirectory=FOLDER")
    folder = _checked_folder(value)
    if source.subdirectory not in (None, folder):
        _refuse("it names two folders. Keep one of the two")
    return replace(source, subdirectory=folder)


def _with_ref(source: Source, ref: str) -> Source:
    if not isinstance(source, GitSource):
        _refuse("only a repository has a ref. For a package write NAME==VERSION")
    checked = _checked_ref(ref)
    if source.ref not in (None, checked):
        _refuse(f"it already names {source.ref}. Leave out --ref or the part of the address")
    return replace(source, ref=checked)


def _checked_owner(text: str) -> str:
    if not _OWNER.fullmatch(text):
        _refuse(f"it names no GitHub user. {_FORMS}")
    return text


def _checked_repository(text: str) -> str:
    name = text.removesuffix(".git")
    if not _REPOSITORY.fullmatch(name) or name in {".", ".."}:
        _refuse(f"it names no GitHub repository. {_FORMS}")
    return name


def _checked_ref(text: str) -> str:
    bad = ("..", "//", "/.", "./", ".lock/")
    if (
        not _REF.fullmatch(text)
        or any(part in text for part in bad)
        or text.endswith(("/", ".", ".lock"))
    ):
        _refuse("what it says after @ is no tag, branch or full commit")
    return text


def _checked_folder(text: str) -> str:
    parts = text.removesuffix("/").split("/")
    if not all(_PART.fullmatch(part) and ".." not in part for part in parts):
        _refuse("its folder is no plain path inside the repository")
    return "/".join(parts)


_INDEX_REMEDIES: Mapping[str, str] = {
    "@": "a version is named with ==, as in NAME==1.2.0",
    ";": "environment markers are not taken. Leave out everything from the semicolon on",
}


def _index(text: str) -> IndexSource:
    """Read the name of a package, with extras and versions if given."""
    for character, remedy in _INDEX_REMEDIES.items():
        if character in text:
            _refuse(remedy)
    if not _REQUIREMENT.fullmatch(text):
        _refuse(_FORMS)
    try:
        return IndexSource(Requirement(text))
    except InvalidRequirement:
        _refuse("its version is not one that pip knows. Write NAME==1.2.0 or NAME>=1,<2")
