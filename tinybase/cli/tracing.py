"""``tinybase extensions trace``: what a request called, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

import click

from tinybase.cli.output import emit_json, json_option, note, printable
from tinybase.errors import BadRequest

_HEADER = "x-tinybase-trace:"


@click.command("trace")
@click.argument("file", type=click.File("r", errors="replace"), default="-")
@json_option
def trace(*, file: TextIO, as_json: bool) -> None:
    """Show what a request called, from the headers of its answer.

    FILE has the headers; without it they are read from the standard input. An answer has the
    header X-TinyBase-Trace if the request had one of that name with the value 1, and an admin
    sent it. Each line is a handler with how long it took and what became of it; what stands
    below it was called on its account.

    \b
    Example:
      curl -sS -o answer.json -D - -H "Authorization: Bearer $TOKEN" \\
        -H "X-TinyBase-Trace: 1" http://localhost:8000/api/collections | tinybase extensions trace
    """
    found = _read(file)
    if as_json:
        emit_json(found)
        return
    for line in _lines(found["calls"], ""):
        click.echo(line)
    if not found["calls"]:
        note("The request called no handler.")
    click.echo(f"{found['ms']:.1f} ms in all")
    if found.get("left_out"):
        note(f"{found['left_out']} more were called, which the header had no room for.")


def _read(lines: Iterable[str]) -> dict[str, Any]:
    """Return the trace in headers.

    :raises BadRequest: if there is none.
    """
    for line in lines:
        if line.lower().startswith(_HEADER):
            try:
                found = json.loads(line[len(_HEADER) :])
            except ValueError:
                break
            if isinstance(found, dict) and "calls" in found:
                return found
    raise BadRequest(
        "There is no trace in these headers. Send X-TinyBase-Trace: 1 with the token of an admin, "
        "and have curl write the headers with -D -."
    )


def _lines(calls: Iterable[Mapping[str, Any]], indent: str) -> Iterator[str]:
    for number, call in enumerate(calls, 1):
        about = f" ({call['about']})" if "about" in call else ""
        error = f": {call['error']}" if "error" in call else ""
        parts = [
            f"{call['hook']}{about}",
            call["extension"],
            call["handler"],
            *([f"{call['ms']:.1f} ms"] if "ms" in call else []),
            f"{call['outcome']}{error}",
        ]
        yield f"{indent}{number}. " + "  ".join(printable(part) for part in parts)
        yield from _lines(call.get("calls", ()), f"{indent}   ")
