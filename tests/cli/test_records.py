from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from .conftest import ADMIN, Run

SCHEMA = json.dumps(
    {
        "fields": [
            {"name": "title", "type": "string", "required": True},
            {"name": "stars", "type": "integer"},
        ]
    }
)


@pytest.fixture
def posts(run: Run, instance: Path) -> Path:
    """Return an instance that has a collection ``posts``."""
    run("collections", "create", "posts", "--schema", SCHEMA)
    return instance


def make(run: Run, title: str, stars: int = 0) -> dict[str, object]:
    document = json.dumps({"title": title, "stars": stars})
    made: dict[str, object] = run("records", "create", "posts", document, "--json").json
    return made


def test_a_collection_is_shown_as_over_http(run: Run, posts: Path) -> None:
    (listed,) = run("collections", "list", "--json").json
    shown = run("collections", "show", "posts", "--json").json

    assert listed == shown
    assert shown["schema"] == json.loads(SCHEMA)
    assert shown["access"]["list"] == "owner"
    assert "posts" in run("collections", "list").out
    assert "posts" in run("collections", "show", "posts").out


def test_create_takes_label_and_options(run: Run, instance: Path) -> None:
    made = run(
        *("collections", "create", "open", "--label", "Open"),
        *("--options", '{"access": {"list": "public"}}', "--json"),
    ).json

    assert (made["label"], made["access"]["list"]) == ("Open", "public")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Bad Name"], "name: "),
        (["posts"], "exists already"),
        (["x", "--schema", '{"fields": [{"name": "a", "type": "nope"}]}'], "fields.0.type"),
        (["x", "--schema", "{"], "not valid JSON"),
        (["x", "--schema", "[]"], "JSON object"),
    ],
)
def test_what_makes_no_collection_is_1(
    run: Run, posts: Path, arguments: list[str], words: str
) -> None:
    error = run("collections", "create", *arguments, code=1).err

    assert words in error
    assert error.count("\n") == 1


def test_update_changes_what_is_given_and_keeps_the_rest(run: Run, posts: Path) -> None:
    fields = [*json.loads(SCHEMA)["fields"], {"name": "text", "type": "string", "default": "-"}]
    make(run, "one")

    changed = run(
        *("collections", "update", "posts", "--schema", "-", "--json"),
        stdin=json.dumps({"fields": fields}),
    ).json
    told = run("collections", "update", "posts", "--label", "Posts").err

    assert (changed["schema"]["fields"], changed["label"]) == (fields, "posts")
    assert told == "Changed the collection posts; it is version 3 now.\n"
    assert run("collections", "show", "posts", "--json").json["schema"] == changed["schema"]
    (record,) = run("records", "list", "posts", "--json").json
    assert record["data"]["text"] == "-"


def test_update_refuses_what_records_do_not_fit_unless_it_is_forced(run: Run, posts: Path) -> None:
    made = make(run, "one", 3)
    change = ("collections", "update", "posts", "--schema")
    strict = '{"fields": [{"name": "stars", "type": "integer", "max": 2}]}'
    unique = '{"fields": [{"name": "stars", "type": "integer", "unique": true}]}'

    report = run(*change, strict, "--dry-run", "--json", code=1).json
    assert (report["valid"], report["records_checked"]) == (False, 1)
    assert report["conflicts"][0]["record_id"] == made["id"]
    shown = run(*change, strict, "--dry-run", code=1).out.splitlines()[-1].split(maxsplit=2)
    assert shown == [made["id"], "stars", "Must be at most 2."]
    assert "or force it" in run(*change, strict, code=1).err
    assert run(*change, unique, "--dry-run").out == "Checked 1 record; all of them fit.\n"
    assert run("collections", "show", "posts", "--json").json["version"] == 1
    assert "Going through the records" in run(*change, strict, "--force").err
    assert run("collections", "show", "posts", "--json").json["version"] == 2


def test_update_wants_to_know_what_to_change(run: Run, posts: Path) -> None:
    assert "--label, --schema or --options" in run("collections", "update", "posts", code=2).err
    assert "nope" in run("collections", "update", "nope", "--label", "x", code=1).err


def test_an_empty_collection_is_deleted_without_a_question(run: Run, posts: Path) -> None:
    run("collections", "delete", "posts")

    assert run("collections", "list", "--json").json == []


def test_a_collection_with_records_is_deleted_after_a_question(run: Run, posts: Path) -> None:
    make(run, "one")

    assert "with its 1 records" in run("collections", "delete", "posts", code=1).err
    run("collections", "delete", "posts", stdin="y\n")
    run("collections", "show", "posts", code=1)


def test_a_record_lives_and_dies(run: Run, posts: Path) -> None:
    made = make(run, "one", 3)
    assert made["data"] == {"title": "one", "stars": 3}
    assert made["owner_id"] is None

    assert run("records", "get", "posts", str(made["id"]), "--json").json == made
    changed = run("records", "update", "posts", str(made["id"]), '{"stars": 4}', "--json").json
    assert (changed["data"], changed["version"]) == ({"title": "one", "stars": 4}, 2)
    assert "one" in run("records", "get", "posts", str(made["id"])).out

    run("records", "delete", "posts", str(made["id"]))
    assert "not found" in run("records", "get", "posts", str(made["id"]), code=1).err


def test_a_document_may_come_from_stdin(run: Run, posts: Path) -> None:
    made = run("records", "create", "posts", "-", "--json", stdin='{"title": "piped"}').json

    assert made["data"]["title"] == "piped"


def test_a_record_may_be_made_for_somebody(run: Run, posts: Path) -> None:
    made = run("records", "create", "posts", '{"title": "x"}', "--owner", ADMIN, "--json").json

    assert made["owner_id"] == run("users", "show", ADMIN, "--json").json["id"]


def test_a_write_may_ask_for_the_version_it_has_seen(run: Run, posts: Path) -> None:
    record = str(make(run, "one")["id"])

    run("records", "update", "posts", record, '{"stars": 1}', "--if-version", "2", code=1)
    run("records", "update", "posts", record, '{"stars": 1}', "--if-version", "1")
    run("records", "delete", "posts", record, "--if-version", "1", code=1)
    run("records", "delete", "posts", record, "--if-version", "2")


def test_list_filters_sorts_and_pages(run: Run, posts: Path) -> None:
    for title, stars in [("a", 1), ("b", 2), ("c", 3)]:
        make(run, title, stars)

    def titles(*arguments: str) -> list[str]:
        found = run("records", "list", "posts", "--json", *arguments).json
        return [record["data"]["title"] for record in found]

    assert titles() == ["c", "b", "a"]
    assert titles("--sort", "title") == ["a", "b", "c"]
    assert titles("--filter", "title=b") == ["b"]
    assert titles("--filter", "stars[gte]=2", "--filter", "title[ne]=c") == ["b"]
    assert titles("--limit", "1", "--offset", "1") == ["b"]
    result = run("records", "list", "posts", "--limit", "2")
    assert "1 more" in result.err
    assert '"title": "c"' in result.out


@pytest.mark.parametrize("arguments", [["--filter", "nonsense"], ["--limit", "0"]])
def test_wrong_usage_of_list_is_2(run: Run, posts: Path, arguments: list[str]) -> None:
    run("records", "list", "posts", *arguments, code=2)


@pytest.mark.parametrize("arguments", [["--filter", "nope=1"], ["--sort", "nope"]])
def test_an_unknown_field_is_1(run: Run, posts: Path, arguments: list[str]) -> None:
    assert "Unknown field" in run("records", "list", "posts", *arguments, code=1).err


@pytest.mark.parametrize(
    "document", ["{}", '{"title": 1}', '{"title": "x", "more": 1}', '{"a": NaN}']
)
def test_data_that_does_not_fit_is_1(run: Run, posts: Path, document: str) -> None:
    error = run("records", "create", "posts", document, code=1).err

    assert error.count("\n") == 1


def test_an_id_that_is_none_is_2(run: Run, posts: Path) -> None:
    run("records", "get", "posts", "nope", code=2)
    run("records", "get", "posts", str(uuid4()), code=1)


def test_writes_fire_the_hooks_of_the_project(run: Run, posts: Path) -> None:
    (posts / "functions" / "watch.py").write_text(
        "from pathlib import Path\n"
        "from tinybase.extensions import on_record_create, on_startup\n"
        "@on_record_create(collection='posts')\n"
        "def seen(event):\n"
        f"    Path({str(posts)!r}, 'seen').write_text(event.data['title'] + event.origin)\n"
        "@on_startup\n"
        "def started():\n"
        f"    Path({str(posts)!r}, 'started').touch()\n"
    )

    make(run, "hello")

    assert (posts / "seen").read_text() == "hellocli"
    assert not (posts / "started").exists()


def test_a_command_waits_for_handlers_that_take_longer_than_a_request_would(
    run: Run, posts: Path
) -> None:
    (posts / "functions" / "watch.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from tinybase.extensions import on_record_create\n"
        "@on_record_create\n"
        "def seen(event):\n"
        "    time.sleep(0.6)\n"
        f"    Path({str(posts)!r}, 'seen').touch()\n"
    )

    make(run, "hello")

    assert (posts / "seen").exists()
