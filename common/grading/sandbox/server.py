"""The sandbox's server: it has torch and the images loaded, and forks a child a submission.

``client`` starts it as ``python -m common.grading.sandbox.server SETTINGS``, with one end of a
socket pair as standard input. It never opens a submission itself: it passes the descriptor that it
got on to a child, and reports how the child ended. It has no labels and no file of its own.
"""

import contextlib
import gc
import importlib
import json
import mmap
import os
import selectors
import signal
import socket
import sys
import time
from types import ModuleType
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from common.data.catalog import Normalization
from common.grading.sandbox import limits, wire
from common.grading.sandbox.wire import EXITED, KILLED, READY, REPORT, REQUEST, TIMED_OUT
from common.support.errors import SubmissionError
from common.transforms import normalize

_UNREADABLE = "the file cannot be read: save or export it anew, and upload it again"


class Child(NamedTuple):
    """A submission's process."""

    slot: int
    pid: int
    descriptor: int  # of the process: readable when it has ended
    deadline: float


class Server:
    """The loop of the server.

    Parameters
    ----------
    control : socket
        Where requests come from and reports go to; a message is a packet.
    images : Tensor of float32, shape [N, 1, side, side]
        Normalised.
    num_classes : int
    reader : module
        With ``read_answers(content, kind, images, num_classes)`` and ``warm_up(images,
        num_classes)``.
    memory : int
        Bytes that a child may map beyond what it inherits.
    timeout : float
        Seconds on the clock, and of processor time, that a child has.
    """

    def __init__(
        self,
        control: socket.socket,
        images: Tensor,
        num_classes: int,
        reader: ModuleType,
        memory: int,
        timeout: float,
    ) -> None:
        self.control, self.reader = control, reader
        self.memory, self.timeout = memory, timeout
        self.images, self.num_classes = images, num_classes
        self.children: dict[int, Child] = {}  # by descriptor
        self.selector = selectors.DefaultSelector()
        self.null = os.open(os.devnull, os.O_RDWR)

    def serve(self) -> None:
        """Answer requests until the other end of the socket is closed; no child is left then."""
        self.reader.warm_up(self.images, self.num_classes)
        self._try_limits()
        gc.collect()
        gc.freeze()  # a collection in a child would touch, and so copy, every page with an object
        self.selector.register(self.control, selectors.EVENT_READ)
        self._report(READY, EXITED, 0)
        while True:
            for key, _ in self.selector.select(self._seconds_to_deadline()):
                if key.fileobj is not self.control:
                    self._reap(self.children[key.fd], timed_out=False)
                elif not self._take_request():
                    self._kill_children()
                    return
            for child in [c for c in self.children.values() if c.deadline <= time.monotonic()]:
                self._reap(child, timed_out=True)

    def _try_limits(self) -> None:
        """Fail now, and not at every submission, if the system does not grant the limits."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                limits.become_nobody(0)
                limits.limit_resources(self.memory, self.timeout)
                limits.forbid_opening()
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(pid, 0)[1] != 0:
            raise RuntimeError("a process cannot be confined here: no right to change its user")

    def _seconds_to_deadline(self) -> float | None:
        deadlines = [child.deadline for child in self.children.values()]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _take_request(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.control, REQUEST.size, 2)
        if not message:
            return False
        slot, size, kind = REQUEST.unpack(message)
        pid = os.fork()
        if pid == 0:
            self._be_child(slot, size, kind.rstrip(b"\0").decode(), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        child = Child(slot, pid, os.pidfd_open(pid), time.monotonic() + self.timeout)
        self.children[child.descriptor] = child
        self.selector.register(child.descriptor, selectors.EVENT_READ)
        return True

    def _reap(self, child: Child, timed_out: bool) -> None:
        """Reap a child, killing it first if it timed out."""
        if timed_out:
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        self.selector.unregister(child.descriptor)
        del self.children[child.descriptor]
        os.close(child.descriptor)
        if timed_out:
            self._report(child.slot, TIMED_OUT, 0)
        elif os.WIFSIGNALED(status):
            self._report(child.slot, KILLED, os.WTERMSIG(status))
        else:
            self._report(child.slot, EXITED, os.WEXITSTATUS(status))

    def _kill_children(self) -> None:
        # They die with the server anyway, unless one has switched that off.
        for child in self.children.values():
            os.kill(child.pid, signal.SIGKILL)

    def _report(self, slot: int, ending: int, detail: int) -> None:
        self.control.send(REPORT.pack(slot, ending, detail))

    def _be_child(self, slot: int, size: int, kind: str, source: int, target: int) -> NoReturn:
        status = 1
        with contextlib.suppress(BaseException):
            os.setsid()
            # Standard input was the control socket: who held it could report for others.
            for number in (0, 1, 2):
                os.dup2(self.null, number)
            self._answer(slot, size, kind, source, target)
            status = 0
        os._exit(status)

    def _answer(self, slot: int, size: int, kind: str, source: int, target: int) -> None:
        block = memoryview(mmap.mmap(target, wire.block_size(len(self.images), self.num_classes)))
        limits.become_nobody(slot)
        _close_all_but(source)
        limits.limit_resources(self.memory, self.timeout)
        try:
            content = _read(source, size)
            limits.forbid_opening()
            result = self.reader.read_answers(content, kind, self.images, self.num_classes)
            wire.encode(block, result)
        except Exception as error:  # whatever a submission provokes costs its own row alone
            reason = limits.limit_met(error, self.memory)
            if reason is None:
                known = isinstance(error, SubmissionError)
                reason = str(error) if known else _UNREADABLE
            wire.encode_refusal(block, reason)


def _close_all_but(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, 2**16)


def _read(descriptor: int, size: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read(size)


def main(settings: str) -> None:
    """Read the settings and the images, and serve requests."""
    torch.set_num_threads(1)  # a child forked from a process whose thread pool ran would hang
    options = json.loads(settings)
    control = socket.socket(fileno=os.dup(0))
    _, (images_descriptor,), _, _ = socket.recv_fds(control, 1, 1)
    with os.fdopen(images_descriptor, "rb") as file:
        pixels = np.frombuffer(file.read(), dtype=np.uint8).reshape(options["shape"]).copy()
    reader: ModuleType = importlib.import_module(options["reader"])
    limits.hide_from_debuggers()
    images = normalize(torch.from_numpy(pixels), Normalization(*options["normalization"]))
    Server(
        control, images, options["num_classes"], reader, options["memory"], options["timeout"]
    ).serve()


if __name__ == "__main__":
    main(sys.argv[1])
