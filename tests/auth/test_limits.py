import threading

import pytest
from sqlalchemy import func, select

from tinybase.auth.limits import RateLimits
from tinybase.db import tables
from tinybase.errors import TinyBaseError


def rows(room):
    with room.database.connect() as connection:
        return connection.execute(select(func.count()).select_from(tables.rate_limits)).scalar_one()


def test_a_limit_counts_down_and_then_refuses(room):
    states = [room.limits.check("register", "192.0.2.1") for _ in range(5)]

    assert [state.remaining for state in states] == [4, 3, 2, 1, 0]
    with pytest.raises(TinyBaseError) as refused:
        room.limits.check("register", "192.0.2.1")
    assert refused.value.status == 429
    assert refused.value.code == "rate_limited"
    reset = str(int(room.clock().timestamp()) + 60)
    assert refused.value.headers == {
        "Retry-After": "60",
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": reset,
    }


def test_a_limit_begins_anew_when_its_time_is_over(room):
    for _ in range(5):
        room.limits.check("register", "192.0.2.1")
    room.clock.advance(seconds=59.5)
    with pytest.raises(TinyBaseError) as refused:
        room.limits.check("register", "192.0.2.1")
    assert refused.value.headers["Retry-After"] == "1"
    room.clock.advance(seconds=0.5)

    assert room.limits.check("register", "192.0.2.1").remaining == 4


def test_a_clock_that_was_put_back_locks_nobody_out(room):
    for _ in range(5):
        room.limits.check("register", "192.0.2.1")
    room.clock.advance(days=-30)

    assert room.limits.check("register", "192.0.2.1").remaining == 4


def test_limits_are_kept_apart_by_name_and_by_client(room):
    for _ in range(5):
        room.limits.check("register", "192.0.2.1")

    assert room.limits.check("register", "192.0.2.2").remaining == 4
    assert room.limits.check("login", "192.0.2.1").remaining == 9


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_one_client_with_many_addresses_is_one(room, one, other):
    room.limits.check("register", one)

    assert room.limits.check("register", other).remaining == 3


def test_another_network_of_ipv6_is_another_client(room):
    room.limits.check("register", "2001:db8:1:2::1")

    assert room.limits.check("register", "2001:db8:1:3::1").remaining == 4


def test_workers_share_the_counts(room, make_room):
    other = make_room()
    for limits in (room.limits, other.limits) * 2:
        limits.check("register", "192.0.2.1")

    assert room.limits.check("register", "192.0.2.1").remaining == 0


def test_attempts_at_the_same_time_are_all_counted(room):
    outcomes = []

    def attempt():
        try:
            outcomes.append(room.limits.check("register", "192.0.2.1").remaining)
        except TinyBaseError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, outcomes)) == ["0", "1", "2", "3", "4"] + ["rate_limited"] * 15


def test_one_switch_turns_everything_off(make_room):
    limits = make_room(rate_limit_enabled=False).limits

    assert all(limits.check("register", "192.0.2.1") is None for _ in range(9))
    assert not limits.applies("register")


def test_general_limits_are_off_until_the_operator_sets_them(make_room):
    assert make_room().limits.check("anonymous", "192.0.2.1") is None
    limits = make_room(rate_limit_anonymous_per_minute=3).limits
    assert limits.check("anonymous", "192.0.2.1").limit == 3
    assert not limits.applies("authenticated")


def test_one_over_the_limit_writes_nothing(room):
    for _ in range(5):
        room.limits.check("register", "192.0.2.1")
    calls = []
    write = room.database.write
    room.database.write = lambda: calls.append(1) or write()

    with pytest.raises(TinyBaseError):
        room.limits.check("register", "192.0.2.1")

    assert calls == []


def test_counts_whose_time_is_over_are_deleted(room):
    room.limits.check("register", "192.0.2.1")
    room.clock.advance(minutes=2)
    room.limits.check("login", "192.0.2.1")
    with room.database.write() as work:
        room.limits.clean(work.connection)

    assert rows(room) == 1


def test_no_account_can_be_read_from_the_counts(room):
    room.limits.check("failed_login_account", "ann@example.com")
    with room.database.connect() as connection:
        keys = connection.execute(select(tables.rate_limits.c.key)).scalars().all()

    assert len(keys) == 1
    assert "ann" not in keys[0]


def test_limits_are_kept_across_restarts(room):
    for _ in range(5):
        room.limits.check("register", "192.0.2.1")
    restarted = RateLimits(room.database, room.config, clock=room.clock)

    with pytest.raises(TinyBaseError):
        restarted.check("register", "192.0.2.1")
