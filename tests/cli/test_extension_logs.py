"""What the server logged about one extension."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from serving import Server

from tinybase import logs

from .conftest import Run

LOG = """\
2026-01-01 10:00:00,000 INFO    [11] alpha: alpha begins
2026-01-01 10:00:01,000 INFO    [11] alphabet: not ours
2026-01-01 10:00:02,000 ERROR   [12] tinybase.host.guard: extension alpha: alpha:write_down failed
Called from here:
ValueError: no luck \x1b[2J
2026-01-01 10:00:03,000 INFO    [12] tinybase.host.host: extension beta is switched on
2026-01-01 10:00:04,000 WARNING [12] alpha.deep: first
    second line
2026-01-01 10:00:05,000 INFO    [12] tinybase.host.host: extension alpha-two is switched on
"""


def write(instance: Path, text: str = LOG) -> Path:
    path = logs.file_of(instance)
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return path


def test_records_of_its_loggers_and_about_it_are_shown(run: Run, extended: Path) -> None:
    path = write(extended)
    path.rename(path.with_name("tinybase.log.1"))
    write(extended, LOG.splitlines()[0].replace("begins", "begins again") + "\n")

    found = run("extensions", "logs", "Alpha", "--json").json

    assert [item["message"] for item in found] == [
        "alpha begins",
        "extension alpha: alpha:write_down failed",
        "first",
        "alpha begins again",
    ]
    assert found[1] == {
        "time": "2026-01-01 10:00:02,000",
        "level": "ERROR",
        "process": 12,
        "logger": "tinybase.host.guard",
        "message": "extension alpha: alpha:write_down failed",
        "lines": ["Called from here:", "ValueError: no luck \x1b[2J"],
    }
    shown = run("extensions", "logs", "alpha", "-n", "2").out
    assert shown.splitlines() == [
        "2026-01-01 10:00:04,000 WARNING [12] alpha.deep: first",
        "    second line",
        "2026-01-01 10:00:00,000 INFO    [11] alpha: alpha begins again",
    ]
    assert "\x1b" not in run("extensions", "logs", "alpha").out


def test_without_a_log_or_an_extension_that_is_said(run: Run, extended: Path) -> None:
    result = run("extensions", "logs", "alpha", "--json")
    assert result.json == []
    assert "There is no log yet" in result.err

    assert "not found" in run("extensions", "logs", "absent", code=1).err
    assert "--follow" in run("extensions", "logs", "alpha", "-f", "--json", code=2).err


def test_what_comes_is_shown_until_somebody_stops_it(
    run: Run, extended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(
        "tinybase.cli.extension_logs.LogRecord.show", lambda r: shown.append(r.message)
    )
    pause = time.sleep

    def sleep(seconds: float) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        pause(0.01)

    monkeypatch.setattr("tinybase.cli.extension_logs.time.sleep", sleep)
    stopped = threading.Event()

    def serve() -> None:
        line = LOG.splitlines(keepends=True)[0]
        path = write(extended, line.replace("begins", "one"))
        wait_for(1)
        write(extended, line.replace("begins", "two") + "more\n")
        path.rename(path.with_name("tinybase.log.1"))
        write(extended, line.replace("begins", "three"))
        wait_for(3)
        stopped.set()

    def wait_for(number: int) -> None:
        deadline = time.monotonic() + 20
        while len(shown) < number and time.monotonic() < deadline:
            pause(0.01)

    writer = threading.Thread(target=serve)
    writer.start()
    run("extensions", "logs", "alpha", "--follow", code=130)
    writer.join()

    assert shown == ["alpha one", "alpha two", "alpha three"]


def test_the_server_writes_the_log(run: Run, extended: Path) -> None:
    with Server(extended, "--workers", "2") as server:
        server.wait_for(lambda: server.output.count("alpha begins") == 2)

    found = run("extensions", "logs", "alpha", "--json").json

    assert [item["message"] for item in found] == ["alpha begins"] * 2
    assert len({item["process"] for item in found}) == 2
