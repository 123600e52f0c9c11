"""The guides to extensions, and the code that is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FILES = ("extension.toml", "__init__.py", "hooks.py", "functions.py")
"""The titles of the blocks that make up the example of a guide."""

_BLOCK = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A block of code, word for word."""

    language: str
    title: str | None
    text: str


@dataclass(frozen=True)
class Guide:
    """A page of Markdown."""

    path: Path

    @cached_property
    def text(self) -> str:
        """The whole page."""
        return self.path.read_text("utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        """Its blocks of code that are not part of anything else."""
        return [
            Block(found["language"], found["title"], found["text"])
            for found in _BLOCK.finditer(self.text)
        ]

    @property
    def example(self) -> dict[str, str]:
        """The files of the example, by name."""
        return {block.title: block.text for block in self.blocks if block.title in FILES}

    def code(self, *containing: str) -> str:
        """Return the one block of Python without a title that contains all these texts."""
        found = [
            block.text
            for block in self.blocks
            if block.language == "python"
            and block.title is None
            and all(text in block.text for text in containing)
        ]
        (text,) = found
        return text


def users_guide() -> Guide | None:
    """Return the guide that the user wrote, where it is beside the repository."""
    guide = Guide(ROOT.parent / "shared" / "extensions-guide.md")
    return guide if guide.path.is_file() else None


def our_guide() -> Guide:
    """Return our own guide: the page about extensions with the whole example."""
    pages = [Guide(path) for path in sorted((ROOT / "docs").rglob("*.md"))]
    whole = [page for page in pages if page.example.keys() == set(FILES)]
    return next(page for page in whole if page.path.stem == "extensions")
