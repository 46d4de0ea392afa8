"""The parent's side of the boundary: submissions go to processes of their own, answers come back.

The parent opens files and passes their descriptors, but never parses one. What comes back is a
block of memory of fixed size (``common.answers``); how a process ended, the server says.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from common import answers, bubblewrap
from common.answers import EXITED, READY, REPORT, REQUEST, TIMED_OUT, Answers
from common.errors import SubmissionError, UserError
from common.escaping import printable
from common.reference import ReferenceSet

REPOSITORY = Path(__file__).resolve().parent.parent

# Seconds that the server has to load torch, to report after a child's time is over, and to end.
_START_TIMEOUT = 120
_GRACE = 20
_SECONDS_TO_END = 2

# All that a submission's process could read from the environment. One thread: a child forked from
# a process whose thread pool has run would hang.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}

Outcome = Answers | SubmissionError


class Opened(NamedTuple):
    """A submission's file, opened by the parent."""

    index: int  # the caller's own number for it
    descriptor: int
    size: int  # bytes
    kind: str


class Boundary:
    """A warm server, in bubblewrap where that works, and the submissions under way in it.

    Use it as a context manager: leaving it ends the server.

    Parameters
    ----------
    reference : ReferenceSet
        Its labels stay in this process.
    isolation : "auto", "bubblewrap" or "process"
        "auto" takes bubblewrap where it works.
    memory : int
        Bytes for each submission, beyond what the server holds.
    timeout : float
        Seconds for each.
    jobs : int
        Submissions under way at a time.
    reader : str
        The module that reads submissions.
    folders : paths
        What of this repository the server may see in bubblewrap.

    Attributes
    ----------
    isolation : str
        The one in force: "bubblewrap" or "process".
    fallback_reason : str or None
        Why "auto" did not take bubblewrap.
    """

    def __init__(
        self,
        reference: ReferenceSet,
        isolation: str,
        memory: int,
        timeout: float,
        jobs: int,
        reader: str = "common.readers",
        folders: Iterable[Path] = (REPOSITORY / "common",),
    ) -> None:
        self.images, self.timeout, self.jobs, self.folders = (
            reference.images,
            timeout,
            jobs,
            folders,
        )
        self.num_classes = reference.image_set.sizes.num_classes
        self.settings = json.dumps(
            {
                "reader": reader,
                "memory": memory,
                "timeout": timeout,
                "shape": self.images.shape,
                "normalization": reference.image_set.normalization,
                "num_classes": self.num_classes,
            }
        )
        self.fallback_reason: str | None = None
        self.isolation = "process" if isolation == "process" else "bubblewrap"
        if not hasattr(os, "memfd_create"):
            raise UserError("grading needs Linux, whose limits keep submissions apart")
        # Imported here: Windows lacks what it needs, and can still measure one's own runs.
        from common import confinement

        confinement.hide_from_debuggers()
        if self.isolation == "bubblewrap" and bubblewrap.find() is None:
            self._fall_back(isolation, "the package bubblewrap is not installed")
        try:
            self._start()
        except UserError as error:
            if self.isolation == "process":
                raise
            self._fall_back(isolation, str(error))
            self._start()

    def __enter__(self) -> "Boundary":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def measure(self, submissions: Iterable[Opened]) -> Iterator[tuple[int, Outcome]]:
        """Yield each submission's index with its answers or its reason, in the order they finish.

        Takes from ``submissions`` as places become free, and closes their descriptors. When the
        server itself is brought down, those that were under way are tried again, one by one, so
        that only the one that does it pays for it.
        """
        waiting = iter(submissions)
        while victims := (yield from self._run(waiting, self.jobs)):
            for victim in victims:
                if (yield from self._run(iter([victim]), 1)):
                    os.close(victim.descriptor)
                    reason = "brought down the process that reads submissions, twice"
                    yield victim.index, SubmissionError(reason)

    def _run(
        self, waiting: Iterator[Opened], jobs: int
    ) -> Generator[tuple[int, Outcome], None, list[Opened]]:
        """Yield outcomes until all is done, and return nothing; or those that saw the server die.

        A new server is up by then.
        """
        running: dict[int, tuple[Opened, int]] = {}  # by slot, with the descriptor of the answers
        survivors: list[Opened] = []
        finished: tuple[int, Outcome] | None = None
        try:
            while True:
                # Places are filled before an outcome is handed over: the caller's work on one row
                # and the next submission take place at the same time.
                while len(running) < jobs and (item := next(waiting, None)):
                    slot = next(slot for slot in range(jobs) if slot not in running)
                    running[slot] = item, self._make_block()
                    self._send(slot, *running[slot])
                if finished:
                    yield finished
                if not running:
                    return []
                report = self._receive()
                finished = None
                if report is None:
                    survivors = [item for item, _ in running.values()]
                    self._stop()
                    self._start()
                    return survivors
                slot, ending, detail = report
                item, block = running.pop(slot)
                content = os.pread(block, self._block_size(), 0)
                os.close(block)
                os.close(item.descriptor)
                finished = item.index, self._judge(content, ending, detail)
        finally:
            for item, block in running.values():
                os.close(block)
                if item not in survivors:
                    os.close(item.descriptor)

    def _make_block(self) -> int:
        block = os.memfd_create("answers")
        os.ftruncate(block, self._block_size())
        return block

    def _block_size(self) -> int:
        return answers.block_size(len(self.images), self.num_classes)

    def _send(self, slot: int, item: Opened, block: int) -> None:
        os.lseek(item.descriptor, 0, os.SEEK_SET)
        request = REQUEST.pack(slot, item.size, item.kind.encode())
        with contextlib.suppress(OSError):  # a server that is gone: the next report will tell
            socket.send_fds(self.control, [request], [item.descriptor, block])

    def _receive(self) -> tuple[int, int, int] | None:
        """Return slot, ending and detail of the next report; nothing if the server is gone."""
        try:
            report = self.control.recv(REPORT.size)
        except OSError:  # among them the time-out: a server that says nothing is as good as gone
            return None
        return REPORT.unpack(report) if len(report) == REPORT.size else None

    def _judge(self, content: bytes, ending: int, detail: int) -> Outcome:
        if ending == TIMED_OUT:
            reason = f"took longer than the {self.timeout:g} s allowed (--timeout)"
        elif ending == EXITED and detail == 0:
            try:
                return answers.decode(content, len(self.images), self.num_classes)
            except SubmissionError as error:
                return error
        elif ending == EXITED:
            reason = f"ended the process that read it (exit status {detail})"
        elif detail == signal.SIGXCPU:
            reason = f"used more than the {self.timeout:g} s of processor time allowed (--timeout)"
        else:
            reason = f"crashed the process that read it ({_signal_name(detail)})"
        return SubmissionError(reason)

    def _start(self) -> None:
        """Start the server and wait until it is up; on failure say why."""
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "common.warm_server", self.settings]
        if self.isolation == "bubblewrap":
            program = bubblewrap.find() or "bwrap"
            command = bubblewrap.wrapped(program, command, self.folders, REPOSITORY)
        with tempfile.TemporaryFile() as complaints, theirs:
            self.process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=_ENVIRONMENT,
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                start_new_session=True,  # Ctrl-C is for the parent, which then ends the server
            )
            theirs.close()
            self._send_images()
            self.control.settimeout(_START_TIMEOUT)
            report = self._receive()
            if report is None or report[0] != READY:
                self._stop()
                complaints.seek(0)
                lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
                raise UserError(f"{self.isolation}: {printable(lines[-1] if lines else 'no word')}")
        self.control.settimeout(self.timeout + _GRACE)

    def _send_images(self) -> None:
        descriptor = os.memfd_create("images")
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.images.tobytes())
            file.flush()
            os.lseek(descriptor, 0, os.SEEK_SET)
            with contextlib.suppress(OSError):  # a server that could not start: see _start
                socket.send_fds(self.control, [b"i"], [descriptor])

    def _stop(self) -> None:
        self.control.close()  # which a server that can still hear takes as its end
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_SECONDS_TO_END)
        self.process.kill()
        self.process.wait()

    def _fall_back(self, wanted: str, reason: str) -> None:
        if wanted == "bubblewrap":
            raise UserError(
                f"--isolation bubblewrap does not work here ({reason}): mend that, or take "
                "--isolation process"
            )
        self.isolation, self.fallback_reason = "process", reason


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"
