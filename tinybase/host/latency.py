"""How long something takes, counted in a few fixed buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper ends of the buckets in seconds; one more has what takes longer."""

_BOUNDS_NS = tuple(int(bound * 1e9) for bound in BOUNDS)


def no_buckets() -> list[int]:
    """Return buckets in which nothing is."""
    return [0] * (len(BOUNDS) + 1)


def bucket_of(nanoseconds: int) -> int:
    """Return the place of the bucket for a duration."""
    return bisect_left(_BOUNDS_NS, nanoseconds)


def quantile(share: float, buckets: Sequence[int], longest: float) -> float | None:
    """Return about how long such a share of the calls took at most, in seconds.

    Within a bucket the calls are taken to be spread evenly.

    :param longest: the duration of the longest call.
    """
    wanted = share * sum(buckets)
    if not wanted:
        return None
    below, lower = 0, 0.0
    for count, upper in zip(buckets, (*BOUNDS, longest), strict=True):
        if below + count >= wanted:
            return min(lower + (upper - lower) * (wanted - below) / count, longest)
        below, lower = below + count, upper
    return longest
