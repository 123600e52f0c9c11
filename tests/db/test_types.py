"""What the columns hold, in the form of the database and of answers."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tinybase.db import format_time


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 4, 5, 6, 7, 800_000, UTC), "2026-03-04T05:06:07.800000Z"),
        (datetime(2026, 3, 4, 5, 6, 7, 1, UTC), "2026-03-04T05:06:07.000001Z"),
        (datetime(2026, 3, 4, 5, 6, 7, 0, UTC), "2026-03-04T05:06:07.000000Z"),
        (datetime(1, 1, 1, 0, 0, 0, 9, UTC), "0001-01-01T00:00:00.000009Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), "9999-12-31T23:59:59.999999Z"),
        (
            datetime(2026, 3, 4, 5, 6, 7, 8, timezone(timedelta(hours=2))),
            "2026-03-04T03:06:07.000008Z",
        ),
        (datetime(2026, 7, 4, 5, 6, 7, 8, ZoneInfo("UTC")), "2026-07-04T05:06:07.000008Z"),
    ],
)
def test_a_time_is_written_in_utc_with_six_digits(moment, text):
    assert format_time(moment) == text
