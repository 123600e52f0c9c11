"""Write the generated parts of the documentation: ``python docs/generate.py``.

A page has them between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest of it is
written by hand. With ``--check`` nothing is written, and pages that are out of date are
named with what differs.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from generators import commands, contract, endpoints, python_api, settings

DOCS = Path(__file__).resolve().parent

PARTS: Mapping[str, Callable[[], str]] = {
    "hooks": contract.hooks,
    "events": contract.events,
    "decorators": contract.decorators,
    "functions": python_api.functions,
    "routes": python_api.routes,
    "contributions": python_api.contributions,
    "records": python_api.records,
    "models": python_api.models,
    "testing": python_api.testing,
    "settings": settings.keys,
    "commands": commands.commands,
    "endpoints": endpoints.endpoints,
    "objects": endpoints.objects,
}

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Bring the pages up to date, or say which are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if outdated")
    check = parser.parse_args().check
    outdated = list(outdated_pages())
    for page, old, new in outdated:
        if check:
            name = str(page.relative_to(DOCS.parent))
            sys.stdout.writelines(
                difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, "generated")
            )
        else:
            page.write_text(new, "utf-8")
    if check and outdated:
        sys.stdout.write("\nThe documentation is out of date. Run python docs/generate.py.\n")
        return 1
    return 0


def outdated_pages() -> Iterator[tuple[Path, str, str]]:
    """Yield every page that is out of date, its text, and what its text should be."""
    for page in sorted(DOCS.rglob("*.md")):
        old = page.read_text("utf-8")
        new = _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", old)
        if new != old:
            yield page, old, new


if __name__ == "__main__":
    sys.exit(main())
