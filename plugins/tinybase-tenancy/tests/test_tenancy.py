"""Two organisations at one TinyBase, over HTTP, at every door."""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from tinybase_tenancy.settings import Settings

from tinybase.testing import Running, running

ROOT = Path(__file__).parent.parent
NOTES = "/api/collections/notes/records"
ORGANISATIONS = "/api/collections/organisations/records"
MEMBERSHIPS = "/api/collections/memberships/records"
PASSWORD = "correct-horse-battery"


@dataclass
class World:
    """Ann and Bob sell tea, Eve sells coffee, and Joe belongs to nobody yet."""

    tinybase: Running
    tea: str
    coffee: str
    ann: dict[str, str]
    bob: dict[str, str]
    eve: dict[str, str]
    joe: dict[str, str]


@pytest.fixture(scope="module")
def tinybase(tmp_path_factory):
    settings = {"collections": ["notes"], "sign_up": "own"}
    folder = tmp_path_factory.mktemp("instance")
    with running(folder, extension=ROOT, settings=settings) as tinybase:
        everyone = dict.fromkeys(("list", "read", "create", "update", "delete"), "auth")
        tinybase.collection("notes", {"fields": [{"name": "text", "indexed": True}]}, **everyone)
        tinybase.collection("free", {"fields": [{"name": "text"}]}, **everyone)
        yield tinybase


def test_a_collection_that_cannot_be_divided_yet_shows_nothing_and_is_reported(
    tmp_path, monkeypatch
):
    with running(tmp_path, extension=ROOT) as tinybase:
        tinybase.collection("notes", {"fields": [{"name": "text"}]}, list="public")
        tinybase.post(NOTES, {"text": "a"})
        assert tinybase.get(NOTES, {}).json["total"] == 1
        monkeypatch.setattr(Settings, "collections", ["notes"])

        assert answer(tinybase.get(NOTES, {})) == (500, "extension_error")
        assert tinybase.get("/health/ready").json["checks"]["extensions"] == "degraded"


@pytest.fixture(scope="module")
def world(tinybase):
    tea, coffee = (
        tinybase.post(ORGANISATIONS, {"name": name}).json["id"] for name in ("Tea", "Coffee")
    )
    people = {name: tinybase.user(f"{name}@example.com") for name in ("ann", "bob", "eve", "joe")}
    for name, organisation in (("ann", tea), ("bob", tea), ("eve", coffee)):
        user = tinybase.get("/api/auth/me", people[name]).json["id"]
        membership = {"user": user, "organisation": organisation}
        assert tinybase.post(MEMBERSHIPS, membership).status_code == 201
    return World(tinybase, tea, coffee, **people)


@pytest.fixture
def note(world):
    """A note of Ann's, and so of the organisation that sells tea."""
    made = world.tinybase.post(NOTES, {"text": f"green {uuid4()}"}, world.ann).json
    yield made
    world.tinybase.delete(f"{NOTES}/{made['id']}")


def answer(sent):
    return sent.status_code, sent.json["code"]


def test_a_divided_collection_gets_the_field_that_says_whose_a_record_is(tinybase):
    names = [
        field["name"] for field in tinybase.get("/api/collections/notes").json["schema"]["fields"]
    ]
    assert names == ["text", "organisation"]
    free = tinybase.get("/api/collections/free").json["schema"]["fields"]
    assert [field["name"] for field in free] == ["text"]


def test_the_field_comes_back_when_an_update_forgets_it(tinybase):
    changed = tinybase.patch(
        "/api/collections/notes", {"schema": {"fields": [{"name": "text", "indexed": True}]}}
    )
    assert [field["name"] for field in changed.json["schema"]["fields"]] == ["text", "organisation"]


def test_a_new_record_belongs_to_the_organisation_of_who_creates_it(world, note):
    assert note["data"]["organisation"] == world.tea


def test_colleagues_see_and_change_it(world, note):
    path = f"{NOTES}/{note['id']}"
    assert world.tinybase.get(path, world.bob).status_code == 200
    changed = world.tinybase.patch(path, {"text": "black"}, world.bob)
    assert changed.json["data"] == {"text": "black", "organisation": world.tea}


@pytest.mark.parametrize("stranger", ["eve", "joe"])
def test_it_is_in_no_list_and_no_total_of_others(world, note, stranger):
    headers = getattr(world, stranger)
    for query in ("", "?limit=1", f"?filter[organisation]={world.tea}", "?sort=-text"):
        seen = world.tinybase.get(f"{NOTES}{query}", headers).json
        assert (seen["records"], seen["total"], seen["next_cursor"]) == ([], 0, None)


def test_filters_tell_others_nothing(world, note):
    def ask(text):
        return world.tinybase.get(f"{NOTES}?filter[text][startswith]={text}", world.eve).json

    assert ask("green") == ask("nothing of this kind")


@pytest.mark.parametrize("stranger", ["eve", "joe"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_its_id_is_one_that_is_not_there(world, note, stranger, method):
    def ask(record):
        body = {"text": "mine"} if method == "PATCH" else None
        path = f"{NOTES}/{record}"
        sent = world.tinybase.client.open(
            path, method=method, json=body, headers=getattr(world, stranger)
        )
        return sent.status_code, {**sent.json, "request_id": None, "detail": None}

    assert ask(note["id"]) == ask(uuid4())
    assert ask(note["id"])[0] == 404
    kept = world.tinybase.get(f"{NOTES}/{note['id']}").json
    assert kept["data"] == note["data"]


def test_who_replaces_it_under_its_id_reaches_nothing(world, note):
    path = f"{NOTES}/{note['id']}"
    sent = world.tinybase.client.put(path, json={"text": "mine"}, headers=world.eve)

    assert answer(sent) == (409, "id_conflict")
    assert world.tinybase.get(f"{NOTES}/{note['id']}").json["data"] == note["data"]


def test_a_batch_is_refused_as_a_whole_when_it_reaches_over_the_wall(world, note):
    operations = [
        {"op": "create", "data": {"text": "mine"}},
        {"op": "update", "id": note["id"], "data": {"text": "mine"}},
    ]
    sent = world.tinybase.post(f"{NOTES}/batch", {"operations": operations}, world.eve)

    assert sent.status_code == 404
    assert world.tinybase.get(NOTES, world.eve).json["total"] == 0
    assert world.tinybase.get(f"{NOTES}/{note['id']}").json["data"] == note["data"]


def test_a_batch_gives_each_record_to_the_own_organisation(world):
    operations = [{"op": "create", "data": {"text": text}} for text in "ab"]
    sent = world.tinybase.post(f"{NOTES}/batch", {"operations": operations}, world.eve)
    assert sent.status_code == 200

    ours = world.tinybase.get(NOTES, world.eve).json["records"]
    assert [record["data"]["organisation"] for record in ours] == [world.coffee] * 2
    for record in ours:
        assert world.tinybase.delete(f"{NOTES}/{record['id']}", world.eve).status_code == 204


def test_nobody_writes_into_another_organisation_nor_moves_there(world, note):
    path = f"{NOTES}/{note['id']}"
    for stranger in (world.coffee, str(uuid4())):
        body = {"text": "gift", "organisation": stranger}
        put = world.tinybase.client.put(path, json=body, headers=world.ann)
        for sent in (
            world.tinybase.post(NOTES, body, world.ann),
            world.tinybase.patch(path, body, world.ann),
            put,
        ):
            assert answer(sent) == (403, "organisation_of_others")


def test_who_replaces_a_record_need_not_repeat_whose_it_is(world, note):
    sent = world.tinybase.client.put(
        f"{NOTES}/{note['id']}", json={"text": "white"}, headers=world.ann
    )
    assert sent.json["data"] == {"text": "white", "organisation": world.tea}


def test_who_belongs_to_no_organisation_creates_nothing(world):
    assert answer(world.tinybase.post(NOTES, {"text": "x"}, world.joe)) == (403, "no_organisation")


def test_who_is_dismissed_sees_nothing_from_the_next_request_on(world, note):
    kim = world.tinybase.user("kim@example.com")
    user = world.tinybase.get("/api/auth/me", kim).json["id"]
    membership = {"user": user, "organisation": world.tea}
    made = world.tinybase.post(MEMBERSHIPS, membership).json["id"]
    assert world.tinybase.get(f"{NOTES}/{note['id']}", kim).status_code == 200

    world.tinybase.delete(f"{MEMBERSHIPS}/{made}")

    assert world.tinybase.get(f"{NOTES}/{note['id']}", kim).status_code == 404


def test_admins_see_all_say_whose_a_record_is_and_move_it(world, note):
    assert answer(world.tinybase.post(NOTES, {"text": "x"})) == (422, "organisation_missing")
    nowhere = {"text": "x", "organisation": str(uuid4())}
    assert answer(world.tinybase.post(NOTES, nowhere)) == (422, "organisation_unknown")

    moved = world.tinybase.patch(f"{NOTES}/{note['id']}", {"organisation": world.coffee})

    assert moved.json["data"]["organisation"] == world.coffee
    assert world.tinybase.get(f"{NOTES}/{note['id']}", world.eve).status_code == 200
    assert world.tinybase.get(f"{NOTES}/{note['id']}", world.ann).status_code == 404


def test_collections_that_are_not_divided_are_everybodys(world):
    made = world.tinybase.post("/api/collections/free/records", {"text": "x"}, world.joe).json
    path = f"/api/collections/free/records/{made['id']}"
    assert world.tinybase.get(path, world.eve).json["data"] == {"text": "x"}


def test_people_see_their_own_organisation_only_and_change_none(world):
    seen = world.tinybase.get(ORGANISATIONS, world.ann).json
    assert [record["id"] for record in seen["records"]] == [world.tea]
    assert world.tinybase.get(f"{ORGANISATIONS}/{world.coffee}", world.ann).status_code == 404
    path = f"{ORGANISATIONS}/{world.tea}"
    assert world.tinybase.patch(path, {"name": "x"}, world.ann).status_code == 403
    body = {"user": str(uuid4()), "organisation": world.coffee}
    assert world.tinybase.post(MEMBERSHIPS, body, world.ann).status_code == 404


def test_a_contract_does_not_end_before_it_begins(world):
    contract = {"contract_begins": "2026-05-01", "contract_ends": "2026-04-30"}
    path = f"{ORGANISATIONS}/{world.tea}"
    refused = (422, "contract_ends_too_early")

    assert answer(world.tinybase.post(ORGANISATIONS, {"name": "x", **contract})) == refused
    begun = world.tinybase.patch(path, {"contract_begins": "2026-05-01"})
    assert begun.status_code == 200
    assert answer(world.tinybase.patch(path, {"contract_ends": "2026-04-30"})) == refused
    assert world.tinybase.patch(path, {"contract_ends": "2026-05-01"}).status_code == 200


def test_a_membership_is_of_a_user_and_an_organisation_that_exist(world):
    nobody = {"user": str(uuid4()), "organisation": world.tea}
    assert answer(world.tinybase.post(MEMBERSHIPS, nobody)) == (422, "user_unknown")
    joe = world.tinybase.get("/api/auth/me", world.joe).json["id"]
    nowhere = {"user": joe, "organisation": str(uuid4())}
    assert answer(world.tinybase.post(MEMBERSHIPS, nowhere)) == (422, "organisation_unknown")


def test_an_organisation_in_use_is_kept(world, note):
    path = f"{ORGANISATIONS}/{world.tea}"
    assert answer(world.tinybase.delete(path)) == (409, "organisation_in_use")
    empty = world.tinybase.post(ORGANISATIONS, {"name": "Milk"}).json["id"]
    assert world.tinybase.delete(f"{ORGANISATIONS}/{empty}").status_code == 204


def test_who_signs_up_has_an_organisation_of_their_own_until_they_are_deleted(world):
    body = {"email": "new@example.com", "password": PASSWORD}
    assert world.tinybase.post("/api/auth/register", body, {}).status_code == 201
    token = world.tinybase.post("/api/auth/login", body, {}).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    me = world.tinybase.get("/api/auth/me", headers).json["id"]

    (own,) = world.tinybase.get(ORGANISATIONS, headers).json["records"]
    made = world.tinybase.post(NOTES, {"text": "x"}, headers).json

    assert own["data"]["name"] == "new@example.com"
    assert made["data"]["organisation"] == own["id"]
    assert world.tinybase.delete(f"/api/admin/users/{me}").status_code == 204
    assert world.tinybase.get(f"{MEMBERSHIPS}?filter[user]={me}").json["total"] == 0
    world.tinybase.delete(f"{NOTES}/{made['id']}")
