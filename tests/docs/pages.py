"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^$\n][^\n]*?) -->\n)?"
    r'(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n'
    r"(?P<text>.*?)^(?P=indent)```$"
    r"|^<!-- \$ (?P<hidden>.*?) -->$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """One block of code; ``mark`` is the comment on the line above it.

    A comment that begins with a dollar sign is a block, too: commands that readers have no
    need of, but that the ones below it need when they are tried.
    """

    language: str
    text: str
    title: str | None = None
    mark: str | None = None
    line: int = 0


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text("utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["hidden"]:
            found.append(Block("bash", f"{match['hidden']}\n", line=line))
            continue
        code = re.sub(f"^{match['indent']}", "", match["text"], flags=re.M)
        found.append(Block(match["language"], code, match["title"], match["mark"], line))
    return found
