"""What commands print, and what they ask.

People get tables, through Rich when the output is a terminal; scripts get plain text or,
with ``--json``, one document on stdout and nothing else there. Progress and questions go
to stderr.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import click

from tinybase.errors import one_line

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask; the answer is yes.")


class Refused(click.ClickException):
    """A question was answered with no, or there was nobody to answer it."""


def emit_json(value: object) -> None:
    """Print one JSON document on stdout; times, ids and dataclasses are understood."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_jsonable))


def note(text: str) -> None:
    """Tell a person, on stderr, what is going on."""
    click.echo(text, err=True)


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows under the headings of the columns; ``empty`` is said when there are none.

    A column is found under its heading in lower case, with underscores for spaces.
    """
    if not rows:
        click.echo(empty)
        return
    cells = [[_text(row.get(_key(column))) for column in columns] for row in rows]
    if is_fancy():
        _print_rich_table(cells, columns)
    else:
        _print_plain_table(cells, columns)


def details(facts: Mapping[str, object]) -> None:
    """Print one thing, a fact a line."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name:<{width}}  {_text(value)}")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is done that cannot be taken back.

    A ``y`` that is piped in is an answer.

    :raises Refused: for any other answer than yes, and when there is nobody to answer.
    """
    if yes:
        return
    click.echo(f"{question} [y/N] ", err=True, nl=False)
    answer = sys.stdin.readline() if sys.stdin and not sys.stdin.closed else ""
    if not _is_terminal(sys.stdin):
        click.echo(answer.strip(), err=True)
    if answer.strip().lower() in {"y", "yes"}:
        return
    if answer:
        raise Refused("Nothing was changed.")
    raise Refused("Nothing was changed: nobody answered. Add --yes to do it without a question.")


def counted(number: int, noun: str) -> str:
    """Write a number with the noun that it counts, which takes an ``s`` in the plural."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Return a text of somebody else's in one line that does nothing to a terminal."""
    return one_line(text)


def is_fancy() -> bool:
    """Say whether the output is for a person who sees colours."""
    return _is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")


def has_room() -> bool:
    """Say whether a table may have more columns than a narrow terminal shows."""
    return not _is_terminal(sys.stdout) or shutil.get_terminal_size().columns >= 110


def can_ask() -> bool:
    """Say whether a person is there to answer a question."""
    return _is_terminal(sys.stdin)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _key(column: str) -> str:
    return column.lower().replace(" ", "_")


def _text(value: object) -> str:
    """Write a value for people: no quotes, a dash for nothing."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_jsonable)
    return str(value)


def _jsonable(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        # The form of the REST API; its own helper would import SQLAlchemy for this.
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, set | frozenset | tuple):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def _print_plain_table(cells: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    lines = [[column.upper() for column in columns], *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _print_rich_table(cells: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    # Rich costs as much to import as everything else a quick command needs.
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    view = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        view.add_column(column, overflow="fold")
    for line in cells:
        view.add_row(*(Text(cell) for cell in line))
    Console().print(view)
