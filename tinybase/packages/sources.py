"""Where a locked extension comes from, as an address that is checked like any other."""

from __future__ import annotations

from dataclasses import replace

from tinybase.errors import ConfigError
from tinybase.packages import addresses
from tinybase.packages.addresses import GitSource, Source
from tinybase.packages.lock import LockedExtension


def source_of(item: LockedExtension, *, ref: str | None = None) -> Source:
    """Return the source of an extension.

    A lock file may come from another machine, so nothing in it is trusted to be sound.

    :param ref: the tag, branch or full commit to take from a repository.
    :raises BadRequest: ``invalid_source``, when its address is none.
    """
    text = item.address
    if item.subdirectory:
        text = f"{text}#subdirectory={item.subdirectory}"
    is_repository = item.source == GitSource.kind
    source = addresses.parse(text, ref=ref if is_repository else None, editable=item.editable)
    if source.kind != item.source:
        raise ConfigError(
            f"extensions.lock says that {item.address} is a {item.source}, which it is not. "
            "Restore the file from a backup."
        )
    if isinstance(source, GitSource) and item.transport == "ssh":
        return replace(source, transport="ssh")
    return source
