"""What the supervising process and one of its workers tell each other.

A few bytes of memory that both have since the fork. There is no file that another host
could mistake for one of its own, and nothing that a hanging process would have to answer.
"""

from __future__ import annotations

import mmap
import struct

_BEATS = struct.Struct("=Q")
_SERVING, _OUTDATED, _LEAVING, _STOPPING = range(_BEATS.size, _BEATS.size + 4)


class Pulse:
    """The signs of life of one worker, and what it and the supervisor want of each other."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def beat(self) -> None:
        """Show that the interpreter of this worker still runs Python."""
        _BEATS.pack_into(self._memory, 0, self.beats + 1)

    @property
    def beats(self) -> int:
        """Return a number that grows for as long as the worker is well."""
        count: int = _BEATS.unpack_from(self._memory)[0]
        return count

    @property
    def is_serving(self) -> bool:
        """Say whether the worker has started and takes requests."""
        return bool(self._memory[_SERVING])

    def serves(self) -> None:
        """Tell the supervisor that this worker takes requests."""
        self._memory[_SERVING] = 1

    @property
    def is_outdated(self) -> bool:
        """Say whether the worker has asked to be replaced."""
        return bool(self._memory[_OUTDATED])

    def ask_for_replacement(self) -> None:
        """Tell the supervisor that only a new process can run what is installed."""
        self._memory[_OUTDATED] = 1

    @property
    def must_leave(self) -> bool:
        """Say whether the supervisor has told the worker to go."""
        return bool(self._memory[_LEAVING])

    def tell_to_leave(self) -> None:
        """Tell the worker that its successor serves."""
        self._memory[_LEAVING] = 1

    @property
    def must_stop(self) -> bool:
        """Say whether the supervisor stops all workers."""
        return bool(self._memory[_STOPPING])

    def tell_to_stop(self) -> None:
        """Tell the worker that the signal which comes now is meant."""
        self._memory[_STOPPING] = 1
