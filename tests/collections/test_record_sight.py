"""What extensions decide about records: who may touch them, which there are, what they show."""

from __future__ import annotations

import itertools
import json
import logging
import random
import sys
from types import ModuleType
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from tinybase.actors import SYSTEM, Actor, ActorKind
from tinybase.testing import running

HANDLERS = """
import sys
from dataclasses import dataclass

from tinybase.extensions import can_access, filter_records, redact_record
from tinybase.functions import register

def policy():
    return sys.modules["policy_of_records"]

@can_access(collection="ruled_*")
def decide(event, ctx):
    if "log" in policy().says:
        ctx.records.create(policy().says["log"], {"tenant": f"access {event.operation}"})
    return policy().ask("access", event)

@filter_records(collection="ruled_*")
def narrow(event):
    return policy().ask("filter", event)

@filter_records(collection="ruled_*")
def narrow_more(event):
    return policy().says.get("filter more", lambda event: None)(event)

@redact_record(collection="ruled_*", fields=("secret",))
def redact(event, ctx):
    if "log" in policy().says:
        stored = ctx.records.get(event.collection, event.record_id)
        ctx.records.create(policy().says["log"], {"tenant": f"redact {stored.version}"})
    return policy().ask("redact", event)

@dataclass
class What:
    collection: str

@register(name="look", auth="public")
def look(ctx, payload: What):
    page = ctx.records.list(payload.collection, sort="n")
    return {"found": [record.data for record in page.records], "total": page.total}
"""

FIELDS = {
    "fields": [
        {"name": "n", "type": "integer"},
        {"name": "tenant", "type": "string"},
        {"name": "secret", "type": "string"},
    ]
}
CALLERS = ("anonymous", "user", "other", "admin", "reader", "token")
PUBLIC = dict.fromkeys(("list", "read", "create", "update", "delete"), "public")


class Policy(ModuleType):
    """What the handlers say now, and the events that they were asked with."""

    def __init__(self):
        super().__init__("policy_of_records")
        self.be_silent()

    def be_silent(self):
        self.says, self.asked = {}, []

    def ask(self, what, event):
        self.asked.append((what, event))
        return self.says.get(what, lambda event: None)(event)

    def events(self, what):
        return [event for asked, event in self.asked if asked == what]


class Stage:
    """An instance with those handlers, and everybody who may ask."""

    def __init__(self, site, policy):
        self.site, self.policy = site, policy
        self.records = site.services.records
        self.numbers = itertools.count()
        self.headers = {
            "anonymous": {},
            "user": site.user("user@example.com"),
            "other": site.user("other@example.com"),
            "admin": site.headers,
            "reader": self._token("read"),
            "token": self._token("admin"),
        }
        self.ids = {
            name: self.send(name, "GET", "/api/auth/me").json["id"] for name in ("user", "other")
        }

    def _token(self, scope):
        body = {"name": scope, "scopes": [scope]}
        made = self.site.post("/api/admin/application-tokens", body).json
        return {"Authorization": f"Bearer {made['token_value']}"}

    def send(self, caller, method, path, body=None, **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.site.client.open(
            path, method=method, json=body, headers={**self.headers[caller], **sent}
        )

    def make(self, prefix="ruled", schema=FIELDS, **access):
        name = f"{prefix}_{next(self.numbers)}"
        self.site.collection(name, schema, **(access or PUBLIC))
        return name

    def fill(self, name, *documents, owner=None):
        owner_id = UUID(self.ids[owner]) if owner else None
        return [str(self.records.create(SYSTEM, name, d, owner_id=owner_id).id) for d in documents]

    def stored(self, name):
        page = self.records.list(SYSTEM, name, sort="n,id", limit=1000)
        return [(str(record.id), record.data, record.version) for record in page.records]


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory, databases):
    folder = tmp_path_factory.mktemp("sight")
    environ, policy, module = databases.new(folder), Policy(), f"sight_on_{databases.name}"
    (folder / f"{module}.py").write_text(HANDLERS)
    sys.modules[policy.__name__] = policy
    with running(folder, modules=[module], environ=environ) as site:
        yield Stage(site, policy)
    del sys.modules[policy.__name__]
    databases.drop(environ)


@pytest.fixture
def stage(shared_stage):
    shared_stage.policy.be_silent()
    return shared_stage


@pytest.fixture
def policy(stage):
    return stage.policy


def only_red(event):
    return {"tenant": "red"}


def without_secret(event):
    event.data["secret"] = None


def refuse(event):
    return False


def admit(event):
    return True


def path_of(name, record_id=""):
    return f"/api/collections/{name}/records" + (f"/{record_id}" if record_id else "")


def batch(op, record_id, **more):
    return {"operations": [{"op": op, "id": record_id, **more}]}


def sameness(answer, *ids):
    """Return all that a caller can tell an answer by."""
    text = answer.get_data(as_text=True)
    for each in ids:
        text = text.replace(each, "ID")
    headers = {k: v for k, v in answer.headers.items() if k not in ("X-Request-Id", "Date")}
    body = json.loads(text) if text else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, headers, body


# --- which records there are ---------------------------------------------------------------

ON_ONE = {
    "get": lambda path, one: ("GET", f"{path}/{one}", None),
    "get some": lambda path, one: ("GET", f"{path}/{one}?fields=n", None),
    "patch": lambda path, one: ("PATCH", f"{path}/{one}", {"n": 9}),
    "patch invalid": lambda path, one: ("PATCH", f"{path}/{one}", {"n": "x"}),
    "delete": lambda path, one: ("DELETE", f"{path}/{one}", None),
    "batch update": lambda path, one: (
        "POST",
        f"{path}/batch",
        batch("update", one, data={"n": 9}),
    ),
    "batch replace": lambda path, one: (
        "POST",
        f"{path}/batch",
        batch("replace", one, data={"n": 9}, version=4),
    ),
    "batch delete": lambda path, one: ("POST", f"{path}/batch", batch("delete", one)),
}
PRECONDITIONS = ({}, {"If_Match": '"1"'}, {"If_Match": '"7"'})


@pytest.mark.parametrize("operation", ON_ONE)
def test_a_hidden_record_is_as_one_that_is_missing(stage, operation):
    name, request = stage.make(), ON_ONE[operation]
    hidden, shown = stage.fill(name, {"n": 1, "tenant": "blue"}, {"n": 2, "tenant": "red"})
    before, missing = stage.stored(name), str(uuid7())
    stage.policy.says["filter"] = only_red

    for caller, headers in itertools.product(CALLERS, PRECONDITIONS):
        of_hidden = stage.send(caller, *request(path_of(name), hidden), **headers)
        of_missing = stage.send(caller, *request(path_of(name), missing), **headers)
        assert sameness(of_hidden, hidden) == sameness(of_missing, missing)
        assert of_hidden.status_code in (403, 404)
    assert stage.stored(name) == before
    # What is not hidden can be had, or the above would say nothing.
    of_shown = stage.send("user", *request(path_of(name), shown))
    assert of_shown.status_code == {"patch invalid": 400, "batch replace": 412}.get(
        operation, 204 if operation == "delete" else 200
    )


TAKING = {
    "put": lambda path, one: ("PUT", f"{path}/{one}", {"n": 9}),
    "batch upsert": lambda path, one: (
        "POST",
        f"{path}/batch",
        batch("upsert", one, data={"n": 9}),
    ),
    "batch create": lambda path, one: (
        "POST",
        f"{path}/batch",
        batch("create", one, data={"n": 9}),
    ),
}


@pytest.mark.parametrize("operation", TAKING)
def test_the_id_of_a_hidden_record_is_taken_like_one_of_another_collection(stage, operation):
    name, elsewhere = stage.make(), stage.make()
    (hidden,) = stage.fill(name, {"n": 1, "tenant": "blue"})
    (foreign,) = stage.fill(elsewhere, {"n": 1})
    before = stage.stored(name)
    stage.policy.says["filter"] = only_red

    for caller, headers in itertools.product(CALLERS, (*PRECONDITIONS, {"If_None_Match": "*"})):
        answers = [
            stage.send(caller, *TAKING[operation](path_of(name), each), **headers)
            for each in (hidden, foreign)
        ]
        assert sameness(answers[0], hidden) == sameness(answers[1], foreign)
        assert answers[0].status_code in (403, 409, 412)
    assert stage.stored(name) == before


@pytest.mark.parametrize("caller", ["anonymous", "user", "admin", "reader"])
def test_no_answer_depends_on_what_is_hidden(stage, caller):
    chance = random.Random(caller)
    name = stage.make()
    stage.fill(name, *[{"n": n % 4, "tenant": "red"} for n in range(9)])
    stage.policy.says["filter"] = only_red
    lists = [
        "?" + "&".join([*chance.sample(_PARTS, chance.randrange(4)), f"limit={limit}"])
        for limit in (1, 2, 5, 50)
        for _ in range(2)
    ]

    def answers():
        found = []
        for query in lists:
            answer = stage.send(caller, "GET", path_of(name) + query)
            for _ in range(3):
                found.append(sameness(answer))
                cursor = (answer.json or {}).get("next_cursor")
                if not cursor:
                    break
                follow = "&".join(p for p in query[1:].split("&") if not p.startswith("offset"))
                answer = stage.send(caller, "GET", f"{path_of(name)}?{follow}&cursor={cursor}")
        return found

    alone = answers()
    hidden = stage.fill(name, *[{"n": n, "tenant": "blue"} for n in range(7)], {"n": 2})
    assert answers() == alone
    for one in hidden[:4]:
        stage.records.update(SYSTEM, name, UUID(one), {"n": 3, "tenant": "green"})
    stage.records.delete(SYSTEM, name, UUID(hidden[-1]))
    assert answers() == alone
    assert any(body["total"] == 9 for _, _, body in alone if body.get("total"))


_PARTS = [
    "filter[n]=2",
    "filter[tenant]=blue",
    "filter[tenant][ne]=red",
    "filter[n][in]=1,2,3",
    "filter[tenant][null]=true",
    "sort=n",
    "sort=-n,id",
    "offset=2",
    "fields=n",
    "count=false",
]


def test_the_conditions_of_all_must_be_met(stage):
    name = stage.make()
    stage.fill(
        name, {"n": 1, "tenant": "red"}, {"n": 2, "tenant": "blue"}, {"n": 3, "tenant": "red"}
    )
    stage.policy.says = {"filter": only_red, "filter more": lambda event: {"n": {"gte": 2}}}
    found = stage.send("user", "GET", path_of(name)).json
    assert [each["data"]["n"] for each in found["records"]] == [3]
    assert found["total"] == 1


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, 3),
        (None, 3),
        ({"tenant": {"in": []}}, 0),
        ({"tenant": {"nin": []}}, 3),
        ({"tenant": {"in": ["red", "green"]}}, 1),
        ({"tenant": {"null": True}}, 1),
        ({"data.tenant": {"startswith": "bl"}}, 1),
        ({"n": {"gt": 1, "lt": 3}}, 1),
        ({"id": "HERE"}, 1),
        ({"owner_id": "HERE"}, 1),
    ],
)
def test_a_condition_is_what_code_may_list_by(stage, condition, expected):
    name = stage.make()
    stage.fill(name, {"n": 1, "tenant": "red"}, {"n": 2, "tenant": "blue"})
    (own,) = stage.fill(name, {"n": 3}, owner="user")
    here = {"id": UUID(own), "owner_id": UUID(stage.ids["user"])}
    if condition and "HERE" in condition.values():
        condition = {field: here[field] for field in condition}
    stage.policy.says["filter"] = lambda event: condition

    found = stage.send("other", "GET", path_of(name)).json
    seen = [stage.send("other", "GET", path_of(name, each["id"])) for each in found["records"]]

    assert (found["total"], len(found["records"])) == (expected, expected)
    assert all(answer.status_code == 200 for answer in seen)


def test_a_cursor_goes_on_under_the_conditions_of_the_moment(stage):
    name = stage.make()
    stage.fill(name, *[{"n": n, "tenant": "red" if n % 2 else "blue"} for n in range(8)])
    path = path_of(name) + "?sort=n&limit=2"
    stage.policy.says["filter"] = lambda event: {"tenant": "blue"}
    first = stage.send("user", "GET", path).json
    stage.policy.says["filter"] = only_red

    rest = stage.send("user", "GET", f"{path}&cursor={first['next_cursor']}").json

    assert [each["data"]["n"] for each in first["records"]] == [0, 2]
    assert [each["data"]["n"] for each in rest["records"]] == [3, 5]
    assert rest["total"] == 4


def test_a_cursor_that_names_a_hidden_record_is_none(stage):
    name = stage.make()
    long = "x" * 900
    stage.fill(name, *[{"n": n, "tenant": f"{long}{n}"} for n in range(3)])
    path = path_of(name) + "?sort=tenant&limit=1"
    cursor = stage.send("user", "GET", path).json["next_cursor"]
    assert stage.send("user", "GET", f"{path}&cursor={cursor}").status_code == 200
    stage.policy.says["filter"] = lambda event: {"n": {"gt": 0}}

    answer = stage.send("user", "GET", f"{path}&cursor={cursor}")

    assert answer.json["code"] == "invalid_cursor"


def test_a_record_may_be_there_to_be_read_and_not_to_be_changed(stage):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "tenant": "blue"})
    stage.policy.says["filter"] = lambda e: only_red(e) if e.operation == "update" else None

    assert stage.send("user", "GET", path_of(name, one)).status_code == 200
    assert stage.send("user", "PATCH", path_of(name, one), {"n": 2}).status_code == 404
    assert stage.send("user", "DELETE", path_of(name, one)).status_code == 204


BAD = [
    {"nothing": "x"},
    {"tenant": {"like": "x"}},
    {"n": "many"},
    {"tenant": None},
    {"tenant": {"in": ["x"] * 101}},
    {1: "x"},
    ["tenant"],
]


@pytest.mark.parametrize("condition", BAD, ids=str)
def test_a_condition_that_cannot_be_met_lets_nobody_see_anything(stage, condition, caplog):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1})
    before = stage.stored(name)
    for loaded in stage.site.services.host.handlers():
        loaded._logged_at = float("-inf")
    stage.policy.says["filter"] = lambda event: condition

    with caplog.at_level(logging.ERROR):
        answers = [
            stage.send("user", "GET", path_of(name)),
            stage.send("user", "GET", path_of(name) + "?filter[n]=nonsense"),
            stage.send("user", "GET", path_of(name, one)),
            stage.send("user", "PATCH", path_of(name, one), {"n": 2}),
            stage.send("user", "DELETE", path_of(name, one)),
            stage.send("user", "PUT", path_of(name, one), {"n": 2}),
        ]

    assert {(each.status_code, each.json["code"]) for each in answers} == {(500, "extension_error")}
    assert {each.json["extension"] for each in answers} == {"project"}
    assert stage.stored(name) == before
    assert ":narrow failed in tinybase_filter_records" in caplog.text


def test_the_fault_of_a_client_stays_theirs_under_a_condition(stage):
    name = stage.make()
    stage.policy.says["filter"] = only_red
    answer = stage.send("user", "GET", path_of(name) + "?filter[n]=nonsense")
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_filter")


# --- who may ------------------------------------------------------------------------------

OPERATIONS = {
    "list": lambda path, one: ("GET", path, None),
    "read": lambda path, one: ("GET", f"{path}/{one}", None),
    "create": lambda path, one: ("POST", path, {"n": 5}),
    "update": lambda path, one: ("PATCH", f"{path}/{one}", {"n": 5}),
    "replace": lambda path, one: ("PUT", f"{path}/{one}", {"n": 5}),
    "delete": lambda path, one: ("DELETE", f"{path}/{one}", None),
    "batch": lambda path, one: ("POST", f"{path}/batch", batch("update", one, data={"n": 5})),
}
GOOD = {"create": 201, "delete": 204}
SHUT = dict.fromkeys(PUBLIC, "admin")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_is_admitted_passes_every_rule(stage, operation):
    name = stage.make(**SHUT)
    stage.policy.says["access"] = admit
    for caller in CALLERS:
        (one,) = stage.fill(name, {"n": 1})
        answer = stage.send(caller, *OPERATIONS[operation](path_of(name), one))
        if caller == "reader" and operation not in ("list", "read"):
            # No extension makes a token good for more than its scopes say.
            assert (answer.status_code, answer.json["code"]) == (403, "scope_required")
        else:
            assert answer.status_code == GOOD.get(operation, 200)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_is_refused_passes_no_rule(stage, operation):
    name, request = stage.make(), OPERATIONS[operation]
    (one,) = stage.fill(name, {"n": 1})
    before, missing = stage.stored(name), str(uuid7())
    stage.policy.says["access"] = refuse
    for caller in CALLERS:
        answer = stage.send(caller, *request(path_of(name), one))
        of_missing = stage.send(caller, *request(path_of(name), missing))
        assert answer.status_code in (401, 403, 404)
        assert sameness(answer, one) == sameness(of_missing, missing)
        assert "rule" not in answer.json["detail"]
    assert stage.stored(name) == before


PRIVATE = dict.fromkeys(PUBLIC, "owner") | {"create": "auth"}


@pytest.mark.parametrize("access", [SHUT, PRIVATE], ids=["shut", "private"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_abstains_leaves_it_to_the_rules(stage, operation, access):
    unruled, ruled = stage.make("free", **access), stage.make(**access)
    for caller in ("anonymous", "user", "other", "admin"):
        outcomes = []
        for name in (unruled, ruled):
            for one in [*stage.fill(name, {"n": 1}, owner="user"), str(uuid7())]:
                answer = stage.send(caller, *OPERATIONS[operation](path_of(name), one))
                body = answer.json if answer.data else {}
                outcomes.append((answer.status_code, body.get("code")))
        assert outcomes[:2] == outcomes[2:], caller


def test_a_record_is_decided_about_by_what_is_stored(stage):
    name = stage.make(**SHUT)
    red, blue = stage.fill(name, {"tenant": "red"}, {"tenant": "blue"}, owner="other")
    later = {"fields": [*FIELDS["fields"], {"name": "later"}]}
    assert stage.site.patch(f"/api/collections/{name}", {"schema": later}).status_code == 200
    stage.policy.says["access"] = lambda event: event.data and event.data["tenant"] == "red"

    assert stage.send("user", "PATCH", path_of(name, red), {"tenant": "blue"}).status_code == 200
    assert stage.send("user", "PATCH", path_of(name, blue), {"tenant": "red"}).status_code == 404
    events = stage.policy.events("access")
    assert [(e.operation, str(e.record_id), e.data["tenant"]) for e in events] == [
        ("update", red, "red"),
        ("update", blue, "blue"),
    ]
    assert {str(event.owner_id) for event in events} == {stage.ids["other"]}
    assert events[0].data == {"n": None, "tenant": "red", "secret": None, "later": None}


def test_who_may_read_a_record_is_told_that_they_may_not_change_it(stage):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1})
    stage.policy.says["access"] = lambda event: event.operation == "read"
    for method in ("PATCH", "PUT", "DELETE"):
        body = None if method == "DELETE" else {"n": 2}
        assert stage.send("user", method, path_of(name, one), body).status_code == 403


def test_who_is_admitted_to_a_list_sees_the_records_of_all_but_the_hidden_ones(stage):
    name = stage.make(list="owner")
    stage.fill(name, {"n": 1, "tenant": "red"}, owner="user")
    stage.fill(name, {"n": 2, "tenant": "red"}, {"n": 3, "tenant": "blue"}, owner="other")

    def numbers():
        found = stage.send("user", "GET", path_of(name) + "?sort=n").json
        assert found["total"] == len(found["records"])
        return [each["data"]["n"] for each in found["records"]]

    assert numbers() == [1]
    stage.policy.says["access"] = admit
    assert numbers() == [1, 2, 3]
    stage.policy.says["filter"] = only_red
    assert numbers() == [1, 2]


def test_the_version_of_a_record_is_told_to_those_who_may_read_it(stage):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "tenant": "blue"})
    stale = {"If_Match": '"7"'}
    request = ("PATCH", path_of(name, one), {"n": 2})
    assert stage.send("user", *request, **stale).json["current_version"] == 1
    for what, says in (
        ("access", lambda event: event.operation != "read"),
        ("filter", lambda event: only_red(event) if event.operation == "read" else None),
    ):
        stage.policy.says = {what: says}
        answer = stage.send("user", *request, **stale)
        assert (answer.status_code, "current_version" in answer.json) == (412, False)


@pytest.mark.parametrize("answer", ["yes", 1, {}])
def test_a_decision_that_is_none_is_refused(stage, answer):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1})
    stage.policy.says["access"] = lambda event: answer
    for request in OPERATIONS.values():
        refused = stage.send("user", *request(path_of(name), one))
        assert (refused.status_code, refused.json["extension"]) == (500, "project")


# --- what they show -----------------------------------------------------------------------

DOORS = {
    "list": lambda path, one: ("GET", path, None),
    "list of a field": lambda path, one: ("GET", f"{path}?fields=secret", None),
    "get": lambda path, one: ("GET", f"{path}/{one}", None),
    "get a field": lambda path, one: ("GET", f"{path}/{one}?fields=secret,n", None),
    "create": lambda path, one: ("POST", path, {"secret": "hush"}),
    "patch": lambda path, one: ("PATCH", f"{path}/{one}", {"n": 5}),
    "patch nothing": lambda path, one: ("PATCH", f"{path}/{one}", {"secret": "hush"}),
    "put": lambda path, one: ("PUT", f"{path}/{one}", {"secret": "hush"}),
    "put a new one": lambda path, one: ("PUT", f"{path}/{uuid7()}", {"secret": "hush"}),
    "batch": lambda path, one: (
        "POST",
        f"{path}/batch",
        {
            "operations": [
                {"op": "create", "data": {"secret": "hush"}},
                {"op": "update", "id": one, "data": {"n": 6}},
                {"op": "upsert", "id": str(uuid7()), "data": {"secret": "hush"}},
            ]
        },
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_redacted_leaves_through_no_door(stage, door):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "secret": "hush"})
    for caller in ("anonymous", "user", "admin", "token"):
        stage.policy.says = {}
        open_answer = stage.send(caller, *DOORS[door](path_of(name), one))
        assert b"hush" in open_answer.data
        stage.policy.says["redact"] = without_secret

        answer = stage.send(caller, *DOORS[door](path_of(name), one))

        assert answer.status_code == open_answer.status_code
        assert b"hush" not in answer.data
        assert b'"secret":null' in answer.data
    assert any(data["secret"] == "hush" for _, data, _ in stage.stored(name))


def test_what_is_redacted_does_not_depend_on_which_fields_are_asked_for(stage):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "secret": "hush"})
    stage.policy.says["redact"] = lambda e: without_secret(e) if e.data.get("n") == 1 else None
    for path in (path_of(name), path_of(name, one)):
        answer = stage.send("user", "GET", path + "?fields=secret")
        assert b'"data":{"secret":null}' in answer.data


def test_a_mapping_takes_the_place_of_the_data(stage):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "secret": "hush"})
    stage.policy.says["redact"] = lambda event: {**event.data, "secret": "***"}
    assert stage.send("user", "GET", path_of(name, one)).json["data"]["secret"] == "***"


def test_the_tag_of_a_redacted_record_does_not_stand_for_what_others_see(stage):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "secret": "hush"})
    stage.policy.says["redact"] = lambda e: None if e.actor == "admin" else without_secret(e)
    seen = stage.send("admin", "GET", path_of(name, one))
    known = {"If_None_Match": seen.headers["ETag"]}

    answers = {each: stage.send(each, "GET", path_of(name, one), **known) for each in CALLERS}

    assert {answer.status_code for answer in answers.values()} == {200}
    assert [who for who, answer in answers.items() if b"hush" in answer.data] == ["admin"]
    assert all("Authorization" in answer.headers["Vary"] for answer in answers.values())
    patched = stage.send("user", "PATCH", path_of(name, one), {"n": 2}, If_Match='"1"')
    assert patched.status_code == 200


QUERIES = ["filter[{}]={}", "filter[{}][ne]={}", "filter[{}][startswith]={}", "filter[{}][null]=1"]


@pytest.mark.parametrize("field", ["secret", "data.secret"])
def test_what_may_be_redacted_cannot_be_found_out_by_lists(stage, field):
    name = stage.make()
    stage.fill(name, {"n": 1, "secret": "hush"}, {"n": 2, "secret": "hurry"})
    stage.policy.says["redact"] = without_secret
    queries = [query.format(field, value) for query in QUERIES for value in ("hush", "h", "zzz")]
    for caller in ("anonymous", "user", "reader", "token"):
        answers = [stage.send(caller, "GET", f"{path_of(name)}?{each}") for each in queries]
        bodies = {sameness(answer)[0::2].__repr__() for answer in answers}
        assert len(bodies) == 1
        assert answers[0].json["code"] == "invalid_filter"
        for sort in (f"sort={field}", f"sort=n,-{field}", f"sort_by={field}"):
            answer = stage.send(caller, "GET", f"{path_of(name)}?{sort}")
            assert answer.json["code"] == "invalid_sort"
        assert stage.send(caller, "GET", path_of(name) + "?filter[n]=1&sort=-n").status_code == 200
    # Somebody who could switch the extension off has other ways.
    answer = stage.send("admin", "GET", f"{path_of(name)}?filter[{field}]=hush&sort={field}")
    assert answer.json["total"] == 1


def test_a_handler_that_changes_more_than_it_says_is_stopped(stage):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "secret": "hush"})
    for change in ({"n": None}, {"more": 1}):
        stage.policy.says["redact"] = lambda event, change=change: {**event.data, **change}
        answer = stage.send("user", "GET", path_of(name, one))
        assert (answer.status_code, answer.json["extension"]) == (500, "project")
    stage.policy.says["redact"] = lambda event: event.data.pop("n") and None
    assert stage.send("user", "GET", path_of(name, one)).status_code == 500


RAW = """
from tinybase_hookspecs import hookimpl

@hookimpl
def tinybase_can_access(event):
    return True

@hookimpl
def tinybase_filter_records(event):
    return {"tenant": "red"}

@hookimpl
def tinybase_redact_record(event):
    event.data["secret"] = "***"
"""


def test_raw_implementations_decide_as_well(tmp_path, databases):
    module, environ = f"raw_sight_on_{databases.name}", databases.new(tmp_path)
    (tmp_path / f"{module}.py").write_text(RAW)
    with running(tmp_path, modules=[module], environ=environ) as site:
        site.collection("notes", FIELDS, **SHUT)
        for tenant in ("red", "blue"):
            made = site.services.records.create(
                SYSTEM, "notes", {"tenant": tenant, "secret": "hush"}
            )
        found = site.get(path_of("notes"), headers={}).json
        hidden, missing = (
            sameness(site.get(path_of("notes", each), headers={}), str(each))
            for each in (made.id, uuid7())
        )
        by_field = site.get(path_of("notes") + "?filter[n]=1", headers={})
    databases.drop(environ)
    assert [each["data"]["secret"] for each in found["records"]] == ["***"]
    assert (found["total"], hidden) == (1, missing)
    # It does not say what it changes, so nothing is open to searching.
    assert by_field.json["code"] == "invalid_filter"


# --- when they fail, and whom they are not asked about --------------------------------------


def fail(event):
    raise RuntimeError("broken")


@pytest.mark.parametrize("what", ["access", "filter", "redact"])
def test_who_cannot_be_asked_lets_nothing_happen(stage, what):
    name = stage.make()
    (one,) = stage.fill(name, {"n": 1, "secret": "hush"})
    before = stage.stored(name)
    stage.policy.says[what] = fail
    for operation, request in OPERATIONS.items():
        if (what, operation) in (("filter", "create"), ("redact", "delete")):
            continue
        answer = stage.send("admin", *request(path_of(name), one))
        assert (answer.status_code, answer.json["code"]) == (500, "extension_error")
        assert answer.json["extension"] == "project"
        assert b"hush" not in answer.data
        assert stage.stored(name) == before


def test_who_decides_about_a_write_takes_part_in_it(stage):
    name, log = stage.make(), stage.make("free")
    (one,) = stage.fill(name, {"n": 1})
    stage.policy.says["log"] = log

    def logged():
        return sorted(data["tenant"] for _, data, _ in stage.stored(log))

    assert stage.send("user", "PATCH", path_of(name, one), {"n": 2}).status_code == 200
    assert logged() == ["access update", "redact 2"]
    # It is not there either when the write is not.
    refused = stage.send("user", "PATCH", path_of(name, one), {"n": "x"})
    stage.policy.says["redact"] = fail
    broken = stage.send("user", "POST", path_of(name), {"n": 3})
    assert (refused.status_code, broken.status_code) == (400, 500)
    assert logged() == ["access create", "access update", "redact 2"]
    stage.policy.says.pop("redact")
    assert stage.send("user", "DELETE", path_of(name, one)).status_code == 204
    assert logged() == ["access create", "access delete", "access update", "redact 2"]


def test_the_server_itself_is_not_asked(stage):
    name = stage.make(**SHUT)
    stage.fill(name, {"n": 1, "secret": "hush"}, {"n": 2, "secret": "hush"})
    stage.policy.asked.clear()
    stage.policy.says = {"access": refuse, "filter": only_red, "redact": without_secret}
    called = stage.site.call("look", {"collection": name}, stage.headers["anonymous"])
    assert called["result"]["total"] == 2
    assert all(each["secret"] == "hush" for each in called["result"]["found"])
    assert stage.policy.asked == []


def test_a_collection_that_nobody_decides_about_is_answered_as_it_is_stored(stage, monkeypatch):
    free, ruled = stage.make("free"), stage.make()
    for name in (free, ruled):
        stage.fill(name, {"n": 1})
    module = "tinybase.collections.listing"
    read = []
    original = sys.modules[module].read_answered
    monkeypatch.setattr(
        sys.modules[module], "read_answered", lambda *a: read.append(1) or original(*a)
    )
    stage.send("user", "GET", path_of(free))
    assert (read, stage.policy.asked) == ([], [])
    stage.send("user", "GET", path_of(ruled))
    assert read == [1]
    assert {what for what, _ in stage.policy.asked} == {"access", "filter", "redact"}


QUESTIONS = {
    "list": [("access", "list"), ("filter", "list"), ("redact", "")],
    "read": [("access", "read"), ("filter", "read"), ("redact", "")],
    "create": [("access", "create"), ("redact", "")],
    "update": [("access", "update"), ("filter", "update"), ("redact", "")],
    "replace": [("access", "update"), ("filter", "update"), ("redact", "")],
    "delete": [("access", "delete"), ("filter", "delete")],
}


@pytest.mark.parametrize("operation", QUESTIONS)
def test_an_event_says_who_asks_and_each_question_is_asked_once(stage, operation):
    kinds = {"token": "application"}
    for caller in ("anonymous", "user", "admin", "token"):
        name = stage.make()
        (one,) = stage.fill(name, {"n": 1})
        stage.policy.asked.clear()
        stage.send(caller, *OPERATIONS[operation](path_of(name), one), X_Request_Id="abc")
        told = [(what, getattr(event, "operation", "")) for what, event in stage.policy.asked]
        assert sorted(told) == QUESTIONS[operation]
        for event in (event for _, event in stage.policy.asked):
            assert event.actor == kinds.get(caller, caller)
            assert (event.actor_id is None) == (event.actor in ("anonymous", "application"))
            assert (event.origin, event.request_id, event.depth) == ("http", "abc", 0)


def test_an_event_is_about_whom_the_records_are_asked_for(stage):
    name, someone = stage.make(), Actor(ActorKind.USER, user_id=uuid7())
    (one,) = stage.fill(name, {"n": 1})
    stage.policy.asked.clear()
    stage.records.list(someone, name)
    stage.records.get(someone, name, UUID(one))
    told = {(event.actor, event.actor_id) for _, event in stage.policy.asked}
    assert (told, len(stage.policy.asked)) == ({("user", someone.user_id)}, 6)


def test_a_repeated_request_gets_what_its_caller_was_shown(stage):
    name = stage.make()
    key = {"Idempotency_Key": str(uuid7())}
    stage.policy.says["redact"] = without_secret
    first = stage.send("user", "POST", path_of(name), {"secret": "hush"}, **key)
    stage.policy.says = {}
    again = stage.send("user", "POST", path_of(name), {"secret": "hush"}, **key)
    others = stage.send("other", "POST", path_of(name), {"secret": "hush"}, **key)

    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.data, b"hush" in first.data) == (first.data, False)
    assert "Idempotency-Replayed" not in others.headers
    assert others.json["id"] != first.json["id"]


def test_a_write_whose_answer_cannot_be_redacted_is_repeated(stage):
    name = stage.make()
    key = {"Idempotency_Key": str(uuid7())}
    stage.policy.says["redact"] = fail
    assert stage.send("user", "POST", path_of(name), {"n": 1}, **key).status_code == 500
    stage.policy.says = {}
    assert stage.send("user", "POST", path_of(name), {"n": 1}, **key).status_code == 201
    assert len(stage.stored(name)) == 1
