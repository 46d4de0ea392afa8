"""The machine that grades: what it lacks is no student's fault."""

import contextlib
import errno
import math
import os
import sys
import time
from pathlib import Path

from common.support.errors import MachineError

# Seconds that a process misses at most when it is busy, and not stopped.
STEP = 0.25

# Bytes that the server takes with torch and the images.
_SERVER = 2**29

_FEWER = "end other programs, or take fewer --jobs"
_DISK = "see to the disk or the network that the file is on, or copy it anew"
# What to do about errors of the operating system that do not depend on what a file is.
_ADVICE = {
    errno.EMFILE: "raise the limit (ulimit -n), or take fewer --jobs",
    errno.ENFILE: _FEWER,
    errno.ENOMEM: _FEWER,
    errno.EAGAIN: _FEWER,
    errno.ENOBUFS: _FEWER,
    errno.EIO: _DISK,
    errno.ETIMEDOUT: _DISK,
    errno.ESTALE: _DISK,
}


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


def is_linux() -> bool:
    """Tell whether the system has what confines a process."""
    return all(hasattr(os, name) for name in ("fork", "memfd_create", "pidfd_open"))


def lacks(error: OSError) -> bool:
    """Tell whether an error says what this machine lacks, and nothing of the file."""
    return error.errno in _ADVICE


def lack(error: OSError) -> MachineError:
    """Return an error of the operating system as one of this machine."""
    advice = _ADVICE.get(error.errno or 0, _FEWER)
    return MachineError(f"cannot be read on this machine: {error.strerror}: {advice}")


def fit_jobs(jobs: int, memory: int, ranks: int = 1) -> int:
    """Return how many submissions fit into memory at a time, and say so if they are fewer.

    ``memory`` is in bytes, and what each may take; ``ranks`` are the processes on this machine that
    read so many each.
    """
    available = available_memory(Path("/"))
    room = (available / ranks - _SERVER) / memory
    fitting = max(1, math.floor(min(jobs, room)))
    if fitting < jobs:
        print(
            f"Reading {fitting} at a time instead of {jobs}: of the {available / 2**30:.3g} GiB of "
            f"memory that are free, each may take {memory / 2**30:.3g} (--memory)",
            file=sys.stderr,
        )
    return fitting


def available_memory(root: Path) -> float:
    """Return the bytes that a process can still take; infinite if the system does not say.

    That is what the machine has free, and what is left under the limits of the control groups that
    this process is in, of version 1 and 2. Cached files that can be given up count as free.
    """
    left = [math.inf]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (root / "proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        left.append(1024 * int(line.split()[1]))
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                top, files = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
            elif controllers == "memory":
                top = "sys/fs/cgroup/memory"
                files = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            else:
                continue
            inner = Path(path.lstrip("/"))
            left += [_left_in(root / top / group, *files) for group in (inner, *inner.parents)]
    return min(left)


def _left_in(group: Path, limit: str, used: str, cached: str) -> float:
    try:
        statistics = dict(map(str.split, (group / "memory.stat").read_text().splitlines()))
        in_use = int((group / used).read_text()) - int(statistics[cached])
        return int((group / limit).read_text()) - in_use
    except (OSError, ValueError, KeyError):  # there is none, or its limit is "max"
        return math.inf
