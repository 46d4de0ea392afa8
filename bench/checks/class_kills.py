"""Kill and stop a grading at random moments, continue it by the same command, and compare the rows.

A class of small submissions is graded once undisturbed. Then it is graded again, and at random
moments the process that grades, the server or a process that reads a submission gets SIGKILL,
SIGTERM, or SIGSTOP and a while later SIGCONT, each as often. Where the grading ended, the same
command goes on; if the class is through before all signals were sent, another grading begins.
Server and readers are hit only while submissions are read: a server that cannot start is an error
of its own. Ends with exit status 1 if a row differs in any field, if a row that was written is
gone, or if a process, a temporary file or folder is left. Linux only.
"""

import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.checks.small_class import students
from bench.runs import REPOSITORY
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED, UserError, require_positive
from common.support.files import TEMPORARY, read_json
from grading.intake.journal import journals_of, read_journal

TARGETS = ("parent", "server", "reader")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
# Of ten students; every 50th hands in a damaged file.
_FORMS = ("csv", "npy", "npz", "json", "csv", "npy", "npz", "pth", "safetensors", "onnx")
_POLL = 0.002  # seconds
_LONGEST_STOP = 2.0  # seconds; readers that are stopped use up their time
_TO_END = 10  # seconds that what the parent left has to end by itself
_PR_SET_CHILD_SUBREAPER = 36

Event = tuple[str, signal.Signals]


class Grading:
    """A grading of ``submissions`` that can be started again and again; its rows and its traces."""

    def __init__(self, folder: Path, submissions: Path, data_dir: Path) -> None:
        self.submissions = submissions
        self.output, self.temporary = folder / "evaluation.json", folder / "tmp"
        self.temporary.mkdir(parents=True)
        command: list[str | Path] = [sys.executable, REPOSITORY / "evaluate.py", submissions]
        command += ["--output", self.output, "--data-dir", data_dir, "--exit-zero"]
        self.command = [*command, "--jobs", "2", "--memory", "1"]
        self.errors = folder / "stderr"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command, which goes on with what is there."""
        with self.errors.open("ab") as errors:
            return subprocess.Popen(
                self.command,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "TMPDIR": str(self.temporary)},
            )

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the rows that are written, by name."""
        found = read_json(self.output)["results"] if self.output.exists() else []
        for journal in journals_of(self.output):
            found = found + read_journal(journal)["results"]
        return {row["name"]: row for row in found}

    def is_complete(self) -> bool:
        """Tell whether all have rows that hold the next time too."""
        document = read_json(self.output) if self.output.exists() else {}
        tried_again = [row for row in document.get("results", ()) if row.get("try_again")]
        return document.get("complete", False) and not tried_again

    def leftovers(self) -> list[Path]:
        """Return temporary files and folders."""
        return [*self.temporary.iterdir(), *self.output.parent.glob(f"{TEMPORARY}*")]


def make_class(folder: Path, count: int, data_dir: Path) -> None:
    """Write ``count`` submissions, all different; their names are in the order they are read."""
    folder.mkdir()
    make = students(data_dir)
    for number in range(count):
        form = _FORMS[number % len(_FORMS)]
        content = make(number).file(form)
        content = content[: len(content) // 2] if number % 50 == 49 else content
        (folder / f"student{number:05}.{form}").write_bytes(content)


def disturb(
    grading: Grading, events: list[Event], chance: random.Random, longest: float
) -> Counter[str]:
    """Grade to the end under signals, which are taken off ``events``; return what became of it."""
    counts: Counter[str] = Counter()
    process = grading.start()
    while events:
        wait(process, chance.uniform(0, longest))
        target, number = events[-1]
        pid = find(process, target)
        if pid is None:
            break  # all are read
        events.pop()
        counts[f"{target} {number.name}"] += 1
        is_end = target == "parent" and number != signal.SIGSTOP
        with contextlib.suppress(ProcessLookupError):  # a reader that has just ended
            os.kill(pid, signal.SIGSTOP if is_end or number == signal.SIGSTOP else number)
            if number == signal.SIGSTOP:
                time.sleep(chance.uniform(0.1, _LONGEST_STOP))
                os.kill(pid, signal.SIGCONT)
        if is_end:
            before, begun = grading.rows().keys(), begun_by(grading.submissions, process.pid)
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            end(grading, process, {-number, 128 + number})
            after = grading.rows().keys()
            counts["rows gone"] += len(before - after)
            counts["most begun again"] = max(counts["most begun again"], len(begun - after))
            process = grading.start()
        elif process.poll() is not None:
            break
    # The server may be hit while it starts anew: that ends the grading, and the command goes on.
    end(grading, process, {0, 2})
    while not grading.is_complete():
        counts["gone on once more"] += 1
        end(grading, grading.start(), {0})
    return counts


def end(grading: Grading, process: subprocess.Popen[bytes], allowed: set[int]) -> None:
    """Wait until a grading and all that it started have ended.

    Raises UserError if its status is none of those allowed, or if a process is left.
    """
    if process.wait() not in allowed:
        last = grading.errors.read_text(errors="replace")[-2000:]
        raise UserError(f"exit status {process.returncode}: {last}")
    deadline = time.monotonic() + _TO_END
    while children := children_of(os.getpid()):
        if time.monotonic() > deadline:
            raise UserError(f"processes are left: {children}")
        os.waitpid(-1, os.WNOHANG)
        time.sleep(_POLL)


def find(process: subprocess.Popen[bytes], target: str) -> int | None:
    """Return the process to hit, as soon as there is one; None if the grading ends before."""
    while process.poll() is None:
        if target == "parent":
            return process.pid
        for server in servers_below(process.pid):
            readers = list(filter(is_reader, children_of(server)))
            if readers:
                return server if target == "server" else readers[-1]
        time.sleep(_POLL)
    return None


def servers_below(pid: int) -> list[int]:
    """Return the server that ``pid`` has started, in bubblewrap or not; there is at most one."""
    found = []
    for child in children_of(pid):
        words = command_of(child)
        is_server = b"python" in words[0] and b"grading.sandbox.server" in words
        found += [child] if is_server else servers_below(child)
    return found


def is_reader(pid: int) -> bool:
    """Tell whether a child of the server reads a submission: it then has a session of its own.

    The first child does not: by that one the server tries if the limits are granted.
    """
    with contextlib.suppress(OSError):
        return os.getsid(pid) == pid
    return False


def command_of(pid: int) -> list[bytes]:
    """Return the command line of a process; of one that has ended, an empty word."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return [b""]


def children_of(pid: int) -> list[int]:
    """Return the processes that a process, by any of its threads, has started and not reaped."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def begun_by(submissions: Path, pid: int) -> set[str]:
    """Return the submissions that a process has opened so far, by the last ones that are open."""
    opened = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            path = descriptor.readlink()
            opened |= {path.name} if path.parent == submissions else set()
    names = [path.name for path in submissions.iterdir()]
    return {name for name in names if opened and name <= max(opened)}


def wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for some seconds, or until the process ends."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def main() -> int:
    """Grade undisturbed, then under signals; compare, print."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--count", type=int, default=2000, help="submissions")
    flag("--kills", type=int, default=50, help="signals to send")
    flag("--seed", type=int, default=0, help="of the random moments")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(count=args.count, kills=args.kills)
    # What a killed parent leaves behind becomes a child of this process, and so is found.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    chance = random.Random(args.seed)
    kinds = [(target, number) for target in TARGETS for number in SIGNALS]
    events = [kinds[number % len(kinds)] for number in range(args.kills)]
    chance.shuffle(events)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        submissions, data_dir = folder / "submissions", args.data_dir.resolve()
        make_class(submissions, args.count, data_dir)
        undisturbed = Grading(folder / "undisturbed", submissions, data_dir)
        started = time.monotonic()
        end(undisturbed, undisturbed.start(), {0})
        seconds = time.monotonic() - started
        print(f"{args.count:,} submissions, graded undisturbed in {seconds:.0f} s", flush=True)
        expected, total = undisturbed.rows(), Counter[str]()
        gradings = equal = left = most = 0
        while events:
            gradings += 1
            grading = Grading(folder / str(gradings), submissions, data_dir)
            counts = disturb(grading, events, chance, 2 * seconds / args.kills)
            most = max(most, counts.pop("most begun again", 0))
            total += counts
            rows = grading.rows()
            same = [name for name, row in expected.items() if rows.get(name) == row]
            equal += len(same)
            for different in sorted(expected.keys() - same)[:3]:
                print(json.dumps([expected[different], rows.get(different)])[:2000])
            # What is younger than a minute may belong to another process: the next call leaves it.
            for leftover in grading.leftovers():
                os.utime(leftover, (0, 0))
            end(grading, grading.start(), {0})
            left += len(grading.leftovers())
            if b"Traceback" in grading.errors.read_bytes():
                raise UserError(grading.errors.read_text(errors="replace")[-2000:])
    for target in TARGETS:
        hits = ", ".join(f"{total[f'{target} {s.name}']} {s.name}" for s in SIGNALS)
        print(f"{target}: {hits}")
    print(f"gradings: {gradings}; gone on by the same command once more: "
          f"{total['gone on once more']}")  # fmt: skip
    print(f"rows that were written and are gone: {total['rows gone']}; submissions begun whose row "
          f"a kill cost: at most {most}")  # fmt: skip
    print(f"rows equal to the undisturbed ones: {equal:,} of {gradings * args.count:,}; "
          f"processes left: 0; temporary files and folders left: {left}")  # fmt: skip
    is_right = equal == gradings * args.count and not left and not total["rows gone"]
    return ALL_PASSED if is_right else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
