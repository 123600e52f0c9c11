import statistics
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from argon2 import PasswordHasher, extract_parameters

from tinybase.auth.passwords import Passwords
from tinybase.config import AuthConfig


@pytest.fixture(scope="module")
def passwords():
    return Passwords(AuthConfig())


def fault_types(passwords, password):
    return [fault.type for fault in passwords.faults(password)]


@pytest.mark.parametrize(
    "password",
    [
        "testpassword123",
        "adminpassword123",
        "userpassword123",
        " " * 8,
        "пароль-из-слов",
        "x" * 1024,
    ],
)
def test_a_password_is_accepted(passwords, password):
    assert passwords.faults(password) == []


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("seven77", "too_short"),
        ("x" * 1025, "too_long"),
        ("é" * 513, "too_long"),
        ("password", "too_common"),
        ("PassWord1", "too_common"),
        ("password123", "too_common"),
        ("iloveyou", "too_common"),
    ],
)
def test_a_password_is_refused(passwords, password, fault):
    assert fault_types(passwords, password) == [fault]


def test_common_passwords_may_be_allowed():
    config = replace(AuthConfig(), refuse_common_passwords=False)

    assert Passwords(config).faults("password") == []


def test_the_operator_may_ask_for_longer_passwords():
    config = replace(AuthConfig(), password_min_length=20)

    assert fault_types(Passwords(config), "nineteen characters") == ["too_short"]


def test_a_password_matches_its_own_hash_only(passwords):
    stored = passwords.hash("correct horse")

    assert passwords.verify(stored, "correct horse")
    assert not passwords.verify(stored, "correct horsf")


def test_the_end_of_a_long_password_counts(passwords):
    stored = passwords.hash("x" * 1023 + "y")

    assert not passwords.verify(stored, "x" * 1023 + "z")


def test_a_password_is_the_same_from_every_keyboard(passwords):
    assert passwords.verify(passwords.hash("caf\u00e9-society"), "cafe\u0301-society")


@pytest.mark.parametrize("stored", ["", "!", "plain text", "$argon2id$v=19$broken"])
def test_a_broken_hash_matches_nothing(passwords, stored):
    assert not passwords.verify(stored, stored)


def test_hashes_are_argon2id_at_the_recommended_cost(passwords):
    parameters = extract_parameters(passwords.hash("correct horse"))

    assert parameters.type.name == "ID"
    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (2, 19456, 1)


def test_a_hash_of_other_parameters_is_outdated(passwords):
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse")

    assert passwords.is_outdated(weak)
    assert not passwords.is_outdated(passwords.hash("correct horse"))


def test_verifying_takes_as_long_for_an_account_that_does_not_exist(passwords):
    stored = passwords.hash("correct horse")

    def seconds(value):
        begin = time.perf_counter()
        assert not passwords.verify(value, "wrong")
        return time.perf_counter() - begin

    samples = [(seconds(stored), seconds(None)) for _ in range(15)]
    known, unknown = (min(times) for times in zip(*samples, strict=True))

    assert statistics.fmean((known, unknown)) > 0.004
    assert unknown == pytest.approx(known, rel=0.6)


def test_many_at_once_take_the_memory_of_two(passwords, monkeypatch):
    seen = set()
    verify = passwords._hasher.verify

    def noted(*arguments):
        seen.add(threading.get_ident())
        return verify(*arguments)

    monkeypatch.setattr(passwords, "_hasher", SimpleNamespace(verify=noted))
    callers = [
        threading.Thread(target=passwords.verify, args=(None, "correct-horse-battery"))
        for _ in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    # What one thread frees the C library keeps for that thread.
    assert 1 <= len(seen) <= 2
