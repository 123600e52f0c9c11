"""Records out of a collection into a file, and back."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tinybase.cli import transfer
from tinybase.collections.transfer import RecordTransfer

from .conftest import ADMIN, Result, Run

FIELDS = [
    {"name": "title", "required": True},
    {"name": "n", "type": "int", "strict": True},
    {"name": "price", "type": "number"},
    {"name": "done", "type": "boolean"},
    {"name": "at", "type": "datetime"},
    {"name": "tags", "type": "list"},
    {"name": "more", "type": "json"},
    {"name": "version"},
    {"name": "key", "unique": True},
]
FULL = {
    "title": 'Ä "quoted", and\nbroken line',
    "n": 7,
    "price": 1.5,
    "done": False,
    "at": "2026-01-31T12:00:00.000000Z",
    "tags": ["a", {"b": None}],
    "more": {"x": [1, "1"]},
    "version": "v1",
    "key": "k",
}


@pytest.fixture(autouse=True)
def posts(run: Run, instance: Path) -> None:
    make(run, "posts")


def make(run: Run, name: str) -> None:
    run("collections", "create", name, "--schema", json.dumps({"fields": FIELDS}))


def write(path: Path, lines: Iterable[Any]) -> Path:
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines))
    return path


def titles(run: Run, name: str = "posts") -> list[str]:
    listed = run("records", "list", name, "--sort", "title", "--limit", "1000", "--json").json
    return [record["data"]["title"] for record in listed]


def load(run: Run, *arguments: str | Path, code: int = 0, stdin: str = "") -> Result:
    return run("records", "import", "posts", *arguments, code=code, stdin=stdin)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_what_is_exported_is_imported_as_it_was(run: Run, tmp_path: Path, name: str) -> None:
    run("records", "create", "posts", json.dumps(FULL), "--owner", ADMIN)
    made = run("records", "create", "posts", '{"title": "b"}', "--json").json
    run("records", "update", "posts", made["id"], '{"title": "c"}')
    before = run("records", "list", "posts", "--json").json
    file = tmp_path / name

    summary = run("records", "export", "posts", file, "--json").json
    assert summary == {"collection": "posts", "file": str(file), "records": 2}
    assert file.stat().st_mode & 0o077 == 0
    run("collections", "delete", "posts", "--yes")
    make(run, "posts")
    assert load(run, file, "--json").json["imported"] == 2

    after = run("records", "list", "posts", "--json").json
    collection_id = run("collections", "show", "posts", "--json").json["id"]
    assert after == [{**record, "collection_id": collection_id} for record in before]


def test_an_export_to_stdout_can_be_imported_from_stdin(run: Run) -> None:
    run("records", "create", "posts", json.dumps(FULL))
    exported = run("records", "export", "posts").out
    assert json.loads(exported)["data"] == FULL
    run("records", "export", "posts", "--json", code=2)

    bare = '{"title": "x"}\n\n{"data": {"title": "y"}, "owner_id": null}'
    assert "Imported 2 records" in load(run, stdin=bare).err
    assert set(titles(run)) == {FULL["title"], "x", "y"}


def test_a_failed_export_leaves_the_old_file_and_nothing_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "out" / "posts.jsonl").parent.mkdir()
    file.write_text("old")

    def fail(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordTransfer, "records", fail)
    assert "No space left" in run("records", "export", "posts", file, code=1).err
    assert [path.read_text() for path in file.parent.iterdir()] == ["old"]


def test_it_stops_at_a_bad_line_and_goes_on_there_once_that_is_mended(
    run: Run, tmp_path: Path
) -> None:
    file = write(tmp_path / "in.jsonl", [{"title": "a"}, {"title": "b"}, {"n": 1}, {"title": "d"}])
    stopped = load(run, file, "--json", code=1)
    assert stopped.json == {
        "collection": "posts",
        "imported": 2,
        "refused": 1,
        "skipped_lines": 0,
        "stopped_at": 3,
        "dry_run": False,
        "errors": [
            {
                "line": 3,
                "code": "record_invalid",
                "message": "title: Missing data for required field.",
            }
        ],
    }
    assert "line 3: title" in stopped.err

    write(file, [{"title": "a"}, {"title": "b"}, {"title": "c"}, {"title": "d"}])
    assert "Imported 2 records" in load(run, file).err
    assert titles(run) == ["a", "b", "c", "d"]
    assert "Imported 0 records" in load(run, file).err


def test_a_file_that_has_changed_before_that_place_is_not_imported_twice(
    run: Run, tmp_path: Path
) -> None:
    file = write(tmp_path / "in.jsonl", [{"title": "a"}])
    load(run, file)
    write(file, [{"title": "A"}, {"title": "b"}])
    assert "--again" in load(run, file, code=1).err
    load(run, file, "--again")
    assert sorted(titles(run)) == ["A", "a", "b"]


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
def test_an_interrupted_import_goes_on_without_doubles(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    wanted = [f"t{number:02}" for number in range(20)]
    lines = ["title", *wanted] if name == "in.csv" else [{"title": title} for title in wanted]
    file = write(tmp_path / name, lines)
    store, calls = RecordTransfer.store, []

    def interrupt(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return store(*arguments, **options)

    monkeypatch.setattr(transfer, "_CHUNK", 3)
    with monkeypatch.context() as patch:
        patch.setattr(RecordTransfer, "store", interrupt)
        assert "Imported 6 records. Run the same" in load(run, file, code=130).err
    assert titles(run) == wanted[:6]
    assert "Imported 14 records" in load(run, file).err
    assert titles(run) == wanted


def test_bad_lines_can_be_skipped_up_to_a_number(run: Run, tmp_path: Path) -> None:
    file = write(
        tmp_path / "in.jsonl",
        [
            {"title": "a", "key": "k"},
            {"title": "b", "key": "k"},
            "nonsense",
            "[1]",
            {"data": {"title": "c"}, "id": "x", "version": 0, "created_at": "now"},
            {"data": {"title": "c"}, "owner_id": "0190b6c3-0000-7000-8000-000000000000"},
            {"title": "x" * 2_000_000},
            {"title": "d\0"},
            {"title": "e"},
        ],
    )
    stopped = load(run, file, "--on-error", "skip", "--max-errors", "3", "--json", code=1).json
    assert (stopped["imported"], stopped["refused"], stopped["stopped_at"]) == (1, 4, 5)

    skipped = load(run, file, "--on-error", "skip", "--again", "--json", code=1)
    assert [(each["line"], each["code"]) for each in skipped.json["errors"]] == [
        (1, "unique_violation"),
        (2, "unique_violation"),
        (3, "invalid_json"),
        (4, "validation_error"),
        (5, "validation_error"),
        (6, "validation_error"),
        (7, "bad_request"),
        (8, "validation_error"),
    ]
    assert "line 5: id: Not a valid UUID.; version: Not" in skipped.err
    assert titles(run) == ["a", "e"]
    load(run, file, "--max-errors", "3", code=2)


def test_an_id_that_is_taken_is_refused(run: Run, tmp_path: Path) -> None:
    made = run("records", "create", "posts", '{"title": "a"}', "--json").json
    make(run, "others")
    file = write(tmp_path / "in.jsonl", [{"id": made["id"], "data": {"title": "b"}}])
    for name in ("posts", "others"):
        assert "this id already" in run("records", "import", name, file, code=1).err


@pytest.mark.parametrize(
    ("head", "row", "complaint"),
    [
        ("title,nope", "a,b", "no such field"),
        ("title,title", "a,b", "each of them once"),
        ("", "", "name the columns"),
        ("title,n", "a", "It has 1 cells, the head has 2"),
        ("title,n", "a,x", "n: Not a valid integer"),
        ("title,tags", "a,[1", "tags: "),
        ("title,more", 'a,"""\\ud800"""', "surrogate"),
        ("title,n", 'a,"b', "no CSV"),
    ],
)
def test_csv_that_does_not_fit_is_refused_with_the_reason(
    run: Run, tmp_path: Path, head: str, row: str, complaint: str
) -> None:
    error = load(run, write(tmp_path / "in.csv", [head, row]), code=1).err
    assert complaint in error
    assert titles(run) == []


def test_a_row_of_csv_that_is_not_utf_8_is_one_line_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(b"\xef\xbb\xbftitle,data.version,version\na,x,3\n\xff,,\nb,,\n")
    assert "line 3: It is not UTF-8" in load(run, file, "--on-error", "skip", code=1).err
    (b, a) = run("records", "list", "posts", "--sort", "-title", "--json").json
    assert (a["version"], a["data"]["version"], b["version"]) == (3, "x", 1)


def test_a_dry_run_checks_and_stores_nothing(run: Run, tmp_path: Path) -> None:
    run("records", "create", "posts", '{"title": "a", "key": "k"}')
    file = write(tmp_path / "in.jsonl", [{"title": "b"}, {"title": "c", "key": "k"}])
    found = load(run, file, "--dry-run", "--on-error", "skip", "--json", code=1).json
    assert (found["imported"], found["refused"], found["dry_run"]) == (1, 1, True)
    assert titles(run) == ["a"]
    assert "Imported 1 record" in load(run, file, code=1).err


def test_records_without_an_owner_get_the_one_that_is_named(run: Run, tmp_path: Path) -> None:
    load(run, write(tmp_path / "in.jsonl", [{"title": "a"}]), "--owner", ADMIN)
    (record,) = run("records", "list", "posts", "--json").json
    assert record["owner_id"] == run("users", "show", ADMIN, "--json").json["id"]


def test_extensions_are_told_only_if_that_is_asked_for(
    run: Run, instance: Path, tmp_path: Path
) -> None:
    code = """
from pathlib import Path
from tinybase.extensions import on_record_create

@on_record_create(collection="posts")
def note(event):
    with Path(__file__).with_name("told").open("a") as file:
        file.write(event.data["title"])
"""
    folder = instance / "functions"
    (folder / "telling.py").write_text(code)
    load(run, write(tmp_path / "one.jsonl", [{"title": "a"}]))
    load(run, write(tmp_path / "two.jsonl", [{"title": "b"}, {"title": "c"}]), "--hooks")
    assert sorted((folder / "told").read_text()) == ["b", "c"]


def test_memory_does_not_grow_with_the_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peak(count: int) -> int:
        file = write(tmp_path / f"{count}.jsonl", [{"title": "x" * 10_000}] * count)
        tracemalloc.start()
        load(run, file)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    monkeypatch.setattr(transfer, "_CHUNK", 50)
    peak(1)
    assert peak(600) < peak(100) * 1.5
