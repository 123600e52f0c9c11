import re
import threading
import time
from dataclasses import replace

import pytest

from tinybase.auth.resets import public_url
from tinybase.config import ServerConfig
from tinybase.errors import Invalid, TinyBaseError

PASSWORD = "correct horse"
LINK = re.compile(r"^http://127\.0\.0\.1:8000/auth/password-reset/(tbp_[\w-]{43})$", re.MULTILINE)


@pytest.fixture
def ann(room):
    return room.users.create("ann@example.com", PASSWORD)


def code_of(call, *arguments, **options):
    with pytest.raises(TinyBaseError) as refused:
        call(*arguments, **options)
    return refused.value.code


def login(room, password):
    return room.tokens.login("ann@example.com", password, address="192.0.2.1")


def ask(room, email="ann@example.com"):
    """Ask for a link and return the token in it."""
    room.tokens.resets.request(email)
    return LINK.search(room.mails()[-1]).group(1)


def test_a_link_comes_by_mail_and_sets_a_new_password(room, ann):
    token = ask(room)

    room.tokens.resets.confirm(token, "another horse")

    assert login(room, "another horse").account.id == ann.id
    assert code_of(login, room, PASSWORD) == "invalid_credentials"


def test_the_mail_says_what_it_is(make_room):
    room = make_room(mail_from="Front desk <desk@example.com>")
    room.users.create("ann@example.com", PASSWORD)
    room.settings.update({"instance_name": "Ünï\nBase"})
    room.tokens.resets.request("ANN@example.com")
    (mail,) = room.mails()

    assert "To: ann@example.com" in mail
    assert "From: Front desk <desk@example.com>" in mail
    assert "Subject: A new password for Ünï Base" in mail
    assert "within 60 minutes" in mail
    assert LINK.search(mail)


def test_a_local_mail_is_there_when_the_answer_is(room, ann):
    room.tokens.resets.request("ann@example.com")

    assert len(list(room.outbox.glob("*.eml"))) == 1


@pytest.mark.parametrize("email", ["nobody@example.com", "ann", "", "x" * 9999])
def test_no_mail_goes_to_addresses_that_nobody_has(room, ann, email):
    room.tokens.resets.request(email)

    assert room.mails() == []


def test_no_mail_goes_to_a_disabled_user(room, ann):
    room.users.update(ann.id, is_active=False)
    room.tokens.resets.request("ann@example.com")

    assert room.mails() == []


def test_asking_takes_as_long_for_every_address(room, ann):
    def seconds(email):
        begin = time.perf_counter()
        room.tokens.resets.request(email)
        return time.perf_counter() - begin

    people = ("ann@example.com", "nobody@example.com")
    samples = [[seconds(email) for email in people] for _ in range(7)]
    known, unknown = (min(times) for times in zip(*samples, strict=True))

    assert known == pytest.approx(unknown, rel=0.4)


def test_a_mail_that_cannot_be_sent_is_logged_and_fails_nothing(make_room, caplog):
    room = make_room(mail_url="smtp://127.0.0.1:1")
    room.users.create("ann@example.com", PASSWORD)
    room.tokens.resets.request("ann@example.com")
    room.tokens.close()

    assert "A mail could not be sent. Check mail.url" in caplog.text
    assert "tbp_" not in caplog.text


def test_a_token_is_good_once(room, ann):
    token = ask(room)
    room.tokens.resets.confirm(token, "another horse")

    assert code_of(room.tokens.resets.confirm, token, "a third horse") == "invalid_reset_token"
    assert login(room, "another horse").account.id == ann.id


def test_of_two_confirmations_at_once_one_wins(room, ann):
    token = ask(room)
    outcomes = []

    def confirm(password):
        try:
            room.tokens.resets.confirm(token, password)
            outcomes.append(password)
        except TinyBaseError as error:
            outcomes.append(error.code)

    passwords = [f"horse number {number}" for number in range(6)]
    threads = [threading.Thread(target=confirm, args=[password]) for password in passwords]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("invalid_reset_token") == 5
    (winner,) = set(outcomes) - {"invalid_reset_token"}
    assert login(room, winner).account.id == ann.id


def test_a_token_expires(room, ann):
    token = ask(room)
    room.clock.advance(minutes=60)

    assert code_of(room.tokens.resets.confirm, token, "another horse") == "invalid_reset_token"


def test_a_new_request_voids_the_older_token(room, ann):
    older, newer = ask(room), ask(room)

    assert code_of(room.tokens.resets.confirm, older, "another horse") == "invalid_reset_token"
    room.tokens.resets.confirm(newer, "another horse")


def test_a_reset_ends_every_session(room, ann):
    sessions = [login(room, PASSWORD) for _ in range(2)]

    room.tokens.resets.confirm(ask(room), "another horse")

    for session in sessions:
        assert code_of(room.tokens.authenticate, session.access_token) == "invalid_token"
        assert code_of(room.tokens.refresh, session.refresh_token) == "invalid_token"


@pytest.mark.parametrize(
    "change",
    [{"password": "a third horse"}, {"is_active": False}, {"email": "new@example.com"}],
    ids=["password", "inactive", "address"],
)
def test_a_link_is_void_once_the_account_has_changed(room, ann, change):
    token = ask(room)
    room.users.update(ann.id, **change)

    assert code_of(room.tokens.resets.confirm, token, "another horse") == "invalid_reset_token"


def test_the_link_of_a_deleted_user_is_void(room, ann):
    token = ask(room)
    room.users.delete(ann.id)

    assert code_of(room.tokens.resets.confirm, token, "another horse") == "invalid_reset_token"


def test_a_bad_password_is_refused_whatever_the_token_and_uses_nothing_up(room, ann):
    token = ask(room)
    for value in (token, "nonsense"):
        with pytest.raises(Invalid) as refused:
            room.tokens.resets.confirm(value, "short")
        assert refused.value.faults[0].loc == ("body", "password")

    room.tokens.resets.confirm(token, "another horse")


@pytest.mark.parametrize("value", ["", "nonsense", "tbp_" + "a" * 43, "x" * 9999])
def test_what_is_no_token_gets_the_same_answer(room, ann, value):
    assert code_of(room.tokens.resets.confirm, value, "another horse") == "invalid_reset_token"


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (ServerConfig(), "http://127.0.0.1:8000"),
        (replace(ServerConfig(), host="::1", port=9000), "http://[::1]:9000"),
        (replace(ServerConfig(), public_url="https://a.example/x/"), "https://a.example/x"),
    ],
)
def test_links_begin_with_the_public_address(server, expected):
    assert public_url(server) == expected
