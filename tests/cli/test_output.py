from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest

from tinybase.cli import output


@dataclass
class Thing:
    id: UUID
    at: datetime


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_written_as_the_api_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    thing = Thing(UUID(int=1), datetime(2026, 1, 31, 12, tzinfo=UTC))

    output.emit_json([thing])

    assert json.loads(capsys.readouterr().out) == [
        {"id": "00000000-0000-0000-0000-000000000001", "at": "2026-01-31T12:00:00.000000Z"}
    ]


def test_a_table_is_plain_where_no_person_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([{"name": "a", "is_on": True}, {"name": "bcd"}], ["Name", "Is on"], empty="None.")

    assert capsys.readouterr().out == "NAME  IS ON\na     yes\nbcd   -\n"


def test_a_table_for_a_person_keeps_markup_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)

    output.table([{"name": "[red]x"}], ["Name"], empty="None.")

    assert "[red]x" in sys.stdout.getvalue()  # type: ignore[attr-defined]


def test_no_color_makes_a_table_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")

    output.table([{"name": "x"}], ["Name"], empty="None.")

    assert sys.stdout.getvalue() == "NAME\nx\n"  # type: ignore[attr-defined]


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([], ["Name"], empty="There are none.")

    assert capsys.readouterr().out == "There are none.\n"


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", " y \n", "y"])
def test_a_piped_yes_is_an_answer(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))

    output.confirm("Really?", yes=False)


@pytest.mark.parametrize("answer", ["n\n", "\n", "yep\n", ""])
def test_everything_else_is_a_refusal(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))

    with pytest.raises(output.Refused, match="Nothing was changed"):
        output.confirm("Really?", yes=False)


def test_without_anybody_to_ask_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(output.Refused, match="--yes"):
        output.confirm("Really?", yes=False)


def test_a_yes_that_was_given_is_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    output.confirm("Really?", yes=True)

    assert capsys.readouterr().err == ""
