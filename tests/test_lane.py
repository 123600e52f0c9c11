"""Threads go one by one, and nobody waits for long."""

from __future__ import annotations

import threading
import time

import pytest

from tinybase.lane import Lane

WAIT_SECONDS = 1.0


@pytest.fixture
def lane() -> Lane:
    return Lane(WAIT_SECONDS)


def entered_within(lane: Lane) -> tuple[bool, float]:
    """Return whether somebody got the lane, and after how many seconds."""
    began = time.monotonic()
    return lane.enter(), time.monotonic() - began


def test_who_comes_next_has_the_lane_as_soon_as_it_is_left(lane):
    assert lane.enter()
    waiting = threading.Timer(0.05, lane.leave)
    waiting.start()

    has_lane, seconds = entered_within(lane)

    assert has_lane
    assert 0.04 < seconds < WAIT_SECONDS


def test_behind_a_slow_one_somebody_waits_once_and_then_nobody_until_it_has_left(lane):
    assert lane.enter()
    has_lane, seconds = entered_within(lane)
    assert (has_lane, seconds >= WAIT_SECONDS) == (False, True)

    has_lane, seconds = entered_within(lane)
    assert (has_lane, seconds < WAIT_SECONDS / 2) == (False, True)

    lane.leave()
    assert lane.enter()
