"""The parent's side of the sandbox: submissions go to processes of their own, answers come back.

The parent opens files and passes their descriptors on, but never parses one. What comes back is a
block of memory of fixed size (``wire``); the server reports how a process ended.
"""

import contextlib
import os
import select
import socket
import struct
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from common.data.arrays import LabelledImages
from common.support.errors import PassingError, UserError
from grading.sandbox import machine, wire
from grading.sandbox.confinement import bubblewrap
from grading.sandbox.machine import STEP, Clock
from grading.sandbox.portable.base import AnySandbox
from grading.sandbox.portable.exchange import (
    TWICE,
    Advisor,
    Numbered,
    Outcome,
    came_from_outside,
    not_started,
)
from grading.sandbox.portable.process import CODE, start_process
from grading.sandbox.task import Task
from grading.sandbox.wire import MAX_FILES, READY, REPORT, close_all

# Seconds that the server has to load torch, to report after a child's time is over, and to end.
_START_TIMEOUT, _GRACE, _SECONDS_TO_END = 120, 20, 2

_GONE = (-1, -1, -1)  # in place of a report: the server has ended, or says nothing
_NO_MORE: Numbered = (-1, [])  # in place of a submission

# Descriptors for the files of another submission, its block, and what else is opened and closed.
_ROOM = MAX_FILES + 16


class Sandbox(AnySandbox):
    """A warm server, in bubblewrap if that works, and the submissions it is reading. Linux only.

    ``isolation`` is "bubblewrap", "process", or "auto" for bubblewrap if it works; the attribute is
    the one in force, and ``warning`` says why "auto" did not take bubblewrap. ``folders`` are those
    that the server may see in bubblewrap. Everything else is as in ``AnySandbox``.

    Raises UserError if no server can be started.
    """

    def __init__(
        self,
        test_set: LabelledImages,
        isolation: str,
        memory: int,
        timeout: float,
        jobs: int,
        preprocessing: Advisor,
        models: Path | None = None,
        reader: str = "grading.readers.reader",
        folders: Iterable[Path] = CODE,
    ) -> None:
        super().__init__(test_set, isolation, memory, timeout, jobs, preprocessing, models, reader)
        self.folders = [*folders, *([models.resolve()] if models else [])]
        self.isolation = "process" if isolation == "process" else "bubblewrap"
        # Imported here: Windows lacks what it needs, and can still measure one's own runs.
        from grading.sandbox.confinement import limits

        limits.hide_from_debuggers()
        self.most_descriptors = limits.allow_many_files()
        try:
            if self.isolation == "bubblewrap" and bubblewrap.find() is None:
                raise UserError("the package bubblewrap is not installed")
            self._start()
        except UserError as error:
            if self.isolation == "process":
                raise
            if isolation == "bubblewrap":
                raise UserError(
                    f"--isolation bubblewrap does not work here ({error}): mend that, or take "
                    "--isolation process"
                ) from error
            self.isolation = "process"
            self.warning = f"Without bubblewrap ({error}): limits alone apply"
            self._start()

    def measure(self, submissions: Iterable[Numbered | None]) -> Iterator[tuple[int, Outcome]]:
        """Yield each submission's number with its answers or its error, in the order they finish.

        Takes from ``submissions`` as slots become free, and closes their files. None stands for a
        piece of work on the way to the next one: those under way are seen to before the next piece.
        What may have been ended from outside is tried again alone, when the others are through. If
        the server itself is brought down, so are all that it was reading: only the culprit pays.
        """
        waiting = iter(submissions)
        while victims := (yield from self._run(waiting, self.jobs)):
            for victim in victims:
                if (yield from self._run(iter([victim]), 1, is_last_try=True)):
                    close_all(victim[1])
                    reason = f"brought down the process that reads submissions, twice: {TWICE}"
                    yield victim[0], PassingError(reason)

    def _run(
        self, waiting: Iterator[Numbered | None], jobs: int, is_last_try: bool = False
    ) -> Generator[tuple[int, Outcome], None, list[Numbered]]:
        """Yield outcomes; return what is to be tried again alone, if a server is up for it."""
        running: dict[int, Task] = {}  # by slot
        again: list[Numbered] = []
        finished: list[tuple[int, Outcome]] = []
        try:
            while True:
                # Slots are filled before an outcome is handed over, so that the next submission is
                # read while the caller works on this row.
                item: Numbered | None = _NO_MORE
                while not again and self._has_room(len(running), jobs):
                    if (item := next(waiting, _NO_MORE)) in (None, _NO_MORE):
                        break
                    slot = next(slot for slot in range(jobs) if slot not in running)
                    finished += self._hand_over(item, slot, running)
                yield from finished
                finished = []
                if not running and item is not None:
                    return again
                report = self._wait(blocks=item is not None)
                if report is None:
                    continue
                slot, ending, detail = report
                if report == _GONE:
                    again += [task.item for task in running.values()]
                    self.stop()
                    self._start()
                    return again
                if ending == wire.ASKED:
                    running[slot].answer(self.control, slot, self.preprocessing)
                    continue
                task = running.pop(slot)
                if came_from_outside(ending, detail) and not is_last_try:
                    again.append(task.item)
                else:
                    finished = [(task.item[0], task.outcome(ending, detail, self.timeout))]
                task.close(with_files=task.item not in again)
        finally:
            for task in running.values():
                task.close(with_files=task.item not in again)

    def _has_room(self, running: int, jobs: int) -> bool:
        """Tell whether the files of another submission can be opened, and may be read."""
        if not 0 < running < jobs:
            return running == 0
        return len(os.listdir("/proc/self/fd")) + _ROOM <= self.most_descriptors

    def _hand_over(
        self, item: Numbered, slot: int, running: dict[int, Task]
    ) -> list[tuple[int, Outcome]]:
        """Let the server read a submission; return its outcome if this machine cannot."""
        try:
            running[slot] = Task(item, self.shape)
            running[slot].send(self.control, slot)
        except OSError as error:
            if slot in running:
                running.pop(slot).close(with_files=False)
            close_all(item[1])
            return [(item[0], machine.lack(error))]
        return []

    def _wait(self, blocks: bool) -> tuple[int, int, int] | None:
        """Return the next report; None if there is none yet and this is not to wait for one."""
        poll, clock, left = select.poll(), Clock(), self.timeout + _GRACE
        poll.register(self.control, select.POLLIN)
        while not poll.poll(500 * STEP if blocks else 0):
            if not blocks:
                return None
            left -= clock.passed()
            if left <= 0:
                return _GONE  # a silent server counts as gone
        return self._receive()

    def _receive(self) -> tuple[int, int, int]:
        """Return slot, ending and detail."""
        with contextlib.suppress(OSError, struct.error):  # a time-out; a server that is gone
            return REPORT.unpack(self.control.recv(REPORT.size))
        return _GONE

    def _start(self) -> None:
        """Start the server and wait until it is up. Raises UserError with its last word if not."""
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with tempfile.TemporaryFile() as complaints, theirs:
            self.process = start_process(
                *("grading.sandbox.server", [self.settings], self.isolation, self.folders),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=complaints,
            )
            theirs.close()
            self._send_images()
            self.control.settimeout(_START_TIMEOUT)
            report = self._receive()
            if report[0] != READY:
                self.stop()
                complaints.seek(0)
                raise not_started(complaints.read(), self.isolation)
        self.control.settimeout(self.timeout + _GRACE)

    def _send_images(self) -> None:
        with os.fdopen(os.memfd_create("images"), "wb") as file:
            self.write_images(file)
            file.seek(0)
            with contextlib.suppress(OSError):  # a server that could not start: see _start
                socket.send_fds(self.control, [b"i"], [file.fileno()])

    def stop(self) -> None:
        """End the server."""
        self.control.close()  # the server then ends, if it still can
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_SECONDS_TO_END)
        self.process.kill()
        self.process.wait()
