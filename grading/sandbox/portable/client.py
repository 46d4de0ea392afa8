"""The parent's side of reading submissions where no process can be confined.

It sends their files through pipes to processes of its own, and gets blocks of answers back. A
process reads one submission after another, until one exceeds a limit, crashes or hangs. A thread
here talks with each, since Windows cannot wait for several pipes at a time.
"""

import contextlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from common.data.arrays import LabelledImages
from common.support.errors import MachineError
from grading.sandbox import machine, wire
from grading.sandbox.machine import STEP, Clock
from grading.sandbox.portable.base import AnySandbox
from grading.sandbox.portable.exchange import (
    Advisor,
    Exchange,
    Numbered,
    Outcome,
    came_from_outside,
    not_started,
)
from grading.sandbox.portable.process import start_process
from grading.sandbox.wire import OpenFile, Said, close_all

_START_TIMEOUT, _SECONDS_TO_END = 120, 2
_PIECE = 2**20  # bytes
_NO_MORE: Numbered = (-1, [])  # in place of a submission

_Ending = tuple[int, int] | Exception  # how a reading ended, with an exit status or a signal

_WARNING = (
    "Isolation none: no wall between submissions and this computer. What protects is that the "
    "files hold no code, and {}; for files of strangers take Linux"
)


class _Reading(Exchange):
    """A submission that a process reads, and the block that it sent last."""

    def __init__(self, item: Numbered, sandbox: AnySandbox, worker: "_Worker") -> None:
        super().__init__(item, sandbox.shape)
        self.worker, self.seconds_left = worker, sandbox.timeout
        self.is_waiting = True  # for this process, or for its own to start
        self.block = bytes(sandbox.shape.block_size)

    def read(self, size: int, start: int) -> bytes:
        """Return so many bytes of the block."""
        return self.block[start : start + size]


class _Worker:
    """A process that reads submissions."""

    def __init__(self, sandbox: AnySandbox) -> None:
        self.sandbox, self.is_ready = sandbox, False
        self.process = start_process(
            *("grading.sandbox.portable.worker", [sandbox.settings], "none"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        streams = self.process.stdin, self.process.stdout, self.process.stderr
        self.requests, self.answers, self.complaints = cast(tuple[IO[bytes], ...], streams)

    def start(self) -> None:
        """Wait until it is up. Raises UserError with its last word if it is not."""
        timer = threading.Timer(_START_TIMEOUT, self.process.kill)
        timer.start()
        with contextlib.suppress(OSError):  # it could not start
            self.sandbox.write_images(self.requests)
            self.requests.flush()
        self.is_ready = self.answers.read(1) == Said.READY
        timer.cancel()
        if not self.is_ready:
            error = not_started(
                self.complaints.read(), "the process that reads submissions does not start"
            )
            self.end()
            raise error

    def read(self, reading: _Reading, advisor: Advisor) -> tuple[int, int]:
        """Have a submission read; return how that ended, with an exit status or a signal."""
        if not self.is_ready:
            self.start()
        reading.is_waiting, said = False, b""
        with contextlib.suppress(OSError):  # it is gone
            self._send(reading)
            while (said := self._receive(reading)) == Said.ASKED:
                reading.is_waiting = True
                advice = reading.advice(advisor)
                reading.is_waiting = False
                self.requests.write(wire.ADVICE.pack(advice))
                self.requests.flush()
        if said == Said.ANSWERED:
            return wire.EXITED, 0
        status = self.end()
        if said == Said.LAST or status >= 0:
            return wire.EXITED, status
        return wire.KILLED, -status

    def _send(self, reading: _Reading) -> None:
        request = json.dumps(reading.named()).encode()
        self.requests.write(wire.LENGTH.pack(len(request)) + request)
        for file in reading.item[1]:
            for piece in _pieces(file):
                self.requests.write(piece)
        self.requests.flush()

    def _receive(self, reading: _Reading) -> bytes:
        """Take a block, and return what was said with it; nothing if it broke off."""
        said = self.answers.read(1)
        if said not in (Said.ASKED, Said.ANSWERED, Said.LAST):
            return b""
        size = reading.shape.block_size
        block = self.answers.read(size)
        if len(block) != size:
            return b""
        reading.block = block
        return said

    def end(self) -> int:
        """End the process if it does not end by itself, and return its exit status, 0 if not."""
        try:
            status = self.process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            status = 0
            self.kill()
        for stream in (self.requests, self.answers, self.complaints):
            with contextlib.suppress(OSError):  # it cannot be flushed any more
                stream.close()
        return status

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()


class PortableSandbox(AnySandbox):
    """Processes that read submissions, on any system: there are up to ``jobs``, without a wall.

    Raises UserError if none can be started.
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
    ) -> None:
        super().__init__(test_set, isolation, memory, timeout, jobs, preprocessing, models, reader)
        limits = "--timeout and --memory" if Path("/proc/self/statm").exists() else "--timeout"
        self.warning = _WARNING.format(limits)
        self._finished: queue.SimpleQueue[tuple[_Reading, _Ending]] = queue.SimpleQueue()
        self._idle = [_Worker(self)]
        self._idle[0].start()

    def measure(self, submissions: Iterable[Numbered | None]) -> Iterator[tuple[int, Outcome]]:
        """Yield outcomes; what may have been ended from outside is tried again alone at the end."""
        again: list[Numbered] = []
        yield from self._run(iter(submissions), self.jobs, again)
        for item in again:
            yield from self._run(iter([item]), 1, None)

    def _run(
        self, waiting: Iterator[Numbered | None], jobs: int, again: list[Numbered] | None
    ) -> Iterator[tuple[int, Outcome]]:
        running: set[_Reading] = set()
        finished: list[tuple[int, Outcome]] = []
        clock = Clock()
        try:
            while True:
                # Before an outcome is handed over: this is read while the caller works on that.
                item: Numbered | None = _NO_MORE
                while len(running) < jobs:
                    if (item := next(waiting, _NO_MORE)) in (None, _NO_MORE):
                        break
                    try:
                        running.add(self._begin(item))
                    except OSError as error:
                        close_all(item[1])
                        finished.append((item[0], machine.lack(error)))
                yield from finished
                finished = []
                if not running and item is not None:
                    return
                with contextlib.suppress(queue.Empty):
                    reading, ending = self._finished.get(timeout=0 if item is None else STEP / 2)
                    if reading in running:  # and its time had not run out a moment before
                        running.remove(reading)
                        finished += self._outcome(reading, ending, again)
                passed = clock.passed()
                for reading in [r for r in running if not r.is_waiting]:
                    reading.seconds_left -= passed
                    if reading.seconds_left <= 0:
                        # Its thread is not waited for: who broke out may keep the pipe open.
                        reading.worker.kill()
                        running.remove(reading)
                        finished += self._outcome(reading, (wire.TIMED_OUT, 0), again)
        finally:
            for reading in running:
                reading.worker.kill()
                close_all(reading.item[1])

    def _begin(self, item: Numbered) -> _Reading:
        """Let a process read a submission, a new one if none is idle. Raises OSError if not."""
        worker = self._idle.pop() if self._idle else _Worker(self)
        reading = _Reading(item, self, worker)
        threading.Thread(target=self._have_read, args=[reading], daemon=True).start()
        return reading

    def _have_read(self, reading: _Reading) -> None:
        worker = reading.worker
        try:
            ending: _Ending = worker.read(reading, self.preprocessing)
        except Exception as error:
            worker.kill()
            worker.end()
            ending = error
        self._finished.put((reading, ending))

    def _outcome(
        self, reading: _Reading, ending: _Ending, again: list[Numbered] | None
    ) -> list[tuple[int, Outcome]]:
        """Return what became of a submission; nothing yet if it is to be tried again."""
        if reading.worker.process.returncode is None:
            self._idle.append(reading.worker)
        number, files = reading.item
        if isinstance(ending, tuple) and again is not None and came_from_outside(*ending):
            again.append(reading.item)
            return []
        try:
            if isinstance(ending, tuple):
                return [(number, reading.outcome(*ending, self.timeout))]
            if isinstance(ending, MachineError):
                return [(number, ending)]
            raise ending
        finally:
            close_all(files)

    def stop(self) -> None:
        """End the processes."""
        for worker in self._idle:
            worker.kill()
            worker.end()
        self._idle = []


def _pieces(file: OpenFile) -> Iterator[bytes]:
    """Yield the content of a file, of the size that was announced. Raises MachineError."""
    try:
        os.lseek(file.descriptor, 0, os.SEEK_SET)
        for start in range(0, file.size, _PIECE):
            size = min(_PIECE, file.size - start)
            # One that has shrunk is filled up: it has changed, and that is its error.
            yield os.read(file.descriptor, size).ljust(size, b"\0")
    except OSError as error:
        raise machine.lack(error) from error
