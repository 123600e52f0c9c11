import threading
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from tinybase.actors import Actor, ActorKind
from tinybase.db import tables
from tinybase.db.models import User
from tinybase.errors import BadRequest, Forbidden, Invalid, NotFound, TinyBaseError, Unauthenticated

PASSWORD = "correct horse"
APPLICATION = Actor(ActorKind.APPLICATION, token_id=uuid4(), scopes=frozenset({"admin"}))


def create(room, email="ann@example.com", **options):
    return room.users.create(email, PASSWORD, **options)


def code_of(call, *arguments, **options):
    with pytest.raises(TinyBaseError) as refused:
        call(*arguments, **options)
    return refused.value.code


def login(room, email="ann@example.com", password=PASSWORD):
    return room.tokens.login(email, password, address="192.0.2.1")


def test_a_new_user_is_stored_and_announced(room):
    events = room.hooks.listen()

    account = create(room, "Ann@EXAMPLE.com")

    assert account == room.users.get(account.id)
    assert (account.email, account.is_admin, account.is_active) == ("Ann@example.com", False, True)
    assert [(event.user_id, event.email) for event in events] == [(account.id, account.email)]


def test_no_account_shows_its_hash(room):
    account = create(room)

    assert not hasattr(account, "password_hash")
    assert "argon2" not in repr(account)


def test_everything_wrong_with_a_new_user_is_told_at_once(room):
    with pytest.raises(Invalid) as refused:
        room.users.create("ann", "short")

    assert [(fault.loc, fault.type) for fault in refused.value.faults] == [
        (("body", "email"), "invalid_email"),
        (("body", "password"), "too_short"),
    ]


@pytest.mark.parametrize("other", ["ann@example.com", "ANN@Example.com"])
def test_an_address_is_taken_in_every_spelling(room, other):
    create(room)
    events = room.hooks.listen()

    assert code_of(create, room, other) == "email_taken"
    assert events == []


def test_of_thirty_registrations_of_one_address_one_wins(room):
    spellings = ["ann@example.com", "Ann@example.com", "ANN@EXAMPLE.COM"] * 10
    outcomes = []

    def register(email):
        try:
            outcomes.append(create(room, email).email)
        except TinyBaseError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=register, args=[email]) for email in spellings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("email_taken") == 29
    assert room.users.list()[1] == 1


def test_users_come_in_pages_the_oldest_first(room):
    for number in range(5):
        create(room, f"user{number}@example.com", is_admin=number == 0)
        room.clock.advance(seconds=1)

    page, total = room.users.list(limit=2, offset=1)

    assert ([user.email for user in page], total) == (
        ["user1@example.com", "user2@example.com"],
        5,
    )


def test_users_are_found_by_what_they_are(room):
    ann = create(room, is_admin=True)
    bob = create(room, "bob@example.com")
    eve = create(room, "eve@example.com")
    room.users.update(eve.id, is_active=False)

    def found(**filters):
        return [user.id for user in room.users.list(**filters)[0]]

    assert found(is_admin=True) == [ann.id]
    assert found(is_admin=False, is_active=True) == [bob.id]
    assert found(is_active=False) == [eve.id]
    assert found(email="BOB@example.com") == [bob.id]
    assert found(email="nobody") == []
    assert room.users.find("Bob@Example.com").id == bob.id


def test_who_does_not_exist_is_not_found(room):
    missing = uuid4()

    assert code_of(room.users.get, missing) == "not_found"
    assert code_of(room.users.update, missing, is_admin=True) == "not_found"
    assert code_of(room.users.delete, missing) == "not_found"
    for email in ("ann@example.com", "", "\udcff"):
        with pytest.raises(NotFound):
            room.users.find(email)


def test_the_first_user_ends_the_setup(room):
    assert not room.users.exist()
    create(room)
    assert room.users.exist()


def test_a_change_keeps_what_is_not_given(room):
    account = create(room)
    room.clock.advance(seconds=1)

    changed = room.users.update(account.id, email="Bob@EXAMPLE.com")

    assert changed.email == "Bob@example.com"
    assert (changed.is_admin, changed.is_active) == (False, True)
    assert changed.created_at == account.created_at
    assert changed.updated_at == room.clock()
    assert changed == room.users.get(account.id)


def test_a_change_that_changes_nothing_leaves_no_trace(room):
    account = create(room)
    room.clock.advance(seconds=1)

    assert room.users.update(account.id, email=account.email, is_admin=False) == account


def test_an_address_cannot_be_changed_to_one_that_is_taken(room):
    create(room)
    bob = create(room, "bob@example.com")

    assert code_of(room.users.update, bob.id, email="ANN@example.com") == "email_taken"
    assert room.users.get(bob.id).email == "bob@example.com"


@pytest.mark.parametrize(
    "change", [{"password": "another horse"}, {"is_active": False}], ids=["password", "inactive"]
)
def test_a_new_password_or_deactivation_ends_every_session(room, change):
    account = create(room)
    sessions = [login(room), login(room)]

    room.users.update(account.id, **change)

    for session in sessions:
        assert code_of(room.tokens.authenticate, session.access_token) == "invalid_token"
        assert code_of(room.tokens.refresh, session.refresh_token) == "invalid_token"


def test_other_changes_leave_sessions_alone(room):
    account = create(room)
    session = login(room)

    room.users.update(account.id, email="new@example.com", is_admin=True)

    actor = room.tokens.authenticate(session.access_token)
    assert (actor.kind, actor.email) == (ActorKind.ADMIN, "new@example.com")


def test_the_last_active_admin_stays_one(room):
    ann = create(room, is_admin=True)
    bob = create(room, "bob@example.com", is_admin=True)
    room.users.update(bob.id, is_active=False)

    assert code_of(room.users.update, ann.id, is_admin=False) == "last_admin"
    assert code_of(room.users.update, ann.id, is_active=False) == "last_admin"
    assert code_of(room.users.delete, ann.id) == "last_admin"
    room.users.update(bob.id, is_admin=False)
    room.users.delete(bob.id)
    assert room.users.get(ann.id).is_admin


@pytest.mark.parametrize("way", ["demote", "deactivate", "delete"])
def test_admins_who_remove_one_another_at_once_leave_one(room, way):
    ids = [create(room, f"admin{number}@example.com", is_admin=True).id for number in range(4)]
    ways = {
        "demote": lambda user_id: room.users.update(user_id, is_admin=False),
        "deactivate": lambda user_id: room.users.update(user_id, is_active=False),
        "delete": room.users.delete,
    }
    refused = []

    def remove(user_id):
        try:
            ways[way](user_id)
        except BadRequest as error:
            refused.append(error.code)

    threads = [threading.Thread(target=remove, args=[user_id]) for user_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refused == ["last_admin"]
    assert room.users.list(is_admin=True, is_active=True)[1] == 1


def test_nobody_deletes_themselves(room):
    ann = create(room, is_admin=True)
    create(room, "bob@example.com", is_admin=True)
    actor = Actor(ActorKind.ADMIN, user_id=ann.id)

    assert code_of(room.users.delete, ann.id, actor=actor) == "cannot_delete_self"


def test_the_tokens_of_a_deleted_user_are_gone(room):
    account = create(room)
    session = login(room)

    room.users.delete(account.id)

    assert code_of(room.tokens.authenticate, session.access_token) == "invalid_token"
    assert code_of(room.tokens.refresh, session.refresh_token) == "invalid_token"
    with room.database.connect() as connection:
        assert connection.execute(select(func.count()).select_from(tables.tokens)).scalar_one() == 0


def test_an_application_token_manages_no_admins(room):
    ann = create(room, is_admin=True)
    create(room, "bob@example.com", is_admin=True)
    eve = create(room, "eve@example.com")

    for attempt in (
        lambda: create(room, "new@example.com", is_admin=True, actor=APPLICATION),
        lambda: room.users.update(eve.id, is_admin=True, actor=APPLICATION),
        lambda: room.users.update(ann.id, password="another horse", actor=APPLICATION),
        lambda: room.users.update(ann.id, email="mine@example.com", actor=APPLICATION),
        lambda: room.users.update(ann.id, is_active=False, actor=APPLICATION),
        lambda: room.users.delete(ann.id, actor=APPLICATION),
    ):
        with pytest.raises(Forbidden) as refused:
            attempt()
        assert refused.value.code == "user_required"
    assert room.users.list(is_admin=True)[1] == 2


def test_an_application_token_manages_other_users(room):
    create(room, is_admin=True)
    eve = create(room, "eve@example.com", actor=APPLICATION)

    room.users.update(eve.id, email="eva@example.com", is_active=False, actor=APPLICATION)
    room.users.delete(eve.id, actor=APPLICATION)

    assert room.users.list()[1] == 1


def test_users_change_their_own_password_with_the_current_one(room):
    account = create(room)
    session = login(room)

    room.users.update_own(account.id, PASSWORD, password="another horse")

    assert code_of(room.tokens.authenticate, session.access_token) == "invalid_token"
    with pytest.raises(Unauthenticated):
        login(room)
    assert login(room, password="another horse").account.id == account.id


def test_the_own_address_and_password_need_the_current_password(room):
    account = create(room)

    for change in ({"email": "new@example.com"}, {"password": "another horse"}):
        with pytest.raises(Invalid) as missing:
            room.users.update_own(account.id, None, **change)
        assert missing.value.faults[0].loc == ("body", "current_password")
        assert code_of(room.users.update_own, account.id, "wrong", **change) == "wrong_password"
    assert room.users.update_own(account.id, None) == account


def test_the_current_password_cannot_be_guessed_from_a_session(room):
    account = create(room)
    for _ in range(10):
        code = code_of(room.users.update_own, account.id, "wrong", email="new@example.com")
        assert code == "wrong_password"

    code = code_of(room.users.update_own, account.id, PASSWORD, email="new@example.com")

    assert code == "rate_limited"
    room.clock.advance(minutes=15)
    changed = room.users.update_own(account.id, PASSWORD, email="new@example.com")
    assert changed.email == "new@example.com"


def test_right_passwords_do_not_count_as_guesses(room):
    account = create(room)

    for number in range(12):
        room.users.update_own(account.id, PASSWORD, email=f"ann{number}@example.com")


def test_registration_can_be_switched_off(room):
    room.users.require_registration()
    room.settings.update({"allow_public_registration": False})

    with pytest.raises(Forbidden) as refused:
        room.users.require_registration()

    assert refused.value.code == "registration_disabled"
    assert "disabled" in refused.value.detail


def test_only_the_hash_of_a_password_is_stored(room):
    account = create(room)
    with room.database.connect() as connection:
        stored = connection.execute(
            select(User.password_hash).where(User.id == account.id)
        ).scalar_one()

    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored
