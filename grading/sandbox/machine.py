"""The machine that grades: what it has room for is no student's fault."""

import time

# Seconds that a process misses at most when it is busy, and not stopped.
STEP = 0.25


class Clock:
    """Counts the seconds in which this process ran.

    It was not running while it was stopped (Ctrl-Z, a frozen container), and then neither were
    those that it waits for, or they waited for it. Who uses it looks every ``STEP / 2`` seconds.
    """

    def __init__(self) -> None:
        self._looked_at = time.monotonic()

    def passed(self) -> float:
        """Return the seconds since the last look, and at most ``STEP``."""
        before, self._looked_at = self._looked_at, time.monotonic()
        return min(self._looked_at - before, STEP)
