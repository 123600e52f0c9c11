import hashlib
import threading
import time
from dataclasses import replace

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from tinybase.actors import ActorKind
from tinybase.auth.opaque import PREFIXES, TokenKind, digest, new_value
from tinybase.db import tables
from tinybase.db.models import User
from tinybase.errors import TinyBaseError, Unauthenticated, Unavailable

PASSWORD = "correct horse"


@pytest.fixture
def ann(room):
    return room.users.create("ann@example.com", PASSWORD)


def login(room, email="ann@example.com", password=PASSWORD, address="192.0.2.1"):
    return room.tokens.login(email, password, address=address)


def code_of(call, *arguments, **options):
    with pytest.raises(TinyBaseError) as refused:
        call(*arguments, **options)
    return refused.value.code


def rows(room):
    with room.database.connect() as connection:
        return connection.execute(select(tables.tokens)).all()


def test_a_login_yields_two_tokens_and_is_announced(room, ann):
    events = room.hooks.listen()

    result = login(room)

    assert result.account == ann
    assert result.expires_in == 86_400
    assert result.access_token.startswith("tba_")
    assert result.refresh_token.startswith("tbr_")
    assert [(e.user_id, e.email, e.is_admin) for e in events] == [(ann.id, ann.email, False)]


def test_an_access_token_speaks_for_its_user(room, ann):
    actor = room.tokens.authenticate(login(room).access_token)

    assert (actor.kind, actor.user_id, actor.email) == (ActorKind.USER, ann.id, ann.email)
    assert not actor.is_admin


def test_promotion_and_demotion_hold_from_the_next_request(room, ann):
    room.users.create("root@example.com", PASSWORD, is_admin=True)
    token = login(room).access_token

    room.users.update(ann.id, is_admin=True)
    assert room.tokens.authenticate(token).is_admin
    room.users.update(ann.id, is_admin=False)
    assert not room.tokens.authenticate(token).is_admin


def test_what_one_worker_revokes_is_dead_in_all(room, make_room, ann):
    other = make_room()
    token = login(room).access_token
    actor = other.tokens.authenticate(token)

    other.tokens.logout(actor)

    assert code_of(room.tokens.authenticate, token) == "invalid_token"


@pytest.mark.parametrize("email", ["ANN@example.com", "Ann@EXAMPLE.COM"])
def test_the_address_of_a_login_may_be_spelt_otherwise(room, ann, email):
    assert login(room, email).account.id == ann.id


@pytest.mark.parametrize("case", ["unknown", "wrong", "disabled", "no address"])
def test_everybody_who_cannot_sign_in_gets_one_answer(room, ann, case):
    email, password = {
        "unknown": ("bob@example.com", PASSWORD),
        "wrong": ("ann@example.com", "wrong horse"),
        "disabled": ("ann@example.com", PASSWORD),
        "no address": ("ann", PASSWORD),
    }[case]
    if case == "disabled":
        room.users.update(ann.id, is_active=False)

    with pytest.raises(Unauthenticated) as refused:
        login(room, email, password)

    assert refused.value.code == "invalid_credentials"
    assert refused.value.detail == "The e-mail address or the password is wrong."
    assert refused.value.members == {}


def test_a_login_takes_as_long_whoever_it_is(make_room):
    room = make_room(rate_limit_enabled=False)
    room.users.create("ann@example.com", PASSWORD)
    eve = room.users.create("eve@example.com", PASSWORD)
    room.users.update(eve.id, is_active=False)

    def seconds(email):
        begin = time.perf_counter()
        with pytest.raises(Unauthenticated):
            login(room, email, "wrong horse")
        return time.perf_counter() - begin

    people = ("ann@example.com", "eve@example.com", "nobody@example.com")
    samples = [[seconds(email) for email in people] for _ in range(15)]
    known, disabled, unknown = (min(times) for times in zip(*samples, strict=True))

    assert disabled == pytest.approx(known, rel=0.6)
    assert unknown == pytest.approx(known, rel=0.6)


def test_a_hash_of_weaker_parameters_is_renewed_by_the_login(room, ann):
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with room.database.write() as work:
        work.connection.execute(update(User).values(password_hash=weak))

    session = login(room)

    with room.database.connect() as connection:
        stored = connection.execute(select(User.password_hash)).scalar_one()
    assert stored != weak
    assert not room.users.passwords.is_outdated(stored)
    assert room.tokens.authenticate(session.access_token).user_id == ann.id
    assert login(room).account.id == ann.id


def test_a_password_that_changes_during_the_login_admits_nobody(room, ann, monkeypatch):
    verify = room.users.passwords.verify

    def change_meanwhile(stored, password):
        is_right = verify(stored, password)
        monkeypatch.setattr(room.users.passwords, "verify", verify)
        room.users.update(ann.id, password="another horse")
        return is_right

    monkeypatch.setattr(room.users.passwords, "verify", change_meanwhile)

    assert code_of(login, room) == "invalid_credentials"
    assert rows(room) == []


# Failed logins


def test_ten_failures_lock_the_account_for_new_logins(room, ann):
    session = login(room)
    for number in range(10):
        address = f"198.51.100.{number}"
        assert code_of(login, room, password="wrong", address=address) == "invalid_credentials"

    for email in ("ann@example.com", "ANN@EXAMPLE.com"):
        with pytest.raises(TinyBaseError) as refused:
            login(room, email)
        assert refused.value.code == "rate_limited"
        assert 0 < int(refused.value.headers["Retry-After"]) <= 900
    assert room.tokens.authenticate(session.access_token).user_id == ann.id
    assert room.tokens.refresh(session.refresh_token).account.id == ann.id
    room.clock.advance(minutes=15)
    assert login(room).account.id == ann.id


def test_an_account_that_does_not_exist_is_locked_just_the_same(room):
    codes = [code_of(login, room, "nobody@example.com", "wrong") for _ in range(11)]

    assert codes == ["invalid_credentials"] * 10 + ["rate_limited"]


def test_a_hundred_failures_lock_the_address(make_room, monkeypatch):
    room = make_room()
    room.users.create("ann@example.com", PASSWORD)
    monkeypatch.setattr(room.users.passwords, "verify", lambda stored, password: False)
    for number in range(100):
        assert code_of(login, room, f"{number}@example.com", "wrong") == "invalid_credentials"
    monkeypatch.undo()

    assert code_of(login, room) == "rate_limited"
    assert login(room, address="198.51.100.1").account.email == "ann@example.com"


def test_successful_logins_do_not_count_as_failures(room, ann):
    for _ in range(12):
        login(room)


def test_a_success_does_not_wipe_out_the_failures_before_it(room, ann):
    for _ in range(9):
        code_of(login, room, password="wrong")
    login(room)
    code_of(login, room, password="wrong")

    assert code_of(login, room) == "rate_limited"


def test_guesses_that_come_all_at_once_do_not_get_past_the_limit(room, ann):
    codes = []

    def guess():
        codes.append(code_of(login, room, password="wrong"))

    threads = [threading.Thread(target=guess) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes.count("invalid_credentials") == 10
    assert codes.count("rate_limited") == 15


# Refreshing


def test_a_refresh_exchanges_the_pair_within_one_session(room, ann):
    first = login(room)
    second = room.tokens.refresh(first.refresh_token)

    assert second.account == ann
    assert second.refresh_token != first.refresh_token
    one, other = (room.tokens.authenticate(each.access_token) for each in (first, second))
    assert one.session_id == other.session_id


def test_a_refresh_token_presented_twice_ends_the_whole_session(room, ann):
    elsewhere = login(room)
    first = login(room)
    second = room.tokens.refresh(first.refresh_token)
    third = room.tokens.refresh(second.refresh_token)

    assert code_of(room.tokens.refresh, first.refresh_token) == "token_reused"

    for result in (first, second, third):
        assert code_of(room.tokens.authenticate, result.access_token) == "invalid_token"
    assert code_of(room.tokens.refresh, third.refresh_token) == "invalid_token"
    assert room.tokens.authenticate(elsewhere.access_token).user_id == ann.id
    assert room.tokens.refresh(elsewhere.refresh_token).account == ann


def test_a_rotated_token_that_has_expired_still_gives_the_thief_away(room, ann):
    first = login(room)
    room.clock.advance(days=29)
    second = room.tokens.refresh(first.refresh_token)
    room.clock.advance(days=2)

    assert code_of(room.tokens.refresh, first.refresh_token) == "token_reused"
    assert code_of(room.tokens.refresh, second.refresh_token) == "invalid_token"


def test_of_simultaneous_refreshes_one_wins(room, ann):
    token = login(room).refresh_token
    outcomes = []

    def refresh():
        try:
            outcomes.append(room.tokens.refresh(token).expires_in)
        except TinyBaseError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count(86_400) == 1
    assert outcomes.count("token_reused") == 7


def test_within_the_grace_period_a_token_may_be_presented_again(make_room):
    room = make_room(auth_refresh_grace_seconds=10)
    room.users.create("ann@example.com", PASSWORD)
    first = login(room)
    second = room.tokens.refresh(first.refresh_token)
    room.clock.advance(seconds=9)

    again = room.tokens.refresh(first.refresh_token)

    assert room.tokens.refresh(second.refresh_token).account == again.account
    room.clock.advance(seconds=1)
    assert code_of(room.tokens.refresh, first.refresh_token) == "token_reused"
    assert code_of(room.tokens.refresh, again.refresh_token) == "invalid_token"


def test_the_grace_period_does_not_revive_a_session_that_was_ended(make_room):
    room = make_room(auth_refresh_grace_seconds=10)
    room.users.create("ann@example.com", PASSWORD)
    first = login(room)
    second = room.tokens.refresh(first.refresh_token)
    room.tokens.logout(room.tokens.authenticate(second.access_token))

    assert code_of(room.tokens.refresh, first.refresh_token) == "token_reused"


# What is not a living token of the right kind


def test_a_token_lives_until_its_very_end(room, ann):
    result = login(room)
    room.clock.advance(seconds=86_399)
    assert room.tokens.authenticate(result.access_token).user_id == ann.id
    room.clock.advance(seconds=1)
    assert code_of(room.tokens.authenticate, result.access_token) == "token_expired"
    room.clock.advance(days=28, seconds=86_399)
    assert room.tokens.refresh(result.refresh_token).account == ann


def test_a_refresh_token_expires(room, ann):
    result = login(room)
    room.clock.advance(days=30)

    assert code_of(room.tokens.refresh, result.refresh_token) == "token_expired"


@pytest.mark.parametrize(
    "value",
    ["", "tba_", "nonsense", "tba_" + "a" * 42, "tba_" + "a" * 44, "tba_" + "ä" * 43, "x" * 9999],
)
def test_what_is_no_token_is_invalid(room, value):
    assert code_of(room.tokens.authenticate, value) == "invalid_token"
    assert code_of(room.tokens.refresh, value) == "invalid_token"


@pytest.mark.parametrize("kind", list(TokenKind))
def test_a_token_that_nobody_handed_out_is_invalid(room, kind):
    assert code_of(room.tokens.authenticate, new_value(kind)) == "invalid_token"


def test_a_changed_prefix_makes_no_other_token(room, ann):
    secret = login(room).refresh_token.removeprefix(PREFIXES[TokenKind.REFRESH])

    assert code_of(room.tokens.authenticate, PREFIXES[TokenKind.ACCESS] + secret) == "invalid_token"


def test_no_kind_of_token_passes_for_another(room, ann):
    session = login(room)
    _, application = room.tokens.applications.create("monitoring")
    room.tokens.resets.request("ann@example.com")
    (mail,) = room.mails()
    reset = next(word.rpartition("/")[2] for word in mail.split() if "/password-reset/" in word)
    values = {
        "access": session.access_token,
        "refresh": session.refresh_token,
        "application": application,
        "reset": reset,
    }
    doors = {
        "authenticate": (room.tokens.authenticate, {"access", "application"}, "wrong_token_type"),
        "refresh": (room.tokens.refresh, {"refresh"}, "wrong_token_type"),
        "reset": (
            lambda value: room.tokens.resets.confirm(value, "another horse"),
            {"reset"},
            "invalid_reset_token",
        ),
    }

    for door, (enter, admitted, code) in doors.items():
        for kind, value in values.items():
            if kind in admitted:
                enter(value)
            else:
                assert code_of(enter, value) == code, (door, kind)


def test_a_dump_of_the_database_authenticates_nobody(room, ann):
    session = login(room)
    room.tokens.applications.create("monitoring")
    stored = [str(value) for row in rows(room) for value in row]

    assert hashlib.sha256(session.access_token.encode()).hexdigest() in stored
    for value in stored:
        for prefix in ("", *PREFIXES.values()):
            assert code_of(room.tokens.authenticate, prefix + value) == "invalid_token"


def test_tokens_are_random(room):
    values = {new_value(TokenKind.ACCESS) for _ in range(1000)}

    assert len(values) == 1000
    assert all(digest(value) for value in values)


# Signing out


def test_logging_out_ends_all_sessions_or_one(room, ann):
    sessions = [login(room) for _ in range(3)]
    actors = [room.tokens.authenticate(session.access_token) for session in sessions]

    assert room.tokens.logout(actors[0], everywhere=False) == 2
    assert code_of(room.tokens.authenticate, sessions[0].access_token) == "invalid_token"
    assert code_of(room.tokens.refresh, sessions[0].refresh_token) == "invalid_token"
    assert room.tokens.authenticate(sessions[1].access_token) == actors[1]
    assert room.tokens.logout(actors[1]) == 4
    assert code_of(room.tokens.authenticate, sessions[2].access_token) == "invalid_token"


def test_logging_out_leaves_others_alone(room, ann):
    room.users.create("bob@example.com", PASSWORD)
    bob = login(room, "bob@example.com")

    room.tokens.logout(room.tokens.authenticate(login(room).access_token))

    assert room.tokens.authenticate(bob.access_token).email == "bob@example.com"


# Cleaning up


def test_logins_delete_what_has_long_expired(room, ann):
    login(room)
    room.tokens.applications.create("monitoring", expires_days=1)
    room.clock.advance(days=1, minutes=30)
    login(room)
    assert len(rows(room)) == 5, "a token that has just expired is still known as expired"
    room.clock.advance(days=32)

    login(room)

    kinds = sorted(row.kind for row in rows(room))
    assert kinds == ["access", "application", "refresh"], "application tokens stay listed"


# Application tokens


def test_an_application_token_speaks_for_no_user(room):
    token, value = room.tokens.applications.create("monitoring", scopes=["metrics", "read"])

    actor = room.tokens.authenticate(value)

    assert value.startswith("tbx_")
    assert (actor.kind, actor.user_id, actor.token_id) == (ActorKind.APPLICATION, None, token.id)
    assert actor.scopes == {"read", "metrics"}
    assert not actor.is_admin


def test_an_application_token_is_listed_without_its_value(room):
    token, value = room.tokens.applications.create("monitoring", description="of the house")
    room.clock.advance(seconds=1)
    newer, _ = room.tokens.applications.create("newer")

    assert room.tokens.applications.list() == [newer, token]
    assert (token.scopes, token.description) == (["admin"], "of the house")
    assert (token.last_used_at, token.is_active, token.is_valid) == (None, True, True)
    assert value not in repr(token)


def test_the_use_of_an_application_token_is_noted_once_a_minute(room):
    token, value = room.tokens.applications.create("monitoring")
    began = room.clock()

    def noted_after(**time):
        room.clock.advance(**time)
        room.tokens.authenticate(value)
        return room.tokens.applications.get(token.id).last_used_at

    assert noted_after(seconds=0) == began
    assert noted_after(seconds=59) == began
    assert noted_after(seconds=1) == room.clock()


def test_an_application_token_can_be_changed_and_switched_off_and_on(room):
    token, value = room.tokens.applications.create("monitoring", description="old")
    applications = room.tokens.applications

    changed = applications.update(token.id, name="new", description="", scopes=["read", "read"])
    assert changed == replace(token, name="new", description=None, scopes=["read"])
    applications.revoke(token.id)
    assert code_of(room.tokens.authenticate, value) == "invalid_token"
    shown = applications.get(token.id)
    assert (shown.is_active, shown.is_valid) == (False, False)
    assert applications.update(token.id, is_active=True).is_valid
    assert room.tokens.authenticate(value).scopes == {"read"}


def test_an_application_token_expires(room):
    token, value = room.tokens.applications.create("monitoring", expires_days=1)
    room.clock.advance(days=1)

    assert code_of(room.tokens.authenticate, value) == "token_expired"
    shown = room.tokens.applications.get(token.id)
    assert (shown.is_active, shown.is_valid) == (True, False)


def test_no_other_token_is_found_among_application_tokens(room, ann):
    login(room)
    access = rows(room)[0]

    assert room.tokens.applications.list() == []
    for call in (room.tokens.applications.get, room.tokens.applications.revoke):
        assert code_of(call, access.id) == "not_found"
    assert rows(room)[0] == access


def test_a_busy_database_does_not_fail_the_use_of_an_application_token(room, monkeypatch):
    _, value = room.tokens.applications.create("monitoring")
    room.database.engine.dispose()
    monkeypatch.setattr(room.database, "write", _busy)

    assert room.tokens.authenticate(value).kind is ActorKind.APPLICATION


def _busy():
    raise Unavailable("The database is busy; try again.", code="database_busy")
