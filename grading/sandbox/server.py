"""The sandbox's server: it has torch and the images loaded, and forks a child a submission.

``client`` starts it as ``python -m grading.sandbox.server SETTINGS``, with one end of a
socket pair as standard input. It never opens a submission itself: it passes the descriptor that it
got on to a child, and reports how the child ended. It has no labels and no file of its own.
"""

import contextlib
import errno
import gc
import json
import mmap
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from grading.sandbox import wire
from grading.sandbox.confinement import limits
from grading.sandbox.machine import STEP, Clock
from grading.sandbox.portable.measuring import Measuring
from grading.sandbox.wire import OpenFile


@dataclass
class Child:
    """A submission's process."""

    slot: int
    pid: int
    descriptor: int  # of the process: readable when it has ended
    channel: socket.socket  # on which it asks how its inputs are made
    seconds_left: float
    questions_left: int = len(wire.STAGES)
    is_waiting: bool = False  # for the parent, which costs it no time


class Server:
    """The loop of the server.

    ``control`` is where requests come from and reports go to; a message is a packet. ``pixels`` and
    ``options`` are those of ``Measuring``.
    """

    def __init__(self, control: socket.socket, pixels: Tensor, options: dict[str, Any]) -> None:
        self.control, self.measuring = control, Measuring(pixels, options)
        self.memory, self.timeout = options["memory"], options["timeout"]
        self.children: dict[int, Child] = {}  # by slot
        self.clock = Clock()
        self.selector = selectors.DefaultSelector()
        self.null = os.open(os.devnull, os.O_RDWR)

    def serve(self) -> None:
        """Answer requests until the other end of the socket is closed; no child is left then."""
        limits.try_them(self.memory, self.timeout)
        gc.collect()
        gc.freeze()  # a collection in a child would touch, and so copy, every page with an object
        self.selector.register(self.control, selectors.EVENT_READ)
        self._report(wire.READY, wire.EXITED, 0)
        while True:
            running = [child for child in self.children.values() if not child.is_waiting]
            seconds = min([STEP / 2, *(child.seconds_left for child in running)])
            ready = self.selector.select(seconds if running else None)
            passed = self.clock.passed()
            for child in running:
                child.seconds_left -= passed
            for key, _ in ready:
                child = key.data
                if key.fileobj is self.control:
                    if not self._take_request():
                        # They die with the server anyway, unless one has switched that off.
                        for child in self.children.values():
                            os.kill(child.pid, signal.SIGKILL)
                        return
                elif self.children.get(child.slot) is child:  # not reaped a moment ago
                    if key.fd == child.descriptor:
                        self._reap(child, timed_out=False)
                    else:
                        self._hear(child)
            for child in [c for c in self.children.values() if c.seconds_left <= 0]:
                self._reap(child, timed_out=True)

    def _take_request(self) -> bool:
        most = wire.MAX_FILES + 1
        message, descriptors, _, _ = socket.recv_fds(self.control, wire.MAX_REQUEST, most)
        if not message:
            return False
        request = json.loads(message)
        if "advice" in request:
            self._pass_on(request["slot"], request["advice"])
            return True
        try:
            pid, channel = self._fork(request, descriptors)
        except OSError as error:
            self._report(request["slot"], wire.NOT_STARTED, error.errno or 0)
            return True
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        child = Child(request["slot"], pid, os.pidfd_open(pid), channel, self.timeout)
        self.children[child.slot] = child
        self.selector.register(child.descriptor, selectors.EVENT_READ, child)
        self.selector.register(channel, selectors.EVENT_READ, child)
        return True

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> tuple[int, socket.socket]:
        """Return the process of a child, and the channel to it.

        Raises OSError if this machine has no room for it.
        """
        if len(descriptors) != 1 + len(request["files"]):
            raise OSError(errno.EMFILE, "descriptors were lost on their way")
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                channel.close()
                raise
            if pid == 0:
                self._be_child(request, theirs.fileno(), descriptors)
        channel.setblocking(False)
        return pid, channel

    def _hear(self, child: Child) -> None:
        """Pass on what a child asks; one that does not keep to the rules is not heard again."""
        self.selector.unregister(child.channel)
        with contextlib.suppress(OSError):
            if child.channel.recv(1) == wire.TRIED and child.questions_left:
                child.questions_left -= 1
                child.is_waiting = True
                self._report(child.slot, wire.ASKED, 0)

    def _pass_on(self, slot: int, advice: int) -> None:
        child = self.children.get(slot)
        if child and child.is_waiting:
            child.is_waiting = False
            with contextlib.suppress(OSError):  # it has ended
                child.channel.send(wire.ADVICE.pack(advice))
            self.selector.register(child.channel, selectors.EVENT_READ, child)

    def _reap(self, child: Child, timed_out: bool) -> None:
        if timed_out:
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        self.selector.unregister(child.descriptor)
        with contextlib.suppress(KeyError):  # it asks, or is not heard any more
            self.selector.unregister(child.channel)
        del self.children[child.slot]
        os.close(child.descriptor)
        child.channel.close()
        code = os.waitstatus_to_exitcode(status)  # below 0 the signal
        ending = wire.KILLED if code < 0 else wire.EXITED
        if timed_out and code == -signal.SIGKILL:  # it had not ended by itself a moment before
            ending = wire.TIMED_OUT
        self._report(child.slot, ending, abs(code))

    def _report(self, slot: int, ending: int, detail: int) -> None:
        self.control.send(wire.REPORT.pack(slot, ending, detail))

    def _be_child(self, request: dict[str, Any], channel: int, descriptors: list[int]) -> NoReturn:
        status = 1
        with contextlib.suppress(BaseException):
            os.setsid()
            # Standard input was the control socket: who held it could report for others.
            for number in (0, 1, 2):
                os.dup2(self.null, number)
            block, *sources = descriptors
            files = [
                OpenFile(name, descriptor, size)
                for (name, size), descriptor in zip(request["files"], sources, strict=True)
            ]
            self._answer(request["slot"], block, channel, files)
            status = 0
        os._exit(status)

    def _answer(self, slot: int, target: int, channel: int, files: list[OpenFile]) -> None:
        block = memoryview(mmap.mmap(target, self.measuring.shape.block_size))
        limits.become_nobody(slot)
        start = 3
        for kept in sorted([channel, *(file.descriptor for file in files)]):
            os.closerange(start, kept)
            start = kept + 1
        os.closerange(start, 2**16)
        limits.limit_resources(self.memory, self.timeout)
        try:
            contents = []
            for file in files:
                with os.fdopen(file.descriptor, "rb") as stream:
                    contents.append((file.name, stream.read(file.size)))
            limits.forbid_opening()
        except Exception as error:  # a limit, or a disk that fails
            self.measuring.refuse(block, error)
        else:
            self.measuring.answer(contents, block, partial(_ask, channel))


def _ask(channel: int) -> int:
    os.write(channel, wire.TRIED)
    (advice,) = wire.ADVICE.unpack(os.read(channel, wire.ADVICE.size))
    return int(advice)


def main(settings: str) -> None:
    """Read the settings and the images, and serve requests."""
    torch.set_num_threads(1)  # a child forked from a process whose thread pool ran would hang
    options = json.loads(settings)
    control = socket.socket(fileno=os.dup(0))
    _, (images_descriptor,), _, _ = socket.recv_fds(control, 1, 1)
    with os.fdopen(images_descriptor, "rb") as file:
        pixels = torch.from_numpy(np.fromfile(file, np.uint8))
    limits.hide_from_debuggers()
    Server(control, pixels, options).serve()


if __name__ == "__main__":
    main(sys.argv[1])
