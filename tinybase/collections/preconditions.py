"""The versions that a client is willing to overwrite, or has already."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tinybase.errors import BadRequest, PreconditionFailed

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t]*{_TAG}(?:[ \t]*,[ \t]*{_TAG})*[ \t]*")
_VERSION = re.compile(r'(W/)?"([0-9]{1,18})"')
_LONGEST = 8 * 1024


@dataclass(frozen=True, slots=True)
class Versions:
    """A set of versions, or all there may be."""

    numbers: frozenset[int] = frozenset()
    any: bool = False

    @classmethod
    def of(cls, *numbers: int) -> Versions:
        """Return a set of certain versions."""
        return cls(frozenset(numbers))

    def __contains__(self, version: object) -> bool:
        return self.any or version in self.numbers


def parse_versions(header: str | None, name: str, *, weak: bool = False) -> Versions | None:
    """Read an ``If-Match`` or ``If-None-Match`` header; ``None`` when there is none.

    A tag that is not one of ours matches nothing.

    :param weak: let a weak tag stand for its version, as ``If-None-Match`` does.
    :raises BadRequest: ``invalid_header`` for what is no list of entity tags.
    """
    if header is None:
        return None
    if header.strip() == "*":
        return Versions(any=True)
    if len(header) > _LONGEST or not _TAGS.fullmatch(header):
        raise BadRequest(
            f'{name} must be "*" or entity tags in double quotes, such as "3".',
            code="invalid_header",
        )
    return Versions(
        frozenset(int(match[2]) for match in _VERSION.finditer(header) if weak or match[1] is None)
    )


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def version_mismatch(what: str, current: int | None) -> PreconditionFailed:
    """Return the error for a write that was made for another version.

    :param current: the version there is, if the caller may know it.
    """
    members: dict[str, Any] = {} if current is None else {"current_version": current}
    return PreconditionFailed(
        f"The {what} has changed since you read it; read it again and repeat the change.",
        **members,
    )
