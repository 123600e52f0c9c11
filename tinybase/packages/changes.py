"""How one set of extensions differs from another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tinybase.packages.lock import Lock, LockedExtension, LockedWheel


@dataclass(frozen=True, slots=True)
class Change:
    """One extension or package that came, went or changed.

    ``before`` and ``after`` are versions, ``None`` where it is not there; ``commits`` are
    those of an extension from a repository. ``kind`` is ``extension`` or ``package``.
    """

    name: str
    kind: str
    before: str | None
    after: str | None
    commits: tuple[str | None, str | None] = (None, None)

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.name} {self.after}"
        if self.after is None:
            return f"- {self.name} {self.before}"
        before, after = self.before, self.after
        if before == after:
            old, new = self.commits
            before, after = f"{before} ({(old or '')[:12]})", f"{after} ({(new or '')[:12]})"
        return f"{self.name} {before} -> {after}"


def difference(before: Lock, after: Lock) -> tuple[Change, ...]:
    """Return what changes from one set to another: extensions first, each by name."""
    return (
        *_extensions(before.extensions, after.extensions),
        *_packages(before.packages, after.packages),
    )


def _extensions(
    before: Mapping[str, LockedExtension], after: Mapping[str, LockedExtension]
) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and _is_same(old, new):
            continue
        yield Change(
            name,
            "extension",
            old.version if old else None,
            new.version if new else None,
            (old.commit if old else None, new.commit if new else None),
        )


def _is_same(old: LockedExtension, new: LockedExtension) -> bool:
    return (old.wheel.sha256, old.commit) == (new.wheel.sha256, new.commit)


def _packages(
    before: Mapping[str, LockedWheel], after: Mapping[str, LockedWheel]
) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old.sha256 == new.sha256:
            continue
        yield Change(name, "package", old.version if old else None, new.version if new else None)
