"""Measure what a row costs in classes of several sizes: seconds, and memory of both processes.

The submissions are tables of predictions and linear networks, all of them different. A class of a
single one is graded first: what that takes is the start's, and the rest is divided by the other
rows. The processes are the one that grades, evaluate.py, and the server that forks the readers.
Each class is also graded again by the same command, which takes all rows over. Without bubblewrap,
which keeps the processor time of what it started to itself.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.checks.class_kills import servers_below
from bench.checks.small_class import students
from bench.runs import REPOSITORY
from bench.speed.grading import peak_memory
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, UserError, require_positive

_FORMS = ("npy", "npz", "npy", "json", "pth")
_POLL = 0.02  # seconds


class Cost(NamedTuple):
    """What a call of evaluate.py took."""

    seconds: float
    processor: float  # seconds of all its processes
    grader: float  # peak memory, MiB
    server: float


def measure(submissions: Path, output: Path, data_dir: Path) -> Cost:
    """Grade a folder. Raises UserError if that does not end well."""
    command: list[str | Path] = [sys.executable, REPOSITORY / "evaluate.py", submissions]
    command += ["--output", output, "--data-dir", data_dir, "--exit-zero", "--memory", "1"]
    command += ["--isolation", "process"]
    started, grader, server = time.perf_counter(), 0.0, 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        grader = max(grader, peak_memory(process.pid))
        with contextlib.suppress(ProcessLookupError):
            server = max([server, *map(peak_memory, servers_below(process.pid))])
        time.sleep(_POLL)
    _, status, used = ended
    if status:
        raise UserError(f"evaluate.py ended with exit status {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - started
    return Cost(seconds, used.ru_utime + used.ru_stime, grader, server)


def line_of(title: str, count: int, cost: Cost, start: Cost) -> str:
    """Return the peaks, and what each row took beyond the ``start``."""
    extra = [(now - first) / max(1, count - 1) for now, first in zip(cost, start, strict=True)]
    seconds, processor, grader, server = extra
    return (
        f"{count:7,} {title:6} {1000 * seconds:9.2f} {1000 * processor:9.2f} "
        f"{cost.grader:9.0f} {1024 * grader:9.1f} {cost.server:9.0f} {1024 * server:9.1f}"
    )


def main() -> int:
    """Grade classes of growing size; print what a row costs in each."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--count", type=int, nargs="+", default=[100, 1000, 10_000], help="sizes of classes")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(count=min(args.count))
    make = students(args.data_dir)
    print("  class           ms a row   processor    grader   a row      server   a row")
    print("                              ms a row       MiB     KiB         MiB     KiB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        submissions, data_dir = folder / "submissions", args.data_dir.resolve()
        submissions.mkdir()
        starts: dict[str, Cost] = {}
        made = 0
        for count in sorted({1, *args.count}):
            for number in range(made, count):
                form = _FORMS[number % len(_FORMS)]
                path = submissions / f"student{number:05}.{form}"
                path.write_bytes(make(number).file(form))
            made = count
            output = folder / str(count) / "evaluation.json"
            for title in ("new", "again"):
                cost = measure(submissions, output, data_dir)
                print(line_of(title, count, cost, starts.setdefault(title, cost)), flush=True)
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
